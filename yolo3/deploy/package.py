"""The exported folder: a logged model and all that Azure ML wants beside it.

    model/               the MLflow model, as it was logged
    code/score.py        the scoring script of this project
    conda.yaml           the model's environment with every pin in it, and the inference server
    requirements.txt     the same pins, for pip
    endpoint.yml, deployment.yml, create_service.sh, README.md
    sample.jpg, sample-request.json, sample-answer.json
    SHA256SUMS           the checksum of each of these files

No file names the machine that wrote it.
"""

import base64
import hashlib
import json
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml
from mlflow.models.model import MLMODEL_FILE_NAME
from packaging.requirements import InvalidRequirement, Requirement

from yolo3.data.images import read_image
from yolo3.data.project import PROJECT_DIR
from yolo3.deploy import texts
from yolo3.deploy.agreement import is_sure
from yolo3.deploy.fit import check_fit
from yolo3.detector.checksums import SUMS_FILE, check_sums, write_sums
from yolo3.detector.load import DATA_FOLDER, ModelError, load_detector, model_folder
from yolo3.detector.mlflow_model import CODE_FOLDER
from yolo3.detector.pyfunc import IMAGE, PictureModel, read_settings

SCRIPT = PROJECT_DIR / "score.py"
SERVER_PIN = "azureml-inference-server-http==1.4.1"
IMAGE_NAME = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest"
SCHEMAS = "https://azuremlschemas.azureedge.net/latest"
INSTANCE_TYPE = "Standard_DS3_v2"
BLUE, GREEN = "blue", "green"

MODEL, CODE = "model", "code"
CONDA, REQUIREMENTS = "conda.yaml", "requirements.txt"
ENDPOINT, DEPLOYMENT = "endpoint.yml", "deployment.yml"
SAMPLE, SAMPLE_REQUEST, SAMPLE_ANSWER = "sample.jpg", "sample-request.json", "sample-answer.json"
CREATE, README = "create_service.sh", "README.md"
WRITTEN = (
    *(MODEL, CODE, CONDA, REQUIREMENTS, ENDPOINT, DEPLOYMENT),
    *(SAMPLE, SAMPLE_REQUEST, SAMPLE_ANSWER, CREATE, README, SUMS_FILE),
)
_CHECKED = (MODEL, SAMPLE, SAMPLE_REQUEST, SAMPLE_ANSWER)  # the other files may be edited
_NOT_COPIED = ("__pycache__", "registered_model_meta")  # the latter depends on the model's URI

_PROBE = {  # of a container that installs nothing any more, but loads and compiles the model
    "initial_delay": 30,  # seconds
    "period": 10,
    "timeout": 10,  # a picture that is being worked on makes the probe wait
    "success_threshold": 1,
    "failure_threshold": 60,  # ten minutes
}
_REQUESTS = {"request_timeout_ms": 90_000, "max_concurrent_requests_per_instance": 1}
_SAMPLE_SIDE = 640  # pixels; keeps the request below what Azure ML takes


class PackageError(ValueError):
    """Say why a folder cannot be written, or is no export."""


@dataclass(frozen=True)
class Package:
    """An exported folder, and the digest of what would be served from it, and how."""

    folder: Path
    digest: str

    @property
    def image(self) -> str:
        """Name the container image that the environment is built on."""
        deployment = yaml.safe_load((self.folder / DEPLOYMENT).read_text("utf-8"))
        return deployment["environment"]["image"]

    @property
    def version(self) -> str:
        """Name the content, shortly enough for a version in Azure ML."""
        return self.digest[:16]

    @property
    def score_threshold(self) -> float:
        """Give the least score of what the model finds."""
        return read_settings(self.folder / MODEL / DATA_FOLDER).thresholds.score_threshold

    @property
    def expected(self) -> list[dict]:
        """Give the objects that the exported model finds in the sample image."""
        [row] = json.loads((self.folder / SAMPLE_ANSWER).read_text("utf-8"))["predictions"]
        return row["detections"]


def export_package(
    model: str, folder: Path, force: bool = False, picture: Path | None = None
) -> Package:
    """Write a logged model (a URI or a folder) as a folder that Azure ML takes.

    force: write into a folder that holds something; what an export writes is replaced there, and
    nothing else touched. picture: for the sample request; the model's own example if None.
    Raises PackageError for the folder or a sample without objects, ModelError for the model,
    MisfitError where the model was logged with other code than `score.py` needs, ImageError for the
    picture.
    """
    if folder.exists() and not folder.is_dir():
        raise PackageError(f"{folder} is a file, expected a folder to write")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise PackageError(f"{folder} exists and is not empty: name another, or say --force")
    if (folder / MLMODEL_FILE_NAME).exists():
        raise PackageError(f"{folder} is an MLflow model, name another folder to write")
    with tempfile.TemporaryDirectory() as temporary, model_folder(model) as place:
        detector = load_detector(place)
        new = Path(temporary) / "package"
        _write(place, new, PictureModel(detector), picture)
        folder.mkdir(parents=True, exist_ok=True)
        for name in WRITTEN:
            _replace(new / name, folder / name)
    return read_package(folder)


def read_package(folder: Path) -> Package:
    """Look an exported folder over; raises PackageError where something is missing."""
    missing = [name for name in WRITTEN if not (folder / name).exists()]
    if missing == [SAMPLE_ANSWER, SUMS_FILE]:
        raise PackageError(
            f"{folder} was exported by an earlier version of this project, without"
            f" {SAMPLE_ANSWER}: export the model again with azureml-export"
        )
    if missing:
        raise PackageError(f"{folder} is no export: it lacks {', '.join(missing)}")
    try:
        check_sums(folder, _CHECKED)
    except ValueError as error:
        raise PackageError(f"{folder} is damaged: {error}; export the model again") from error
    check_fit(folder / CODE / SCRIPT.name, folder / MODEL / CODE_FOLDER)
    return Package(folder, _digest(folder))


def _write(model: Path, folder: Path, loaded: PictureModel, picture: Path | None) -> None:
    check_fit(SCRIPT, model / CODE_FOLDER)
    shutil.copytree(model, folder / MODEL, ignore=shutil.ignore_patterns(*_NOT_COPIED))
    (folder / CODE).mkdir()
    shutil.copyfile(SCRIPT, folder / CODE / SCRIPT.name)
    pins = _pins(model)
    _write_text(folder / REQUIREMENTS, "".join(f"{pin}\n" for pin in pins))
    _write_yaml(folder / CONDA, _environment(model, pins))
    data = _sample(model, picture)
    (folder / SAMPLE).write_bytes(data)
    _write_text(folder / SAMPLE_REQUEST, json.dumps(_request(data)) + "\n")
    answer = _answer(loaded, data, str(picture or "the model's own example image"))
    _write_text(folder / SAMPLE_ANSWER, json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
    name = f"keras-yolo-{_digest(folder)[:8]}"
    _write_yaml(folder / ENDPOINT, _endpoint(name))
    _write_yaml(folder / DEPLOYMENT, _deployment(name))
    _write_text(folder / CREATE, texts.CREATE_SERVICE.replace("ENDPOINT_NAME", name))
    _write_text(folder / README, texts.README)
    script = folder / CREATE
    script.chmod(script.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    write_sums(folder)


def _pins(model: Path) -> list[str]:
    """Name the model's packages with all that its constraints bind, and the inference server."""
    [group] = [part["pip"] for part in _conda(model)["dependencies"] if isinstance(part, dict)]
    pins: dict[str, str] = {}
    for line in _requirement_lines(model, group):
        try:
            pins.setdefault(Requirement(line).name.lower(), line)
        except InvalidRequirement as error:
            raise ModelError(f"{model}/conda.yaml: {line!r} is no requirement: {error}") from error
    return [*pins.values(), SERVER_PIN]


def _requirement_lines(model: Path, group: list[str]) -> list[str]:
    lines = []
    for line in group:
        kind, _, file = line.partition(" ")
        if kind in ("-c", "-r"):
            found = (model / file.strip()).read_text("utf-8").splitlines()
            lines += [text for text in (each.split("#")[0].strip() for each in found) if text]
        else:
            lines.append(line)
    return lines


def _conda(model: Path) -> dict:
    return yaml.safe_load((model / "conda.yaml").read_text("utf-8"))


def _environment(model: Path, pins: list[str]) -> dict:
    conda = _conda(model)
    others = [part for part in conda["dependencies"] if not isinstance(part, dict)]
    return conda | {"dependencies": [*others, {"pip": pins}]}


def _sample(model: Path, picture: Path | None) -> bytes:
    """Give a JPEG: the picture, or the example that the model was logged with."""
    if picture is None:
        table = json.loads((model / "input_example.json").read_text("utf-8"))
        return base64.b64decode(table["data"][0][table["columns"].index(IMAGE)])
    image = read_image(picture)
    image.thumbnail((_SAMPLE_SIDE, _SAMPLE_SIDE))
    with tempfile.TemporaryFile() as file:
        image.save(file, "JPEG", quality=90)
        file.seek(0)
        return file.read()


def _request(data: bytes) -> dict:
    text = base64.b64encode(data).decode("ascii")
    return {"input_data": {"columns": [IMAGE], "index": [0], "data": [[text]]}}


def _answer(loaded: PictureModel, data: bytes, source: str) -> dict:
    """Answer the sample request as the server does; PackageError where that would show nothing."""
    rows = loaded.predict(pd.DataFrame({IMAGE: [data]})).to_dict("records")
    threshold = loaded.detector.thresholds.score_threshold
    if not any(is_sure(found, threshold) for found in rows[0]["detections"]):
        raise PackageError(
            f"{source}: the model finds no object in it with a score well above its threshold"
            f" {threshold:g}, so a deployment could not be checked with it: give azureml-export"
            " another image with --picture"
        )
    return {"predictions": rows}


def _endpoint(name: str) -> dict:
    return {
        "$schema": f"{SCHEMAS}/managedOnlineEndpoint.schema.json",
        "name": name,
        "auth_mode": "key",
    }


def _deployment(endpoint_name: str) -> dict:
    return {
        "$schema": f"{SCHEMAS}/managedOnlineDeployment.schema.json",
        "name": BLUE,
        "endpoint_name": endpoint_name,
        "model": {"path": f"./{MODEL}", "type": "mlflow_model"},
        "code_configuration": {"code": f"./{CODE}", "scoring_script": SCRIPT.name},
        "environment": {"image": IMAGE_NAME, "conda_file": f"./{CONDA}"},
        "environment_variables": {"GUNICORN_CMD_ARGS": texts.WORKERS},
        "instance_type": INSTANCE_TYPE,
        "instance_count": 1,
        "request_settings": _REQUESTS,
        "liveness_probe": dict(_PROBE),
        "readiness_probe": dict(_PROBE),
    }


def _digest(folder: Path) -> str:
    """Digest names and contents of what is served, and how: model, script, environment, probes."""
    files = [file for part in (MODEL, CODE) for file in (folder / part).rglob("*")]
    files += [folder / CONDA, folder / DEPLOYMENT]
    found = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.as_posix()):
        if file.is_file() and "__pycache__" not in file.parts:
            found.update(file.relative_to(folder).as_posix().encode() + b"\0")
            found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def _replace(new: Path, old: Path) -> None:
    if old.is_dir() and not old.is_symlink():
        shutil.rmtree(old)
    else:
        old.unlink(missing_ok=True)
    shutil.move(new, old)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, "utf-8", newline="\n")


def _write_yaml(path: Path, value: dict) -> None:
    _write_text(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
