"""The models that a run logged: one of each name, whatever was killed while it was logged."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import mlflow
from mlflow.entities import LoggedModel, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from yolo3.tracking.registry import quoted

WEIGHTS_TAG = "weights_sha256"
NOT_FOUND = 404


def log_once(
    name: str,
    digest: str,
    log: Callable[[dict], object],
    save: Callable[[Path], object],
) -> None:
    """Log a model to the active run, unless it has it with these weights already.

    log: called with the model's tags, logs it under that name. Models of the name that are not
    whole, or of other weights, are deleted: an earlier process left them.
    save: called with a new folder, saves the model there. Used in place of `log` where the server
    knows no logged models (Azure ML answers 404): the model is then artifacts of the run, in a
    folder of that name, as MLflow 2 had it.
    """
    client = MlflowClient()
    info = mlflow.active_run().info
    if _knows_logged_models(client, info, name):
        _log_model(client, info, name, digest, log)
    else:
        _log_artifacts(client, info, name, digest, save)


def register_once(name: str, registered_name: str) -> None:
    """Register the model that the active run logged, unless a version is of it already."""
    client = MlflowClient()
    info = mlflow.active_run().info
    if _knows_logged_models(client, info, name):
        [model] = _models(client, info, name)
        source = f"models:/{model.model_id}"
        known = _is_registered(client, registered_name, source=source)
    else:
        source = f"runs:/{info.run_id}/{name}"
        known = _is_registered(client, registered_name, run_id=info.run_id)
    if not known:
        mlflow.register_model(source, registered_name)


def _log_model(client, info, name, digest, log):
    kept = False
    for model in _models(client, info, name):
        whole = model.status == LoggedModelStatus.READY
        if not kept and whole and model.tags.get(WEIGHTS_TAG) == digest:
            kept = True
        else:
            client.delete_logged_model(model.model_id)
    if not kept:
        log({WEIGHTS_TAG: digest})


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


def _is_registered(client, registered_name, **wanted):
    """Tell whether a version of a registered model has these attributes."""
    versions = client.search_model_versions(f"name = {quoted(registered_name)}")
    return any(
        all(getattr(version, name) == value for name, value in wanted.items())
        for version in versions
    )
