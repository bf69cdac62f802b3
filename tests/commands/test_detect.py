import io
import json
import shutil

import pytest
from click.testing import CliRunner
from detector_cases import as_text
from job_cases import NO_THRESHOLD, as_arguments
from PIL import Image
from server_cases import assert_same_objects, model_server, post, split

from yolo3.commands.main import main
from yolo3.data.images import read_image
from yolo3.detector.drawing import MAX_JPEG_SIDE, draw_detections
from yolo3.detector.load import load_detector
from yolo3.detector.pyfunc import as_objects
from yolo3.tracking.job import FINAL_MODEL


def detect(model, source, output, **thresholds):
    words = as_arguments({"model": model, "input": source, "output": output} | thresholds)
    return CliRunner().invoke(main, ["detect", *words], catch_exceptions=False)


@pytest.fixture(scope="module")
def folder(scenes, tmp_path_factory):
    """Two photographs, one of them in a folder of its own, a broken one, and a text."""
    folder = tmp_path_factory.mktemp("detect") / "my pictures"
    (folder / "more").mkdir(parents=True)
    first, second = sorted((scenes.folder / "JPEGImages").iterdir())[-2:]
    shutil.copy(first, folder / "a.jpg")
    shutil.copy(second, folder / "more" / "b.JPG")
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture either")
    return folder


@pytest.fixture
def model(at_trained):
    return f"runs:/{at_trained.run_id}/{FINAL_MODEL}"


def test_a_folder_gives_pictures_and_one_json(model, folder, tmp_path):
    done = detect(model, folder, tmp_path / "found", **NO_THRESHOLD)
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "found" / "detections.json").read_text("utf-8"))
    assert [row["image"] for row in rows] == ["a.jpg", "broken.png", "more/b.JPG"]
    assert [bool(row["error"]) for row in rows] == [False, True, False]
    assert rows[1]["detections"] == [] and "broken.png" in done.stderr
    files = {p.relative_to(tmp_path / "found").as_posix() for p in tmp_path.rglob("found/**/*.*")}
    assert files == {"detections.json", "a_jpg.jpg", "more/b_JPG.jpg"}
    for row, name in ((rows[0], "a.jpg"), (rows[2], "more/b.JPG")):
        with Image.open(folder / name) as picture:
            assert (row["width"], row["height"]) == picture.size
        assert row["detections"] and set(row["detections"][0]) == {
            *("label", "class_id", "score"),
            *("xmin", "ymin", "xmax", "ymax"),
        }
        for box in row["detections"]:
            assert 0 <= box["xmin"] < box["xmax"] <= row["width"]
            assert 0 <= box["ymin"] < box["ymax"] <= row["height"]


def test_a_file_alone_gives_the_same_and_thresholds_count(model, folder, tmp_path):
    detect(model, folder, tmp_path / "all", **NO_THRESHOLD)
    done = detect(model, folder / "a.jpg", tmp_path / "one", score_threshold=0, max_detections=3)
    assert done.exit_code == 0 and "3 objects in 1 pictures" in done.output
    [every, *_] = json.loads((tmp_path / "all" / "detections.json").read_text("utf-8"))
    [row] = json.loads((tmp_path / "one" / "detections.json").read_text("utf-8"))
    assert row["image"] == "a.jpg" and row["detections"] == every["detections"][:3]
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == ["a_jpg.jpg", "detections.json"]


def test_many_pictures_give_what_each_gives_alone(model, scenes, tmp_path):
    shutil.copytree(scenes.folder / "JPEGImages", tmp_path / "many")
    names = sorted(path.name for path in (tmp_path / "many").iterdir())
    (tmp_path / "many" / names[5]).write_bytes(b"no picture")
    done = detect(model, tmp_path / "many", tmp_path / "found", **NO_THRESHOLD)
    assert done.exit_code == 0 and f"  {names[5]}: is not a picture" in done.stderr
    rows = json.loads((tmp_path / "found" / "detections.json").read_text("utf-8"))
    assert [row["image"] for row in rows] == names and len(names) == 12
    detector = load_detector(model)
    for row in rows[:5] + rows[6:]:
        image = read_image(tmp_path / "many" / row["image"])
        [found] = detector.detect([image], **NO_THRESHOLD)
        assert row["detections"] == as_objects(found, detector.spec.class_names) != []
        file = io.BytesIO()
        draw_detections(image, found, detector.spec.class_names).save(file, "JPEG", quality=90)
        drawn = tmp_path / "found" / row["image"].replace(".jpg", "_jpg.jpg")
        assert drawn.read_bytes() == file.getvalue()


def test_each_picture_is_drawn_to_a_file_of_its_own(model, folder, tmp_path):
    for name in ("a.jpg", "a.JPG", "a.jpeg"):
        shutil.copy(folder / "a.jpg", tmp_path / name)
    Image.new("RGB", (MAX_JPEG_SIDE + 1, 4)).save(tmp_path / "long.png")
    done = detect(model, tmp_path, tmp_path / "found")
    assert done.exit_code == 0, done.output
    drawn = {path.name for path in (tmp_path / "found").iterdir()} - {"detections.json"}
    assert drawn == {"a_jpg.jpg", "a_JPG.jpg", "a_jpeg.jpg", "long_png.png"}


def test_hidden_files_and_what_it_wrote_itself_are_no_pictures(model, folder, tmp_path):
    shutil.copy(folder / "a.jpg", tmp_path / "a.jpg")
    (tmp_path / "._a.jpg").write_bytes(b"what a Mac adds")
    for _ in range(2):
        done = detect(model, tmp_path, tmp_path / "found")
        assert done.exit_code == 0 and " objects in 1 pictures" in done.output
        assert "._a.jpg" not in done.output
    done = detect(model, tmp_path, tmp_path)
    assert done.exit_code == 1 and "is the folder of the pictures, name another" in done.output


def test_detect_evaluate_and_serve_find_the_same_boxes(model, trained, scenes, tmp_path):
    pictures = scenes.folder / "JPEGImages"
    detect(model, pictures, tmp_path / "found", **NO_THRESHOLD)
    rows = json.loads((tmp_path / "found" / "detections.json").read_text("utf-8"))
    found = {row["image"]: row["detections"] for row in rows}
    evaluated = trained.json("evaluation/finetune/evaluation.json")["pictures"]
    assert len(evaluated) == 4
    for picture in evaluated:
        assert_same_objects(found[picture["name"]], picture["detections"])
    texts = [as_text((pictures / picture["name"]).read_bytes()) for picture in evaluated]
    with model_server(trained.model_folder(FINAL_MODEL), tmp_path) as address:
        status, answer = post(address, split(*texts, **NO_THRESHOLD))
    assert status == 200
    for row, picture in zip(answer["predictions"], evaluated, strict=True):
        assert_same_objects(row["detections"], found[picture["name"]])


def test_mistakes_are_told(model, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    mistakes = {
        "holds no pictures": (model, tmp_path / "empty"),
        "no model at 'runs:/none/model'": ("runs:/none/model", folder),
        "no model at 'models:/none@best'": ("models:/none@best", folder),
        "no model at 'nowhere'": ("nowhere", folder),
        f"expected a model of it: runs:/{'a1' * 16}/NAME": ("a1" * 16, folder),
        "is not an MLflow model": (folder, folder),
    }
    for message, (uri, source) in mistakes.items():
        done = detect(uri, source, tmp_path / "out")
        assert (done.exit_code, "Traceback" in done.output) == (1, False), done.output
        assert message in done.output
        assert not (tmp_path / "out").exists()
    done = detect(model, folder, tmp_path / "out", score_threshold=2)
    assert done.exit_code == 2 and "--score-threshold" in done.output
    done = detect(model, folder, tmp_path / "out", max_detections=5000)
    assert done.exit_code == 1 and "from 1 to 1000, got 5000" in done.output
    assert not (tmp_path / "out").exists()
    (tmp_path / "text.jpg").write_text("no picture")
    done = detect(model, tmp_path / "text.jpg", tmp_path / "out")
    assert done.exit_code == 1 and "no picture could be read" in done.output
    [row] = json.loads((tmp_path / "out" / "detections.json").read_text("utf-8"))
    assert "is not a picture" in row["error"]
