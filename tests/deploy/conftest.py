import keras
import pytest
from detector_cases import ANCHORS, LOCK, make_network, make_photo
from inference_cases import inference_server

from yolo3.deploy.package import export_package
from yolo3.detector.mlflow_model import save_detector
from yolo3.network.postprocess import Thresholds
from yolo3.network.spec import make_spec


@pytest.fixture(scope="session")
def photos():
    return [make_photo(seed, (150 + 61 * seed, 320 - 37 * seed)) for seed in range(3)]


@pytest.fixture(scope="session")
def model(photos, tmp_path_factory):
    """A saved model of random weights that finds something in every picture."""
    spec = make_spec(("hat", "helmet", "tête nue"), ANCHORS, (96, 64))
    folder = tmp_path_factory.mktemp("saved") / "model"
    thresholds = Thresholds(0.5, 0.4, 7)
    network = make_network(spec, seed=1)
    save_detector(network, spec, folder, lock=LOCK, thresholds=thresholds, example=photos[0])
    keras.backend.clear_session()
    return folder


@pytest.fixture(scope="session")
def package(model, tmp_path_factory):
    """The model's export; not to be changed."""
    return export_package(str(model), tmp_path_factory.mktemp("exported") / "yolo-output")


@pytest.fixture(scope="session")
def served(package, tmp_path_factory):
    """The export under Azure ML's inference server: its address."""
    log = tmp_path_factory.mktemp("served") / "log.txt"
    with inference_server(package.folder, log) as address:
        yield address
