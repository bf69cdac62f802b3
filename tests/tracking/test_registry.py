import socket

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.environment_variables import MLFLOW_REGISTRY_URI
from mlflow.exceptions import MlflowException

from yolo3.tracking.job import FINAL_MODEL, FROZEN_MODEL
from yolo3.tracking.registry import Registry, RegistryError, Version, check_name


def register(name, count=1):
    """Register versions of nothing; enough for who does not load them."""
    client = MlflowClient()
    if name not in [model.name for model in client.search_registered_models()]:
        client.create_registered_model(name)
    for _ in range(count):
        client.create_model_version(name, "file:///nowhere")


def aliases(name):
    found = MlflowClient().get_registered_model(name).aliases
    return {alias: str(number) for alias, number in found.items()}


@pytest.fixture
def registry(tracking):
    register("my detector", 11)
    MlflowClient().set_registered_model_alias("my detector", "candidate", "4")
    return Registry("my detector")


def test_a_version_is_found_by_number_alias_and_uri(registry):
    wanted = {
        "": "11",
        "9": "9",
        "candidate": "4",
        "models:/my detector/2": "2",
        "models:/my detector/latest": "11",
        "models:/my detector@candidate": "4",
    }
    for text, number in wanted.items():
        found = registry.find(text)
        assert found == Version("my detector", number, None, "file:///nowhere")
        assert found.uri == f"models:/my detector/{number}"


def test_names_that_mlflow_would_refuse_after_the_training_are_refused(tracking):
    client = MlflowClient()
    for name in ("team/detector", "a:b", " ", ".", "..", "..x"):
        with pytest.raises(RegistryError, match="registered_model_name is"):
            check_name(name)
        with pytest.raises(MlflowException):
            client.create_registered_model(name)
    for name in ("my detector", "it's", "main.vision.detector", "x" * 100):
        check_name(name)
        client.create_registered_model(name)


def test_a_missing_version_is_told(registry):
    for wanted in ("12", "0", "nobody", "models:/my detector/12", "1.5"):
        with pytest.raises(RegistryError) as error:
            registry.find(wanted)
        assert f"no version {wanted!r} of 'my detector'" in str(error.value)
        assert "(11, 10, 9, 8, 7, 6, 5, 4, 3, 2, …)" in str(error.value)
        assert "aliases (candidate)" in str(error.value)


def test_models_that_are_no_version_of_it_are_told(registry):
    register("other")
    for uri in (
        "models:/other/1",
        "models:/nowhere@champion",
        "runs:/none/model",
        "m-0" + 31 * "1",
    ):
        with pytest.raises(RegistryError, match=f"no (version|model at) '{uri}'"):
            registry.find(uri)


def test_a_logged_model_is_found_as_the_newest_version_of_it(at_trained):
    name = "found by its model"
    uri = f"runs:/{at_trained.run_id}/{FINAL_MODEL}"
    [info] = [m for m in at_trained.client.search_logged_models(["0"]) if m.name == FINAL_MODEL]
    for _ in range(2):
        mlflow.register_model(uri, name)
    register(name)
    for text in (uri, info.model_id, f"models:/{info.model_id}"):
        found = Registry(name).find(text)
        assert (found.number, found.run_id) == ("2", at_trained.run_id)
    with pytest.raises(RegistryError, match="no version 'runs:/"):
        Registry(name).find(f"runs:/{at_trained.run_id}/{FROZEN_MODEL}")


def test_a_model_that_is_not_there_is_told(tracking):
    with pytest.raises(RegistryError, match="no registered model 'x' at sqlite:.*mlflow.db; a tra"):
        Registry("x")
    register("y")
    with pytest.raises(RegistryError, match=r"no registered model 'x' .*\(there are: y\); a train"):
        Registry("x")
    register("x", 0)
    with pytest.raises(RegistryError, match="registered model 'x' has no version yet"):
        Registry("x").find("")
    with pytest.raises(RegistryError, match="no registered model ''"):
        Registry("")


def test_names_may_hold_quotes_of_one_kind(tracking):
    for name in ("it's mine", 'the "best"', "ünï"):
        register(name, 2)
        assert Registry(name).find("").number == "2"
    with pytest.raises(RegistryError, match="both kinds of quotes"):
        Registry('it\'s "best"')


def test_champion_and_previous_move(registry):
    assert registry.champion() is None
    first, second = registry.find("1"), registry.find("2")
    registry.promote(first, None)
    assert registry.champion() == first
    assert aliases("my detector") == {"candidate": "4", "champion": "1"}
    registry.promote(second, first)
    assert aliases("my detector") == {"candidate": "4", "champion": "2", "previous": "1"}
    registry.promote(registry.find("previous"), second)  # the way back
    assert aliases("my detector") == {"candidate": "4", "champion": "1", "previous": "2"}


def test_a_champion_that_came_meanwhile_stays(registry):
    first, second, third = (registry.find(number) for number in "123")
    registry.promote(first, None)
    with pytest.raises(RegistryError, match="version 1 became champion .* while no version was"):
        registry.promote(third, None)
    registry.promote(second, first)
    with pytest.raises(RegistryError, match="version 2 became .* while version 1 was compared"):
        registry.promote(third, first)
    assert aliases("my detector") == {"candidate": "4", "champion": "2", "previous": "1"}


def test_a_champion_that_was_deleted_is_told(registry):
    registry.promote(registry.find("3"), None)
    MlflowClient().delete_model_version("my detector", "3")
    with pytest.raises(RegistryError, match="names version 3, which is deleted") as error:
        registry.champion()
    client = mlflow.MlflowClient()
    call = str(error.value).split("mlflow.MlflowClient()")[1]
    assert call == ".delete_registered_model_alias('my detector', 'champion')"
    client.delete_registered_model_alias("my detector", "champion")
    assert registry.champion() is None


def test_a_version_is_tagged(registry):
    registry.tag(registry.find("5"), {"forced": "true", "promoted_over": "none"})
    assert MlflowClient().get_model_version("my detector", "5").tags == {
        "forced": "true",
        "promoted_over": "none",
    }


def test_a_registry_that_does_not_answer_is_told(tracking, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        mlflow.set_registry_uri(f"http://127.0.0.1:{free.getsockname()[1]}")
        try:
            with pytest.raises(RegistryError, match="the registry at http:.* does not answer: "):
                Registry("x")
        finally:
            mlflow.set_registry_uri(None)
            MLFLOW_REGISTRY_URI.unset()  # which MLflow has set beside
