import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from format_cases import CLASSES, make_list, save_picture, save_turned
from job_cases import PROJECT

from yolo3.commands.main import main
from yolo3.data.annotations import read_annotations, read_classes


def call(*words):
    words = ["annotations", *map(str, words)]
    return CliRunner().invoke(main, words, catch_exceptions=False)


@pytest.fixture
def mine(tmp_path):
    """A list of pictures with awkward names, and its classes file."""
    make_list(tmp_path / "mine")
    classes = tmp_path / "mine" / "classes.txt"
    classes.write_text("".join(f"{name}\n" for name in CLASSES), "utf-8")
    return tmp_path / "mine" / "list.txt", classes


SOURCE_OF = {
    "voc": ("--split", "trainval", "--voc", ""),
    "coco": ("--coco", "annotations.json"),
    "yolo": ("--yolo", "data.yaml"),
}


@pytest.mark.parametrize("form", SOURCE_OF)
def test_a_list_goes_out_and_comes_back(mine, tmp_path, form):
    listed, classes = mine
    out = tmp_path / "new" / form
    done = call("--list", listed, "--classes", classes, "--to", form, "--output", out)
    assert done.exit_code == 0, done.output
    assert f"{out}: 14 pictures (1 without boxes), " in done.output
    *options, file = SOURCE_OF[form]
    back, names = tmp_path / "back" / "list.txt", tmp_path / "more" / "classes.txt"
    done = call(*options, out / file, "--output", back, "--classes", names)
    assert done.exit_code == 0, done.output
    assert names.read_text("utf-8") == classes.read_text("utf-8")
    before, _ = read_annotations(listed, CLASSES, tmp_path)
    after, _ = read_annotations(back, read_classes(names), tmp_path)
    for a, b in zip(before, after, strict=True):
        assert a.digest == b.digest and a.class_ids.tolist() == b.class_ids.tolist()
        assert a.boxes_xyxy.tolist() == b.boxes_xyxy.tolist()
    done = call("--list", listed, "--classes", classes, "--to", form, "--output", out)
    assert done.exit_code == 1 and "is not empty" in done.output


def test_classes_that_exist_are_read_and_never_written(tmp_path):
    save_picture(tmp_path / "yolo" / "a.jpg")
    (tmp_path / "yolo" / "a.txt").write_text("0 .5 .5 .2 .5")
    (tmp_path / "yolo" / "obj.names").write_text("hat\n")
    classes = tmp_path / "classes.txt"
    classes.write_text("bare\n# heads\nhat")
    listed = tmp_path / "list.txt"
    done = call("--yolo", tmp_path / "yolo", "--output", listed, "--classes", classes)
    assert done.exit_code == 0, done.output
    assert listed.read_text() == "yolo/a.jpg 40,20,60,60,1\n"
    assert classes.read_text() == "bare\n# heads\nhat"
    classes.write_text("bare\n")
    listed.unlink()
    done = call("--yolo", tmp_path / "yolo", "--output", listed, "--classes", classes)
    assert done.exit_code == 1 and "class 'hat' is unknown, expected bare" in done.output
    assert "Traceback" not in done.output and not listed.exists()


def test_flags_say_what_is_kept(tmp_path):
    save_picture(tmp_path / "a.jpg")
    save_picture(tmp_path / "b.jpg", shade=9)
    (tmp_path / "a.txt").write_text("0 .5 .5 .2 .5")
    (tmp_path / "my names.txt").write_text("hat\n")
    boxes = [{"image_id": 1, "category_id": 5, "bbox": [1, 1, 9, 9], "iscrowd": 1}]
    categories = [{"id": 5, "name": "hat"}]
    parts = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": boxes}
    coco = tmp_path / "far" / "coco.json"
    coco.parent.mkdir()
    coco.write_text(json.dumps(parts | {"categories": categories}))
    xml = tmp_path / "voc" / "Annotations" / "a.xml"
    save_picture(xml.with_suffix(".jpg"))
    corners = "<xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax>"
    thing = f"<name>hat</name><difficult>1</difficult><bndbox>{corners}</bndbox>"
    xml.write_text(f"<a><object>{thing}</object></a>")
    from_coco = ("--coco", coco, "--images", tmp_path)
    (tmp_path / "train.txt").write_text("a.jpg\nb.jpg\n")
    from_yolo = ("--yolo", tmp_path, "--split", "train", "--names", tmp_path / "my names.txt")
    expected = {
        from_coco: (1, 0, "1 boxes stand for a crowd (left out)"),
        (*from_coco, "--keep-crowd"): (1, 1, "1 boxes lose their mark"),
        from_yolo: (1, 1, "1 pictures have no annotation file (left out)"),
        (*from_yolo, "--keep-unlabelled"): (2, 1, "1 pictures have no annotation file (kept"),
        ("--voc", tmp_path / "voc"): (1, 1, "1 boxes lose their mark"),
        ("--voc", tmp_path / "voc", "--keep-difficult"): (1, 1, "1 boxes lose their mark"),
        ("--voc", tmp_path / "voc", "--drop-difficult"): (
            1,
            0,
            "1 boxes are marked difficult (left out)",
        ),
    }
    for number, (words, (pictures, count, line)) in enumerate(expected.items()):
        out = ("--output", tmp_path / f"{number}.lst", "--classes", tmp_path / f"{number}.cls")
        done = call(*words, *out)
        assert done.exit_code == 0, done.output
        assert line in done.output
        assert f"{pictures} pictures" in done.output and f" {count} boxes, " in done.output


def test_a_turned_picture_is_written_upright(tmp_path):
    save_turned(tmp_path / "a.jpg")
    (tmp_path / "list.txt").write_text("a.jpg 10,20,30,100,0\n")
    (tmp_path / "classes.txt").write_text("hat\n")
    words = ("--list", tmp_path / "list.txt", "--classes", tmp_path / "classes.txt")
    for form in SOURCE_OF:
        assert call(*words, "--to", form, "--output", tmp_path / form).exit_code == 0
    image = json.loads((tmp_path / "coco" / "annotations.json").read_text())["images"][0]
    assert (image["width"], image["height"]) == (80, 100)
    assert "<width>80</width>" in (tmp_path / "voc" / "Annotations" / "a.xml").read_text()
    label = (tmp_path / "yolo" / "labels" / "a.txt").read_text()
    assert label == "0 0.250000 0.600000 0.250000 0.800000\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Give one of --voc, --coco, --yolo and --list."),
        (("--voc", ".", "--yolo", "."), "Give one of --voc, --coco, --yolo and --list."),
        (("--list", __file__), "--list needs --to voc|coco|yolo."),
        (("--voc", ".", "--to", "coco"), "--to goes with --list."),
        (("--list", __file__, "--to", "voc", "--split", "x"), "--split goes with --voc and --yolo"),
        (("--voc", ".", "--images", "."), "--images goes with --coco."),
        (("--coco", __file__, "--names", __file__), "--names goes with --yolo."),
        (("--yolo", ".", "--drop-difficult"), "--keep-difficult/--drop-difficult goes with --voc."),
        (("--yolo", ".", "--keep-crowd"), "--keep-crowd goes with --coco."),
        (("--voc", ".", "--keep-unlabelled"), "--keep-unlabelled goes with --yolo."),
        (("--list", __file__, "--to", "csv"), "Invalid value for '--to'"),
        (("--coco", "nowhere.json"), "does not exist"),
    ],
)
def test_misuse_is_told(words, message, tmp_path):
    done = call(*words, "--output", tmp_path / "out", "--classes", tmp_path / "classes.txt")
    assert done.exit_code == 2 and message in " ".join(done.output.split())
    assert not (tmp_path / "out").exists() and not (tmp_path / "classes.txt").exists()


def test_a_list_cannot_be_written_over_a_folder(tmp_path):
    done = call("--yolo", tmp_path, "--output", tmp_path, "--classes", tmp_path / "c.txt")
    assert done.exit_code == 2 and "is a folder, expected a list to write" in done.output


@pytest.mark.parametrize("kept", ["classes.txt", "annotations.json"])
def test_a_list_is_never_written_over_what_is_read(kept, mine, tmp_path):
    listed, classes = mine
    out = tmp_path / "coco"
    call("--list", listed, "--classes", classes, "--to", "coco", "--output", out)
    file = classes if kept == classes.name else out / kept
    before = file.read_bytes()
    done = call("--coco", out / "annotations.json", "--output", file, "--classes", classes)
    assert done.exit_code == 1 and f"{file}: is one of the files that are read" in done.output
    assert file.read_bytes() == before


def test_a_list_goes_out_only_with_its_classes(mine, tmp_path):
    words = ("--list", mine[0], "--to", "yolo", "--output", tmp_path / "out")
    done = call(*words, "--classes", tmp_path / "nowhere.txt")
    assert done.exit_code == 1 and "the classes file does not exist" in done.output
    assert not (tmp_path / "out").exists()


def test_no_framework_is_loaded(mine, tmp_path):
    code = (
        "import sys; from click.testing import CliRunner; from yolo3.commands.main import main\n"
        "assert CliRunner().invoke(main, sys.argv[1:]).exit_code == 0\n"
        "assert not {'keras', 'tensorflow', 'mlflow'} & set(sys.modules)"
    )
    words = ["annotations", "--list", mine[0], "--classes", mine[1], "--to", "voc"]
    words += ["--output", tmp_path / "out"]
    command = [sys.executable, "-c", code, *map(str, words)]
    subprocess.run(command, cwd=PROJECT, check=True, timeout=60)
