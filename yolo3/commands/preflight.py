"""What a command checks before any work: MLflow's settings, and what its paths stand for."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import click

from yolo3.data.project import PROJECT_DIR

RECORD = ("main", "pretrain", "evaluate", "promote", "reproduce")  # commands that open a run
WRITTEN = ("log_dir", "output")
READ = (
    *("annotation_path", "val_annotation_path", "test_annotation_path"),
    *("classes_path", "anchors_path", "weights_path"),
    *("model", "package", "picture", "data"),
)
AUTO = "auto"
_URI = re.compile(r"[a-z][a-z0-9+.-]*:|m-[0-9a-f]{32}$")
_OF_MLFLOW = re.compile(r"(runs|models|mlflow-artifacts):|m-[0-9a-f]{32}$")


def check_settings() -> None:
    """Check what the running command will use; raises ValueError of this project. No command: none.

    A tracking store is asked here, before data are read or weights loaded.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        return
    name, given = context.command.name, context.params
    records = name in RECORD or (name == "check" and given["log"])
    models = [given[key] for key in ("model", "weights_path", "challenger") if given.get(key)]
    if records or any(map(_OF_MLFLOW.match, models)):
        from yolo3.tracking import store

        store.check_variables()
        if not store.is_unmade():
            store.check_store()
            if name == "promote" or "models:/" in str(models):
                store.check_registry()
            if records:
                store.check_run(resumed=bool(given.get("resume")))
    _check_paths(given, {option.name: option.default for option in context.command.params})


def _check_paths(given: Mapping[str, object], defaults: Mapping[str, object]) -> None:
    """Refuse relative paths that `mlflow run` of a repository would look up in its own copy.

    What the project holds itself is meant there, and printed unless it is the default. So is where
    a default is written.
    """
    relative = {
        name: value
        for name in (*READ, *WRITTEN)
        if isinstance(value := given.get(name), str)
        and value
        and not (os.path.isabs(value) or _URI.match(value))
    }
    if not relative or not _in_copy():
        return
    if given.get("resume"):  # goes on with its own paths
        print(f"relative paths lie in {PROJECT_DIR}, the copy that `mlflow run` made", flush=True)
        return
    from yolo3.network.weights import NO_WEIGHTS
    from yolo3.tracking.download import OFFICIAL

    for name, value in relative.items():
        place = PROJECT_DIR / value
        default, exists = value == defaults[name], os.path.exists(place)
        if name in READ and ((default and exists) or value in (AUTO, NO_WEIGHTS, *OFFICIAL)):
            continue
        if not default and not (name in READ and exists):
            raise ValueError(
                f"{name} is {value}, but `mlflow run` of a repository works in a copy of it, "
                f"{PROJECT_DIR}: give an absolute path, as -P {name}=/home/me/{value}"
            )
        print(
            f"{name}: {place}, in the copy of the project that `mlflow run` made; "
            f"-P {name}=… with an absolute path names another place",
            flush=True,
        )


def _in_copy() -> bool:
    """Tell whether `mlflow run` works in a copy that it made of a git or zip address."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id or Path.cwd() != PROJECT_DIR:
        return False
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from mlflow.utils.mlflow_tags import MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE

    from yolo3.tracking.outage import QUICK_TIMEOUT, asking_once

    try:
        with asking_once(QUICK_TIMEOUT):
            tags = MlflowClient().get_run(run_id).data.tags
    except MlflowException:  # no run that `mlflow run` opened
        return False
    source = tags.get(MLFLOW_SOURCE_NAME, "").removeprefix("file://").partition("#")[0]
    own = (PROJECT_DIR, *PROJECT_DIR.parents)
    return tags.get(MLFLOW_SOURCE_TYPE) == "PROJECT" and Path(source).resolve() not in own
