"""One MLflow run: opened once, and told everything that is worth knowing of a training."""

import json
import os
import random
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import mlflow
from mlflow.entities import RunStatus
from mlflow.environment_variables import MLFLOW_RUN_ID
from mlflow.tracking import MlflowClient

from yolo3.data.project import PROJECT_DIR
from yolo3.data.project import find_file as find_file  # part of what a run offers
from yolo3.evaluation.evaluate import Evaluation
from yolo3.evaluation.report import write_report
from yolo3.tracking.outage import QUICK_TIMEOUT, asking_once, patiently
from yolo3.tracking.resume import INTERRUPTED, RESUMES
from yolo3.tracking.secrets import holds_secret, redact, redacted
from yolo3.tracking.store import check_store, sqlite_file, start_run, write_in
from yolo3.training.interrupt import Interrupted

LOCK = PROJECT_DIR / "requirements.txt"


@contextmanager
def open_run(resumed: str = "") -> Iterator[mlflow.ActiveRun]:
    """Open a run with system metrics, or enter the one that `mlflow run` opened.

    resumed: id of a run to enter instead; the one that `mlflow run` opened is tagged with it then.
    A run that ends by a request gets the tag `interrupted` and the status KILLED.

    MLflow draws the run's name from `random`, which a training has seeded by then: all runs of one
    seed would have one name.
    """
    check_store()
    if resumed:
        _enter_other_run(resumed)
    seeded = random.getstate()
    random.seed()
    run = start_run(resumed or None, log_system_metrics=True)
    random.setstate(seeded)
    try:
        _hide_secrets(run)
        print(f"MLflow run {run.info.run_id} at {_shown_uri()}", flush=True)
        yield run
    except Interrupted as request:
        _end_run(RunStatus.KILLED, {INTERRUPTED: str(request)})
        raise
    except BaseException:
        _end_run(RunStatus.FAILED)
        raise
    finish = partial(_finish, run.info.run_id)
    patiently(finish, "All else is recorded; only its status is not")
    _end_run(RunStatus.FINISHED)


def _enter_other_run(run_id):
    opened = MLFLOW_RUN_ID.get()
    if opened:
        MlflowClient().set_tag(opened, RESUMES, run_id)
        MLFLOW_RUN_ID.unset()
    mlflow.set_experiment(experiment_id=MlflowClient().get_run(run_id).info.experiment_id)


def _finish(run_id):
    """Record that a run is finished, and interrupted no more where it was before.

    May be repeated, as `mlflow.end_run` may not: it forgets the run before it asks the server.
    """
    client = MlflowClient()
    if INTERRUPTED in client.get_run(run_id).data.tags:
        client.delete_tag(run_id, INTERRUPTED)
    client.set_terminated(run_id)


def _end_run(status, tags=None):
    """End the active run, and keep what went before in sight where that fails."""
    try:
        with asking_once(QUICK_TIMEOUT):
            try:
                mlflow.set_tags(tags or {})
            finally:
                mlflow.end_run(RunStatus.to_string(status))
    except Exception as error:
        print(f"the run's status could not be set to {RunStatus.to_string(status)}: {error}")


def check_writable(folder: Path, parameter: str) -> None:
    """Raise ValueError if the folder that a parameter leads to cannot be made or written."""
    try:
        write_in(folder)
    except OSError as error:
        raise ValueError(
            f"{parameter}: {folder} cannot be written ({error.strerror}); choose another place "
            f"with -P {parameter}=…"
        ) from None


def how_to_view(run: mlflow.ActiveRun) -> str:
    """Give the command that opens MLflow's pages, and the link to a run there.

    Without the workflow in the link, MLflow 3 opens on its pages for language models.
    """
    uri = redact(mlflow.get_tracking_uri())
    page = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    page += "?workflowType=machine_learning"
    if uri.startswith("http"):
        return f"view the run: {uri.rstrip('/')}/{page}"
    file = sqlite_file(uri)
    if not file:
        return f"view the run: {run.info.run_id} at {_shown_uri()}"
    command = ["mlflow", "ui"]
    if file.resolve() != Path("mlflow.db").resolve():
        command += ["--backend-store-uri", uri]
    return f"view the run: {shlex.join(command)}\nthen open http://127.0.0.1:5000/{page}"


def _shown_uri() -> str:
    return redact(mlflow.get_tracking_uri()).removeprefix("file://")


def _hide_secrets(run: mlflow.ActiveRun) -> None:
    """Mend what MLflow itself tells and records of addresses; of parameters it can only be told."""
    if holds_secret(mlflow.get_tracking_uri()):
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for name, value in run.data.tags.items():
        if holds_secret(value):
            mlflow.set_tag(name, redact(value))
    if leaked := [name for name, value in run.data.params.items() if holds_secret(value)]:
        print(
            f"`mlflow run` has recorded a password or token in {', '.join(leaked)}: delete the run"
            " and change it; MLFLOW_TRACKING_PASSWORD and the like are recorded nowhere",
            flush=True,
        )


def log_params(values: dict) -> None:
    """Log parameters, but those that the run has already.

    `mlflow run` has by then logged its own, as text quoted for a shell, and a parameter cannot be
    logged twice: those are left as they are, and what `auto` came to is logged as `NAME.chosen`.
    """
    run_id = mlflow.active_run().info.run_id
    taken = MlflowClient().get_run(run_id).data.params
    left = [name for name, value in taken.items() if value == "auto" != values.get(name, value)]
    chosen = {f"{name}.chosen": values[name] for name in left}
    new = {k: v for k, v in (values | chosen).items() if k not in taken}
    mlflow.log_params({k: redacted(v) for k, v in new.items()})


def log_settings(settings, given: dict | None = None) -> None:
    """Log a settings dataclass: as parameters, and with its types in `parameters.json`.

    given: parameters as the user gave them, where the settings have what became of them.
    """
    log_params(asdict(settings) | (given or {}))
    mlflow.log_dict(redacted(asdict(settings)), "parameters.json")


def log_lock() -> None:
    """Log the lock that the environment was installed from."""
    mlflow.log_artifact(str(LOCK))


def log_text_lines(lines, name: str) -> None:
    """Log lines as a text artifact."""
    mlflow.log_text("\n".join(lines) + "\n", name)


def log_report(evaluation: Evaluation, folder: str) -> None:
    """Log the report of an evaluation as artifacts."""
    with tempfile.TemporaryDirectory() as temporary:
        write_report(evaluation, Path(temporary))
        mlflow.log_artifacts(temporary, folder)


def log_json(value, name: str) -> None:
    """Log a value as a JSON artifact."""
    mlflow.log_text(json.dumps(value, indent=2, ensure_ascii=False), name)
