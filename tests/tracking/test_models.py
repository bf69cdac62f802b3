import mlflow
import pytest
from mlflow.entities import LoggedModelStatus

from yolo3.tracking.models import (
    WEIGHTS_TAG,
    describe_model,
    known_model_id,
    log_once,
    register_once,
)


@pytest.fixture
def client(tracking):
    with mlflow.start_run():
        yield mlflow.MlflowClient()


def models(client):
    info = mlflow.active_run().info
    return list(client.search_logged_models(["0"], f"source_run_id = '{info.run_id}'"))


def log(tags, name="detector", whole=True):
    """Log an MLflow model that is small, or begin to and stop."""
    if not whole:
        return mlflow.initialize_logged_model(name=name, tags=tags)
    return mlflow.pyfunc.log_model(
        name=name, tags=tags, loader_module="json", pip_requirements=[], code_paths=None
    )


def save(folder):
    raise AssertionError("the server knows logged models")


def test_a_model_is_logged_with_the_digest_of_its_weights(client):
    log_once("detector", "aa", log, save)
    [model] = models(client)
    assert (model.name, model.status) == ("detector", LoggedModelStatus.READY)
    assert model.tags[WEIGHTS_TAG] == "aa"
    assert not client.search_registered_models()


def test_a_model_is_described(client):
    describe_model("detector", "nothing there yet")
    log_once("detector", "aa", log, save)
    describe_model("detector", "finds hats")
    [model] = models(client)
    assert model.tags["mlflow.note.content"] == "finds hats"


def test_the_id_of_a_model_is_known_by_each_name(client, tmp_path):
    model_id = log_once("detector", "aa", log, save)
    mlflow.set_tag("mlflow.note.content", "finds hats")
    register_once("detector", "figures")
    assert client.get_model_version("figures", "1").description == "finds hats"
    run_id = mlflow.active_run().info.run_id
    folder = mlflow.artifacts.download_artifacts(f"models:/{model_id}", dst_path=str(tmp_path))
    for name in (model_id, f"runs:/{run_id}/detector", "models:/figures/1", folder):
        assert known_model_id(name) == model_id
    client.delete_logged_model(model_id)
    assert known_model_id(folder) is None and known_model_id(str(tmp_path / "nowhere")) is None


def test_what_is_there_is_kept(client):
    log_once("detector", "aa", log, save)
    [first] = models(client)
    log_once("detector", "aa", log, save)
    [second] = models(client)
    assert first.model_id == second.model_id


@pytest.mark.parametrize("name", ["figures", "Bob's figures", 'the "figures"'])
def test_a_model_is_registered_once_under_any_name(client, name):
    log_once("detector", "aa", log, save)
    for _ in range(2):
        register_once("detector", name)
    [model] = models(client)
    [version] = client.search_model_versions()
    assert version.name == name and version.source == f"models:/{model.model_id}"


@pytest.mark.parametrize("left", ["half", "of other weights"])
def test_what_an_earlier_process_left_is_replaced(client, left):
    log({WEIGHTS_TAG: "aa" if left == "half" else "bb"}, whole=left != "half")
    log({WEIGHTS_TAG: "aa"}, name="another")
    log_once("detector", "aa", log, save)
    found = {model.name: (model.status, model.tags[WEIGHTS_TAG]) for model in models(client)}
    ready = (LoggedModelStatus.READY, "aa")
    assert found == {"detector": ready, "another": ready} and len(models(client)) == 2
    run_id = mlflow.active_run().info.run_id
    info = mlflow.models.get_model_info(f"runs:/{run_id}/detector")
    assert info.model_id == next(m.model_id for m in models(client) if m.name == "detector")
