"""One MLflow run: opened once, and told everything that is worth knowing of a training."""

import json
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import mlflow
from mlflow.tracking import MlflowClient

from yolo3.data.project import PROJECT_DIR
from yolo3.data.project import find_file as find_file  # part of what a run offers
from yolo3.evaluation.evaluate import Evaluation
from yolo3.evaluation.report import write_report
from yolo3.tracking.secrets import holds_secret, redact, redacted

LOCK = PROJECT_DIR / "requirements.txt"


@contextmanager
def open_run() -> Iterator[mlflow.ActiveRun]:
    """Open a run with system metrics, or enter the one that `mlflow run` opened.

    MLflow draws the run's name from `random`, which a training has seeded by then: all runs of one
    seed would have one name.
    """
    seeded = random.getstate()
    random.seed()
    started = mlflow.start_run(log_system_metrics=True)
    random.setstate(seeded)
    with started as run:
        _hide_secrets(run)
        print(f"MLflow run {run.info.run_id} at {_shown_uri()}", flush=True)
        yield run


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

    `mlflow run` has by then logged what its user gave, as text quoted for a shell, and a parameter
    cannot be logged twice: those are left as they are.
    """
    run_id = mlflow.active_run().info.run_id
    taken = MlflowClient().get_run(run_id).data.params
    mlflow.log_params({k: redacted(v) for k, v in values.items() if k not in taken})


def log_settings(settings) -> None:
    """Log a settings dataclass: as parameters, and with its types in `parameters.json`."""
    log_params(asdict(settings))
    mlflow.log_dict(redacted(asdict(settings)), "parameters.json")


def log_lock() -> None:
    """Log the lock that the environment was installed from."""
    mlflow.log_artifact(str(LOCK))


def log_text_lines(lines, name: str) -> None:
    """Log lines as a text artifact."""
    mlflow.log_text("\n".join(lines) + "\n", name)


def log_evaluation(evaluation: Evaluation, folder: str, prefix: str, step: int) -> dict[str, float]:
    """Log the numbers of an evaluation with a prefix, and its report as artifacts; return them."""
    numbers = {f"{prefix}{name}": value for name, value in evaluation.metrics().items()}
    mlflow.log_metrics(numbers, step=step)
    with tempfile.TemporaryDirectory() as temporary:
        write_report(evaluation, Path(temporary))
        mlflow.log_artifacts(temporary, folder)
    return numbers


def log_json(value, name: str) -> None:
    """Log a value as a JSON artifact."""
    mlflow.log_text(json.dumps(value, indent=2, ensure_ascii=False), name)
