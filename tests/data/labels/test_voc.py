from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
from defects import LABEL_FOLDERS, assert_clean_part, build, data_sets, quick
from format_cases import (
    CLASSES,
    assert_list_survives,
    left_out_of,
    link,
    make_list,
    problems_in,
    save_picture,
)
from hypothesis import given
from hypothesis import strategies as st

from yolo3.data.annotations import DataError, read_annotations, write_annotations
from yolo3.data.labels.formats import read_labels
from yolo3.data.labels.policy import LEADS_OUTSIDE, ImportOptions
from yolo3.data.labels.voc import write_voc

SHARED = Path(__file__).parents[4] / "shared" / "data"


def thing(name="hat", box=(1, 2, 30, 40), extra=""):
    tags = ("xmin", "ymin", "xmax", "ymax")
    corners = "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(tags, box, strict=True))
    return f"<object><name>{name}</name>{extra}<bndbox>{corners}</bndbox></object>"


def save_xml(folder, stem, inside="", root="annotation", beside=False):
    path = folder / f"{stem}.xml" if beside else folder / "Annotations" / f"{stem}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<{root}>{inside}</{root}>", encoding="utf-8")
    return path


def read_voc(folder, **options):
    return read_labels(folder, ImportOptions(format="voc", **options))


def problems_of(folder, **options):
    return problems_in(folder, read_voc, folder, **options)


def save_clean(folder, count=2):
    """Labelled images without a defect, so that fewer than half are broken."""
    for number in range(count):
        save_picture(folder / "JPEGImages" / f"z{number}.jpg", shade=number + 1)
        save_xml(folder, f"z{number}", thing())


def test_a_folder_gives_pictures_sorted_class_names_and_findings(tmp_path):
    path = save_picture(tmp_path / "JPEGImages" / "a.jpg")
    save_picture(tmp_path / "JPEGImages" / "b.jpg", shade=9)
    save_picture(tmp_path / "JPEGImages" / "c.jpg", shade=10)
    name = "<filename>a.jpg</filename>"
    save_xml(
        tmp_path, "a", name + thing("hat", (1.5, 2.25, 30, 40)) + thing("bare", (0, 0, 200, 9))
    )
    save_xml(tmp_path, "b", "<filename>b.jpg</filename>")
    imported = read_voc(tmp_path)
    pictures, findings = imported.pictures, imported.findings
    assert imported.class_names == ("bare", "hat")
    assert pictures[0].path == path
    assert pictures[0].boxes_xyxy.tolist() == [[1.5, 2.25, 30, 40], [0, 0, 100, 9]]
    assert pictures[0].class_ids.tolist() == [1, 0]
    assert pictures[0].source == f"{tmp_path}/Annotations/a.xml"
    assert pictures[1].boxes_xyxy.shape == (0, 4)
    assert findings.counts["boxes_clipped"] == sum(findings.counts.values()) == 1
    assert left_out_of(imported, tmp_path) == [("unlabelled", "JPEGImages/c.jpg: no XML file")]
    assert imported.lines()[-1] == "imported 2 of 3 images, 1 left out"


@pytest.mark.parametrize("root", ["annotation", "annotations", "anything"])
def test_the_root_element_may_have_any_name(tmp_path, root):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    save_xml(tmp_path, "a", thing(), root=root)
    assert len(read_voc(tmp_path).pictures[0].boxes_xyxy) == 1


@pytest.mark.parametrize(
    "place, inside",
    [
        ("JPEGImages/a.jpg", "<filename>a.jpg</filename><folder>elsewhere</folder>"),
        ("JPEGImages/other.jpg", "<filename>other.jpg</filename>"),
        ("JPEGImages/a.png", "<filename>a.jpg</filename>"),
        ("JPEGImages/a.JPG", ""),
        ("JPEGImages/sub/b.jpg", "<filename>sub\\b.jpg</filename>"),
        ("images/b.jpg", "<folder>images</folder><filename>b.jpg</filename>"),
        ("Annotations/a.jpg", "<folder>../secret</folder><filename>a.jpg</filename>"),
        ("images/a.png", "<filename>a.jpg</filename><path>/home/me/elsewhere/a.jpg</path>"),
        ("a.jpg", "<filename>a.jpg</filename>"),
    ],
)
def test_the_picture_is_found(tmp_path, place, inside):
    path = save_picture(tmp_path / place)
    save_xml(tmp_path, "a", inside + thing())
    assert read_voc(tmp_path).pictures[0].path == path


def test_xml_files_may_lie_beside_the_pictures(tmp_path):
    path = save_picture(tmp_path / "a.jpg")
    save_xml(tmp_path, "a", thing(), beside=True)
    assert read_voc(tmp_path).pictures[0].path == path


def test_a_png_may_be_called_jpeg(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.JPEG", format="PNG")
    save_xml(tmp_path, "a", "<filename>a.JPEG</filename>" + thing())
    assert read_voc(tmp_path).pictures[0].size_wh == (100, 80)


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "sub/../../secret.jpg", "..\\secret.jpg", "/secret.jpg", "C:\\s.jpg"]
)
def test_a_file_name_never_leads_outside(tmp_path, name):
    save_picture(tmp_path / "secret.jpg")
    save_clean(tmp_path / "voc")
    save_xml(tmp_path / "voc", "a", f"<filename>{name}</filename>" + thing())
    assert left_out_of(read_voc(tmp_path / "voc"), tmp_path / "voc") == [
        ("missing", f"Annotations/a.xml: image {name} is missing")
    ]


LINK = LEADS_OUTSIDE


def test_links_lead_outside_only_if_they_are_followed(tmp_path):
    folder = tmp_path / "voc"
    save_clean(folder, 3)
    link(folder / "JPEGImages" / "a.jpg", save_picture(tmp_path / "secret.jpg", shade=9))
    save_xml(folder, "a", "<filename>a.jpg</filename>" + thing())
    save_picture(folder / "JPEGImages" / "b.jpg", shade=10)
    link(folder / "Annotations" / "b.xml", save_xml(tmp_path, "secret", thing(), beside=True))
    imported = read_voc(folder)
    assert sorted(left_out_of(imported, folder)) == [
        ("outside", f"Annotations/a.xml: image JPEGImages/a.jpg {LINK}"),
        ("outside", f"Annotations/b.xml: {LINK}"),
    ]
    assert not imported.findings.found
    followed = read_voc(folder, follow_links=True)
    assert len(followed.pictures) == 5 and not followed.left_out


def test_a_folder_of_images_that_is_a_link_is_followed_when_asked(tmp_path):
    save_picture(tmp_path / "mine" / "a.jpg")
    save_xml(tmp_path / "voc", "a", thing())
    link(tmp_path / "voc" / "JPEGImages", tmp_path / "mine")
    *_, hint = problems_of(tmp_path / "voc")
    assert hint == f"JPEGImages: {LINK}"
    assert len(read_voc(tmp_path / "voc", follow_links=True).pictures) == 1


@pytest.mark.parametrize(
    ("xml", "place", "filename"),
    [
        ("Annotations/sub/a", "JPEGImages/sub/a.jpg", "a.jpg"),
        ("Annotations/sub/a", "JPEGImages/sub/a.jpg", "sub/a.jpg"),
        ("Annotations/sub/a", "JPEGImages/sub/a.png", ""),
        ("Annotations/sub/a", "JPEGImages/a.jpg", "a.jpg"),
        ("train/Annotations/a", "train/JPEGImages/a.jpg", "a.jpg"),
        ("train/annotations/deep/a", "train/images/deep/a.jpg", "a.jpg"),
        ("annotations/a", "images/a.jpg", "a.jpg"),
        ("sub/a", "sub/a.jpg", "a.jpg"),
        ("Annotations/annotations/a", "JPEGImages/annotations/a.jpg", "annotations/a.jpg"),
    ],
)
def test_folders_may_be_nested(tmp_path, xml, place, filename):
    path = save_picture(tmp_path / place)
    save_xml(tmp_path, xml, f"<filename>{filename}</filename>" + thing(), beside=True)
    imported = read_voc(tmp_path)
    (picture,) = imported.pictures
    assert picture.path == path and len(picture.boxes_xyxy) == 1
    assert not imported.findings.found and not imported.left_out


def test_pictures_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for shade, sub in enumerate(("", "sub/")):
        save_picture(tmp_path / "JPEGImages" / f"{sub}a.jpg", shade=9 * shade)
        save_xml(tmp_path, f"{sub}a", "<filename>a.jpg</filename>" + thing())
    pictures = read_voc(tmp_path).pictures
    assert [p.path.parent.name for p in pictures] == ["JPEGImages", "sub"]


def test_hidden_files_are_passed_over(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    save_picture(tmp_path / "JPEGImages" / "._b.jpg")
    save_xml(tmp_path, "a", thing())
    save_xml(tmp_path, "._a").write_bytes(b"\0\5\x16\7")
    imported = read_voc(tmp_path)
    assert imported.total == 1 and not imported.findings.found


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("ImageSets/Main/train.txt", "b b\na\n"),
        ("ImageSets/Main/train.txt", "\ufeffb b\r\n\r\na\r\n"),
        ("ImageSets/Main/train.txt", "b b  1\na -1\n"),
        ("ImageSets/Main/train.txt", "b b.jpg 1\na.jpg -1\n"),
        ("ImageSets/Main/train.txt", '"b b"\n"a"\n'),  # as CVAT quotes them
        ("ImageSets/train.txt", "b b\na\na\n"),
    ],
)
def test_an_image_set_gives_its_pictures_in_its_order(tmp_path, place, text):
    for shade, stem in enumerate(("a", "b b", "c")):
        save_picture(tmp_path / "JPEGImages" / f"{stem}.jpg", shade=7 * shade)
        save_xml(tmp_path, stem, thing())
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(text, "utf-8")
    imported = read_voc(tmp_path, split="train")
    assert [picture.path.stem for picture in imported.pictures] == ["b b", "a"]
    assert not imported.findings.found and not imported.left_out
    assert len(read_voc(tmp_path).pictures) == 3


def test_an_image_set_that_does_not_fit(tmp_path):
    save_clean(tmp_path)
    with pytest.raises(DataError, match="has no set 'train', and no other either"):
        read_voc(tmp_path, split="train")
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    listed = tmp_path / "ImageSets" / "Main" / "val.txt"
    listed.write_text("z0\n\n../../secret\nz1\ngone\n")
    with pytest.raises(DataError, match="has no set 'train', expected val"):
        read_voc(tmp_path, split="train")
    assert left_out_of(read_voc(tmp_path, split="val"), tmp_path) == [
        ("missing", "ImageSets/Main/val.txt:3: '../../secret' has no XML file"),
        ("missing", "ImageSets/Main/val.txt:5: 'gone' has no XML file"),
    ]
    listed.write_text("\n")
    with pytest.raises(DataError, match="lists nothing"):
        read_voc(tmp_path, split="val")


def test_what_other_tools_add_is_passed_over(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    part = "<part><name>brim</name><bndbox><xmin>1</xmin></bndbox></part>"
    extra = "<pose/><truncated/><occluded>1</occluded><attributes><attribute/></attributes>" + part
    head = "<path>C:\\x\\a.jpg</path><source><database>Unknown</database></source><owner/>"
    path = save_xml(tmp_path, "a", head + thing(box=(" 1.5 ", 2, "3e1", 40), extra=extra))
    path.write_text(path.read_text().replace("<annotation>", '<annotation verified="yes">'))
    imported = read_voc(tmp_path)
    assert imported.pictures[0].boxes_xyxy.tolist() == [[1.5, 2, 30, 40]]
    assert imported.class_names == ("hat",) and not imported.findings.found


def test_a_classes_file_in_the_folder_gives_the_order_of_the_classes(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    save_xml(tmp_path, "a", thing("hat") + thing("cup") + thing("bare"))
    (tmp_path / "classes.txt").write_text("hat\nnever seen\n")
    assert read_voc(tmp_path).class_names == ("hat", "never seen", "bare", "cup")


def test_difficult_objects_are_kept_or_counted(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    same = thing("hat", (1, 1, 9, 9))
    save_xml(tmp_path, "a", same + thing("hat", (1, 1, 9, 9), "<difficult>1</difficult>"))
    imported = read_voc(tmp_path)
    assert len(imported.pictures[0].boxes_xyxy) == 2
    assert [kind for kind, _ in imported.findings.found] == ["boxes_unmarked"]
    imported = read_voc(tmp_path, keep_difficult=False)
    assert len(imported.pictures[0].boxes_xyxy) == 1 and imported.class_names == ("hat",)
    assert [kind for kind, _ in imported.findings.found] == ["boxes_difficult"]


def test_a_size_that_is_not_the_pictures_is_reported(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "b.jpg", size=(50, 60))
    save_picture(tmp_path / "JPEGImages" / "c.jpg", shade=9)
    size = "<size><width>{}</width><height>{}</height></size>"
    save_xml(tmp_path, "b", size.format(100, 80) + thing())
    save_xml(tmp_path, "c", size.format(0, 0) + thing())
    findings = read_voc(tmp_path).findings
    assert findings.counts["pictures_resized"] == 1
    assert findings.lines()[1] == (
        f"  {tmp_path}/Annotations/b.xml: says 100x80, the picture is 50x60"
    )


def test_given_class_names_give_the_ids_and_others_stop(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    save_xml(tmp_path, "a", thing("hat") + thing("bare"))
    imported = read_voc(tmp_path, class_names=("hat", "helmet", "bare"))
    assert imported.class_names == ("hat", "helmet", "bare")
    assert imported.pictures[0].class_ids.tolist() == [0, 2]
    assert problems_of(tmp_path, class_names=("hat", "helmet")) == [
        "names of classes are unknown, expected hat, helmet (1): Annotations/a.xml: class 'bare'"
    ]


ENTITIES = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a><filename>&x;</filename></a>'


DEFECTS = {  # text of the XML file a.xml -> kind and reason
    "<filename>gone.jpg</filename>": ("missing", "image gone.jpg is missing"),
    thing() + "<object><name>hat</name></object>": ("object", "object 2 (hat) has no <bndbox>"),
    thing(name=" "): ("object", "object 1 has no <name>"),
    thing(box=("1", "x", 3, 4)): ("object", "object 1 (hat) has <ymin> 'x', expected a number"),
    thing(box=(1, 2, "nan", 4)): ("object", "object 1 (hat) has <xmax> 'nan', expected a number"),
    thing(box=(1, 2, "1_0", 4)): ("object", "object 1 (hat) has <xmax> '1_0', expected a number"),
    ENTITIES: ("label", "declares XML entities, which are refused: remove its DOCTYPE"),
    "<object>": ("label", "is not well-formed XML (mismatched tag: line 1, column 22)"),
    "&nbsp;": ("label", "is not well-formed XML (undefined entity: line 1, column 12)"),
}


@pytest.mark.parametrize("inside", DEFECTS)
def test_a_broken_file_leaves_its_whole_image_out(tmp_path, inside):
    kind, reason = DEFECTS[inside]
    save_clean(tmp_path)
    if kind != "missing":
        save_picture(tmp_path / "JPEGImages" / "a.jpg", shade=9)
    text = inside if inside == ENTITIES else f"<annotation>{inside}</annotation>"
    save_xml(tmp_path, "a").write_text(text, "utf-8")
    imported = read_voc(tmp_path)
    assert left_out_of(imported, tmp_path) == [(kind, f"Annotations/a.xml: {reason}")]
    assert [picture.path.stem for picture in imported.pictures] == ["z0", "z1"]
    assert imported.lines()[-1] == "imported 2 of 3 images, 1 left out"


def test_a_truncated_image_is_left_out(tmp_path):
    save_clean(tmp_path)
    cut = save_picture(tmp_path / "JPEGImages" / "a.jpg", size=(300, 300))
    cut.write_bytes(cut.read_bytes()[:-500])
    save_xml(tmp_path, "a", thing())
    [(kind, reason)] = left_out_of(read_voc(tmp_path), tmp_path)
    assert kind == "unreadable" and "JPEGImages/a.jpg is cut short" in reason


def test_an_xml_of_something_else_is_passed_over(tmp_path):
    save_clean(tmp_path, 1)
    save_xml(tmp_path, "pom", "<dependencies/>", root="project", beside=True)
    imported = read_voc(tmp_path)
    assert imported.total == 1
    assert imported.findings.found == (
        (
            "labels_foreign",
            f"{tmp_path}/pom.xml: has no object and no filename and no size and no folder",
        ),
    )


@pytest.mark.parametrize(
    "name", ["utf8", "UTF-8", "utf-16", "gb2312", "gbk", "Shift_JIS", "latin-1"]
)
def test_xml_is_read_in_the_encoding_that_it_declares(tmp_path, name):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    word = {"utf8": "hü", "gb2312": "帽子", "gbk": "帽子", "Shift_JIS": "帽子"}.get(name, "hé")
    text = f'<?xml version="1.0" encoding="{name}"?><a>{thing(word)}</a>'
    save_xml(tmp_path, "a").write_bytes(text.encode(name))
    assert read_voc(tmp_path).class_names == (word,)


@pytest.mark.parametrize("name", ["utf8", "UTF-8", "utf-16"])
def test_a_byte_order_mark_or_a_wrong_utf_16_does_no_harm(tmp_path, name):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    text = f'<?xml version="1.0" encoding="{name}"?><a>{thing("hü")}</a>'
    for mark in ("", "\ufeff"):
        save_xml(tmp_path, "a").write_bytes((mark + text).encode())
        assert read_voc(tmp_path).class_names == ("hü",)


@pytest.mark.parametrize("name", ["klingon", "base64", "utf-7"])
def test_xml_in_an_encoding_that_nobody_uses_is_left_out(tmp_path, name):
    save_clean(tmp_path)
    save_picture(tmp_path / "JPEGImages" / "a.jpg", shade=9)
    text = f'<?xml version="1.0" encoding="{name}"?><a>{thing()}</a>'
    save_xml(tmp_path, "a").write_text(text)
    imported = read_voc(tmp_path)
    assert [one.kind for one in imported.left_out] in (["label"], [])  # UTF-7 is a codec of Python


SIZE = "<size><width>{}</width><height>{}</height></size>"


def test_the_image_next_to_the_xml_comes_before_the_folder_that_it_names(tmp_path):
    for shade, folder in enumerate(("train", "test")):
        save_picture(tmp_path / folder / "a.jpg", shade=shade)
    save_xml(tmp_path, "test/a", "<folder>train</folder>" + thing(), beside=True)
    imported = read_voc(tmp_path)
    assert [picture.path.parent.name for picture in imported.pictures] == ["test"]


def test_a_file_name_that_is_that_of_the_xml_means_the_image_of_its_stem(tmp_path):
    path = save_picture(tmp_path / "b.jpg")
    save_xml(tmp_path, "b", "<filename>b.xml</filename>" + thing(), beside=True)
    assert read_voc(tmp_path).pictures[0].path == path


def test_of_two_images_the_one_of_the_size_that_the_xml_says_is_meant(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.jpg", size=(50, 50))
    path = save_picture(tmp_path / "JPEGImages" / "b.jpg", size=(100, 80))
    save_xml(tmp_path, "a", f"<filename>b.jpg</filename>{SIZE.format(100, 80)}" + thing())
    imported = read_voc(tmp_path)
    assert [picture.path for picture in imported.pictures] == [path]
    assert imported.findings.counts["pictures_chosen"] == 1


def test_of_two_images_the_one_that_no_other_xml_claims_is_meant(tmp_path):
    for number in range(1, 4):
        save_picture(tmp_path / "images" / f"{number}.jpg", shade=number)
    for stem, name in (("1", "1"), ("2", "3"), ("3", "3")):
        save_xml(tmp_path, stem, f"<filename>{name}.jpg</filename>{SIZE.format(100, 80)}" + thing())
    imported = read_voc(tmp_path)
    assert [picture.path.stem for picture in imported.pictures] == ["1", "2", "3"]
    assert [Path(picture.source).stem for picture in imported.pictures] == ["1", "2", "3"]
    assert imported.findings.counts["pictures_chosen"] == 1


def test_an_xml_that_names_the_image_of_another_is_left_out(tmp_path):
    save_clean(tmp_path)
    save_xml(tmp_path, "a", "<filename>z0.jpg</filename>" + thing())
    assert left_out_of(read_voc(tmp_path), tmp_path) == [
        ("ambiguous", "Annotations/a.xml: JPEGImages/z0.jpg is labelled by Annotations/z0.xml too")
    ]


def test_two_files_that_claim_one_image_are_both_left_out(tmp_path):
    save_clean(tmp_path, 3)
    save_picture(tmp_path / "JPEGImages" / "a.jpg", shade=9)
    for stem in ("x", "y"):
        save_xml(tmp_path, stem, "<filename>a.jpg</filename>" + thing())
    assert left_out_of(read_voc(tmp_path), tmp_path) == [
        ("ambiguous", "Annotations/x.xml: JPEGImages/a.jpg is labelled by Annotations/y.xml too"),
        ("ambiguous", "Annotations/y.xml: JPEGImages/a.jpg is labelled by Annotations/x.xml too"),
    ]


def test_an_xml_that_may_mean_two_images_is_left_out(tmp_path):
    save_clean(tmp_path)
    save_picture(tmp_path / "JPEGImages" / "a.jpg", shade=9)
    save_picture(tmp_path / "JPEGImages" / "a.png", shade=10)
    save_xml(tmp_path, "a", "<filename>old.jpg</filename>" + thing())
    assert left_out_of(read_voc(tmp_path), tmp_path) == [
        ("ambiguous", "Annotations/a.xml: JPEGImages/a.jpg and JPEGImages/a.png may be meant")
    ]


def test_corners_that_are_exchanged_are_read_in_their_order(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    save_xml(tmp_path, "a", thing(box=(50, 40, 10, 10)))
    imported = read_voc(tmp_path)
    assert imported.pictures[0].boxes_xyxy.tolist() == [[10, 10, 50, 40]]
    assert [kind for kind, _ in imported.findings.found] == ["boxes_swapped"]


def test_capital_endings_are_read(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "A.JPG", format="JPEG")
    path = save_xml(tmp_path, "a", "<filename>a.jpg</filename>" + thing())
    path.rename(path.with_suffix(".XML"))
    assert len(read_voc(tmp_path).pictures) == 1


def test_fractions_given_as_pixels_stop(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.jpg", shade=9)
    save_xml(tmp_path, "a", thing(box=(0.1, 0.2, 0.5, 1)))
    assert problems_of(tmp_path) == [
        "boxes are fractions of the image's sides, expected pixels (1): Annotations/a.xml has 0.1,"
        " 0.2, 0.5, 1"
    ]


def test_the_folder_of_the_xml_alone_finds_the_images_around_it(tmp_path):
    save_clean(tmp_path)
    save_xml(tmp_path, "other/y", thing(), beside=True)
    imported = read_voc(tmp_path / "Annotations")
    assert len(imported.pictures) == 2 and not imported.left_out


@pytest.mark.parametrize("place", ["Images", "img", "JpegImages/deep", "some where"])
def test_the_folder_of_the_images_may_have_any_name(tmp_path, place):
    for shade in range(3):
        save_picture(tmp_path / place / f"{shade}.jpg", shade=shade)
        save_xml(tmp_path, str(shade), thing())
    assert len(read_voc(tmp_path).pictures) == 3


def test_folders_without_annotations_stop(tmp_path):
    with pytest.raises(DataError, match="holds no Pascal VOC"):
        read_voc(tmp_path)
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    save_xml(tmp_path, "a", "<filename>a.jpg</filename>")
    with pytest.raises(DataError, match="no label file names a class or an object"):
        read_voc(tmp_path)


def test_a_folder_survives_the_way_through_the_list(tmp_path):
    save_picture(tmp_path / "my voc" / "JPEGImages" / "a b.jpg")
    save_xml(tmp_path / "my voc", "a b", thing(box=(0.1, 1 / 3, 29.999999, 40)))
    imported = read_voc(tmp_path / "my voc")
    pictures = imported.pictures
    write_annotations(pictures, tmp_path / "list.txt")
    (again,), _ = read_annotations(tmp_path / "list.txt", imported.class_names, tmp_path)
    np.testing.assert_array_equal(again.boxes_xyxy, pictures[0].boxes_xyxy)
    assert again.path == pictures[0].path
    assert again.digest == pictures[0].digest


def test_a_list_survives_the_way_through_voc(tmp_path):
    pictures = make_list(tmp_path / "mine")
    write_voc(pictures, CLASSES, tmp_path / "voc")
    assert_list_survives(pictures, read_voc(tmp_path / "voc", split="trainval"), tmp_path)
    every = read_voc(tmp_path / "voc")
    assert {picture.digest for picture in every.pictures} == {one.digest for one in pictures}
    assert every.class_names == CLASSES and not every.findings.found and not every.left_out


def test_what_is_written_is_what_other_tools_expect(tmp_path):
    path = save_picture(tmp_path / "a.jpg")
    save_xml(tmp_path, "a", thing(box=(1, 2.5, 30, 40)), beside=True)
    pictures = read_voc(tmp_path).pictures
    write_voc(pictures, ("hat",), tmp_path / "voc")
    text = (tmp_path / "voc" / "Annotations" / "a.xml").read_text("utf-8")
    words = "".join(text.split())
    assert "<folder>JPEGImages</folder><filename>a.jpg</filename>" in words
    assert "<size><width>100</width><height>80</height><depth>3</depth></size>" in words
    assert "<xmin>1</xmin><ymin>2.5</ymin><xmax>30</xmax><ymax>40</ymax>" in words
    assert "<difficult>0</difficult>" in words
    assert (tmp_path / "voc" / "JPEGImages" / "a.jpg").read_bytes() == path.read_bytes()
    with pytest.raises(DataError, match="is not empty"):
        write_voc(pictures, ("hat",), tmp_path / "voc")


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data (real photographs) is not here")
@pytest.mark.parametrize(
    "name, pictures, boxes, class_name, duplicates",
    [("lego-minifigures", 481, 512, "Legogubbe", 33), ("raccoon", 200, 217, "raccoon", 4)],
)
def test_real_photographs(name, pictures, boxes, class_name, duplicates):
    imported = read_voc(SHARED / name)
    findings = imported.findings
    assert imported.class_names == (class_name,)
    assert len(imported.pictures) == imported.total == pictures
    assert sum(len(picture.boxes_xyxy) for picture in imported.pictures) == boxes
    assert findings.counts["pictures_duplicate"] == duplicates
    assert findings.counts["pictures_resized"] == findings.counts["boxes_outside"] == 0


def write(path, samples):
    [sample] = samples
    things = []
    for number, (name, box) in enumerate(sample.objects):
        defect = sample.broken(number)
        box = ("x", *box[1:]) if defect == "not a number" else box
        text = thing("" if defect == "no name" else escape(name), box)
        things.append(text.replace("bndbox", "box") if defect == "no box" else text)
    size = SIZE.format(*sample.size_wh)
    name = f"<filename>{sample.name}</filename>"
    path.write_text(f"<annotation>{name}{size}{''.join(things)}</annotation>", "utf-8")


@quick
@given(data_sets(), st.sampled_from(LABEL_FOLDERS))
def test_the_clean_part_comes_out_exactly(tmp_path_factory, samples, labels):
    folder = build(tmp_path_factory.mktemp("set"), samples, write, ".xml", labels, single=True)
    assert_clean_part(read_voc(folder), samples)
