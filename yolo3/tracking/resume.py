"""Go on with a training that was killed: what its run recorded, and where it stood.

run id -> parameters.json, data digests -> the newest whole checkpoint, of log_dir or of MLflow
"""

import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

import filelock
import mlflow
import mlflow.artifacts
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT

from yolo3.data.project import find_file
from yolo3.network.spec import NetworkSpec
from yolo3.tracking.data import list_of
from yolo3.tracking.secrets import redact
from yolo3.training.checkpoint import (
    FILE,
    CheckpointError,
    StageState,
    read_checkpoint,
    write_atomically,
)
from yolo3.training.recipe import RECIPE

SLOTS = ("checkpoint/even.npz", "checkpoint/odd.npz")
"""Where MLflow keeps checkpoints, by turns: one is whole whenever a training is killed."""
INTERRUPTED = "interrupted"
RESUMES = "resumes"
PARAMETERS = "parameters.json"
INPUTS = "inputs"  # a folder of artifacts
NETWORK = "network.json"
_CHANGED = "put back what was changed, or start a new run"

Settings = TypeVar("Settings")


class ResumeError(ValueError):
    """Say why a run cannot be gone on with."""


@dataclass(frozen=True)
class Standing:
    """Hold where a run stood: a stage's state, and what the whole job keeps beside it."""

    state: StageState
    story: dict


@dataclass(frozen=True)
class Past:
    """Hold an earlier run: its id, its settings, and where it stood (None: nowhere yet)."""

    run: Run
    settings: object
    standing: Standing | None

    @property
    def run_id(self) -> str:
        return self.run.info.run_id

    def check_spec(self, planned: NetworkSpec) -> None:
        """Compare classes and anchors of today with those that the run recorded.

        Raises ResumeError that names the file; a run that was killed before it recorded them has
        trained nothing yet, and takes those of today.
        """
        try:
            text = mlflow.artifacts.load_text(f"runs:/{self.run_id}/{NETWORK}")
        except (MlflowException, OSError):
            return
        recorded = NetworkSpec.from_json(text)
        for name, value, path in (
            ("class names", "class_names", self.settings.classes_path),
            ("anchors", "anchors_wh", self.settings.anchors_path),
        ):
            if getattr(planned, value) != getattr(recorded, value):
                raise ResumeError(
                    f"{find_file(path)}: its {name} are not those that run {self.run_id} began "
                    f"with, expected {_listed(getattr(recorded, value))}; {_CHANGED}"
                )

    def check_data(self, digests: dict[str, str]) -> None:
        """Compare the pictures of today, by context, with those that the run recorded."""
        for given in self.run.inputs.dataset_inputs:
            context = next(t.value for t in given.tags if t.key == "mlflow.data.context")
            recorded = json.loads(given.dataset.profile)["sha256"]
            if digests.get(context) != recorded:
                path = find_file(list_of(context, self.settings))
                raise ResumeError(
                    f"{path}: its {context} images or their boxes are not those that run "
                    f"{self.run_id} began with; {_CHANGED}"
                )


def look_back(run_id: str, kind: type[Settings], changed: dict) -> Past:
    """Find what to go on with.

    kind: the dataclass of the settings. changed: settings that the user gave beside the run's id;
    those that are not the run's are refused, since a run goes on with its own.
    Raises ResumeError where there is no such run, it is finished, or its settings are others.
    """
    client = MlflowClient()
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        raise ResumeError(
            f"no run {run_id!r} at {redact(mlflow.get_tracking_uri())} ({error.message})"
        ) from error
    if run.info.status == "FINISHED" and INTERRUPTED not in run.data.tags:
        raise ResumeError(f"run {run_id} is finished; there is nothing left to go on with")
    settings = _recorded(client, run_id, kind)
    recipe = run.data.tags.get("recipe", "1")
    if recipe != str(RECIPE):
        commit = run.data.tags.get(MLFLOW_GIT_COMMIT, "that it was trained with")
        raise ResumeError(
            f"run {run_id} trains by recipe {recipe}, this version by recipe {RECIPE}: go on with "
            f"it at commit {commit}"
        )
    for name, value in changed.items():
        given = shlex.split(run.data.params.get(name, ""))  # `mlflow run` records it quoted
        if value != getattr(settings, name) and [str(value)] != given:
            raise ResumeError(
                f"{name} is {value}, but run {run_id} has {getattr(settings, name)} and goes on "
                "with it; give no other parameters with resume"
            )
    _restore_inputs(client, run_id, settings)
    return Past(run, settings, _newest(client, run_id, Path(settings.log_dir) / run_id / FILE))


def _listed(values):
    """Write class names, or widths and heights of anchors, as their file has them."""
    return ", ".join(v if isinstance(v, str) else ",".join(f"{n:g}" for n in v) for v in values)


def _recorded(client, run_id, kind):
    """Read the typed settings that a run recorded."""
    with tempfile.TemporaryDirectory() as temporary:
        try:
            file = client.download_artifacts(run_id, PARAMETERS, temporary)
        except (MlflowException, OSError) as error:
            raise ResumeError(
                f"run {run_id} was stopped before it recorded {PARAMETERS}: start it anew"
            ) from error
        values = json.loads(Path(file).read_text("utf-8"))
    names = {field.name for field in fields(kind)}
    if set(values) != names:
        odd = ", ".join(sorted(names ^ set(values)))
        raise ResumeError(
            f"run {run_id} is of another version of this project (parameters: {odd}); "
            "go on with it at the commit in its tag mlflow.source.git.commit"
        )
    return kind(**values)


def _restore_inputs(client, run_id, settings):
    """Bring back what a run derived from labels, where its folder is on another machine."""
    for name, value in vars(settings).items():
        own = name.endswith("_path") and run_id in Path(value).parts
        if own and not os.path.exists(value):
            with tempfile.TemporaryDirectory() as temporary:
                copy = f"{INPUTS}/{name.removesuffix('_path')}.txt"
                file = client.download_artifacts(run_id, copy, temporary)
                Path(value).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, value)


def _newest(client, run_id, local):
    """Read the local checkpoint, or the newest of MLflow's, which is never newer; None if none is.

    One that is not whole is told and left out.
    """
    if local.is_file() and (found := _read([local])):
        return found[0]
    uploaded = {file.path for file in client.list_artifacts(run_id, SLOTS[0].split("/")[0])}
    with tempfile.TemporaryDirectory() as temporary:
        slots = [slot for slot in SLOTS if slot in uploaded]
        files = [Path(client.download_artifacts(run_id, slot, temporary)) for slot in slots]
        return max(_read(files), key=lambda standing: standing.story["epochs"], default=None)


def _read(files):
    found = []
    for file in files:
        try:
            found.append(Standing(*read_checkpoint(file)))
        except CheckpointError as error:
            print(f"left out: {error}")
    return found


def upload_checkpoint(file: Path, epochs: int) -> None:
    """Copy a checkpoint to the active run, over the older one of the two that it keeps."""
    run_id = mlflow.active_run().info.run_id
    folder, name = SLOTS[epochs % 2].split("/")
    with tempfile.TemporaryDirectory(dir=file.parent) as temporary:
        named = Path(temporary) / name
        try:
            named.hardlink_to(file)
        except OSError:  # a file system without links
            write_atomically(named, lambda target: target.write(file.read_bytes()))
        MlflowClient().log_artifact(run_id, str(named), folder)


def remove_checkpoints(file: Path) -> None:
    """Remove the checkpoints of a run that is finished, here and in MLflow where it can."""
    file.unlink(missing_ok=True)
    folder = SLOTS[0].split("/")[0]
    try:
        get_artifact_repository(mlflow.active_run().info.artifact_uri).delete_artifacts(folder)
    except (MlflowException, NotImplementedError, OSError):  # none there, or a store that keeps all
        print("the run's checkpoints stay in MLflow: its artifact store removes nothing")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a run's folder while it is trained; a process that is killed lets go of it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise ResumeError(f"{folder}: another process is training this run now") from error
    try:
        yield
    finally:
        lock.release()
