from pathlib import Path

import numpy as np
import pytest
from format_cases import (
    CLASSES,
    assert_list_survives,
    link,
    make_list,
    problems_in,
    random_boxes,
    save_picture,
    save_turned,
)

from yolo3.data.pictures import DataError, Picture
from yolo3.data.yolo_txt import read_yolo, write_yolo

SHARED = Path(__file__).parents[3] / "shared" / "data"
MIDDLE = "0 0.5 0.5 0.2 0.5\n"  # 40, 20, 60, 60 of 100x80
YAML = "train: images/train\nval: images/val\nnames: [hat, bare]\n"


def save_label(path, text=MIDDLE):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def save_names(folder, name="classes.txt", names=("hat", "bare")):
    return save_label(folder / name, "".join(f"{name}\n" for name in names))


def problems_of(folder, *args, **options):
    return problems_in(folder, read_yolo, folder, *args, **options)


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
    pictures, class_names, findings = read_yolo(tmp_path)
    assert class_names == ("hat", "bare")
    assert [picture.path.name for picture in pictures] == ["a.jpg", "b.png"]
    assert pictures[0].boxes_xyxy.tolist() == [[40, 20, 60, 60], [85, 20, 100, 60]]
    assert pictures[0].class_ids.tolist() == [1, 0]
    assert pictures[0].source == f"{tmp_path}/a.txt"
    assert pictures[1].boxes_xyxy.shape == (0, 4)
    counts = findings.counts
    assert counts["pictures_unlabelled"] == counts["boxes_clipped"] == 1
    assert counts["boxes_degenerate"] == 1 and sum(counts.values()) == 3
    assert f"  {tmp_path}/c.jpg: no label file" in findings.lines()
    names.unlink()
    assert read_yolo(tmp_path, save_names(tmp_path / "far", "x.txt"))[1] == ("hat", "bare")


def test_pictures_without_label_file_may_hold_nothing(tmp_path):
    save_names(tmp_path)
    save_picture(tmp_path / "a.jpg")
    (picture,), _, findings = read_yolo(tmp_path, keep_unlabelled=True)
    assert picture.boxes_xyxy.shape == (0, 4)
    assert findings.counts["pictures_background"] == 1
    assert findings.counts["pictures_unlabelled"] == 0
    assert problems_of(tmp_path) == [
        f"{tmp_path}: no picture has a label file, beside it or in labels/"
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
    ],
)
def test_the_label_is_found(tmp_path, picture, label):
    save_names(tmp_path)
    path = save_picture(tmp_path / picture)
    save_label(tmp_path / label)
    (read,), _, findings = read_yolo(tmp_path)
    assert read.path == path and len(read.boxes_xyxy) == 1
    assert not findings.found


def test_a_label_that_is_not_the_only_one_stops(tmp_path):
    save_names(tmp_path)
    for name in ("images/a.jpg", "images/b.jpg", "images/b.png"):
        save_picture(tmp_path / name)
    for name in ("images/a.txt", "labels/a.txt", "labels/b.txt"):
        save_label(tmp_path / name)
    assert problems_of(tmp_path) == [
        "images/a.jpg: has two label files, labels/a.txt and images/a.txt, keep one",
        "labels/b.txt: labels both b.jpg and b.png, rename one",
    ]


def test_labels_without_picture_are_counted(tmp_path):
    save_picture(tmp_path / "images" / "a.jpg")
    for name in ("a", "renamed", "classes"):
        save_label(tmp_path / "labels" / f"{name}.txt", MIDDLE if name != "classes" else "hat\n")
    findings = read_yolo(tmp_path)[2]
    assert findings.counts["labels_orphaned"] == 1
    assert f"  {tmp_path}/labels/renamed.txt: no picture" in findings.lines()


def test_outlines_become_the_box_around_them(tmp_path):
    save_names(tmp_path)
    save_picture(tmp_path / "a.jpg")
    save_label(tmp_path / "a.txt", "0 .1 .5 .3 .25 .2 .75\n1 .1 .1 .2 .1 .2 .5 .1 .5\n" + MIDDLE)
    (picture,), _, findings = read_yolo(tmp_path)
    assert picture.boxes_xyxy.tolist() == [[10, 20, 30, 60], [10, 8, 20, 40], [40, 20, 60, 60]]
    assert findings.counts["boxes_outlined"] == 2


def test_keypoints_that_data_yaml_declares_are_not_an_outline(splits):
    save_label(splits / "data.yaml", YAML + "kpt_shape: [2, 3]\n")
    save_label(splits / "labels/train/train.txt", MIDDLE.strip() + " .9 .9 2 .1 .1 2\n")
    pictures, _, findings = read_yolo(splits)
    assert pictures[0].boxes_xyxy.tolist() == [[40, 20, 60, 60]]
    assert not findings.found
    save_label(splits / "data.yaml", YAML + "kpt_shape: 17\n")
    with pytest.raises(DataError, match="has kpt_shape '17', expected"):
        read_yolo(splits)


def test_boxes_mean_the_picture_as_a_viewer_shows_it(tmp_path):
    save_names(tmp_path)
    save_turned(tmp_path / "a.jpg")
    save_label(tmp_path / "a.txt")
    (picture,), _, _ = read_yolo(tmp_path)
    assert picture.size_wh == (80, 100)
    assert picture.boxes_xyxy.tolist() == [[32, 25, 48, 75]]


def test_a_box_over_the_edge_by_rounding_is_at_the_edge(tmp_path):
    save_names(tmp_path)
    save_picture(tmp_path / "a.jpg", size=(3000, 1777))
    save_label(tmp_path / "a.txt", "0 0.166666 0.5 0.333333 1.000001\n0 0.1 0.5 0.2001 0.5\n")
    (picture,), _, findings = read_yolo(tmp_path)
    assert picture.boxes_xyxy[0, [0, 1, 3]].tolist() == [0, 0, 1777]
    assert findings.counts["boxes_clipped"] == 1  # the second one


def test_given_class_names_give_the_ids_and_others_are_problems(tmp_path):
    save_names(tmp_path)
    save_picture(tmp_path / "a.jpg")
    save_label(tmp_path / "a.txt", MIDDLE + MIDDLE.replace("0", "1", 1))
    (picture,), class_names, _ = read_yolo(tmp_path, None, ("bare", "cup", "hat"))
    assert class_names == ("bare", "cup", "hat")
    assert picture.class_ids.tolist() == [2, 0]
    assert problems_of(tmp_path, None, ("hat", "cup")) == [
        "a.txt:2: class 'bare' is unknown, expected hat, cup"
    ]


def test_without_any_names_the_given_ones_count(tmp_path):
    save_picture(tmp_path / "a.jpg")
    save_label(tmp_path / "a.txt")
    assert read_yolo(tmp_path, None, ("x",))[0][0].class_ids.tolist() == [0]
    assert problems_of(tmp_path)[0].startswith(f"{tmp_path}: names no classes, expected data.yaml")


def test_names_files_are_found_and_must_agree(tmp_path):
    save_picture(tmp_path / "images" / "a.jpg")
    save_label(tmp_path / "images" / "a.txt")
    for name in ("my.names", "obj.names", "classes.txt"):
        path = save_names(tmp_path, name)
        assert read_yolo(tmp_path)[1] == ("hat", "bare")
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
        pictures, class_names, _ = read_yolo(source)
        assert class_names == ("hat", "bare")
        assert [picture.path.name for picture in pictures] == ["train.jpg", "val.jpg"]
    (picture,), _, findings = read_yolo(splits, split="val")
    assert picture.path.name == "val.jpg" and not findings.found


def test_class_names_stay_text(splits):
    save_label(splits / "data.yaml", "train: images/train\nnames: [yes, 010, 1.50, null]\n")
    assert read_yolo(splits)[1] == ("yes", "010", "1.50", "null")


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
    ],
)
def test_entries_of_data_yaml_are_found(splits, entries):
    save_label(splits / "train.txt", "./images/train/train.jpg\n")
    save_label(splits / "data.yaml", f"{entries}\nval: \nnames: [hat]\n")
    (picture,), _, _ = read_yolo(splits)
    assert picture.path == splits / "images/train/train.jpg"


@pytest.mark.parametrize(
    "entry", ["../secret", "/etc", "images/../../secret", "..\\secret", "../../etc", "C:\\secret"]
)
def test_data_yaml_never_leads_outside(splits, entry):
    save_picture(splits.parent / "secret" / "a.jpg")
    save_label(splits / "data.yaml", f"train: {entry}\nnames: [hat]\n")
    (problem,) = problems_of(splits)
    assert problem == (
        f"data.yaml: train: {entry!r} leads outside the folder, which is refused; put data.yaml"
        " into the folder that holds the pictures"
    )


def test_a_path_in_data_yaml_never_leads_outside(splits):
    save_picture(splits.parent / "secret" / "only_here" / "a.jpg")
    for path in (splits.parent / "secret", "../secret"):
        save_label(splits / "data.yaml", f"path: {path}\ntrain: only_here\nnames: [hat]\n")
        (problem,) = problems_of(splits)
        assert problem.startswith("data.yaml: train: only_here is missing, sought")
        assert f"; path: {path} leads outside the folder, which is refused, put " in problem


@pytest.mark.parametrize(
    "line",
    ["a.jpg", "./sub/../a.jpg", "data/a.jpg", "{root}/a.jpg", "\\a.jpg"],
)
def test_a_list_names_pictures(tmp_path, line):
    path = save_picture(tmp_path / "a.jpg")
    save_names(tmp_path, "obj.names")
    save_label(tmp_path / "a.txt")
    line = line.format(root=tmp_path)
    save_label(tmp_path / "train.txt", f"{line}\n\n")
    if line.startswith("\\"):
        assert "outside" in problems_of(tmp_path, split="train")[0]
        return
    assert [picture.path for picture in read_yolo(tmp_path, split="train")[0]] == [path]


def test_a_list_never_leads_outside(tmp_path):
    save_picture(tmp_path / "secret.jpg")
    save_names(tmp_path / "data")
    lines = ["../secret.jpg", f"{tmp_path}/secret.jpg", "..\\secret.jpg", "gone.jpg"]
    save_label(tmp_path / "data" / "train.txt", "\n".join(lines))
    refused = "leads outside the folder, which is refused"
    assert problems_in(tmp_path / "data", read_yolo, tmp_path / "data", split="train")[:4] == [
        f"train.txt:1: picture '../secret.jpg' {refused}",
        f"train.txt:2: picture '{tmp_path}/secret.jpg' {refused}",
        f"train.txt:3: picture '..\\\\secret.jpg' {refused}",
        f"train.txt:4: picture gone.jpg is missing, sought in {tmp_path}/data",
    ]


def test_links_never_lead_outside(tmp_path):
    secret = save_picture(tmp_path / "secret.jpg")
    text = save_label(tmp_path / "secret.txt")
    save_names(tmp_path / "data")
    for name in ("a", "b"):
        save_picture(tmp_path / "data" / f"{name}.jpg")
    save_label(tmp_path / "data" / "a.txt")
    link(tmp_path / "data" / "b.txt", text)
    link(tmp_path / "data" / "c.jpg", secret)
    problems = problems_of(tmp_path / "data")
    assert [problem.split("/data: picture ")[-1] for problem in problems] == [
        "c.jpg is a link that leads outside the folder: refused",
        "b.txt is a link that leads outside the folder: refused",
    ]


def test_a_picture_in_two_splits_is_read_once_and_told(splits):
    save_label(splits / "data.yaml", "train: images\nval: images/val\nnames: [hat]\n")
    pictures, _, findings = read_yolo(splits)
    assert len(pictures) == 2
    assert findings.counts["pictures_repeated"] == 1


def test_all_problems_are_told_at_once(tmp_path):
    save_names(tmp_path)
    lines = {
        "2 .5 .5 .1 .1": "has class 2, but 2 classes are named, and ids begin at 0, so",
        "-1 .5 .5 .1 .1": "has class -1, but 2 classes are named",
        "0.5 .5 .5 .1 .1": "has class 0.5, but 2 classes are named",
        "0 .5 .5 .1": "has 4 numbers, expected 5: class cx cy width height (or class x y",
        "0 .5 .5 .1 .1 .99": "has 6 numbers, expected 5",
        "0 .5 .5 .1 .1 .9 .9 .9": "has 8 numbers, expected 5",
        "0": "has 1 numbers, expected 5",
        "hat .5 .5 .1 .1": "'hat' is not a finite number",
        "0 .5 nan .1 .1": "'nan' is not a finite number",
        "0 40 20 30 30": "has 40, expected parts of the picture's width and height",
        "0,.5,.5,.1,.1": "'0,.5,.5,.1,.1' is not a finite number",
    }
    save_picture(tmp_path / "a.jpg")
    save_label(tmp_path / "a.txt", "\n".join(lines))
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    save_label(tmp_path / "b.txt")
    save_picture(tmp_path / "c.jpg")
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe0 .5")
    problems = problems_of(tmp_path)
    for number, (text, problem) in enumerate(zip(lines.values(), problems, strict=False), start=1):
        assert problem.startswith(f"a.txt:{number}: {text}")
    assert problems[len(lines)].startswith("b.txt: picture b.jpg is not a picture")
    assert problems[len(lines) + 1 :] == ["c.txt: is not UTF-8 text, save it as UTF-8"]


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
        ("names: [hat]\ntrain: gone", "data.yaml: train: gone is missing, sought in"),
        ("train: images/train", "names no classes, expected data.yaml"),
        ("names: [hat]\ntrain: labels", "holds no pictures"),
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
    assert_list_survives(pictures, lambda: read_yolo(tmp_path / "yolo"), tmp_path)


def test_corners_come_back_to_the_bit(tmp_path):
    path = save_picture(tmp_path / "a.jpg", size=(1333, 777))
    boxes = random_boxes(np.random.default_rng(1), (1333, 777), 3000)
    ids = np.zeros(len(boxes), np.int64)
    write_yolo([Picture(path, boxes, ids, (1333, 777), "", "")], ("hat",), tmp_path / "yolo")
    (picture,), _, findings = read_yolo(tmp_path / "yolo")
    np.testing.assert_array_equal(picture.boxes_xyxy, boxes)
    assert not findings.found


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
    pictures, class_names, findings = read_yolo(SHARED / "aix2022")
    assert len(class_names) == 60 and len(pictures) == 39
    assert sum(len(picture.boxes_xyxy) for picture in pictures) == 508
    assert not findings.found
