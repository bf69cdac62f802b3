import pytest
from detector_cases import ANCHORS, LOCK, make_network, make_photo

from yolo3.detector.mlflow_model import save_detector
from yolo3.network.postprocess import Thresholds
from yolo3.network.spec import make_spec


@pytest.fixture(scope="session")
def spec():
    return make_spec(("hat", "helmet", "tête nue"), ANCHORS, (96, 64))


@pytest.fixture(scope="session")
def network(spec):
    return make_network(spec, seed=1)


@pytest.fixture(scope="session")
def lock():
    return LOCK


@pytest.fixture(scope="session")
def model_folder(network, spec, photo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    thresholds = Thresholds(0.5, 0.4, 7)
    save_detector(network, spec, folder, lock=LOCK, thresholds=thresholds, example=photo)
    return folder


@pytest.fixture(scope="session")
def photo():
    return make_photo(seed=3, size_wh=(500, 281))


@pytest.fixture(scope="session")
def photos():
    return [make_photo(seed, (150 + 61 * seed, 320 - 37 * seed)) for seed in range(6)]
