from pathlib import Path

import numpy as np
import pytest
from defects import CLASSES as DEFECT_CLASSES
from defects import LABEL_FOLDERS, assert_clean_part, build, data_sets, quick
from format_cases import (
    CLASSES,
    assert_list_survives,
    left_out_of,
    link,
    make_list,
    problems_in,
    random_boxes,
    save_picture,
    save_turned,
)
from hypothesis import given
from hypothesis import strategies as st

from yolo3.data.labels.formats import read_labels
from yolo3.data.labels.policy import COMMAND, LEADS_OUTSIDE, ImportOptions
from yolo3.data.labels.yolo import write_yolo
from yolo3.data.pictures import DataError, Picture

SHARED = Path(__file__).parents[4] / "shared" / "data"
MIDDLE = "0 0.5 0.5 0.2 0.5\n"  # 40, 20, 60, 60 of 100x80
YAML = "train: images/train\nval: images/val\nnames: [hat, bare]\n"


def save_label(path, text=MIDDLE):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def save_names(folder, name="classes.txt", names=("hat", "bare")):
    return save_label(folder / name, "".join(f"{name}\n" for name in names))


def read_yolo(path, **options):
    return read_labels(path, ImportOptions(format="yolo", **options))


def problems_of(folder, **options):
    return problems_in(folder, read_yolo, folder, **options)


def save_clean(folder, count=2):
    """Labelled images without a defect, so that fewer than half are broken."""
    save_names(folder)
    for number in range(count):
        save_picture(folder / "images" / f"z{number}.jpg", shade=number + 1)
        save_label(folder / "labels" / f"z{number}.txt")


@pytest.fixture
def splits(tmp_path):
    """A data.yaml with two splits of one labelled picture each."""
    for shade, split in enumerate(("train", "val")):
        save_picture(tmp_path / "images" / split / f"{split}.jpg", shade=shade)
        save_label(tmp_path / "labels" / split / f"{split}.txt")
    save_label(tmp_path / "data.yaml", YAML)
    return tmp_path


def test_a_folder_gives_pictures_classes_and_findings(tmp_path):
    names = save_names(tmp_path)
    for shade, name in enumerate(("a.jpg", "b.png", "c.jpg")):
        save_picture(tmp_path / name, shade=shade)
    save_label(tmp_path / "a.txt", "\ufeff1 0.5 0.5 0.2 0.5\r\n\n0 0.95 0.5 0.2 0.5\n0 .5 .5 0 .5")
    save_label(tmp_path / "b.txt", "")
    imported = read_yolo(tmp_path)
    pictures, counts = imported.pictures, imported.findings.counts
    assert imported.class_names == ("hat", "bare")
    assert [picture.path.name for picture in pictures] == ["a.jpg", "b.png"]
    assert pictures[0].boxes_xyxy.tolist() == [[40, 20, 60, 60], [85, 20, 100, 60]]
    assert pictures[0].class_ids.tolist() == [1, 0]
    assert pictures[0].source == f"{tmp_path}/a.txt"
    assert pictures[1].boxes_xyxy.shape == (0, 4)
    assert counts["boxes_clipped"] == counts["boxes_degenerate"] == 1 and sum(counts.values()) == 2
    assert left_out_of(imported, tmp_path) == [("unlabelled", "c.jpg: no label file")]
    assert imported.lines()[-1] == "imported 2 of 3 images, 1 left out"
    names.unlink()
    far = save_names(tmp_path.parent / f"{tmp_path.name} far", "x.txt")
    assert read_yolo(tmp_path, names=far).class_names == ("hat", "bare")


def test_pictures_without_label_file_may_hold_nothing(tmp_path):
    save_names(tmp_path)
    save_picture(tmp_path / "a.jpg")
    imported = read_yolo(tmp_path, keep_unlabelled=True)
    assert imported.pictures[0].boxes_xyxy.shape == (0, 4)
    assert [kind for kind, _ in imported.findings.found] == ["pictures_background"]
    assert not imported.left_out
    assert problems_of(tmp_path) == [
        f"{tmp_path}: no image has labels",
        "no label file (1): a.jpg: no label file",
    ]


@pytest.mark.parametrize(
    ("picture", "label"),
    [
        ("a.jpg", "a.txt"),
        ("sub/a.b.jpg", "sub/a.b.txt"),
        ("images/a.jpg", "labels/a.txt"),
        ("images/a.jpg", "images/a.txt"),
        ("images/train/a.JPEG", "labels/train/a.txt"),
        ("train/images/a.jpg", "train/labels/a.txt"),
        ("images/x/images/a.jpg", "images/x/labels/a.txt"),
        ("JPEGImages/a.jpg", "labels/a.txt"),
        ("Images/a.jpg", "Labels/a.txt"),
        ("photos of it/a.jpg", "labels/a.txt"),
        ("images/a.JPG", "labels/a.TXT"),
        ("valid/images/a.jpg", "labels/x/a.txt"),
    ],
)
def test_the_label_is_found(tmp_path, picture, label):
    save_names(tmp_path)
    path = save_picture(tmp_path / picture)
    save_label(tmp_path / label)
    imported = read_yolo(tmp_path)
    (read,) = imported.pictures
    assert read.path == path and len(read.boxes_xyxy) == 1
    assert not imported.findings.found and not imported.left_out


def test_a_label_file_of_two_images_is_left_out(tmp_path):
    save_clean(tmp_path)
    for shade, name in enumerate(("b.jpg", "b.png"), start=9):
        save_picture(tmp_path / "images" / name, shade=shade)
    save_label(tmp_path / "labels" / "b.txt")
    assert left_out_of(read_yolo(tmp_path), tmp_path) == [
        ("ambiguous", "labels/b.txt: images/b.jpg and images/b.png may be meant")
    ]


def test_of_two_label_files_the_one_next_to_the_image_is_taken(tmp_path):
    save_clean(tmp_path)
    save_label(tmp_path / "images" / "z0.txt", MIDDLE + MIDDLE)
    imported = read_yolo(tmp_path)
    assert [len(picture.boxes_xyxy) for picture in imported.pictures] == [2, 1]
    assert left_out_of(imported, tmp_path) == [
        ("ambiguous", "labels/z0.txt: images/z0.jpg is labelled by images/z0.txt too")
    ]


def test_labels_without_image_are_left_out(tmp_path):
    save_clean(tmp_path)
    save_label(tmp_path / "labels" / "renamed.txt")
    save_label(tmp_path / "labels" / "classes.txt", "hat\nbare\n")
    save_label(tmp_path / "README.txt", "about this data\n")
    assert left_out_of(read_yolo(tmp_path), tmp_path) == [
        ("missing", "labels/renamed.txt: image renamed.* is missing")
    ]


def test_labels_of_a_split_that_is_not_asked_for_reach_no_other_image(tmp_path):
    for split in ("train", "test"):
        for stem in ("a", "b", "c"):
            save_picture(tmp_path / split / "images" / f"{stem}.jpg")
            save_label(tmp_path / split / "labels" / f"{stem}.txt")
    (tmp_path / "train/labels/c.txt").unlink()
    save_label(tmp_path / "data.yaml", "train: train/images\nnames: [hat, bare]\n")
    imported = read_yolo(tmp_path)
    assert [picture.path.name for picture in imported.pictures] == ["a.jpg", "b.jpg"]
    assert left_out_of(imported, tmp_path) == [("unlabelled", "train/images/c.jpg: no label file")]


def test_missing_images_are_named_where_they_lie(tmp_path):
    save_clean(tmp_path)
    (tmp_path / "images").rename(tmp_path.parent / f"{tmp_path.name} images")
    head, missing, hint = problems_of(tmp_path)
    assert head.endswith("2 of 2 images would be left out, more than half")
    assert missing.startswith("image missing (2): labels/z0.txt: image z0.* is missing; labels/z1")
    assert hint == (
        f"2 of the missing images are in {tmp_path} images: give it with `{COMMAND} … --images`"
    )
    elsewhere = tmp_path.parent / f"{tmp_path.name} images"
    assert len(read_yolo(tmp_path, images=elsewhere).pictures) == 2


def test_outlines_become_the_box_around_them(tmp_path):
    save_names(tmp_path)
    save_picture(tmp_path / "a.jpg")
    save_label(tmp_path / "a.txt", "0 .1 .5 .3 .25 .2 .75\n1 .1 .1 .2 .1 .2 .5 .1 .5\n" + MIDDLE)
    imported = read_yolo(tmp_path)
    boxes = imported.pictures[0].boxes_xyxy
    assert boxes.tolist() == [[10, 20, 30, 60], [10, 8, 20, 40], [40, 20, 60, 60]]
    assert imported.findings.counts["boxes_outlined"] == 2


def test_keypoints_that_data_yaml_declares_are_not_an_outline(splits):
    save_label(splits / "data.yaml", YAML + "kpt_shape: [2, 3]\n")
    save_label(splits / "labels/train/train.txt", MIDDLE.strip() + " .9 .9 2 .1 .1 2\n")
    imported = read_yolo(splits)
    assert imported.pictures[0].boxes_xyxy.tolist() == [[40, 20, 60, 60]]
    assert not imported.findings.found
    save_label(splits / "data.yaml", YAML + "kpt_shape: 17\n")
    with pytest.raises(DataError, match="has kpt_shape '17', expected"):
        read_yolo(splits)


def test_boxes_mean_the_picture_as_a_viewer_shows_it(tmp_path):
    save_names(tmp_path)
    save_turned(tmp_path / "a.jpg")
    save_label(tmp_path / "a.txt")
    (picture,) = read_yolo(tmp_path).pictures
    assert picture.size_wh == (80, 100)
    assert picture.boxes_xyxy.tolist() == [[32, 25, 48, 75]]


def test_a_box_over_the_edge_by_rounding_is_at_the_edge(tmp_path):
    save_names(tmp_path)
    save_picture(tmp_path / "a.jpg", size=(3000, 1777))
    save_label(tmp_path / "a.txt", "0 0.166666 0.5 0.333333 1.000001\n0 0.1 0.5 0.2001 0.5\n")
    imported = read_yolo(tmp_path)
    assert imported.pictures[0].boxes_xyxy[0, [0, 1, 3]].tolist() == [0, 0, 1777]
    assert imported.findings.counts["boxes_clipped"] == 1  # the second one


def test_given_class_names_give_the_ids_and_others_stop(tmp_path):
    save_names(tmp_path)
    save_picture(tmp_path / "a.jpg")
    save_label(tmp_path / "a.txt", MIDDLE + MIDDLE.replace("0", "1", 1))
    imported = read_yolo(tmp_path, class_names=("bare", "cup", "hat"))
    assert imported.class_names == ("bare", "cup", "hat")
    assert imported.pictures[0].class_ids.tolist() == [2, 0]
    assert problems_of(tmp_path, class_names=("hat", "cup")) == [
        "names of classes are unknown, expected hat, cup (1): a.txt: class 'bare'"
    ]


def test_without_any_names_the_given_ones_count(tmp_path):
    save_picture(tmp_path / "a.jpg")
    save_label(tmp_path / "a.txt")
    assert read_yolo(tmp_path, class_names=("x",)).pictures[0].class_ids.tolist() == [0]
    assert problems_of(tmp_path)[0].startswith(f"{tmp_path}: names no classes, expected data.yaml")


def test_names_files_are_found_and_must_agree(tmp_path):
    save_picture(tmp_path / "images" / "a.jpg")
    save_label(tmp_path / "images" / "a.txt")
    for name in ("my.names", "obj.names", "classes.txt"):
        path = save_names(tmp_path, name)
        assert read_yolo(tmp_path).class_names == ("hat", "bare")
        path.unlink() if name == "my.names" else None
    save_names(tmp_path, "obj.names", ("hat",))
    (problem,) = problems_of(tmp_path)
    assert problem == "classes.txt and obj.names name different classes, say which with --names"


@pytest.mark.parametrize(
    "names",
    ["[hat, bare]", "{1: bare, 0: hat}", "\n  0: hat\n  1: bare", "\n- hat\n- bare\nnc: 2"],
)
def test_data_yaml_names_the_classes_and_the_splits(splits, names):
    save_label(splits / "data.yaml", f"train: images/train\nval: images/val\nnames: {names}\n")
    for source in (splits, splits / "data.yaml"):
        imported = read_yolo(source)
        assert imported.class_names == ("hat", "bare")
        assert [picture.path.name for picture in imported.pictures] == ["train.jpg", "val.jpg"]
        assert [picture.path.name for picture in imported.of_split("val")] == ["val.jpg"]
    imported = read_yolo(splits, split="val")
    assert [picture.path.name for picture in imported.pictures] == ["val.jpg"]
    assert not imported.findings.found and not imported.left_out


def test_class_names_stay_text(splits):
    save_label(splits / "data.yaml", "train: images/train\nnames: [yes, 010, 1.50, null]\n")
    assert read_yolo(splits).class_names == ("yes", "010", "1.50", "null")


@pytest.mark.parametrize(
    "entries",
    [
        "path: .\ntrain: images/train",
        "path: images\ntrain: train",
        "path: /content/elsewhere\ntrain: images/train",
        "path: ../datasets/mine\ntrain: images/train",
        "train: ../images/train",
        "train: [images/train]",
        "train: train.txt",
        "train: images/../images/train/",
        "path: C:/Users/me/data\ntrain: images/train",
        "train: C:\\Users\\me\\data\\images\\train",
        "train: /content/data/images/train",
    ],
)
def test_entries_of_data_yaml_are_found(splits, entries):
    save_label(splits / "train.txt", "./images/train/train.jpg\n")
    save_label(splits / "data.yaml", f"{entries}\nval: \nnames: [hat]\n")
    (picture,) = read_yolo(splits).pictures
    assert picture.path == splits / "images/train/train.jpg"


@pytest.mark.parametrize(
    "entry", ["../secret", "/etc", "images/../../secret", "..\\secret", "../../etc", "C:\\secret"]
)
def test_data_yaml_never_leads_outside(splits, entry):
    save_picture(splits.parent / "secret" / "a.jpg")
    save_label(splits / "data.yaml", f"train: {entry}\nval: images/val\nnames: [hat]\n")
    imported = read_yolo(splits)
    assert [picture.path.name for picture in imported.pictures] == ["val.jpg"]
    assert imported.findings.found == (
        ("splits_missing", f"{splits}/data.yaml: train: {entry} is not here"),
    )


@pytest.mark.parametrize("path", ["../secret", "{root}/../secret"])
def test_a_path_in_data_yaml_never_leads_outside(splits, path):
    save_picture(splits.parent / "secret" / "only_here" / "a.jpg")
    text = f"path: {path.format(root=splits)}\ntrain: only_here\nval: images/val\nnames: [hat]\n"
    save_label(splits / "data.yaml", text)
    imported = read_yolo(splits)
    assert [picture.path.name for picture in imported.pictures] == ["val.jpg"]
    assert imported.findings.counts["splits_missing"] == 1


def test_splits_that_are_not_here_are_reported_and_the_others_read(splits):
    save_label(splits / "data.yaml", "train: ../images/train\nval: ../valid/images\nnames: [hat]\n")
    imported = read_yolo(splits / "data.yaml")
    assert [picture.path.name for picture in imported.pictures] == ["train.jpg"]
    told = f"  {splits}/data.yaml: val: ../valid/images is not here"
    assert told in imported.findings.lines()


def test_the_one_data_yaml_of_a_folder_below_is_read(splits):
    below = splits / "as unpacked"
    below.mkdir()
    for name in ("images", "labels", "data.yaml"):
        (splits / name).rename(below / name)
    assert len(read_yolo(splits).pictures) == 2
    save_label(splits / "other" / "data.yaml", YAML)
    with pytest.raises(DataError, match=r"data\.yaml and .*data\.yaml, give one of these"):
        read_yolo(splits)


def test_a_data_yaml_may_lie_in_a_folder_of_its_own(splits):
    (splits / "config").mkdir()
    (splits / "data.yaml").rename(splits / "config" / "data.yaml")
    assert len(read_yolo(splits).pictures) == 2
    assert len(read_yolo(splits / "config" / "data.yaml", images=splits).pictures) == 2


@pytest.mark.parametrize(
    "line",
    ["a.jpg", "./sub/../a.jpg", "data/a.jpg", "{root}/a.jpg", "\\a.jpg", "/content/x/a.jpg"],
)
def test_a_list_names_images(tmp_path, line):
    path = save_picture(tmp_path / "a.jpg")
    save_names(tmp_path, "obj.names")
    save_label(tmp_path / "a.txt")
    save_label(tmp_path / "train.txt", f"{line.format(root=tmp_path)}\n\n")
    imported = read_yolo(tmp_path, split="train")
    assert [picture.path for picture in imported.pictures] == [path] and not imported.left_out


def test_a_list_never_leads_outside(tmp_path):
    save_picture(tmp_path / "secret.jpg")
    save_clean(tmp_path / "data", 4)
    lines = [f"images/z{number}.jpg" for number in range(4)]
    lines += ["../secret.jpg", f"{tmp_path}/secret.jpg", "gone.jpg"]
    save_label(tmp_path / "data" / "train.txt", "\n".join(lines))
    assert left_out_of(read_yolo(tmp_path / "data", split="train"), tmp_path / "data") == [
        ("missing", "train.txt:5: image ../secret.jpg is missing"),
        ("missing", f"train.txt:6: image {tmp_path}/secret.jpg is missing"),
        ("missing", "train.txt:7: image gone.jpg is missing"),
    ]


def test_links_lead_outside_only_if_they_are_followed(tmp_path):
    secret = save_picture(tmp_path / "secret.jpg", shade=9)
    text = save_label(tmp_path / "secret.txt")
    save_clean(tmp_path / "data", 3)
    save_picture(tmp_path / "data" / "images" / "b.jpg", shade=10)
    link(tmp_path / "data" / "labels" / "b.txt", text)
    link(tmp_path / "data" / "images" / "c.jpg", secret)
    save_label(tmp_path / "data" / "labels" / "c.txt")
    leads = LEADS_OUTSIDE
    assert sorted(left_out_of(read_yolo(tmp_path / "data"), tmp_path / "data")) == [
        ("outside", f"labels/b.txt: {leads}"),
        ("outside", f"labels/c.txt: image images/c.jpg {leads}"),
    ]
    assert len(read_yolo(tmp_path / "data", follow_links=True).pictures) == 5


def test_an_image_in_two_splits_is_read_once_and_reported(splits):
    save_label(splits / "data.yaml", "train: images\nval: images/val\nnames: [hat]\n")
    imported = read_yolo(splits)
    assert len(imported.pictures) == 2
    assert imported.findings.counts["pictures_repeated"] == 1


BROKEN = {  # a line of a.txt -> what is said of it
    "-1 .5 .5 .1 .1": "has class -1, expected a whole number from 0",
    "0.5 .5 .5 .1 .1": "has class 0.5, expected a whole number from 0",
    "0 .5 .5 .1": "has 4 numbers, expected 5: class cx cy width height (or class x y x y x y … of"
    " an outline)",
    "0 .5 .5 .1 .1 .99": "has 6 numbers, expected 5: ",
    "0 .5 .5 .1 .1 .9 .9 .9": "has 8 numbers, expected 5: ",
    "0": "has 1 numbers, expected 5: ",
    "hat .5 .5 .1 .1": "'hat' is not a finite number",
    "0 .5 nan .1 .1": "'nan' is not a finite number",
    "0,.5,.5,.1,.1": "'0,.5,.5,.1,.1' is not a finite number",
}


@pytest.mark.parametrize("line", BROKEN)
def test_a_broken_line_leaves_its_whole_image_out(tmp_path, line):
    save_clean(tmp_path)
    save_picture(tmp_path / "images" / "a.jpg")
    save_label(tmp_path / "labels" / "a.txt", f"{MIDDLE}\n{line}\n{MIDDLE}")
    imported = read_yolo(tmp_path)
    [(kind, reason)] = left_out_of(imported, tmp_path)
    assert kind == "object" and reason.startswith(f"labels/a.txt: line 3: {BROKEN[line]}")
    assert [picture.path.stem for picture in imported.pictures] == ["z0", "z1"]


def test_a_label_file_that_is_no_text_is_left_out(tmp_path):
    save_clean(tmp_path)
    save_picture(tmp_path / "images" / "a.jpg")
    (tmp_path / "labels" / "a.txt").write_bytes(b"\xff\xfe0 .5")
    [(kind, reason)] = left_out_of(read_yolo(tmp_path), tmp_path)
    assert kind == "label" and reason.endswith("is not UTF-8 text, save it as UTF-8")


def test_an_image_that_is_none_is_left_out(tmp_path):
    save_clean(tmp_path)
    (tmp_path / "images" / "b.jpg").write_bytes(b"no picture")
    save_label(tmp_path / "labels" / "b.txt")
    [(kind, reason)] = left_out_of(read_yolo(tmp_path), tmp_path)
    assert kind == "unreadable" and "b.jpg is not a picture" in reason


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "2 .5 .5 .1 .1",
            "class ids go beyond the 2 names, and ids begin at 0, so expected 0 to 1",
        ),
        ("0 40 20 30 30", "numbers are no fractions of the image's sides, from 0 to 1: are these"),
    ],
)
def test_what_puts_all_labels_in_doubt_stops(tmp_path, line, problem):
    save_clean(tmp_path)
    for name in ("a", "b", "c", "d"):
        save_picture(tmp_path / "images" / f"{name}.jpg")
        save_label(tmp_path / "labels" / f"{name}.txt", line)
    [told] = problems_of(tmp_path)
    assert told.startswith(problem) and " (4): labels/a.txt:1 has " in told
    assert told.count("labels/") == 3 and told.endswith("; … and 1 more")


def test_roboflows_darknet_export_names_its_classes_in_each_split(tmp_path):
    for shade, split in enumerate(("train", "valid")):
        save_picture(tmp_path / split / f"{split}.jpg", shade=shade)
        save_label(tmp_path / split / f"{split}.txt")
        save_names(tmp_path / split, "_darknet.labels", ("paper cup", "bag"))
    imported = read_yolo(tmp_path)
    assert imported.class_names == ("paper cup", "bag") and imported.splits == ("train", "val")
    save_names(tmp_path / "valid", "_darknet.labels", ("bag", "paper cup"))
    [problem] = problems_of(tmp_path)
    assert problem.endswith("_darknet.labels name different classes, say which with --names")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("data.yaml", "train: ../train/images\nnames: [cup, bag]\n", ("cup", "bag")),
        ("obj.data", "classes = 2\ntrain = x.txt\nnames = data/obj.names\n", ("hat", "bare")),
        ("obj.data", "classes = 2\n", None),
        ("obj.data", "names = gone.names\n", None),
        ("names.json", '["cup"]', None),
        ("coco.yaml", "[cup]", None),
    ],
)
def test_a_file_that_holds_names_among_other_things_never_gives_its_lines(
    tmp_path, name, text, expected
):
    save_clean(tmp_path / "data")
    (tmp_path / "data" / "classes.txt").unlink()
    given = save_label(tmp_path / name, text)
    save_names(tmp_path, "obj.names")
    if expected:
        assert read_yolo(tmp_path / "data", names=given).class_names == expected
    else:
        with pytest.raises(DataError, match=name):
            read_yolo(tmp_path / "data", names=given)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: [", r"data\.yaml:\d+: is not YAML"),
        ("hat\nbare\n", "holds no keys, expected names, train and val"),
        ("", "holds no keys"),
        ("names: [hat]\n", "does not name a split, expected train, val"),
        ("names: {1: hat, 2: bare}\ntrain: images", "names the classes 1, 2, expected 0, 1, 2"),
        ("names: hat\ntrain: images", "has names hat, expected a list"),
        ("names: [[hat]]\ntrain: images", "expected a list of texts"),
        ("names: [hat, hat]\ntrain: images", "class 'hat' stands twice"),
        ("names: [hat]\nnc: 3\ntrain: images", "has nc 3 and 1 names"),
        ("names: [hat]\ntrain: gone", "data.yaml: train: gone is not here"),
        ("train: images/train", "names no classes, expected data.yaml"),
        ("names: [hat]\ntrain: labels", "no image has labels"),
        ("names: &a [hat]\ntrain: *a", "has an alias"),
    ],
)
def test_a_data_yaml_that_says_nothing_useful_stops(splits, text, message):
    save_label(splits / "data.yaml", text)
    with pytest.raises(DataError, match=message):
        read_yolo(splits)


def test_a_split_that_is_not_there_stops(splits):
    with pytest.raises(DataError, match="does not name the split 'test', expected train, val"):
        read_yolo(splits, split="test")
    (splits / "data.yaml").unlink()
    save_names(splits)
    with pytest.raises(DataError, match=r"has no data\.yaml and no val\.txt"):
        read_yolo(splits, split="val")


def test_a_list_survives_the_way_through_yolo(tmp_path):
    pictures = make_list(tmp_path / "mine")
    write_yolo(pictures, CLASSES, tmp_path / "yolo")
    assert_list_survives(pictures, read_yolo(tmp_path / "yolo"), tmp_path)


def test_corners_come_back_to_the_bit(tmp_path):
    path = save_picture(tmp_path / "a.jpg", size=(1333, 777))
    boxes = random_boxes(np.random.default_rng(1), (1333, 777), 3000)
    ids = np.zeros(len(boxes), np.int64)
    write_yolo([Picture(path, boxes, ids, (1333, 777), "", "")], ("hat",), tmp_path / "yolo")
    imported = read_yolo(tmp_path / "yolo")
    np.testing.assert_array_equal(imported.pictures[0].boxes_xyxy, boxes)
    assert not imported.findings.found


def test_whole_pixels_are_written_short_and_empty_pictures_as_empty_files(tmp_path):
    box = np.array([[40, 20, 60, 60]], np.float32)
    none = np.zeros((0, 4), np.float32)
    pictures = [
        Picture(save_picture(tmp_path / name), boxes, np.zeros(len(boxes), int), (100, 80), "", "")
        for name, boxes in (("a.jpg", box), ("b.jpg", none))
    ]
    write_yolo(pictures, ("hat",), tmp_path / "yolo")
    label = tmp_path / "yolo" / "labels" / "a.txt"
    assert label.read_text() == "0 0.500000 0.500000 0.200000 0.500000\n"
    assert (tmp_path / "yolo" / "labels" / "b.txt").read_bytes() == b""
    with pytest.raises(DataError, match="is not empty"):
        write_yolo(pictures, ("hat",), tmp_path / "yolo")


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data (real labels) is not here")
def test_real_labels():
    imported = read_yolo(SHARED / "aix2022")
    assert len(imported.class_names) == 60 and len(imported.pictures) == imported.total == 39
    assert sum(len(picture.boxes_xyxy) for picture in imported.pictures) == 508
    assert not imported.findings.found


def write(path, samples):
    [sample] = samples
    lines = []
    for number, (name, box) in enumerate(sample.objects):
        x1, y1, x2, y2 = np.array(box) / (sample.size_wh * 2)
        fields = [DEFECT_CLASSES.index(name), (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
        texts = [repr(float(field)) for field in fields]
        texts[0] = str(fields[0])
        match sample.broken(number):
            case "no box":
                del texts[3:]
            case "no name":
                texts[0] = "-"
            case "not a number":
                texts[2] = "x"
        lines.append(" ".join(texts))
    save_label(path, "\n".join(lines))


def no_text(path):
    """Damage a file; half of a label file may be one."""
    path.write_bytes(path.read_bytes() + b"\xff")


@quick
@given(data_sets(), st.sampled_from(LABEL_FOLDERS))
def test_the_clean_part_comes_out_exactly(tmp_path_factory, samples, labels):
    folder = tmp_path_factory.mktemp("set")
    build(folder, samples, write, ".txt", labels, single=True, cut=no_text)
    save_names(folder / "data", names=DEFECT_CLASSES)
    assert_clean_part(read_yolo(folder / "data"), samples)
