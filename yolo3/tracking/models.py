"""The models that a run logged: one of each name, whatever was killed while it was logged."""

from collections.abc import Callable

import mlflow
from mlflow.entities import LoggedModel, LoggedModelStatus
from mlflow.tracking import MlflowClient

WEIGHTS_TAG = "weights_sha256"


def log_once(name: str, digest: str, registered_name: str, log: Callable[[dict], object]) -> None:
    """Log a model to the active run, unless it has it with these weights already.

    log: called with the model's tags, logs it under that name. Models of the name that are not
    whole, or of other weights, are deleted: an earlier process left them.
    registered_name: register it under this name as well, once; '' for not at all.
    """
    client = MlflowClient()
    info = mlflow.active_run().info
    kept = None
    for model in _models(client, info, name):
        whole = model.status == LoggedModelStatus.READY
        if kept is None and whole and model.tags.get(WEIGHTS_TAG) == digest:
            kept = model
        else:
            client.delete_logged_model(model.model_id)
    if kept is None:
        log({WEIGHTS_TAG: digest})
        [kept] = _models(client, info, name)
    source = f"models:/{kept.model_id}"
    if registered_name and not _is_registered(client, source, registered_name):
        mlflow.register_model(source, registered_name)


def _models(client, info, name) -> list[LoggedModel]:
    found = client.search_logged_models(
        [info.experiment_id], f"source_run_id = '{info.run_id}' AND name = '{name}'"
    )
    return list(found)


def _is_registered(client, source, registered_name):
    versions = client.search_model_versions(f"name = '{registered_name}'")
    return any(version.source == source for version in versions)
