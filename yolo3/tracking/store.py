"""The tracking store that MLflow is set to: asked once, before any work, whether it can be used."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import filelock
import mlflow
import sqlalchemy
from mlflow import environment_variables
from mlflow.entities import LifecycleStage
from mlflow.environment_variables import (
    MLFLOW_EXPERIMENT_ID,
    MLFLOW_EXPERIMENT_NAME,
    MLFLOW_REGISTRY_URI,
    MLFLOW_RUN_ID,
    MLFLOW_TRACKING_URI,
)
from mlflow.store.db.db_types import DATABASE_ENGINES
from mlflow.tracking import MlflowClient

from yolo3.tracking.outage import QUICK_TIMEOUT, asking_once
from yolo3.tracking.secrets import redact

SQLITE = "sqlite:///"
SETTINGS = (
    *(MLFLOW_TRACKING_URI, MLFLOW_REGISTRY_URI),
    *(MLFLOW_RUN_ID, MLFLOW_EXPERIMENT_NAME, MLFLOW_EXPERIMENT_ID),
)
LIMITS = "MLFLOW_HTTP_REQUEST_"  # how its settings of timeouts and retries begin
HINTS = {  # in what MLflow says -> what mends it
    "error code 40[13]|UNAUTHENTICATED|PERMISSION_DENIED": "it asks for another login, by "
    "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    "WRONG_VERSION_NUMBER": "this server speaks http, not https",
    "database schema": "`mlflow db upgrade` is for an older one; a newer one needs a newer MLflow",
    "filesystem tracking": "`mlflow migrate-filestore` copies what such a folder has to a database",
}
EXPECTED = "expected a running MLflow server, as http://HOST:5000, or sqlite:////FOLDER/mlflow.db"


def sqlite_file(uri: str) -> Path | None:
    """Find the file of a store in SQLite, None for another store."""
    return Path(uri.removeprefix(SQLITE).partition("?")[0]) if uri.startswith(SQLITE) else None


class TrackingError(ValueError):
    """Say which of MLflow's settings cannot be used, why, and what is expected."""


def check_variables() -> None:
    """Read every variable of MLflow's that is set; its ValueError names what it cannot be."""
    for variable in vars(environment_variables).values():
        if isinstance(variable, environment_variables._EnvironmentVariable) and variable.is_set():
            variable.get()


def is_unmade() -> bool:
    """Tell whether nothing is set, and MLflow's own database here is still to be made."""
    file = sqlite_file(mlflow.get_tracking_uri())
    return bool(file) and not (file.exists() or any(variable.is_set() for variable in SETTINGS))


def check_store() -> None:
    """Ask the tracking store for an experiment; raises TrackingError where it does not answer.

    It is asked once, where MLflow would try for minutes. Of two processes that begin in a new
    folder one makes the database while the other waits: at once, MLflow's migrations get in each
    other's way.
    """
    uri = mlflow.get_tracking_uri()
    with _explained(MLFLOW_TRACKING_URI, uri, EXPECTED):
        file = sqlite_file(uri)
        if not file:
            _ask(uri)
            return
        _check_file(file, uri)
        name = hashlib.sha256(str(file.resolve()).encode()).hexdigest()
        with filelock.FileLock(Path(tempfile.gettempdir()) / f"mlflow-{name}.lock"):
            _ask(uri)


def check_registry() -> None:
    """Ask the model registry, where it is not the tracking store; as `check_store`."""
    uri = mlflow.get_registry_uri()
    if uri != mlflow.get_tracking_uri():
        with (
            _explained(MLFLOW_REGISTRY_URI, uri, EXPECTED),
            asking_once(QUICK_TIMEOUT, only_unset=True),
        ):
            MlflowClient().search_registered_models(max_results=1)


def check_run(resumed: bool = False) -> None:
    """Look up the run or the experiment that the environment names; raises TrackingError.

    resumed: another run is entered, which that one is only told of.
    """
    client = MlflowClient()
    if run_id := MLFLOW_RUN_ID.get():
        with _explained(MLFLOW_RUN_ID, run_id, "unset it, or name another run of this store"):
            run = client.get_run(run_id)
            if run.info.lifecycle_stage == LifecycleStage.DELETED:
                raise ValueError("the run is deleted")
            if run.info.status == "FINISHED" and not resumed:
                raise ValueError("the run is finished")
    elif not resumed:
        _check_experiment(client, MLFLOW_EXPERIMENT_NAME.get(), MLFLOW_EXPERIMENT_ID.get())


def _check_experiment(client, name, number):
    if not name and not number:
        return
    variable = MLFLOW_EXPERIMENT_NAME if name else MLFLOW_EXPERIMENT_ID
    with _explained(variable, name or number, "name another experiment, or unset it"):
        found = client.get_experiment_by_name(name) if name else client.get_experiment(number)
        if found and found.lifecycle_stage == LifecycleStage.DELETED:
            restore = f"mlflow experiments restore -x {found.experiment_id}"
            raise ValueError(f"the experiment is deleted, `{restore}` brings it back")
        if found and number and number != found.experiment_id:
            raise ValueError(
                f"that is experiment {found.experiment_id}, but {MLFLOW_EXPERIMENT_ID} is {number}"
            )


def start_run(run_id: str | None = None, **options) -> mlflow.ActiveRun:
    """Start a run as MLflow does; TrackingError for a store that takes none."""
    with _explained(MLFLOW_TRACKING_URI, mlflow.get_tracking_uri(), EXPECTED):
        return mlflow.start_run(run_id, **options)


def write_in(folder: Path) -> None:
    """Make a folder and a file in it, which is gone at once; raises OSError where that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()


def _check_file(file, uri):
    try:
        if file.exists():
            file.open("r+b").close()
        write_in(file.parent)
    except OSError as error:
        raise TrackingError(
            f"the tracking store {redact(uri)} cannot be written ({error.strerror}); choose "
            f"another, as with MLFLOW_TRACKING_URI={SQLITE}/tmp/mlflow.db"
        ) from None


def _ask(uri):
    if urlsplit(uri).scheme.partition("+")[0] in DATABASE_ENGINES:
        engine = sqlalchemy.create_engine(uri)  # by itself: MLflow would try for minutes here, too
        try:
            sqlalchemy.inspect(engine).get_table_names()
        finally:
            engine.dispose()
    with asking_once(QUICK_TIMEOUT, only_unset=True):
        MlflowClient().search_experiments(max_results=1)


@contextmanager
def _explained(variable, value, expected) -> Iterator[None]:
    """Turn whatever is said against a setting into a TrackingError."""
    try:
        yield
    except TrackingError:
        raise
    except Exception as error:  # each kind of store raises its own
        reason = redact(_reason(error))
        hints = [hint for said, hint in HINTS.items() if re.search(said, reason)]
        limits = [f"{name} is {os.environ[name]}" for name in os.environ if name.startswith(LIMITS)]
        details = "; ".join([reason, *hints, *limits, expected])
        raise TrackingError(f"{variable}={redact(value)} cannot be used: {details}") from error


def _reason(error):
    """Give the first sentence of an error; of a request that failed, of what made it fail."""
    said = str(error).strip()
    if "failed with exception" in said:
        cause = error
        while cause.__cause__ or cause.__context__:
            cause = cause.__cause__ or cause.__context__
        said = str(cause).strip()
    return re.split(r"\.?\s*\n|\. ", said)[0].rstrip(".") or type(error).__name__
