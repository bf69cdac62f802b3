from pathlib import Path

import numpy as np
import pytest
from format_cases import CLASSES, assert_list_survives, link, make_list
from PIL import ExifTags, Image

from yolo3.data.annotations import DataError, read_annotations, write_annotations
from yolo3.data.voc import read_voc, write_voc

SHARED = Path(__file__).parents[3] / "shared" / "data"


def thing(name="hat", box=(1, 2, 30, 40), extra=""):
    tags = ("xmin", "ymin", "xmax", "ymax")
    corners = "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(tags, box, strict=True))
    return f"<object><name>{name}</name>{extra}<bndbox>{corners}</bndbox></object>"


def save_picture(path, size=(100, 80), shade=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 0, 0)).save(path, **options)
    return path


def save_xml(folder, stem, inside="", root="annotation", beside=False):
    path = folder / f"{stem}.xml" if beside else folder / "Annotations" / f"{stem}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<{root}>{inside}</{root}>", encoding="utf-8")
    return path


def problems_of(folder, *args, **options):
    with pytest.raises(DataError) as caught:
        read_voc(folder, *args, **options)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def test_a_folder_gives_pictures_sorted_class_names_and_findings(tmp_path):
    path = save_picture(tmp_path / "JPEGImages" / "a.jpg")
    save_picture(tmp_path / "JPEGImages" / "b.jpg", shade=9)
    save_picture(tmp_path / "JPEGImages" / "c.jpg", shade=99)
    name = "<filename>a.jpg</filename>"
    save_xml(
        tmp_path, "a", name + thing("hat", (1.5, 2.25, 30, 40)) + thing("bare", (0, 0, 200, 9))
    )
    save_xml(tmp_path, "b", "<filename>b.jpg</filename>")
    pictures, class_names, findings = read_voc(tmp_path)
    assert class_names == ("bare", "hat")
    assert pictures[0].path == path
    assert pictures[0].boxes_xyxy.tolist() == [[1.5, 2.25, 30, 40], [0, 0, 100, 9]]
    assert pictures[0].class_ids.tolist() == [1, 0]
    assert pictures[0].source == f"{tmp_path}/Annotations/a.xml"
    assert pictures[1].boxes_xyxy.shape == (0, 4)
    assert findings.counts["boxes_clipped"] == findings.counts["pictures_unlabelled"] == 1
    assert f"  {tmp_path}/JPEGImages/c.jpg: no XML file" in findings.lines()


@pytest.mark.parametrize("root", ["annotation", "annotations", "anything"])
def test_the_root_element_may_have_any_name(tmp_path, root):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    save_xml(tmp_path, "a", thing(), root=root)
    assert len(read_voc(tmp_path)[0][0].boxes_xyxy) == 1


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
    assert read_voc(tmp_path)[0][0].path == path


def test_xml_files_may_lie_beside_the_pictures(tmp_path):
    path = save_picture(tmp_path / "a.jpg")
    save_xml(tmp_path, "a", thing(), beside=True)
    assert read_voc(tmp_path)[0][0].path == path


def test_a_png_may_be_called_jpeg(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.JPEG", format="PNG")
    save_xml(tmp_path, "a", "<filename>a.JPEG</filename>" + thing())
    assert read_voc(tmp_path)[0][0].size_wh == (100, 80)


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "sub/../../secret.jpg", "..\\secret.jpg", "/secret.jpg", "C:\\s.jpg"]
)
def test_a_file_name_never_leads_outside(tmp_path, name):
    save_picture(tmp_path / "secret.jpg")
    save_picture(tmp_path / "voc" / "JPEGImages" / "a.jpg")
    save_xml(tmp_path / "voc", "a", f"<filename>{name}</filename>" + thing())
    assert problems_of(tmp_path / "voc") == [
        f"Annotations/a.xml: <filename> {name!r} leads outside the folder, which is refused"
    ]


def test_a_link_never_leads_outside(tmp_path):
    secret = save_picture(tmp_path / "secret.jpg")
    link(tmp_path / "voc" / "JPEGImages" / "a.jpg", secret)
    save_xml(tmp_path / "voc", "a", "<filename>a.jpg</filename>" + thing())
    assert problems_of(tmp_path / "voc") == [
        "Annotations/a.xml: picture JPEGImages/a.jpg is a link that leads outside the folder:"
        " refused"
    ]


def test_a_link_to_annotations_never_leads_outside(tmp_path):
    secret = save_xml(tmp_path, "secret", thing(), beside=True)
    save_picture(tmp_path / "voc" / "JPEGImages" / "a.jpg")
    link(tmp_path / "voc" / "Annotations" / "a.xml", secret)
    assert problems_of(tmp_path / "voc") == [
        "Annotations/a.xml: Annotations/a.xml is a link that leads outside the folder: refused"
    ]


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
    (picture,), _, findings = read_voc(tmp_path)
    assert picture.path == path and len(picture.boxes_xyxy) == 1
    assert not findings.found


def test_pictures_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for shade, sub in enumerate(("", "sub/")):
        save_picture(tmp_path / "JPEGImages" / f"{sub}a.jpg", shade=99 * shade)
        save_xml(tmp_path, f"{sub}a", "<filename>a.jpg</filename>" + thing())
    pictures = read_voc(tmp_path)[0]
    assert [p.path.parent.name for p in pictures] == ["JPEGImages", "sub"]


def test_hidden_files_are_passed_over(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    save_picture(tmp_path / "JPEGImages" / "._b.jpg")
    save_xml(tmp_path, "a", thing())
    save_xml(tmp_path, "._a").write_bytes(b"\0\5\x16\7")
    pictures, _, findings = read_voc(tmp_path)
    assert len(pictures) == 1 and not findings.found


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("ImageSets/Main/train.txt", "b b\na\n"),
        ("ImageSets/Main/train.txt", "\ufeffb b\r\n\r\na\r\n"),
        ("ImageSets/Main/train.txt", "b b  1\na -1\n"),
        ("ImageSets/Main/train.txt", "b b.jpg 1\na.jpg -1\n"),
        ("ImageSets/train.txt", "b b\na\na\n"),
    ],
)
def test_an_image_set_gives_its_pictures_in_its_order(tmp_path, place, text):
    for shade, stem in enumerate(("a", "b b", "c")):
        save_picture(tmp_path / "JPEGImages" / f"{stem}.jpg", shade=99 * shade)
        save_xml(tmp_path, stem, thing())
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(text, "utf-8")
    pictures, _, findings = read_voc(tmp_path, image_set="train")
    assert [picture.path.stem for picture in pictures] == ["b b", "a"]
    assert not findings.found
    assert len(read_voc(tmp_path)[0]) == 3


def test_an_image_set_that_does_not_fit_stops(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    save_xml(tmp_path, "a", thing())
    with pytest.raises(DataError, match="has no set 'train', and no other either"):
        read_voc(tmp_path, image_set="train")
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    listed = tmp_path / "ImageSets" / "Main" / "val.txt"
    listed.write_text("a\n\n../../secret\ngone\n")
    with pytest.raises(DataError, match="has no set 'train', expected val"):
        read_voc(tmp_path, image_set="train")
    assert problems_of(tmp_path, image_set="val") == [
        "ImageSets/Main/val.txt:3: '../../secret' has no XML file",
        "ImageSets/Main/val.txt:4: 'gone' has no XML file",
    ]
    listed.write_text("\n")
    with pytest.raises(DataError, match="lists nothing"):
        read_voc(tmp_path, image_set="val")


def test_what_other_tools_add_is_passed_over(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    part = "<part><name>brim</name><bndbox><xmin>1</xmin></bndbox></part>"
    extra = "<pose/><truncated/><occluded>1</occluded><attributes><attribute/></attributes>" + part
    head = "<path>C:\\x\\a.jpg</path><source><database>Unknown</database></source><owner/>"
    path = save_xml(tmp_path, "a", head + thing(box=(" 1.5 ", 2, "3e1", 40), extra=extra))
    path.write_text(path.read_text().replace("<annotation>", '<annotation verified="yes">'))
    (picture,), class_names, findings = read_voc(tmp_path)
    assert picture.boxes_xyxy.tolist() == [[1.5, 2, 30, 40]]
    assert class_names == ("hat",) and not findings.found


def test_a_classes_file_in_the_folder_gives_the_order_of_the_classes(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    save_xml(tmp_path, "a", thing("hat") + thing("cup") + thing("bare"))
    (tmp_path / "classes.txt").write_text("hat\nnever seen\n")
    assert read_voc(tmp_path)[1] == ("hat", "never seen", "bare", "cup")


def test_difficult_objects_are_kept_or_counted(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    same = thing("hat", (1, 1, 9, 9))
    save_xml(tmp_path, "a", same + thing("hat", (1, 1, 9, 9), "<difficult>1</difficult>"))
    (picture,), _, findings = read_voc(tmp_path)
    assert len(picture.boxes_xyxy) == 2
    assert (findings.counts["boxes_difficult"], findings.counts["boxes_unmarked"]) == (0, 1)
    (picture,), names, findings = read_voc(tmp_path, keep_difficult=False)
    assert len(picture.boxes_xyxy) == 1
    assert names == ("hat",)
    assert (findings.counts["boxes_difficult"], findings.counts["boxes_unmarked"]) == (1, 0)


def test_a_size_that_is_not_the_pictures_is_told(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    save_picture(tmp_path / "JPEGImages" / "a.jpg", exif=exif)
    save_picture(tmp_path / "JPEGImages" / "b.jpg", shade=9)
    save_picture(tmp_path / "JPEGImages" / "c.jpg", shade=99)
    size = "<size><width>{}</width><height>{}</height></size>"
    save_xml(tmp_path, "a", size.format(100, 80) + thing())
    save_xml(tmp_path, "b", size.format(100, 80) + thing())
    save_xml(tmp_path, "c", size.format(0, 0) + thing())
    findings = read_voc(tmp_path)[2]
    assert findings.counts["pictures_resized"] == 1
    assert findings.lines()[1] == (
        f"  {tmp_path}/Annotations/a.xml: says 100x80, the picture is 80x100, was it labelled"
        " before it was turned?"
    )


def test_given_class_names_give_the_ids_and_others_are_problems(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    save_xml(tmp_path, "a", thing("hat") + thing("bare"))
    pictures, class_names, _ = read_voc(tmp_path, ("hat", "helmet", "bare"))
    assert class_names == ("hat", "helmet", "bare")
    assert pictures[0].class_ids.tolist() == [0, 2]
    assert problems_of(tmp_path, ("hat", "helmet")) == [
        "Annotations/a.xml: class 'bare' is unknown, expected hat, helmet"
    ]


ENTITIES = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a><filename>&x;</filename></a>'


def test_all_problems_are_told_at_once_in_the_order_of_the_files(tmp_path):
    for shade, stem in enumerate(("b_box", "c_name", "d_number", "g_cut")):
        save_picture(tmp_path / "JPEGImages" / f"{stem}.jpg", size=(300, 300), shade=shade)
    save_xml(tmp_path, "a_missing", "<filename>a.jpg</filename>" + thing())
    save_xml(tmp_path, "b_box", thing() + "<object><name>hat</name></object>")
    save_xml(tmp_path, "c_name", thing(name=" "))
    save_xml(tmp_path, "d_number", thing(box=("1", "x", 3, 4)) + thing(box=(1, 2, "nan", 4)))
    save_xml(tmp_path, "e_entity").write_text(ENTITIES)
    save_xml(tmp_path, "f_broken").write_text("<annotation><object>")
    cut = tmp_path / "JPEGImages" / "g_cut.jpg"
    cut.write_bytes(cut.read_bytes()[:-500])
    save_xml(tmp_path, "g_cut", thing())
    problems = problems_of(tmp_path)
    expected = [
        "Annotations/a_missing.xml: picture a.jpg is missing, sought in JPEGImages and in ",
        "Annotations/b_box.xml: object 2 (hat) has no <bndbox>",
        "Annotations/c_name.xml: object 1 has no <name>",
        "Annotations/d_number.xml: object 1 (hat) has <ymin> 'x', expected a number",
        "Annotations/d_number.xml: object 2 (hat) has <xmax> 'nan', expected a number",
        "Annotations/e_entity.xml: declares XML entities, which are refused",
        "Annotations/f_broken.xml: is not well-formed XML (",
        "Annotations/g_cut.xml: picture JPEGImages/g_cut.jpg is cut short",
    ]
    assert len(problems) == len(expected)
    for problem, start in zip(problems, expected, strict=True):
        assert problem.startswith(start)


def test_two_files_for_one_picture_stop(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    for stem in "ab":
        save_xml(tmp_path, stem, "<filename>a.jpg</filename>" + thing())
    (problem,) = problems_of(tmp_path)
    assert problem.startswith("Annotations/b.xml: picture JPEGImages/a.jpg is already listed at")


def test_two_pictures_that_may_both_be_meant_stop(tmp_path):
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    save_picture(tmp_path / "JPEGImages" / "a.png")
    save_xml(tmp_path, "a", "<filename>old.jpg</filename>" + thing())
    assert problems_of(tmp_path) == [
        "Annotations/a.xml: <filename> 'old.jpg' is missing, and a.jpg and a.png both may be meant"
    ]


def test_the_folder_of_the_xml_alone_is_told_once(tmp_path):
    for stem in ("a", "b"):
        save_picture(tmp_path / "JPEGImages" / f"{stem}.jpg")
        save_xml(tmp_path, stem, thing())
    (problem,) = problems_of(tmp_path / "Annotations")
    assert problem.endswith(f"expected the folder around it and {tmp_path / 'JPEGImages'}")
    save_picture(tmp_path / "Annotations" / "a.jpg")
    save_picture(tmp_path / "Annotations" / "b.jpg")
    assert len(read_voc(tmp_path / "Annotations")[0]) == 2


def test_folders_without_annotations_stop(tmp_path):
    with pytest.raises(DataError, match="has no XML files, expected Annotations"):
        read_voc(tmp_path)
    save_picture(tmp_path / "JPEGImages" / "a.jpg")
    save_xml(tmp_path, "a")
    with pytest.raises(DataError, match="no file names an object"):
        read_voc(tmp_path)


def test_a_folder_survives_the_way_through_the_list(tmp_path):
    save_picture(tmp_path / "my voc" / "JPEGImages" / "a b.jpg")
    save_xml(tmp_path / "my voc", "a b", thing(box=(0.1, 1 / 3, 29.999999, 40)))
    pictures, class_names, _ = read_voc(tmp_path / "my voc")
    write_annotations(pictures, tmp_path / "list.txt")
    (again,), _ = read_annotations(tmp_path / "list.txt", class_names, tmp_path)
    np.testing.assert_array_equal(again.boxes_xyxy, pictures[0].boxes_xyxy)
    assert again.path == pictures[0].path
    assert again.digest == pictures[0].digest


def test_a_list_survives_the_way_through_voc(tmp_path):
    pictures = make_list(tmp_path / "mine")
    write_voc(pictures, CLASSES, tmp_path / "voc")
    assert_list_survives(
        pictures, lambda: read_voc(tmp_path / "voc", image_set="trainval"), tmp_path
    )
    every, class_names, findings = read_voc(tmp_path / "voc")
    assert {picture.digest for picture in every} == {picture.digest for picture in pictures}
    assert class_names == CLASSES and not findings.found


def test_what_is_written_is_what_other_tools_expect(tmp_path):
    path = save_picture(tmp_path / "a.jpg")
    save_xml(tmp_path, "a", thing(box=(1, 2.5, 30, 40)), beside=True)
    pictures = read_voc(tmp_path)[0]
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
    read, class_names, findings = read_voc(SHARED / name)
    assert class_names == (class_name,)
    assert len(read) == pictures
    assert sum(len(picture.boxes_xyxy) for picture in read) == boxes
    assert findings.counts["pictures_duplicate"] == duplicates
    assert findings.counts["pictures_resized"] == findings.counts["boxes_outside"] == 0
