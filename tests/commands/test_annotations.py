import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from format_cases import CLASSES, make_list, save_picture, save_turned
from job_cases import PROJECT

from yolo3.commands.main import FORMATS, main
from yolo3.data.annotations import read_annotations, read_classes
from yolo3.data.labels.formats import TITLES


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
    assert done.exit_code == 1 and "names of classes are unknown, expected bare" in done.output
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
    (tmp_path / "voc").rename(tmp_path.parent / f"{tmp_path.name} voc")
    voc = tmp_path.parent / f"{tmp_path.name} voc"
    from_yolo = ("--yolo", tmp_path, "--split", "train", "--names", tmp_path / "my names.txt")
    expected = {
        from_coco: (1, 0, "1 boxes stand for a crowd (left out)"),
        (*from_coco, "--keep-crowd"): (1, 1, "1 boxes lose their mark"),
        from_yolo: (1, 1, "left out, no label file (1): "),
        (*from_yolo, "--keep-unlabelled"): (2, 1, "1 pictures have no annotation file (kept"),
        ("--voc", voc): (1, 1, "1 boxes lose their mark"),
        ("--voc", voc, "--keep-difficult"): (1, 1, "1 boxes lose their mark"),
        ("--voc", voc, "--drop-difficult"): (
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
        ((), "Give a folder or file of labels, or --list."),
        (("--voc", ".", "--yolo", "."), "Give a folder or file of labels, or --list."),
        ((".", "--yolo", "."), "Give a folder or file of labels, or --list."),
        (("--list", __file__), "--list needs --to voc|coco|yolo, and no option of an import."),
        (
            ("--list", __file__, "--to", "voc", "--split", "x"),
            "--list needs --to voc|coco|yolo, and",
        ),
        (("--voc", ".", "--to", "coco"), "--to goes with --list."),
        (("--voc", ".", "--format", "yolo"), "--voc and --format yolo contradict each other."),
        (
            ("--coco", __file__, "--names", __file__),
            "--names goes with labels of the format yolo, and",
        ),
        (
            ("--coco", __file__, "--split", "x"),
            "--split goes with labels of the format voc and yolo,",
        ),
        (
            (".", "--format", "yolo", "--drop-difficult"),
            "--keep-difficult/--drop-difficult goes with",
        ),
        (
            ("--yolo", ".", "--keep-crowd"),
            "--keep-crowd goes with labels of the format coco and csv",
        ),
        (
            ("--voc", ".", "--keep-unlabelled"),
            "--keep-unlabelled goes with labels of the format yolo",
        ),
        (("--list", __file__, "--to", "csv"), "Invalid value for '--to'"),
        ((".", "--format", "tiff"), "Invalid value for '--format'"),
        (("--coco", "nowhere.json"), "does not exist"),
    ],
)
def test_misuse_is_reported(words, message, tmp_path):
    done = call(*words, "--output", tmp_path / "out", "--classes", tmp_path / "classes.txt")
    assert done.exit_code == 2 and message in " ".join(done.output.split())
    assert not (tmp_path / "out").exists() and not (tmp_path / "classes.txt").exists()


def test_an_option_that_says_nothing_of_the_format_that_was_found_is_misuse(dirty, tmp_path):
    words = ("--output", tmp_path / "out", "--classes", tmp_path / "classes.txt")
    done = call(dirty, "--keep-unlabelled", *words)
    assert done.exit_code == 2 and "and these are voc." in done.output
    assert not (tmp_path / "out").exists() and not (tmp_path / "classes.txt").exists()


def test_the_formats_of_the_option_are_those_that_are_read():
    assert set(FORMATS) == set(TITLES)


@pytest.fixture
def dirty(tmp_path):
    """VOC labels of six images: one is missing, one cut short, one has a broken XML file."""
    corners = "<xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax>"
    thing = f"<object><name>hat</name><bndbox>{corners}</bndbox></object>"
    for number, stem in enumerate("abcdef"):
        path = save_picture(tmp_path / "my labels" / f"{stem}.jpg", shade=number)
        path.with_suffix(".xml").write_text(f"<a>{thing}</a>")
    (tmp_path / "my labels" / "a.jpg").unlink()
    cut = tmp_path / "my labels" / "b.jpg"
    cut.write_bytes(cut.read_bytes()[:-300])
    (tmp_path / "my labels" / "c.xml").write_text("<a><object>")
    save_picture(tmp_path / "my labels" / "without.jpg", shade=9)
    return tmp_path / "my labels"


def test_what_cannot_be_used_is_left_out_and_counted(dirty, tmp_path):
    words = ("--output", tmp_path / "out.txt", "--classes", tmp_path / "classes.txt")
    done = call(dirty, *words, "--left-out", tmp_path / "deep" / "left out.txt")
    assert done.exit_code == 0, done.output
    *_, format_line, missing, label, unreadable, unlabelled, count, last = done.output.splitlines()
    assert format_line == f"{dirty}: read as Pascal VOC"
    assert missing == f"left out, image missing (1): {dirty}/a.xml: image a.* is missing"
    assert label.startswith(
        f"left out, label file unreadable (1): {dirty}/c.xml: is not well-formed"
    )
    assert unreadable.startswith("left out, image unreadable (1): ") and "b.jpg" in unreadable
    assert unlabelled == f"left out, no label file (1): {dirty}/without.jpg: no XML file"
    assert count == f"{tmp_path}/out.txt: 3 pictures, 3 boxes, classes hat"
    assert last == "imported 3 of 7 images, 4 left out"
    lines = (tmp_path / "deep" / "left out.txt").read_text("utf-8").splitlines()
    assert sorted(line.split("\t")[:2] for line in lines) == [
        ["label", f"{dirty}/c.xml"],
        ["missing", f"{dirty}/a.xml"],
        ["unlabelled", f"{dirty}/without.jpg"],
        ["unreadable", f"{dirty}/b.jpg"],
    ]


def test_strict_stops_at_the_first_kind(dirty, tmp_path):
    words = ("--output", tmp_path / "out.txt", "--classes", tmp_path / "classes.txt")
    done = call(dirty, *words, "--strict")
    assert done.exit_code == 1 and not (tmp_path / "out.txt").exists()
    assert " (1): " in done.output and done.output.strip().endswith("(--strict)")
    for name in ("a.xml", "b.xml", "b.jpg", "c.xml", "c.jpg"):
        (dirty / name).unlink(missing_ok=True)
    done = call(dirty, *words, "--strict")
    assert done.exit_code == 0 and "imported 3 of 4 images, 1 left out" in done.output


def test_more_than_half_left_out_stops(dirty, tmp_path):
    (dirty / "d.jpg").write_bytes(b"no image")
    words = ("--output", tmp_path / "out.txt", "--classes", tmp_path / "classes.txt")
    done = call(dirty, *words)
    assert done.exit_code == 1 and "4 of 6 images would be left out, more than half" in done.output
    assert "image unreadable (2): " in done.output and not (tmp_path / "out.txt").exists()


def test_of_several_formats_the_larger_is_taken_and_the_others_named(dirty, tmp_path):
    boxes = [{"image_id": 1, "category_id": 5, "bbox": [1, 1, 9, 9]}]
    parts = {"images": [{"id": 1, "file_name": "d.jpg"}], "annotations": boxes}
    (dirty / "coco.json").write_text(json.dumps(parts | {"categories": [{"id": 5, "name": "x"}]}))
    words = ("--output", tmp_path / "out.txt", "--classes", tmp_path / "classes.txt")
    done = call(dirty, *words)
    assert f"{dirty}: read as Pascal VOC; it holds COCO (--format coco) too" in done.output
    words = ("--output", tmp_path / "out2.txt", "--classes", tmp_path / "classes2.txt")
    done = call(dirty, "--format", "coco", *words)
    assert done.output.splitlines()[-1] == "imported 1 of 1 images, 0 left out"


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
