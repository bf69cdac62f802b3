"""The models that a run logged: one of each name, whatever was killed while it was logged."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import mlflow
import mlflow.models
from mlflow.entities import LoggedModel, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models.model import ModelInfo
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from yolo3.detector.load import model_uri
from yolo3.tracking.registry import quoted

WEIGHTS_TAG = "weights_sha256"
NOT_FOUND = 404


def log_once(
    name: str,
    digest: str,
    log: Callable[[dict], ModelInfo],
    save: Callable[[Path], object],
) -> str | None:
    """Log a model to the active run, unless it has it with these weights already.

    Returns the id of the logged model, None from a server that knows none.

    log: called with the model's tags, logs it under that name and returns its info. Models of the
    name that are not whole, or of other weights, are deleted: an earlier process left them.
    save: called with a new folder, saves the model there. Used in place of `log` where the server
    knows no logged models (Azure ML answers 404): the model is then artifacts of the run, in a
    folder of that name, as MLflow 2 had it.
    """
    client = MlflowClient()
    info = mlflow.active_run().info
    if _knows_logged_models(client, info, name):
        return _log_model(client, info, name, digest, log)
    _log_artifacts(client, info, name, digest, save)
    return None


def describe_model(name: str, description: str) -> None:
    """Give the model that the active run logged a description, where the server knows it."""
    client = MlflowClient()
    info = mlflow.active_run().info
    if _knows_logged_models(client, info, name):
        for model in _models(client, info, name):
            client.set_logged_model_tags(model.model_id, {MLFLOW_RUN_NOTE: description})


def known_model_id(model: str) -> str | None:
    """Give the id of a logged model, by its URI or folder; None if the server does not know it."""
    try:
        model_id = mlflow.models.get_model_info(model_uri(model)).model_id
        return model_id and MlflowClient().get_logged_model(model_id).model_id
    except (MlflowException, OSError):
        return None


def register_once(name: str, registered_name: str) -> None:
    """Register the model that the active run logged, unless a version is of it already.

    The version gets the run's description.
    """
    client = MlflowClient()
    info = mlflow.active_run().info
    if _knows_logged_models(client, info, name):
        [model] = _models(client, info, name)
        source = f"models:/{model.model_id}"
        found = _registered(client, registered_name, source=source)
    else:
        source = f"runs:/{info.run_id}/{name}"
        found = _registered(client, registered_name, run_id=info.run_id)
    version = found or mlflow.register_model(source, registered_name)
    if description := client.get_run(info.run_id).data.tags.get(MLFLOW_RUN_NOTE):
        client.update_model_version(registered_name, version.version, description)


def _log_model(client, info, name, digest, log):
    kept = None
    for model in _models(client, info, name):
        whole = model.status == LoggedModelStatus.READY
        if not kept and whole and model.tags.get(WEIGHTS_TAG) == digest:
            kept = model
        else:
            client.delete_logged_model(model.model_id)
    return (kept or log({WEIGHTS_TAG: digest})).model_id


def _log_artifacts(client, info, name, digest, save):
    """Log a model as artifacts; a tag of the run says that they are whole, and of which weights."""
    tag = f"{WEIGHTS_TAG}.{name}"
    if client.get_run(info.run_id).data.tags.get(tag) != digest:
        with tempfile.TemporaryDirectory() as temporary:
            save(Path(temporary) / name)
            client.log_artifacts(info.run_id, str(Path(temporary) / name), name)
        client.set_tag(info.run_id, tag, digest)


def _knows_logged_models(client, info, name) -> bool:
    try:
        _models(client, info, name)
    except MlflowException as error:
        if error.get_http_status_code() == NOT_FOUND:
            return False
        raise
    return True


def _models(client, info, name) -> list[LoggedModel]:
    found = client.search_logged_models(
        [info.experiment_id], f"source_run_id = '{info.run_id}' AND name = '{name}'"
    )
    return list(found)


def _registered(client, registered_name, **wanted):
    """Find a version of a registered model with these attributes, None if there is none."""
    for version in client.search_model_versions(f"name = {quoted(registered_name)}"):
        if all(getattr(version, name) == value for name, value in wanted.items()):
            return version
    return None
