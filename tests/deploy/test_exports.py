import json
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner
from detector_cases import ANCHORS, LOCK, file_bytes, make_network, make_photo
from job_cases import as_arguments, tracking_in

from yolo3.commands.main import main
from yolo3.deploy import exports
from yolo3.deploy.export_check import MOST_PIXELS, MOST_SCORE, check_export, read_pictures
from yolo3.deploy.exports import FORMATS, ExportError, files_of, size_of
from yolo3.deploy.runtimes import open_export, read_card
from yolo3.detector.detector import Detector
from yolo3.detector.engines import EngineChoice
from yolo3.detector.keras_engine import KerasEngine
from yolo3.detector.mlflow_model import log_detector
from yolo3.detector.pyfunc import Settings
from yolo3.network.postprocess import Thresholds
from yolo3.network.spec import make_spec

SPEC = make_spec(("hat", "hard hat", "tête nue"), ANCHORS, (96, 64))
THRESHOLDS = Thresholds(0.5, 0.4, 7)
NAMES = {"onnx": "a.onnx", "openvino": "b.xml", "litert": "c.tflite", "saved_model": "d"}
FILES = {
    "onnx": {"a.onnx"},
    "openvino": {"b.xml", "b.bin"},
    "litert": {"c.tflite"},
    "saved_model": {"d/saved_model.pb", "d/assets.extra/labels.txt"},
}


@pytest.fixture(scope="module")
def photos():
    return [make_photo(seed, (150 + 61 * seed, 320 - 37 * seed)) for seed in range(5)]


@pytest.fixture(scope="module")
def logged(photos, tmp_path_factory):
    """A model in a store, photographs in a folder, and the file of each format."""
    folder = tmp_path_factory.mktemp("exports") / "my files"
    (folder / "pictures").mkdir(parents=True)
    for number, photo in enumerate(photos):
        (folder / "pictures" / f"{number}.png").write_bytes(file_bytes(photo))
    network = make_network(SPEC, seed=1, precision="mixed_bfloat16")
    with pytest.MonkeyPatch.context() as patch, tracking_in(folder, patch) as store:
        with mlflow.start_run():
            options = {"name": "detector", "lock": LOCK, "thresholds": THRESHOLDS}
            info = log_detector(network, SPEC, engine=EngineChoice("keras"), **options)
        told = {kind: export(info.model_uri, kind, folder) for kind in FORMATS}
    return SimpleNamespace(folder=folder, store=store, info=info, told=told)


def export(model, kind, folder, *more, **options):
    given = {"model": model, "format": kind, "output": folder / "out" / NAMES[kind]}
    words = as_arguments(given | {"pictures": folder / "pictures"} | options)
    return CliRunner().invoke(main, ["export", *words, *more], catch_exceptions=False)


@pytest.fixture(scope="module")
def network(logged):
    """The logged network, which is float32 whatever it was trained in."""
    with pytest.MonkeyPatch.context() as patch, tracking_in(logged.folder, patch):
        return mlflow.keras.load_model(logged.info.model_uri)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_is_checked_and_logged_with_its_table(logged, kind, tmp_path):
    done, output = logged.told[kind], logged.folder / "out" / NAMES[kind]
    assert done.exit_code == 0, done.output
    check = json.loads(output.with_name(f"{output.name}.check.json").read_text("utf-8"))
    assert check["format"] == kind and check["pictures"] == 5 and check["candidates"] > 50
    assert 0 <= check["box_pixels"] < 0.05 and 0 <= check["score"] < 1e-4
    assert check["keras_ms"] > 0 and check["export_ms"] > 0
    assert check["bytes"] == size_of(kind, output) > 1_000_000
    table = output.with_name(f"{output.name}.check.md").read_text("utf-8")
    assert table in done.output and f"| {kind} | " in table
    client = mlflow.MlflowClient(logged.store)
    folder = f"exports/{kind}"
    found = {file.path for file in client.list_artifacts(logged.info.run_id, folder)}
    assert f"{folder}/{output.name}.check.md" in found
    for name in FILES[kind]:
        place = f"{folder}/{name}"
        kept = Path(client.download_artifacts(logged.info.run_id, place, str(tmp_path)))
        assert kept.read_bytes() == (logged.folder / "out" / name).read_bytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_its_boxes_and_scores_are_kerases(logged, network, photos, kind):
    engine = open_export(kind, logged.folder / "out" / NAMES[kind], SPEC)
    detector = Detector(KerasEngine(network, SPEC), SPEC, thresholds=THRESHOLDS)
    pixels = np.stack([detector.prepare(photo)[0] for photo in photos])
    expected, found = detector.engine(pixels), engine(pixels)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == np.float32 and a.shape == b.shape and len(a) == 5
    np.testing.assert_allclose(found[0], expected[0], atol=0.01)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-4)
    own = Detector(engine, SPEC, thresholds=THRESHOLDS).detect(photos)
    for a, b in zip(own, detector.detect(photos), strict=True):
        assert 0 < len(b) == len(a)
        np.testing.assert_array_equal(a.class_ids, b.class_ids)


@pytest.mark.parametrize("kind", FORMATS)
def test_its_metadata_tells_labels_and_settings(logged, kind):
    card = read_card(kind, logged.folder / "out" / NAMES[kind])
    assert card.labels == SPEC.class_names
    told = card.settings
    assert told["model"] == {"model_id": logged.info.model_id, "run_id": logged.info.run_id}
    assert (told["input"]["width"], told["input"]["height"]) == (96, 64)
    assert told["input"]["letterbox_grey"] == 128
    assert told["thresholds"] == vars(THRESHOLDS)
    assert told["network"] == json.loads(SPEC.to_json())


def test_a_litert_file_is_a_zip_as_well(logged):
    with zipfile.ZipFile(logged.folder / "out" / "c.tflite") as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode("utf-8") == "hat\nhard hat\ntête nue\n"


def test_what_differs_is_found(logged, network, photos):
    other = make_network(SPEC, seed=2)
    pictures = read_pictures(logged.folder / "pictures")
    settings = Settings(SPEC, THRESHOLDS, EngineChoice("keras"))
    check = check_export("openvino", logged.folder / "out" / "b.xml", other, settings, pictures)
    assert check.box_pixels > MOST_PIXELS and check.score > MOST_SCORE and not check.is_equal()
    near = replace(check, box_pixels=MOST_PIXELS, score=MOST_SCORE)
    assert near.is_equal()
    assert not replace(near, box_pixels=MOST_PIXELS * 1.01).is_equal()
    assert not replace(near, score=float("inf")).is_equal()


def test_without_its_run_a_model_is_exported_all_the_same(logged, tracking, tmp_path):
    with pytest.MonkeyPatch.context() as patch, tracking_in(logged.folder, patch):
        model = mlflow.artifacts.download_artifacts(logged.info.model_uri, dst_path=tmp_path)
    done = export(model, "openvino", logged.folder, output=tmp_path / "x.xml")
    assert done.exit_code == 0 and "not logged: " in done.output
    assert {path.suffix for path in files_of("openvino", tmp_path / "x.xml")} == {".xml", ".bin"}
    done = export(model, "openvino", logged.folder, "--no-log", output=tmp_path / "y.xml")
    assert done.exit_code == 0 and "logged" not in done.output


def test_mistakes_are_told(logged, monkeypatch, tmp_path):
    uri = logged.info.model_uri
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_text("no picture")
    (tmp_path / "x.bin").touch()
    mistakes = {
        "a.onnx exists; give another place": {},
        "expected a name that ends in .onnx": {"output": tmp_path / "x.xml"},
        "expected a folder's name": {"format": "saved_model", "output": tmp_path / "x.pb"},
        "holds no pictures to check": {
            "pictures": tmp_path / "empty",
            "output": tmp_path / "x.onnx",
        },
        "is not a picture of a known kind": {
            "pictures": tmp_path / "broken",
            "output": tmp_path / "x.onnx",
        },
        "x.bin exists; give another place": {"format": "openvino", "output": tmp_path / "x.xml"},
        "no model at 'nowhere'": {"model": "nowhere", "output": tmp_path / "x.onnx"},
    }
    for message, options in mistakes.items():
        done = export(options.pop("model", uri), "onnx", logged.folder, **options)
        assert done.exit_code == 1 and message in done.output, done.output
        assert "Traceback" not in done.output
    missing = replace(FORMATS["onnx"], packages=("onnx", "no_such_package"))
    monkeypatch.setitem(exports.FORMATS, "onnx", missing)
    with pytest.raises(
        ExportError, match=r'onnx needs no-such-package: pip install -e "\.\[export'
    ):
        exports.check_format("onnx", tmp_path / "x.onnx")
