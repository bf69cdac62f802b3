"""What a run records so that it can be repeated from its record alone; see docs/reproduce.md."""

import hashlib
import tempfile
from dataclasses import asdict
from pathlib import Path

import keras
import mlflow
import mlflow.artifacts
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT

from yolo3.data.project import PROJECT_DIR, find_file
from yolo3.network.weights import weights_digest
from yolo3.tracking.machine import environment
from yolo3.tracking.run import LOCK
from yolo3.tracking.sources import collect

ENVIRONMENT = "environment.json"
SOURCE = "source"  # a folder: source.json, and what is changed since the commit
INPUTS = "inputs"  # a folder: inputs.json, and copies of the small files
RESULT = "result.json"
DIRTY = "source.dirty"  # a tag
DIGEST = "weights_sha256."  # a tag, before the name of a stage
COPIED = ("classes_path", "anchors_path")  # small, and without them nothing can be repeated


def log(settings, given=None, own: Path | None = None) -> None:
    """Record machine, versions, threads, code and input files in the active run.

    settings: a dataclass whose fields that end in `_path` name the input files. given: the
    settings as the user gave them. own: the run's folder, of whose files the run keeps copies.
    """
    mlflow.log_dict(environment(LOCK), ENVIRONMENT)
    with tempfile.TemporaryDirectory() as temporary:
        _log_source(Path(temporary))
    with tempfile.TemporaryDirectory() as temporary:
        _log_inputs(asdict(settings), asdict(given or settings), own, Path(temporary))


def _log_source(folder):
    source = collect(PROJECT_DIR, folder)
    mlflow.log_dict(source.as_dict(), f"{SOURCE}/source.json")
    if any(folder.iterdir()):
        mlflow.log_artifacts(str(folder), SOURCE)
    if source.commit:
        mlflow.set_tags({MLFLOW_GIT_COMMIT: source.commit, DIRTY: str(source.dirty).lower()})


def _log_inputs(values, given, own, folder):
    told = {}
    for name, value in values.items():
        path = find_file(value) if name.endswith("_path") and value else None
        if not path or not path.is_file():
            continue
        data = path.read_bytes()
        told[name] = {
            "given": given[name],
            "path": str(path.resolve()),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        if name in COPIED or (own and path.resolve().is_relative_to(own.resolve())):
            (folder / f"{name.removesuffix('_path')}.txt").write_bytes(data)
    mlflow.log_dict(told, f"{INPUTS}/inputs.json")
    if any(folder.iterdir()):
        mlflow.log_artifacts(str(folder), INPUTS)


def log_weights(stage: str, network: keras.Model) -> None:
    """Record and tell the digest of the weights that a stage leaves."""
    digest = weights_digest(network)
    mlflow.set_tag(f"{DIGEST}{stage}", digest)
    print(f"{stage}: weights sha256 {digest}", flush=True)


def log_result(metrics: dict[str, float]) -> None:
    """Record what a training ends with: its final metrics and the digests of its weights."""
    run_id = mlflow.active_run().info.run_id
    digests = stage_digests(MlflowClient().get_run(run_id).data.tags)
    mlflow.log_dict({"weights_sha256": digests, "metrics": metrics}, RESULT)


def recorded_threads(run_id: str) -> int:
    """Give the threads to an operation that a run had, 0 where it did not come to record them."""
    try:
        told = mlflow.artifacts.load_dict(f"runs:/{run_id}/{ENVIRONMENT}")
    except (MlflowException, OSError):
        return 0
    return told["threads"]["intra_op"] or 0


def stage_digests(tags: dict[str, str]) -> dict[str, str]:
    """Read the digests of weights from a run's tags, by stage."""
    return {
        name.removeprefix(DIGEST): digest
        for name, digest in tags.items()
        if name.startswith(DIGEST)
    }
