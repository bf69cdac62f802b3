"""A training against a server that answers 404 where MLflow 3 asks for logged models."""

import shutil
from pathlib import Path

import mlflow
import pytest
from job_cases import Trained, run_training, tiny_options, tracking_in
from old_server_cases import without_logged_models
from server_cases import TrackingServer

from yolo3.detector.load import load_detector
from yolo3.tracking.models import WEIGHTS_TAG, log_once, register_once

pytestmark = pytest.mark.slow

MODELS = ("keras-yolo-model-frozen-pass", "keras-yolo-model")


@pytest.fixture(scope="module")
def address(empty_store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("old server")
    shutil.copy(empty_store, folder)
    server = TrackingServer(folder)
    server.start()
    with without_logged_models(server.address) as (address, refused):
        yield address
        assert refused
    server.stop()


@pytest.fixture(scope="module")
def trained(address, scenes, tmp_path_factory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    options = tiny_options(scenes, folder / "logs", registered_model_name="figures")
    with pytest.MonkeyPatch.context() as patch, tracking_in(folder, patch):
        mlflow.set_tracking_uri(address)
        return run_training(options)


@pytest.fixture
def at_server(address, tmp_path, monkeypatch):
    with tracking_in(tmp_path, monkeypatch):
        mlflow.set_tracking_uri(address)
        yield mlflow.MlflowClient()


def test_the_models_are_artifacts_of_the_run_in_folders_of_their_names(
    trained, at_server, tmp_path
):
    assert trained.run.info.status == "FINISHED"
    for name in MODELS:
        uri = f"runs:/{trained.run_id}/{name}"
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=tmp_path))
        assert folder.name == name and (folder / "data" / "model.keras").is_file()
        assert load_detector(uri).spec.input_wh == (96, 64)
        assert mlflow.pyfunc.load_model(uri).metadata.run_id == trained.run_id
        assert f"{WEIGHTS_TAG}.{name}" in trained.run.data.tags
    assert f"model: runs:/{trained.run_id}/{MODELS[1]}" in trained.output


def test_the_final_one_is_registered(trained, at_server):
    [version] = at_server.search_model_versions("name = 'figures'")
    assert version.run_id == trained.run_id and version.source.endswith(f"/{MODELS[1]}")
    assert load_detector("models:/figures/1").spec.class_names


def test_it_is_logged_and_registered_once(trained, at_server):
    saved = []

    def save(folder):
        saved.append(folder.name)
        folder.mkdir(parents=True)
        (folder / "MLmodel").write_text("flavors: {}\n")

    def log(tags):
        raise AssertionError("the server knows no logged models")

    digest = trained.run.data.tags[f"{WEIGHTS_TAG}.{MODELS[1]}"]
    with mlflow.start_run(trained.run_id):
        log_once(MODELS[1], digest, log, save)
        register_once(MODELS[1], "figures")
        assert not saved
    assert len(at_server.search_model_versions("name = 'figures'")) == 1
    with mlflow.start_run() as run:
        for digest in ("aa", "aa", "bb"):
            log_once("small", digest, log, save)
            register_once("small", "small ones")
    assert saved == ["small", "small"]
    assert at_server.get_run(run.info.run_id).data.tags[f"{WEIGHTS_TAG}.small"] == "bb"
    assert len(at_server.search_model_versions("name = 'small ones'")) == 1
