import os

import pytest
from format_cases import left_out_of, problems_in, save_picture

from yolo3.data.labels.policy import COMMAND, Draft, ImportOptions, finish, left_out_lines
from yolo3.data.labels.tree import FileTree, split_of
from yolo3.data.pictures import DataError, LeftOut

BOX = (1.0, 2.0, 30.0, 40.0)


def draft_of(folder, *names, **options):
    """Save images, and begin an import of their folder."""
    for shade, name in enumerate(names):
        save_picture(folder / name, shade=shade)
    return Draft(FileTree(folder), ImportOptions(**options))


def add(draft, *names, objects=(("hat", BOX),), **more):
    for name in names:
        label = draft.tree.root / f"{name.rpartition('.')[0]}.xml"
        draft.add(name, label, f"label of {name}", objects, **more)


def problems_of(draft, folder):
    return problems_in(folder, finish, draft, "voc")


def test_what_is_whole_comes_out_with_its_counts(tmp_path):
    draft = draft_of(tmp_path, "a.jpg", "b.jpg", "valid/c.jpg")
    add(draft, "a.jpg", "b.jpg")
    draft.add("c.jpg", tmp_path / "valid" / "c.xml", "c", [])
    imported = finish(draft, "voc", "read as VOC")
    assert imported.format == "voc" and imported.class_names == ("hat",)
    assert imported.lines() == [
        "read as VOC",
        "splits: 1 val",
        "imported 3 of 3 images, 0 left out",
    ]
    assert [picture.path.name for picture in imported.of_split("train")] == ["a.jpg", "b.jpg"]
    assert [picture.path.name for picture in imported.of_split("val")] == ["c.jpg"]


def test_half_of_the_images_may_be_left_out_and_no_more(tmp_path):
    draft = draft_of(tmp_path, "a.jpg", "b.jpg")
    add(draft, "a.jpg", "b.jpg", "gone.jpg", "away.jpg")
    assert finish(draft, "voc").lines() == [
        "left out, image missing (2): label of gone.jpg: image gone.jpg is missing;"
        " label of away.jpg: image away.jpg is missing",
        "imported 2 of 4 images, 2 left out",
    ]
    draft = draft_of(tmp_path)
    add(draft, "a.jpg", "b.jpg", "gone.jpg", "away.jpg", "lost.jpg")
    draft.leave_out("object", "x", "has no box")
    head, missing, no_box = problems_of(draft, tmp_path)
    assert head == f"{tmp_path}: 4 of 6 images would be left out, more than half"
    assert missing.startswith("image missing (3): label of gone.jpg: image gone.jpg is missing; ")
    assert no_box == "object without a usable box or name (1): x: has no box"


def test_images_without_labels_are_no_defect(tmp_path):
    draft = draft_of(tmp_path, "a.jpg", "b.jpg", "c.jpg", "elsewhere/d.jpg", strict=True)
    add(draft, "a.jpg")
    draft.leave_out_unlabelled("no label file")
    imported = finish(draft, "voc")
    assert imported.lines()[-1] == "imported 1 of 3 images, 2 left out"
    assert {one.kind for one in imported.left_out} == {"unlabelled"}


def test_no_labelled_image_at_all_stops(tmp_path):
    draft = draft_of(tmp_path, "a.jpg")
    draft.class_names = ("hat",)
    assert problems_of(draft, tmp_path) == [f"{tmp_path}: no image has labels"]


def test_no_class_name_stops(tmp_path):
    draft = draft_of(tmp_path, "a.jpg")
    add(draft, "a.jpg", objects=())
    assert problems_of(draft, tmp_path) == [f"{tmp_path}: no label file names a class or an object"]


def test_class_names_come_from_the_format_then_from_use(tmp_path):
    draft = draft_of(tmp_path, "a.jpg")
    add(draft, "a.jpg", objects=[("x", BOX), ("cup", BOX), ("bare", BOX)])
    draft.class_names = ("never", "cup")
    draft.unused_names.add("dropped")
    assert finish(draft, "voc").class_names == ("never", "cup", "bare", "dropped", "x")


@pytest.mark.parametrize("name", [" hat", "", "#1", "a\nb"])
def test_a_name_that_no_classes_file_holds_stops(tmp_path, name):
    draft = draft_of(tmp_path, "a.jpg")
    add(draft, "a.jpg", objects=[(name, BOX)])
    with pytest.raises(DataError, match="cannot stand in a classes file"):
        finish(draft, "voc")


def test_all_that_stops_is_said_at_once_a_line_for_each_kind(tmp_path):
    draft = draft_of(tmp_path, "a.jpg", class_names=("cup",))
    add(draft, "a.jpg", objects=[("hat", (0.1, 0.1, 0.5, 0.5))])
    for number in range(5):
        draft.stop("things are wrong", f"file {number}")
    assert problems_of(draft, tmp_path) == [
        "things are wrong (5): file 0; file 1; file 2; … and 2 more",
        "boxes are fractions of the image's sides, expected pixels (1): label of a.jpg has 0.1,"
        " 0.1, 0.5, 0.5",
        "names of classes are unknown, expected cup (1): label of a.jpg: class 'hat'",
    ]


def test_fractions_in_a_few_label_files_leave_their_images_out(tmp_path):
    draft = draft_of(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    add(draft, "a.jpg", "b.jpg")
    add(draft, "c.jpg", objects=[("hat", (0.1, 0.1, 0.5, 0.5))])
    imported = finish(draft, "voc")
    assert [picture.path.name for picture in imported.pictures] == ["a.jpg", "b.jpg"]
    assert "label of c.jpg: has 0.1, 0.1, 0.5, 0.5: boxes are fr" in imported.left_out[0].reason


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (0, 0, 1, 2), (0.5, 0.5, 30, 40)])
def test_boxes_of_few_pixels_are_no_fractions(tmp_path, box):
    draft = draft_of(tmp_path, "a.jpg")
    add(draft, "a.jpg", objects=[("hat", box)])
    assert len(finish(draft, "voc").pictures) == 1


def test_strict_stops_where_anything_is_left_out(tmp_path):
    draft = draft_of(tmp_path, "a.jpg", "b.jpg", "c.jpg", strict=True)
    add(draft, "a.jpg", "b.jpg", "c.jpg", "gone.jpg")
    draft.leave_out("object", "x", "has no box")
    assert problems_of(draft, tmp_path) == [
        f"{tmp_path}: image missing (1): label of gone.jpg: image gone.jpg is missing (--strict)"
    ]


def test_a_chain_of_images_that_others_claim_is_settled(tmp_path):
    draft = draft_of(tmp_path, *(f"{name}.jpg" for name in "abcd"))
    for meant in ("a", "ab", "bc", "cd"):
        draft.add(f"{meant[0]}.jpg", tmp_path / f"{meant}.xml", meant, [("hat", BOX)])
        draft.items[-1].candidates = [tmp_path / f"{name}.jpg" for name in meant]
    imported = finish(draft, "voc")
    assert [(p.source, p.path.stem) for p in imported.pictures] == [
        *(("a", "a"), ("ab", "b"), ("bc", "c"), ("cd", "d")),
    ]


def test_two_that_are_left_with_the_same_image_are_both_left_out(tmp_path):
    draft = draft_of(tmp_path, *(f"{name}.jpg" for name in "abcdef"))
    for meant in ("a", "b", "c", "d", "ax", "bx"):
        draft.add(f"{meant[0]}.jpg", tmp_path / f"{meant}.xml", meant, [("hat", BOX)])
    for item, names in zip(draft.items[-2:], ("ae", "be"), strict=True):
        item.candidates = [tmp_path / f"{name}.jpg" for name in names]
    imported = finish(draft, "voc")
    assert [(one.kind, one.name) for one in imported.left_out] == [
        ("ambiguous", "ax"),
        ("ambiguous", "bx"),
    ]
    assert len(imported.pictures) == 4


def test_an_image_whose_name_no_list_holds_is_left_out(tmp_path):
    draft = draft_of(tmp_path, "a.jpg", "b.jpg", "c\n.jpg", os.fsdecode(b"d\xff.jpg"))
    for path in draft.tree.images:
        label = path.with_suffix(".xml")
        draft.add(path.name, label, draft.tree.named(label), [("hat", BOX)])
    imported = finish(draft, "voc")
    imported.write(tmp_path / "list.txt")
    imported.write_left_out(tmp_path / "left out.txt")
    assert left_out_of(imported, tmp_path) == [
        ("unreadable", "c\\n.xml: image c\\n.jpg has a name that no list holds, rename it"),
        ("unreadable", "d\\udcff.xml: image d\\udcff.jpg has a name that no list holds, rename it"),
    ]
    assert len(imported.pictures) == 2


def test_where_missing_images_may_be_is_said(tmp_path):
    for name in ("gone", "away"):
        save_picture(tmp_path / "Images" / f"{name}.jpg")
    folder = tmp_path / "data"
    draft = draft_of(folder, "a.jpg", "b.jpg")
    (folder / "images.zip").touch()
    draft.tree.files.append(folder / "images.zip")
    add(draft, "a.jpg", "b.jpg", "gone.jpg", "away.jpg")
    assert finish(draft, "voc").lines()[1:3] == [
        f"2 of the missing images are in {tmp_path}/Images: give it with `{COMMAND} … --images`",
        f"{folder}/images.zip: unpack it, images may be in it",
    ]


def test_what_was_left_out_is_written_with_kind_name_and_reason(tmp_path):
    draft = draft_of(tmp_path, "a.jpg")
    add(draft, "a.jpg", "gone.jpg")
    finish(draft, "voc").write_left_out(tmp_path / "deep" / "out.txt")
    text = (tmp_path / "deep" / "out.txt").read_text("utf-8")
    assert text == "missing\tlabel of gone.jpg\tlabel of gone.jpg: image gone.jpg is missing\n"


def test_three_examples_of_a_kind_are_shown_and_what_is_no_defect_comes_last():
    left_out = [LeftOut("unlabelled", "x", "x: none")]
    left_out += [LeftOut("label", f"{n}", f"{n}: bad") for n in range(4)]
    assert left_out_lines(left_out) == [
        "label file unreadable (4): 0: bad; 1: bad; 2: bad; … and 1 more",
        "no label file (1): x: none",
    ]


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train/a.jpg", "train"),
        ("x/Valid/images/a.jpg", "val"),
        ("images/val2017/a.jpg", "val"),
        ("TEST/a.jpg", "test"),
        ("testing ground/a.jpg", ""),
        ("images/test.jpg", ""),
    ],
)
def test_a_folder_may_say_the_split(path, split, tmp_path):
    assert split_of((tmp_path / path).relative_to(tmp_path)) == split


def test_the_split_is_that_of_the_image_that_was_chosen(tmp_path):
    save_picture(tmp_path / "train/a.jpg", size=(64, 48))
    draft = draft_of(tmp_path, "test/a.jpg")
    for said_wh in ((100, 80), (64, 48)):
        draft.add("a.jpg", tmp_path / "all.json", f"a {said_wh}", [("hat", BOX)], said_wh)
    assert finish(draft, "coco").splits == ("test", "train")


def test_a_folder_in_the_name_decides_between_two_label_entries(tmp_path):
    draft = draft_of(tmp_path, "v2/a.jpg")
    for name in ("v1/a.jpg", "v2/a.jpg"):
        draft.add(name, tmp_path / "all.json", name, [("hat", BOX)])
    imported = finish(draft, "coco")
    assert [picture.source for picture in imported.pictures] == ["v2/a.jpg"]
    [(kind, reason)] = left_out_of(imported, tmp_path)
    assert kind == "ambiguous" and reason == "v1/a.jpg: v2/a.jpg is labelled by v2/a.jpg too"


def test_the_name_of_a_label_file_decides_between_splits(tmp_path):
    draft = draft_of(tmp_path, "images/train/a.jpg", "images/test/a.jpg")
    for split in ("train", "test"):
        draft.add("a.jpg", tmp_path / f"{split}_labels.csv", split, [("hat", BOX)])
    imported = finish(draft, "csv")
    assert imported.splits == ("train", "test") and not imported.left_out
    assert [picture.path.parent.name for picture in imported.pictures] == ["train", "test"]


def test_of_an_image_and_its_mask_the_name_decides(tmp_path):
    draft = draft_of(tmp_path, "images/a.jpg", "annotations/masks/a.png", "annotations/masks/b.png")
    label = tmp_path / "annotations/xmls/a.xml"
    draft.add("a.jpg", label, "a", [("hat", BOX)], (100, 80), own_name=True)
    [picture] = finish(draft, "voc").pictures
    assert picture.path == tmp_path / "images/a.jpg"
