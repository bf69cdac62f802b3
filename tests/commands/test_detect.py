import json
import shutil

import pytest
from click.testing import CliRunner
from detector_cases import as_text
from job_cases import NO_THRESHOLD, as_arguments
from PIL import Image
from server_cases import assert_same_objects, model_server, post, split

from yolo3.commands.main import main
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
    assert files == {"detections.json", "a_jpg.jpg", "more/b_jpg.jpg"}
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


def test_what_was_found_before_is_no_picture(model, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "mine")
    for _ in range(2):
        done = detect(model, tmp_path / "mine", tmp_path / "mine" / "found")
        assert done.exit_code == 0 and "in 2 pictures" in done.output
    done = detect(model, tmp_path / "mine", tmp_path / "mine")
    assert done.exit_code == 1 and "is the folder that is read" in done.output


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
        "is not an MLflow model": (folder, folder),
    }
    for message, (uri, source) in mistakes.items():
        done = detect(uri, source, tmp_path / "out")
        assert (done.exit_code, "Traceback" in done.output) == (1, False), done.output
        assert message in done.output
        assert not (tmp_path / "out").exists()
    done = detect(model, folder, tmp_path / "out", score_threshold=2)
    assert done.exit_code == 2 and "--score-threshold" in done.output
