"""The record of a run, read from a tracking server into a folder and plain values."""

import json
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT

from yolo3.tracking.provenance import ENVIRONMENT, INPUTS, SOURCE, stage_digests

PARAMETERS = "parameters.json"
LOCK = "requirements.txt"
NEEDED = ("annotation_path", "classes_path", "anchors_path", "weights_path", "seed")
"""Parameters by which a training of the main entry point is known."""


class ReproduceError(ValueError):
    """Say why a run cannot be repeated, and what would help."""


@dataclass(frozen=True)
class Record:
    """Hold what a run recorded; dictionaries are empty where an older run recorded nothing."""

    run: Run
    folder: Path  # holds the artifacts that were asked for
    parameters: dict  # with their types
    environment: dict
    source: dict
    inputs: dict
    weights: dict

    @property
    def run_id(self) -> str:
        return self.run.info.run_id

    @property
    def title(self) -> str:
        """Name the run as a person knows it."""
        return f"{self.run_id} ({self.run.info.run_name})"

    @property
    def commit(self) -> str | None:
        """Give the commit that it was trained at; the tag is all that an older run has."""
        if self.source:
            return self.source["commit"]
        return self.run.data.tags.get(MLFLOW_GIT_COMMIT)

    @property
    def digests(self) -> dict[str, str]:
        """Give the digests of its weights, by stage."""
        return stage_digests(self.run.data.tags)

    @property
    def threads(self) -> int:
        """Give the threads to an operation, 0 where they are not recorded."""
        return self.environment.get("threads", {}).get("intra_op") or 0


def read_record(client: MlflowClient, run_id: str, folder: Path) -> Record:
    """Read a run that can be repeated.

    Raises ReproduceError for a run that is not there, did not end well, or is no training.
    """
    try:
        run = client.get_run(run_id)
        held = {file.path for file in client.list_artifacts(run_id)}
    except MlflowException as error:
        raise ReproduceError(
            f"run {run_id}: {client.tracking_uri} has none ({error.message}); is "
            "MLFLOW_TRACKING_URI the server that recorded it?"
        ) from error
    _check_ended(run)
    if missing := {PARAMETERS, LOCK} - held:
        raise ReproduceError(
            f"run {run_id} has no {' and no '.join(sorted(missing))}: it is no training of this "
            "project, or did not come to record its start"
        )
    wanted = {PARAMETERS, LOCK, ENVIRONMENT, SOURCE, INPUTS, "weights.json", "pictures"}
    for name in sorted(wanted & held):
        client.download_artifacts(run_id, name, str(folder))
    parameters = _json(folder / PARAMETERS)
    if missing := set(NEEDED) - set(parameters):
        raise ReproduceError(
            f"run {run_id} is no training of the main entry point: its {PARAMETERS} has no "
            f"{', '.join(sorted(missing))}"
        )
    return Record(
        run,
        folder,
        parameters,
        _json(folder / ENVIRONMENT),
        _json(folder / SOURCE / "source.json"),
        _json(folder / INPUTS / "inputs.json"),
        _json(folder / "weights.json"),
    )


def _check_ended(run):
    """Refuse a run without an end to compare with."""
    tags, run_id = run.data.tags, run.info.run_id
    if run.info.lifecycle_stage == "deleted":
        raise ReproduceError(f"run {run_id} is deleted; `mlflow gc` may have taken its files")
    if "resumes" in tags:
        raise ReproduceError(
            f"run {run_id} only went on with run {tags['resumes']}: give --run-id that one"
        )
    if "interrupted" in tags:
        raise ReproduceError(
            f"run {run_id} was interrupted ({tags['interrupted']}): it has no end to compare with"
        )
    if run.info.status != "FINISHED":
        raise ReproduceError(
            f"run {run_id} is {run.info.status}, expected FINISHED: it has no end to compare with"
        )


def _json(file):
    return json.loads(file.read_text("utf-8")) if file.is_file() else {}
