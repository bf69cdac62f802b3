import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import mlflow
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from detector_cases import ANCHORS, as_text, file_bytes, make_network

from yolo3.detector import pyfunc
from yolo3.detector.checksums import check_sums
from yolo3.detector.detector import Detector
from yolo3.detector.engines import EngineChoice
from yolo3.detector.keras_engine import KerasEngine
from yolo3.detector.load import ModelError, load_detector
from yolo3.detector.mlflow_model import (
    CODE_FILES,
    SERVING_PACKAGES,
    as_float32,
    log_detector,
    save_detector,
)
from yolo3.network.postprocess import Thresholds
from yolo3.network.spec import make_spec

CLEAN_PROCESS = """
import sys, warnings
folder, picture = sys.argv[1:]
import mlflow.pyfunc, pandas
warnings.simplefilter("error")
model = mlflow.pyfunc.load_model(folder)
used = [module for name, module in sys.modules.items() if name.split(".")[0] == "yolo3"]
assert used and all(module.__file__.startswith(folder) for module in used), used
table = model.predict(pandas.DataFrame({"image": [open(picture, "rb").read(), "broken"]}))
assert not {"keras", "tensorflow", "jax", "torch"} & set(sys.modules)
print(len(table.detections[0]), table.error[0] == "", table.error[1])
warnings.filterwarnings("ignore", "__array__ implementation")  # Keras 3.15 under NumPy 2.4
import mlflow.keras
network = mlflow.keras.load_model(folder)
assert {layer.dtype_policy.name for layer in network.layers} == {"float32"}
"""


def test_it_loads_in_a_clean_process(model_folder, photo, tmp_path):
    expected = load_detector(model_folder).detect([photo])[0]
    (tmp_path / "photo.png").write_bytes(file_bytes(photo))
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MLFLOW_RUN_ID")}
    done = subprocess.run(
        [sys.executable, "-I", "-c", CLEAN_PROCESS, str(model_folder), "photo.png"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(maxsplit=2)[:2] == [str(len(expected)), "True"]
    assert "not base64" in done.stdout or "not a picture" in done.stdout
    assert "mlflow" not in done.stderr.lower(), done.stderr


def test_the_folder_holds_all_that_is_needed_and_nothing_of_this_machine(model_folder, lock):
    files = {str(f.relative_to(model_folder)) for f in model_folder.rglob("*") if f.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    assert files == {
        "MLmodel",
        "conda.yaml",
        "python_env.yaml",
        "requirements.txt",
        "constraints.txt",
        "input_example.json",
        "serving_input_example.json",
        "SHA256SUMS",
        "data/keras_module.txt",
        "data/model.keras",
        "data/detector.json",
        "data/detector.xml",
        "data/detector.bin",
        *(f"code/yolo3/{name}" for name in CODE_FILES),
    }
    project = str(Path(__file__).resolve().parents[2])
    for name in files - {"data/model.keras", "data/detector.bin"}:
        text = (model_folder / name).read_text("utf-8")
        for place in (project, str(model_folder), str(Path.home())):
            assert place not in text
    assert sum(f.stat().st_size for f in model_folder.glob("*example.json")) < 60_000


def test_requirements_are_the_locks(model_folder, lock):
    lines = (model_folder / "requirements.txt").read_text().split("\n")
    assert [line.split("==")[0] for line in lines] == [*SERVING_PACKAGES, "-c constraints.txt"]
    assert set(lines[:-1]) <= set(lock.read_text().splitlines())
    constraints = (model_folder / "constraints.txt").read_text().split()
    assert constraints == lock.read_text().split()


def test_the_signature_tells_the_service(model_folder):
    signature = mlflow.models.get_model_info(str(model_folder)).signature
    assert [(c.name, c.type.name) for c in signature.inputs] == [("image", "string")]
    assert signature.outputs.input_names() == ["detections", "width", "height", "error"]
    defaults = {param.name: (param.dtype.name, param.default) for param in signature.params}
    assert defaults == {
        "score_threshold": ("double", 0.5),
        "iou_threshold": ("double", 0.4),
        "max_detections": ("long", 7),
    }
    model = mlflow.pyfunc.load_model(str(model_folder))
    assert model.predict(model.input_example).error.tolist() == [""]


def test_the_keras_flavor_is_the_network(model_folder, network):
    loaded = mlflow.keras.load_model(str(model_folder))
    pixels = np.random.default_rng(0).random((2, 64, 96, 3), dtype=np.float32)
    for a, b in zip(loaded(pixels), network(pixels), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    with zipfile.ZipFile(model_folder / "data" / "model.keras") as archive:
        assert b"yolo3" not in archive.read("config.json").replace(b"yolov3", b"")


def test_a_network_trained_in_bfloat16_is_saved_in_float32(spec):
    trained = make_network(spec, seed=4, precision="mixed_bfloat16")
    copy = as_float32(trained)
    assert trained.get_layer("conv_1").compute_dtype == "bfloat16"
    assert {layer.compute_dtype for layer in copy.layers} == {"float32"}
    assert all(str(output.dtype) == "float32" for output in copy.outputs)
    for a, b in zip(copy.weights, trained.weights, strict=True):
        assert a.path == b.path
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_two_models_in_one_process(model_folder, photo, tmp_path, lock):
    other_spec = make_spec(("one",), ANCHORS, (64, 64))
    save_detector(make_network(other_spec, 2), other_spec, tmp_path / "other", lock=lock)
    pictures = pd.DataFrame({"image": [as_text(file_bytes(photo))]})
    first = mlflow.pyfunc.load_model(str(model_folder))
    before = first.predict(pictures).detections[0]
    second = mlflow.pyfunc.load_model(str(tmp_path / "other"))
    found = second.predict(pictures, {"score_threshold": 0.0}).detections[0]
    assert {box["label"] for box in found} == {"one"}
    assert first.predict(pictures).detections[0] == before


def test_a_logged_model_is_found_by_every_kind_of_uri(network, spec, photo, lock, tracking):
    path_before = list(sys.path)
    with mlflow.start_run() as run:
        mlflow.log_metric("val_ap50", 0.5, step=3)
        info = log_detector(
            network,
            spec,
            name="keras-yolo-model",
            lock=lock,
            thresholds=Thresholds(0.6, 0.5, 4),
            engine=EngineChoice("keras"),
            example=photo,
            step=3,
        )
    mlflow.register_model(info.model_uri, "detector")
    expected = Detector(
        KerasEngine(network, spec), spec, thresholds=Thresholds(0.6, 0.5, 4)
    ).detect([photo])[0]
    uris = (
        info.model_uri,
        info.model_id,
        f"runs:/{run.info.run_id}/keras-yolo-model",
        "models:/detector/1",
    )
    for uri in uris:
        detector = load_detector(uri)
        assert isinstance(detector.engine, KerasEngine)
        found = detector.detect([photo])[0]
        np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=0.01)
    logged = mlflow.get_logged_model(info.model_id)
    assert logged.name == "keras-yolo-model" and logged.status == "READY"
    assert not logged.metrics  # those of the step may be of other weights
    assert sys.path == path_before
    with_registration = mlflow.artifacts.download_artifacts("models:/detector/1")
    check_sums(Path(with_registration), tuple(os.listdir(with_registration)))
    text = Path(with_registration, "MLmodel").read_text("utf-8")
    assert f"artifact_path: models:/{info.model_id}\n" in text
    for place in (Path.cwd(), Path.home(), tempfile.gettempdir()):
        assert str(place) not in text
    assert len(mlflow.models.Model.load(info.model_uri).load_input_example()) == 1
    with pytest.raises(ModelError, match="no model at 'models:/missing/1'"):
        load_detector("models:/missing/1")


def test_what_is_no_such_model_is_a_clear_error(model_folder, tmp_path):
    with pytest.raises(ModelError, match="no model at .*nowhere"):
        load_detector(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="not an MLflow model: it has no file MLmodel"):
        load_detector(tmp_path)
    text = (model_folder / "MLmodel").read_text()
    (tmp_path / "MLmodel").write_text(text.replace("yolo3.detector.pyfunc", "mlflow.sklearn"))
    with pytest.raises(ModelError, match="its loader is 'mlflow.sklearn'"):
        load_detector(tmp_path)
    for broken in ("", "flavors: [", "[]", "flavors: 3"):
        (tmp_path / "MLmodel").write_text(broken)
        with pytest.raises(ModelError, match="damaged model: MLmodel: ."):
            load_detector(tmp_path)
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(ModelError, match="damaged model"):
        load_detector(tmp_path)
    shutil.copytree(model_folder / "data", tmp_path / "data")
    (tmp_path / "data" / "detector.xml").write_bytes(b"no network")
    with pytest.raises(ModelError, match="damaged model: detector.xml cannot be read"):
        load_detector(tmp_path)
    settings = json.loads((model_folder / "data" / "detector.json").read_text())
    for engine, message in (("keras", "Keras cannot load it"), ("abacus", "expected openvino or")):
        changed = settings | {"engine": {"name": engine}}
        (tmp_path / "data" / "detector.json").write_text(json.dumps(changed))
        (tmp_path / "data" / "model.keras").write_bytes(b"no network")
        with pytest.raises(ModelError, match=f"damaged model: .*{message}"):
            load_detector(tmp_path)


def test_a_model_of_before_there_was_a_choice_of_engines_has_keras(model_folder, photo, tmp_path):
    shutil.copytree(model_folder, tmp_path / "old")
    data = tmp_path / "old" / "data"
    (data / "detector.xml").unlink()
    (tmp_path / "old" / "SHA256SUMS").unlink()
    settings = json.loads((data / "detector.json").read_text())
    del settings["engine"]
    (data / "detector.json").write_text(json.dumps(settings))
    detector = load_detector(tmp_path / "old")
    assert isinstance(detector.engine, KerasEngine) and len(detector.detect([photo])[0])


@pytest.mark.parametrize(
    "name",
    ["data/detector.bin", "data/model.keras", "data/detector.xml", "data/detector.json"]
    + ["code/yolo3/network/postprocess.py"],
)
def test_one_flipped_bit_is_found_and_its_file_named(model_folder, tmp_path, name):
    shutil.copytree(model_folder, tmp_path / "model", copy_function=os.link)
    file = tmp_path / "model" / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.unlink()  # a link to the sound one
    file.write_bytes(data)
    found = f"{name} differs from its checksum in SHA256SUMS"
    with pytest.raises(ModelError, match=f"damaged model: {found}; copy it again"):
        load_detector(tmp_path / "model")
    if name.startswith("data"):  # MLflow runs the model's own code before it loads
        with pytest.raises(ValueError, match=found):
            mlflow.pyfunc.load_model(str(tmp_path / "model"))
    else:
        with pytest.raises(ValueError, match=found):
            pyfunc._load_pyfunc(str(tmp_path / "model" / "data"))


def test_a_model_of_before_there_were_checksums_loads(model_folder, photo, tmp_path):
    shutil.copytree(model_folder, tmp_path / "old", copy_function=os.link)
    (tmp_path / "old" / "SHA256SUMS").unlink()
    assert len(load_detector(tmp_path / "old").detect([photo])[0])
    assert mlflow.pyfunc.load_model(str(tmp_path / "old"))


def test_saving_refuses_what_would_not_serve(network, spec, tmp_path, lock):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ModelError, match="exists and is not empty"):
        save_detector(network, spec, tmp_path / "full", lock=lock)
    (tmp_path / "lock.txt").write_text("mlflow==3.15.0\nkeras==3.15.1  # why\n--no-index\n")
    with pytest.raises(ModelError, match="does not pin openvino, tensorflow, numpy, pandas"):
        save_detector(network, spec, tmp_path / "new", lock=tmp_path / "lock.txt")
