import mlflow
import numpy as np
import pytest
from check_cases import BARE, HAT, SIDE, clean_data, scene
from click.testing import CliRunner
from PIL import ExifTags, Image

from yolo3.commands.main import main
from yolo3.data.annotations import read_annotations

CLASSES = ("hat", "bare")


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A clean data set; the command runs in an empty folder beside it."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return clean_data(tmp_path / "my data")


def check(data, *words):
    arguments = ["check", *data.options, "--no-log", *words]
    return CliRunner().invoke(main, [str(word) for word in arguments], catch_exceptions=False)


def turned(orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def test_clean_data_exit_with_0_and_have_a_report(data, tmp_path):
    done = check(data)
    assert (done.exit_code, "Nothing deserves a look." in done.output) == (0, True), done.output
    assert "11 training and 1 validation pictures, 24 boxes" in done.output
    assert (tmp_path / "here" / "check.html").stat().st_size > 1000


BAD_LINES = {  # line that is added: what is told of it
    f"0b.jpg {HAT} 180,20,230,60,1": "1 boxes reach past the edge of their picture (clipped",
    f"0b.jpg {HAT} {BARE} 50,50,50,90,1": "1 boxes have no width or no height (left out)",
    f"0b.jpg {HAT} {BARE} 300,50,350,90,1": "1 boxes lie wholly outside their picture (left out)",
    f"0b.jpg {HAT} {HAT} {BARE}": "1 boxes nearly equal another box of their class",
    f"0b.jpg {HAT} {HAT[:-1]}1 {BARE}": "1 boxes nearly equal a box of another class",
    f"0b.jpg {HAT} {BARE} 90,90,91,120,1": "1 boxes are under 4 pixels wide or high",
    f"0b.jpg {HAT} {BARE} 24,24,62,62,0": "1 boxes share a grid cell and an anchor with another",
}


@pytest.mark.parametrize("line", BAD_LINES)
def test_bad_boxes_exit_with_1(data, line):
    data.save("0b.jpg", 100)
    data.add(line)
    done = check(data)
    assert done.exit_code == 1, done.output
    assert f"\n{BAD_LINES[line]}" in done.output and "list.txt:13: box" in done.output
    assert "1 finding deserves a look." in done.output


def copied(data):
    data.copy("3.jpg", "copy.jpg")
    data.add(f"copy.jpg {HAT} {BARE}")


def relabelled(data):
    data.copy("3.jpg", "copy.jpg")
    data.add(f"copy.jpg {HAT}")


def misnamed(data):
    data.save("png.jpg", 100, format="PNG")
    data.add(f"png.jpg {HAT} {BARE}")


def unturned(data):
    data.save("turned.jpg", 100, (SIDE, SIDE // 2), exif=turned(6))
    data.add("turned.jpg 110,10,150,50,0 110,50,160,100,1")


def with_a_class_more(data):
    data.classes.write_text("hat\nbare\ncap\n", "utf-8")


def with_a_class_only_in_training(data):
    with_a_class_more(data)
    data.save("new.jpg", 100)
    data.add(f"new.jpg {HAT[:-1]}2")


def with_flat_boxes(data):
    for number in range(12):
        data.save(f"flat{number}.jpg", 100 + number)
        data.add(f"flat{number}.jpg 5,50,200,58,0 5,90,200,98,1")


BAD_DATA = {
    "1 pictures repeat the content of another": copied,
    "1 pictures repeat another's content with boxes that contradict it": relabelled,
    "1 pictures are of another format than their names say": misnamed,
    "1 pictures have boxes that fit only without their EXIF orientation": unturned,
    "1 classes have no box at all": with_a_class_more,
    "1 classes have boxes in training and none in validation": with_a_class_only_in_training,
    "1 sets of anchors fit the boxes badly": with_flat_boxes,
}


@pytest.mark.parametrize("told", BAD_DATA)
def test_bad_data_exit_with_1(data, told):
    BAD_DATA[told](data)
    done = check(data)
    assert (done.exit_code, f"\n{told}" in done.output) == (1, True), done.output


def near_copy(data):
    scene(3).resize((150, 150)).save(data.folder / "smaller.jpg", quality=60)
    data.add("smaller.jpg 14,14,43,43,0 87,72,116,101,1")


def turned_rightly(data):
    data.save("turned.jpg", 100, exif=turned(6))
    data.add(f"turned.jpg {HAT} {BARE}")


NOTED = {
    "1 pictures look nearly like another (kept, on one side of a split)": near_copy,
    "1 pictures have an EXIF orientation (read as a viewer shows them)": turned_rightly,
}


@pytest.mark.parametrize("told", NOTED)
def test_notes_exit_with_0(data, told):
    NOTED[told](data)
    done = check(data)
    assert (done.exit_code, f"\n{told}" in done.output) == (0, True), done.output


def shared(data):
    data.copy("3.jpg", "copy.jpg")
    data.add(f"copy.jpg {HAT} {BARE}", data.val_list)


def leaked(data):
    scene(3).resize((150, 150)).save(data.folder / "smaller.jpg", quality=60)
    data.add("smaller.jpg 14,14,43,43,0 87,72,116,101,1", data.val_list)


def with_a_class_only_in_validation(data):
    data.save("new.jpg", 100)
    with_a_class_more(data)
    data.add(f"new.jpg {HAT[:-1]}2 {HAT.replace('2', '9')} {BARE}", data.val_list)


BAD_PAIRS = {
    "1 validation pictures have the content of a training picture": shared,
    "1 validation pictures look nearly like a training picture": leaked,
    "1 classes have boxes in validation and none in training": with_a_class_only_in_validation,
}


@pytest.mark.parametrize("told", BAD_PAIRS)
def test_leaks_between_two_lists_exit_with_1(data, told):
    BAD_PAIRS[told](data)
    done = check(data, "--val-annotation-path", data.val_list)
    assert (done.exit_code, f"\n{told}" in done.output) == (1, True), done.output


def cut_short(data):
    whole = (data.folder / "3.jpg").read_bytes()
    (data.folder / "3.jpg").write_bytes(whole[: len(whole) // 2])


UNUSABLE = {
    "list.txt:13: picture missing.jpg is missing": lambda data: data.add(f"missing.jpg {HAT}"),
    "list.txt:4: picture": cut_short,
    "box 1 has 4 numbers, expected 5": lambda data: data.add("3.jpg 1,2,3,4"),
    "box 1 has class 2, which the classes file has not": lambda d: d.add("3.jpg 1,2,3,4,2"),
    "put all its boxes in one place": lambda data: data.add(f"3.jpg {HAT}"),
    "are too few to split": lambda data: data.list.write_text(f"3.jpg {HAT}\n", "utf-8"),
    "the annotation list does not exist": lambda data: data.list.unlink(),
    "has no class names": lambda data: data.classes.write_text("", "utf-8"),
}


@pytest.mark.parametrize("told", UNUSABLE)
def test_unusable_data_exit_with_2(data, told, tmp_path):
    UNUSABLE[told](data)
    done = check(data)
    assert (done.exit_code, told in done.output) == (2, True), done.output
    assert "Traceback" not in done.output and not (tmp_path / "here" / "check.html").exists()


def test_a_picture_in_both_lists_exits_with_2(data):
    data.add(f"3.jpg {HAT}", data.val_list)
    done = check(data, "--val-annotation-path", data.val_list)
    assert done.exit_code == 2 and "expected it in one list" in done.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--input-size", "100"), "input_size must be a multiple of 32"),
        (("--anchors-path", "nowhere.txt"), "nowhere.txt: cannot read the anchors"),
        (("--val-split", "1"), "Invalid value for '--val-split'"),
    ],
)
def test_misuse_exits_with_2(data, words, told):
    done = check(data, *words)
    assert (done.exit_code, told in done.output) == (2, True), done.output


def test_files_that_are_read_are_never_written(data):
    before = {path: path.read_bytes() for path in data.folder.iterdir()}
    for option in ("--output", "--fix"):
        for path in (data.list, data.classes, data.folder / ".." / "my data" / "list.txt"):
            done = check(data, option, path)
            assert done.exit_code == 2 and "is one of the files that are read" in done.output
    assert check(data, "--output", "same", "--fix", "same").exit_code == 2
    assert {path: path.read_bytes() for path in data.folder.iterdir()} == before


def test_fix_writes_a_cleaned_list_and_changes_nothing_else(data, tmp_path):
    data.copy("3.jpg", "copy.jpg")
    data.add(f"copy.jpg {BARE} {HAT}")
    data.copy("4.jpg", "other boxes.jpg")
    data.add(f'"other boxes.jpg" {HAT}')
    data.save("bad.jpg", 100)
    data.add(f"bad.jpg {HAT} {HAT} {BARE} 50,50,50,90,1 300,50,350,90,1 180,20,230,60,1")
    before = {path: path.read_bytes() for path in data.folder.iterdir()}
    cleaned = tmp_path / "new" / "cleaned.txt"
    done = check(data, "--fix", cleaned)
    assert done.exit_code == 1
    assert (
        "14 pictures; 1 boxes clipped, 2 left out, 1 repeated ones removed,"
        " 1 repeated pictures removed, 0 unusable images left out"
    ) in done.output
    assert {path: path.read_bytes() for path in data.folder.iterdir()} == before
    pictures, findings = read_annotations(cleaned, CLASSES, tmp_path)
    assert len(pictures) == 14 and pictures[-1].boxes_xyxy.tolist() == [
        [20, 20, 60, 60],
        [120, 100, 161, 140],
        [180, 20, 208, 60],
    ]
    assert {kind for kind, count in findings.counts.items() if count} == {"pictures_duplicate"}


def test_fix_leaves_broken_lines_and_images_out_and_the_list_passes(data, tmp_path):
    cut_short(data)
    for line in (f"missing.jpg {HAT}", "5.jpg 1,2,3", f"6.jpg {HAT[:-1]}9"):
        data.add(line)
    assert check(data).exit_code == 2
    cleaned = tmp_path / "cleaned.txt"
    done = check(data, "--fix", cleaned)
    assert done.exit_code == 1, done.output
    assert "11 pictures; " in done.output and "4 unusable images left out" in done.output
    assert "4 images cannot be used (left out)" in done.output
    pictures, _ = read_annotations(cleaned, CLASSES, tmp_path)
    assert "3.jpg" not in {picture.path.name for picture in pictures} and len(pictures) == 11
    listed = ("--annotation-path", cleaned, "--classes-path", data.classes, "--no-log")
    assert CliRunner().invoke(main, list(map(str, ["check", *listed]))).exit_code == 0


def test_fix_refuses_a_list_of_which_more_than_half_is_unusable(data, tmp_path):
    for number in range(13):
        data.add(f"gone{number}.jpg {HAT}")
    done = check(data, "--fix", tmp_path / "cleaned.txt")
    assert done.exit_code == 2 and not (tmp_path / "cleaned.txt").exists()
    assert "list.txt: 13 of 25 images would be left out, more than half" in done.output
    assert "line of the list unusable (13): " in done.output and "… and 10 more" in done.output


def test_problems_of_two_lists_are_reported_together(data):
    data.add("none.jpg 1,2,3")
    data.add("none.jpg 1,2,3,4,9", data.val_list)
    done = check(data, "--val-annotation-path", data.val_list)
    assert done.exit_code == 2 and "4 problems in the data" in done.output
    assert "/list.txt:13: box 1" in done.output and "/val.txt:1: box 1" in done.output


def as_yolo(data, **splits):
    """Write the data set as YOLO labels, images of a split in a folder of its name."""
    folder = data.folder.parent / "yolo"
    names = {number: split for split, numbers in splits.items() for number in numbers}
    for number in range(12):
        split = names.get(number, "train")
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        image = (data.folder / f"{number}.jpg").read_bytes()
        (folder / "images" / split / f"{number}.jpg").write_bytes(image)
        rows = []
        for text in (HAT, BARE):
            x1, y1, x2, y2, class_id = map(int, text.split(","))
            sides = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
            rows.append(" ".join(map(repr, [class_id, *(side / SIDE for side in sides)])))
        (folder / "labels" / split / f"{number}.txt").write_text("\n".join(rows))
    lines = ["names: [hat, bare]", *(f"{split}: images/{split}" for split in ("train", *splits))]
    (folder / "data.yaml").write_text("\n".join(lines))
    return folder


def check_labels(path, *words):
    arguments = ["check", "--annotation-path", path, "--no-log", *words]
    return CliRunner().invoke(main, [str(word) for word in arguments], catch_exceptions=False)


def test_a_folder_of_labels_is_checked_with_the_names_of_its_classes(data):
    folder = as_yolo(data)
    for source in (folder, folder / "data.yaml"):
        done = check_labels(source)
        assert done.exit_code == 0, done.output
        assert f"{source}: read as YOLO" in done.output
        assert "imported 12 of 12 images, 0 left out" in done.output
        assert "11 training and 1 validation pictures, 24 boxes" in done.output


def test_splits_of_labels_are_the_sides_and_test_images_are_checked_too(data):
    done = check_labels(as_yolo(data, val=(1, 2), test=(3,)))
    assert "9 training and 3 validation pictures, 24 boxes" in done.output
    assert "1 images of the test split are checked as validation pictures" in done.output


def test_what_an_import_left_out_is_part_of_the_report(data, tmp_path):
    folder = as_yolo(data)
    (folder / "labels" / "train" / "3.txt").write_text("0 .5 .5")
    (folder / "images" / "train" / "4.jpg").unlink()
    (folder / "labels" / "train" / "5.txt").unlink()
    done = check_labels(folder, "--output", tmp_path / "check.html")
    assert done.exit_code == 1, done.output
    assert "left out, image missing (1): " in done.output
    assert "imported 9 of 12 images, 3 left out" in done.output
    assert "\n2 images cannot be used (left out)\n" in done.output
    text = (tmp_path / "check.html").read_text("utf-8")
    assert "Images that cannot be used" in text and "3.txt: line 1: has 3 numbers" in text


def test_fix_writes_a_list_of_labels_and_the_names_of_their_classes(data, tmp_path):
    folder = as_yolo(data)
    (folder / "labels" / "train" / "3.txt").write_text("0 .5 .5")
    done = check_labels(folder, "--fix", tmp_path / "new" / "cleaned.txt")
    assert "11 pictures; " in done.output and "1 unusable images left out" in done.output
    names = tmp_path / "new" / "cleaned_classes.txt"
    assert names.read_text() == "hat\nbare\n" and f"{names}: 2 class names" in done.output
    assert len(read_annotations(tmp_path / "new" / "cleaned.txt", CLASSES, tmp_path)[0]) == 11


def test_fix_writes_a_list_for_each_split(data, tmp_path):
    folder = as_yolo(data)
    for kind, suffix in (("images", ".jpg"), ("labels", ".txt")):
        (folder / kind / "val").mkdir()
        for number in "56":
            name = f"{number}{suffix}"
            (folder / kind / "train" / name).rename(folder / kind / "val" / name)
    with (folder / "data.yaml").open("a") as file:
        file.write("\nval: images/val\n")
    done = check_labels(folder, "--fix", tmp_path / "cleaned.txt")
    assert "10 training and 2 validation pictures" in done.output
    for name, count in (("cleaned", 10), ("cleaned_val", 2)):
        pictures, _ = read_annotations(tmp_path / f"{name}.txt", CLASSES, tmp_path)
        assert len(pictures) == count


def test_labels_that_stop_an_import_exit_with_2(data):
    folder = as_yolo(data)
    (folder / "labels" / "train" / "3.txt").write_text("7 .5 .5 .1 .1")
    done = check_labels(folder)
    assert done.exit_code == 2 and "class ids go beyond the 2 names" in done.output


def test_the_report_names_what_was_found(data, tmp_path):
    misnamed(data)
    done = check(data, "--output", tmp_path / "deep" / "report.html")
    assert done.exit_code == 1
    text = (tmp_path / "deep" / "report.html").read_text("utf-8")
    assert "png.jpg holds PNG, its name says JPEG" in text and "data:image/jpeg;base64," in text


def test_the_split_is_the_one_of_a_training(data):
    done = check(data, "--val-split", 0.25, "--seed", 7)
    assert "9 training and 3 validation pictures" in done.output


def test_a_check_is_recorded_in_a_run(data, tracking):
    misnamed(data)
    arguments = ["check", *map(str, data.options)]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 1, done.output
    [run] = mlflow.MlflowClient().search_runs(["0"])
    assert run.info.run_id in done.output and run.info.status == "FINISHED"
    assert run.data.metrics["data_pictures_misnamed"] == 1
    assert run.data.metrics["data_images_left_out"] == 0
    assert run.data.metrics["anchors_recall"] == 1
    assert run.data.params["seed"] == "1"
    names = {file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
    assert {"check.html", "check.txt"} <= names
    assert len(run.inputs.dataset_inputs) == 2


def make(data, *words):
    arguments = ["anchors", *data.options, *words]
    return CliRunner().invoke(main, [str(word) for word in arguments], catch_exceptions=False)


def test_anchors_that_check_called_unfit_are_mended(data, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(40):
        data.save(f"flat{number}.jpg", 100 + number)
        width, height = rng.uniform(100, 200), rng.uniform(5, 9)
        data.add(f"flat{number}.jpg 2,5,{2 + width:.1f},{5 + height:.1f},0 {HAT}")
    assert "sets of anchors fit the boxes badly" in check(data).output
    assert make(data, "--output", tmp_path / "own.txt").exit_code == 0
    done = check(data, "--anchors-path", tmp_path / "own.txt")
    assert "sets of anchors" not in done.output
