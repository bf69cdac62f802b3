"""Load a logged detector by URI, with the engine that it was measured with."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow.artifacts
import mlflow.pyfunc
from mlflow.models import Model
from mlflow.models.model import MLMODEL_FILE_NAME

from yolo3.detector.checksums import check_sums
from yolo3.detector.detector import Detector
from yolo3.detector.pyfunc import read_detector

LOADER_MODULE = "yolo3.detector.pyfunc"
DATA_FOLDER = "data"
_RUN_ID = re.compile("[0-9a-f]{32}")


class ModelError(ValueError):
    """Say why something is not a detector that this project logged."""


def load_detector(model: str | Path) -> Detector:
    """Load a detector from an MLflow model URI (models:/…, runs:/…, m-…) or a folder.

    Raises ModelError when there is none, or it is another kind of model.
    """
    uri = str(model)
    with model_folder(uri) as folder:
        try:
            return read_detector(folder / DATA_FOLDER)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{uri!r} is a damaged model: {error}") from error


@contextmanager
def model_folder(uri: str) -> Iterator[Path]:
    """Give the folder of a logged detector: its own, or a copy that goes with the block.

    Raises ModelError when there is none, or it is another kind of model.
    """
    if os.path.isdir(uri):
        yield _check_folder(Path(uri), uri)
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield _check_folder(_download(uri, temporary), uri)


def model_uri(model: str) -> str:
    """Give MLflow's URI of a model that may be named by its id alone, m-…"""
    return f"models:/{model}" if model.startswith("m-") else model


def _download(uri: str, folder: str) -> Path:
    try:
        copy = mlflow.artifacts.download_artifacts(artifact_uri=model_uri(uri), dst_path=folder)
        return Path(copy)
    except Exception as error:  # each kind of store raises its own
        if _RUN_ID.fullmatch(uri):
            raise ModelError(f"{uri} is a run, expected a model of it: runs:/{uri}/NAME") from error
        raise ModelError(
            f"no model at {uri!r}: expected a folder or an MLflow model URI, runs:/RUN_ID/NAME as"
            f" a training prints it, or models:/NAME/VERSION ({error})"
        ) from error


def _check_folder(folder: Path, uri: str) -> Path:
    if not (folder / MLMODEL_FILE_NAME).is_file():
        raise ModelError(f"{uri!r} is not an MLflow model: it has no file {MLMODEL_FILE_NAME}")
    try:
        flavors = Model.load(str(folder)).flavors
        loader = flavors.get(mlflow.pyfunc.FLAVOR_NAME, {}).get(mlflow.pyfunc.MAIN)
    except Exception as error:  # of YAML, or of whatever stands there in place of a model
        raise ModelError(f"{uri!r} is a damaged model: {MLMODEL_FILE_NAME}: {error}") from error
    if loader != LOADER_MODULE:
        raise ModelError(
            f"{uri!r} is an MLflow model, but not a detector of this project: "
            f"its loader is {loader!r}, expected {LOADER_MODULE!r}"
        )
    try:
        check_sums(folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"{uri!r} is a damaged model: {error}; copy it again") from error
    return folder
