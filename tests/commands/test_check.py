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
    "is already listed at": lambda data: data.add(f"3.jpg {HAT}"),
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
        " 1 repeated pictures removed"
    ) in done.output
    assert {path: path.read_bytes() for path in data.folder.iterdir()} == before
    pictures, findings = read_annotations(cleaned, CLASSES, tmp_path)
    assert len(pictures) == 14 and pictures[-1].boxes_xyxy.tolist() == [
        [20, 20, 60, 60],
        [120, 100, 161, 140],
        [180, 20, 208, 60],
    ]
    assert {kind for kind, count in findings.counts.items() if count} == {"pictures_duplicate"}


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
