"""A training's data: labels of other tools are imported, divided, and kept by the run."""

import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from job_cases import (
    PROJECT,
    as_arguments,
    fail_training,
    run_id_in,
    run_training,
    start_and_stop,
    tracking_in,
)
from PIL import Image

from yolo3.data.annotations import read_annotations, read_classes
from yolo3.data.pictures import DataError
from yolo3.network.spec import make_spec
from yolo3.tracking.data import keep_inputs, read_data
from yolo3.tracking.reproduce.inputs import find_inputs
from yolo3.tracking.reproduce.record import read_record
from yolo3.tracking.train import Settings, with_chosen_weights
from yolo3.tracking.weights import BASE, choose_weights, is_sample

NAMES = ["cup", "bag"]
OPTIONS = {
    "weights_path": "none",
    "input_size": "96x64",
    "batch_size": 4,
    "frozen_epochs": 0,
    "fine_tune_epochs": 1,
    "precision": "float32",
}


def save_image(path, number, size=(96, 64)):
    """Images of different content, so that a split may divide them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.effect_noise(size, 60 + number).convert("RGB")
    image.putpixel((number % 90, 3), (255, 0, number))
    image.save(path, quality=95)


def yolo_folder(folder, train=6, val=2, test=2):
    """A YOLO data set as Roboflow lays it out, with a test image that is cut short."""
    number = 0
    for split, count in (("train", train), ("valid", val), ("test", test)):
        for _ in range(count):
            number += 1
            save_image(folder / split / "images" / f"{number}.jpg", number)
            label = folder / split / "labels" / f"{number}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(f"{number % 2} 0.5 0.5 0.25 0.5\n", "utf-8")
    splits = "".join(
        f"{key}: ../{name}/images\n"
        for key, name in (("train", "train"), ("val", "valid"), ("test", "test"))
    )
    (folder / "data.yaml").write_text(f"{splits}nc: 2\nnames: {NAMES}\n", "utf-8")
    return folder


def contexts_of(trained):
    """Give the names of a run's data sets by their context."""
    return {
        tag.value: one.dataset.name
        for one in trained.run.inputs.dataset_inputs
        for tag in one.tags
        if tag.key == "mlflow.data.context"
    }


def settings(annotation_path, **changes):
    values = dict.fromkeys(Settings.__dataclass_fields__, "")
    values |= {"classes_path": "auto", "val_split": 0.25, "seed": 1}
    return Settings(**values | {"annotation_path": str(annotation_path)} | changes)


def names_of(pictures):
    return sorted(picture.path.name for picture in pictures)


@pytest.mark.parametrize("given", ["", "data.yaml"])
def test_the_splits_of_a_data_yaml_train_validate_and_are_held_out(tmp_path, given):
    data = read_data(settings(yolo_folder(tmp_path / "set") / given))
    assert names_of(data.train) == [f"{n}.jpg" for n in range(1, 7)]
    assert names_of(data.val) == ["7.jpg", "8.jpg"]
    assert names_of(data.test) == ["10.jpg", "9.jpg"]
    assert data.class_names == ("cup", "bag")
    assert list(data.digests) == ["training", "validation", "test"]


def test_a_validation_folder_of_its_own_takes_the_names_of_the_first(tmp_path, capsys):
    first = yolo_folder(tmp_path / "set", test=0)
    other = yolo_folder(tmp_path / "other", train=3, val=0, test=0)
    for path in other.rglob("*.jpg"):  # other content than the first's
        save_image(path, 40 + int(path.stem))
    data = read_data(settings(first, val_annotation_path=str(other)))
    assert len(data.val) == 3
    assert "2 images of the split val are not used: val_annotation_path is given" in (
        capsys.readouterr().out
    )
    (other / "data.yaml").write_text("train: train/images\nnames: [mug]\n", "utf-8")
    with pytest.raises(DataError, match="mug"):
        read_data(settings(first, val_annotation_path=str(other)))


def test_a_list_takes_the_class_names_next_to_it(tmp_path):
    save_image(tmp_path / "a.jpg", 1)
    save_image(tmp_path / "b.jpg", 2)
    (tmp_path / "list.txt").write_text("a.jpg 1,1,30,30,1\nb.jpg 1,1,30,30,0\n", "utf-8")
    (tmp_path / "classes.txt").write_text("one\ntwo\n", "utf-8")
    data = read_data(settings(tmp_path / "list.txt"))
    assert data.class_names == ("one", "two")
    assert data.classes_path == str(tmp_path / "classes.txt")


def test_a_list_without_class_names_next_to_it_stops(tmp_path):
    save_image(tmp_path / "a.jpg", 1)
    (tmp_path / "list.txt").write_text("a.jpg 1,1,30,30,0\n", "utf-8")
    with pytest.raises(DataError, match="classes.txt does not exist.* give them as classes_path"):
        read_data(settings(tmp_path / "list.txt"))


def test_labels_of_one_split_have_none_and_of_several_need_one_to_train_on(tmp_path):
    folder = yolo_folder(tmp_path / "set", train=0, val=4, test=2)
    with pytest.raises(DataError, match="set: holds the splits test and val, and none to train on"):
        read_data(settings(folder))
    shutil.rmtree(folder / "test")
    data = read_data(settings(folder))
    assert (len(data.train), len(data.val), len(data.test)) == (3, 1, 0)


def test_the_sample_starts_from_the_shipped_base_wherever_it_lies(tmp_path, monkeypatch):
    names = read_classes(PROJECT / "model_data/yolo_custom_classes.txt")
    pictures, _ = read_annotations(PROJECT / "voc/list_master.txt", names, PROJECT)
    assert is_sample(pictures[::-1])
    assert not is_sample(pictures[1:])
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))  # nothing is downloaded for it
    assert choose_weights(pictures, 6) == BASE


def test_the_sample_starts_from_its_base_whatever_validates_it(tmp_path, monkeypatch, capsys):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    save_image(tmp_path / "own.jpg", 1)
    (tmp_path / "own.txt").write_text("own.jpg 1,2,30,40,0\n", "utf-8")
    auto = {"weights_path": "auto", "anchors_path": "auto"}
    own = {"val_annotation_path": str(tmp_path / "own.txt")}
    given = settings(PROJECT / "voc/list_master.txt", **auto, **own)
    assert with_chosen_weights(given, read_data(given)).weights_path == BASE
    assert "could not be downloaded" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def imported(tmp_path_factory, empty_store):
    """A training on a folder with all three splits and one image that cannot be read."""
    folder = tmp_path_factory.mktemp("imported")
    shutil.copy(empty_store, folder)
    data = yolo_folder(folder / "cups and bags", train=9)
    broken = data / "train" / "images" / "1.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    options = OPTIONS | {"annotation_path": str(data), "log_dir": str(folder / "logs")}
    with pytest.MonkeyPatch.context() as patch, tracking_in(folder, patch):
        return run_training(options)


def test_a_folder_is_trained_on_and_its_test_split_evaluated(imported):
    assert re.search(
        r"left out, image unreadable \(1\): .*1\.txt: .*1\.jpg is cut short", imported.output
    )
    assert "imported 12 of 13 images, 1 left out" in imported.output
    assert "test: AP50 0." in imported.output and "on 2 held-out pictures" in imported.output
    assert imported.metrics["data_images_left_out"] == 1
    assert 0 <= imported.metrics["test_AP50"] <= 1
    assert "evaluation/test/evaluation.json" in imported.files("evaluation/test")
    assert set(contexts_of(imported)) == {"training", "validation", "test"}


def test_the_run_keeps_lists_classes_and_what_was_left_out(imported):
    folder = imported.log_dir / imported.run_id
    values = imported.json("parameters.json")
    assert imported.run.data.params["annotation_path"] == imported.options["annotation_path"]
    assert values["annotation_path"] == str(folder / "lists/cups and bags.txt")
    assert values["val_annotation_path"] == str(folder / "lists/cups and bags-val.txt")
    assert values["test_annotation_path"] == str(folder / "lists/cups and bags-test.txt")
    assert read_classes(Path(values["classes_path"])) == ("cup", "bag")
    for name in ("annotation", "val_annotation", "test_annotation", "classes"):
        kept = imported.local(f"inputs/{name}.txt").read_text("utf-8")
        assert kept == Path(values[f"{name}_path"]).read_text("utf-8")
    told = imported.json("inputs/inputs.json")["annotation_path"]
    assert told["given"] == imported.options["annotation_path"]
    [line] = imported.local("left_out.txt").read_text("utf-8").splitlines()
    assert line.startswith("unreadable\t") and "1.jpg" in line
    pictures, _ = read_annotations(Path(values["annotation_path"]), ("cup", "bag"), folder)
    assert names_of(pictures) == sorted(f"{n}.jpg" for n in range(2, 10))


def test_without_network_the_shipped_base_is_used_and_said(tmp_path, monkeypatch, capsys):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    data = read_data(settings(yolo_folder(tmp_path / "set")))
    start = time.monotonic()
    assert choose_weights(data.pictures, 6) == BASE
    assert time.monotonic() - start < 15
    told = capsys.readouterr().out
    assert "yolov3-tiny.weights could not be downloaded" in told
    assert f"weights_path={BASE} is used instead" in told
    assert "`python -m yolo3 weights yolov3-tiny`" in told


def test_a_reproduction_takes_the_lists_that_the_run_keeps(imported, tmp_path):
    record = read_record(imported.client, imported.run_id, tmp_path)
    lists = imported.log_dir / imported.run_id / "lists"
    lists.rename(tmp_path / "gone")
    try:
        found = find_inputs(record, tmp_path / "no tree", {})
    finally:
        (tmp_path / "gone").rename(lists)
    assert found.values["test_annotation_path"] == str(tmp_path / "inputs/test_annotation.txt")
    assert "data: 12 pictures, content and boxes of each as recorded" in found.lines


@pytest.mark.slow
def test_a_resumed_training_takes_the_lists_that_the_run_keeps(tmp_path, monkeypatch):
    """The labels are edited and the run's folder is lost after the interruption."""
    data = yolo_folder(tmp_path / "set", train=9, val=0)
    options = OPTIONS | {"annotation_path": str(data), "log_dir": str(tmp_path / "logs")}
    options["fine_tune_epochs"] = 3
    with tracking_in(tmp_path, monkeypatch):
        printed = start_and_stop(
            [sys.executable, str(PROJECT / "train.py"), *as_arguments(options)],
            tmp_path,
            "finetune 1/3 ",
            lambda process: os.killpg(process.pid, signal.SIGINT),
        )
        run_id = run_id_in(printed)
        shutil.rmtree(tmp_path / "logs")
        (data / "train" / "labels" / "2.txt").unlink()
        again = run_training({"resume": run_id, "annotation_path": str(data)})
    assert "resumed after" in again.output and "imported" not in again.output
    assert again.run.info.status == "FINISHED" and "test_AP50" in again.metrics
    assert contexts_of(again) == {"training": "set", "test": "set-test", "validation": "set"}


def test_lists_of_files_of_one_name_are_kept_apart(tmp_path):
    for split, number in (("train", 1), ("valid", 2)):
        save_image(tmp_path / split / "a.jpg", number)
        (tmp_path / split / "_annotations.csv").write_text(
            "filename,class,xmin,ymin,xmax,ymax\na.jpg,cup,1,2,30,40\n", "utf-8"
        )
    paths = {
        f"{prefix}annotation_path": str(tmp_path / split / "_annotations.csv")
        for prefix, split in (("", "train"), ("val_", "valid"))
    }
    given = settings(**paths)
    data = read_data(given)
    spec = make_spec(data.class_names, ((8, 8),) * 6, (96, 64))
    kept, _ = keep_inputs(given, data, spec, "anchors.txt", tmp_path / "run")
    for path, split in ((kept.annotation_path, "train"), (kept.val_annotation_path, "valid")):
        [picture], _ = read_annotations(Path(path), ("cup",), tmp_path)
        assert picture.path == tmp_path / split / "a.jpg"


def test_no_labels_to_import_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    output = fail_training({"annotation_path": str(tmp_path / "empty"), "log_dir": "logs"})
    assert "empty: holds no labels of a format that is read (Pascal VOC, COCO" in output
