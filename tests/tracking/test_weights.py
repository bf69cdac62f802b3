import hashlib
import json
from dataclasses import replace
from functools import partial

import mlflow
import numpy as np
import pytest
from job_cases import PROJECT, run_training, tiny_options
from keras2_cases import write_keras_2
from network_cases import PUBLISHED_MASK, USUAL_MASK, network_of, spec_of

from yolo3.checks.anchors import cluster_anchors
from yolo3.data.annotations import read_classes
from yolo3.detector.load import load_detector
from yolo3.detector.mlflow_model import log_detector, save_detector
from yolo3.network.model import build_network
from yolo3.network.spec import NetworkSpec, read_anchors
from yolo3.network.weights import WeightsError, save_body
from yolo3.tracking import weights as tracking_weights
from yolo3.tracking.download import DownloadError, Official
from yolo3.tracking.job import FINAL_MODEL
from yolo3.tracking.run import LOCK
from yolo3.tracking.weights import start_from


@pytest.fixture(scope="module")
def source():
    return network_of(1)


@pytest.fixture(scope="module")
def keras_2(source, tmp_path_factory):
    return write_keras_2(source, tmp_path_factory.mktemp("keras2") / "yolov3-tiny.h5")


def start(path, classes=3):
    return start_from(network_of(2, classes), spec_of(classes), str(path))


def test_random_weights_are_told(capsys):
    begun = start("none")
    assert begun.filled == () and begun.spec == spec_of()
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "weights_path=none: training from random weights, nothing is frozen",
        "mask: anchors 3,4,5 at stride 32, anchors 0,1,2 at stride 16",
    ]


def test_filled_outputs_bring_their_mask(keras_2, capsys):
    begun = start(keras_2)
    assert begun.spec == spec_of(mask=PUBLISHED_MASK) and len(begun.filled) == 24
    first, second = capsys.readouterr().out.splitlines()
    count = network_of(2).count_params()
    assert first.startswith(f"{keras_2} (Keras 2): filled 24 layers ({count:,} parameters); ")
    assert first.endswith("skipped for shape none; left as they were none")
    assert second == "mask: anchors 3,4,5 at stride 32, anchors 1,2,3 at stride 16"


def test_outputs_for_other_classes_leave_the_usual_mask(keras_2, capsys):
    begun = start(keras_2, classes=5)
    assert begun.spec == spec_of(5) and len(begun.filled) == 22
    out = capsys.readouterr().out
    assert "output_32: expected (1, 1, 512, 30), found (1, 1, 512, 24)" in out
    assert "anchors 0,1,2 at stride 16" in out


def test_run_records_what_was_loaded(keras_2, tracking):
    begun = start(keras_2, classes=5)
    with mlflow.start_run() as run:
        begun.log()
    saved = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/weights.json")
    assert saved["weights_path"] == str(keras_2) and saved["kind"] == "Keras 2"
    assert saved["sha256"] == hashlib.sha256(keras_2.read_bytes()).hexdigest()
    assert saved["mask"] == [[3, 4, 5], [0, 1, 2]]
    assert saved["layers"] == {"filled": 22, "skipped": 2, "left": 0}
    assert sum(saved["parameters"].values()) == build_network(spec_of(5)).count_params()
    assert saved["skipped"][0] == {
        "name": "output_32",
        "expected": "(1, 1, 512, 30)",
        "found": "(1, 1, 512, 24)",
    }
    assert len(saved["filled"]) == 22 and saved["left"] == saved["not_in_the_network"] == []
    tag = mlflow.get_run(run.info.run_id).data.tags["weights"]
    assert "filled 22 layers" in tag and len(tag) <= 250


def test_random_start_is_recorded_too(tracking):
    with mlflow.start_run() as run:
        start("none").log()
    saved = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/weights.json")
    assert saved["layers"] == {"filled": 0, "skipped": 0, "left": 24} and saved["sha256"] == ""


def test_outputs_for_other_anchors_and_classes_are_told_and_recorded(source, tracking, tmp_path):
    spec = replace(spec_of(), class_names=("x", "y", "z"))
    save_detector(source, spec, tmp_path / "model", lock=LOCK)
    others = replace(spec_of(), anchors_wh=tuple((w + 1, h) for w, h in spec.anchors_wh))
    network = network_of(2)
    random = network.get_layer("output_32").get_weights()
    begun = start_from(network, others, str(tmp_path / "model"))
    assert len(begun.filled) == 22 and "output_32" not in begun.filled
    assert np.array_equal(network.get_layer("output_32").get_weights()[0], random[0])
    assert "other anchors" in begun.lines()[1]
    with mlflow.start_run() as run:
        begun = start(tmp_path / "model")
        begun.log()
    note = "classes: of other names in the weights: x becomes class 0, y becomes class 1, "
    assert begun.lines()[1].startswith(note) and len(begun.filled) == 24
    saved = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/weights.json")
    assert saved["notes"] == list(begun.notes)


def test_free_anchors_are_those_of_weights_that_fill_the_outputs(source, tmp_path, capsys):
    others = replace(spec_of(), anchors_wh=tuple((w + 1, h) for w, h in spec_of().anchors_wh))
    save_detector(source, others, tmp_path / "model", lock=LOCK)
    rng = np.random.default_rng(0)
    sizes_wh = rng.uniform(2, 30, (200, 2))
    for classes in (3, 5):  # its own number, and another: boxes do not depend on it
        network = network_of(2, classes)
        begun = start_from(network, spec_of(classes), str(tmp_path / "model"), sizes_wh)
        assert begun.own_anchors and begun.spec.anchors_wh == others.anchors_wh
        assert len(begun.filled) == 24
        assert "anchors: those of the weights, which fill the outputs" in capsys.readouterr().out
    save_body(source, spec_of(), tmp_path / "body.keras")
    for weights in (tmp_path / "body.keras", "none"):  # outputs are not filled
        begun = start_from(network_of(2), spec_of(), str(weights), sizes_wh)
        assert begun.own_anchors and begun.spec.anchors_wh == cluster_anchors(sizes_wh, 6)
        assert "anchors: clustered from the boxes" in capsys.readouterr().out


def test_the_official_file_has_cocos_names(tmp_path, monkeypatch):
    names = read_classes(PROJECT / "model_data" / "coco_classes.txt")
    path = write_keras_2(network_of(1, classes=80), tmp_path / "yolov3-tiny.h5")
    data = path.read_bytes()
    official = Official(path.name, len(data), hashlib.sha256(data).hexdigest())
    monkeypatch.setitem(tracking_weights.OFFICIAL, "yolov3-tiny", official)
    anchors = read_anchors(PROJECT / "model_data" / "yolo_tiny_anchors.txt")
    spec = NetworkSpec(names[::-1], anchors, USUAL_MASK, (64, 64))
    begun = start_from(network_of(2, classes=80), spec, str(path))
    assert begun.notes == ("classes: in another order in the weights, matched by name",)
    assert begun.spec.mask == PUBLISHED_MASK


@pytest.fixture(scope="module")
def logged_arrays(source):
    return {layer.name: layer.get_weights() for layer in source.layers if layer.weights}


def test_logged_model_gives_its_weights_and_mask(source, logged_arrays, tracking, tmp_path):
    with mlflow.start_run() as run:
        spec = spec_of(mask=PUBLISHED_MASK)
        info = log_detector(source, spec, name="model", lock=LOCK)
    mlflow.register_model(info.model_uri, "tiny")
    folder = tmp_path / "downloaded"
    mlflow.artifacts.download_artifacts(artifact_uri=info.model_uri, dst_path=str(folder))
    uris = [f"runs:/{run.info.run_id}/model", info.model_uri, info.model_id, "models:/tiny/1"]
    for uri in [*uris, folder]:
        network = network_of(2)
        begun = start_from(network, spec_of(), str(uri))
        assert begun.spec.mask == PUBLISHED_MASK and len(begun.filled) == 24
        for name, arrays in logged_arrays.items():
            for found, expected in zip(network.get_layer(name).get_weights(), arrays, strict=True):
                assert np.array_equal(found, expected)
    assert start(uris[0], classes=2).spec.mask == PUBLISHED_MASK  # its boxes are kept


@pytest.mark.parametrize(
    "uri", ["runs:/0123456789abcdef/model", "models:/nobody/1", "m-" + "0" * 32]
)
def test_model_that_is_not_there_is_named(tracking, uri):
    with pytest.raises(WeightsError, match=f"no model at '{uri}'"):
        start(uri)


def test_folder_that_is_no_model_is_named(tmp_path):
    with pytest.raises(WeightsError, match=f"{tmp_path}: is no logged model of this project"):
        start(tmp_path)


def test_damaged_model_is_named(source, tmp_path):
    save_detector(source, spec_of(), tmp_path / "model", lock=LOCK)
    file = tmp_path / "model" / "data" / "model.keras"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(WeightsError, match=r"is a damaged model: data/model\.keras differs"):
        start(tmp_path / "model")


def test_empty_path_is_an_error():
    with pytest.raises(WeightsError, match="weights_path is empty; weights_path=none trains"):
        start("")


def test_name_of_an_official_file(keras_2, tmp_path, monkeypatch):
    """The name is looked up in the cache first, and needs no network when the file is there."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    content = keras_2.read_bytes()
    official = Official(keras_2.name, len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(tracking_weights.OFFICIAL, "yolov3-tiny", official)
    (tmp_path / "yolov3").mkdir()
    (tmp_path / "yolov3" / keras_2.name).write_bytes(content)
    assert len(start("yolov3-tiny").filled) == 24


def test_name_without_network_says_where_to_place_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    nowhere = partial(tracking_weights.fetch, mirrors=["http://127.0.0.1:9/"])
    monkeypatch.setattr(tracking_weights, "fetch", nowhere)
    for name in ("yolov3-tiny", "yolov3"):
        with pytest.raises(DownloadError, match=f"place it at {tmp_path}/yolov3/{name}.weights"):
            start(name)


def test_mask_of_the_weights_reaches_the_logged_model(scenes, tracking, tmp_path):
    """An untrained pass of the job: what is logged is what the file held."""
    path = write_keras_2(network_of(4), tmp_path / "yolov3-tiny.h5")
    options = tiny_options(scenes, tmp_path / "logs", weights_path=str(path))
    trained = run_training(options | {"frozen_epochs": 0, "fine_tune_epochs": 0})
    assert trained.json("weights.json")["layers"]["filled"] == 24
    assert trained.json("network.json")["mask"] == json.loads(json.dumps(PUBLISHED_MASK))
    detector = load_detector(f"runs:/{trained.run_id}/{FINAL_MODEL}")
    assert detector.spec.mask == PUBLISHED_MASK
    [beside] = (tmp_path / "logs").glob("*/network.json")  # for the checkpoints there
    assert NetworkSpec.from_json(beside.read_text("utf-8")) == detector.spec
    assert "anchors 1,2,3 at stride 16" in trained.output
