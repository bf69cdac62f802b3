"""Training on Azure ML compute: MLproject's main entry point as a command job.

job.yml      the job, for `az ml job create --file job.yml` as well
conda.yaml   the lock, and azureml-mlflow, which tracks in the workspace
code/        what of this project a training needs
"""

import platform
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from yolo3.data.project import PROJECT_DIR
from yolo3.deploy.azure import EXTRA, connect
from yolo3.deploy.package import IMAGE_NAME, SCHEMAS
from yolo3.deploy.sdk import DeployError, need, step
from yolo3.deploy.workspace import Workspace
from yolo3.tracking.download import OFFICIAL

TRACKING_PIN = "azureml-mlflow==1.62.0.post6"
JOB, CONDA, CODE = "job.yml", "conda.yaml", "code"
CODE_PARTS = (
    *("MLproject", "conda.yaml", "requirements.txt", "train.py"),
    *("yolo3", "model_data", "voc"),
)
DATA = "{data}"  # in a parameter's value: the folder that is mounted
_LISTS = ("annotation_path", "val_annotation_path", "test_annotation_path")
_PATHS = (*_LISTS, "classes_path", "anchors_path", "weights_path")
_NO_FILE = re.compile(rf"none|{'|'.join(OFFICIAL)}|.*:/.*")  # what weights_path may be as well
_OPTION = re.compile(r"--[a-z-]+ \{([a-z_]+)\}")


def parse_parameters(text: str) -> dict[str, str]:
    """Read `name=value` words, quoted as in a shell; raises DeployError for anything else."""
    try:
        words = [word.partition("=") for word in shlex.split(text)]
    except ValueError as error:
        raise DeployError(f"parameters: {error}") from error
    if wrong := [name for name, equals, _ in words if not equals]:
        raise DeployError(f"parameters has {wrong[0]!r}, expected words like batch_size=8")
    return {name: value for name, _, value in words}


def write_job(
    folder: Path, parameters: Mapping[str, str], compute: str, experiment: str, data: str
) -> Path:
    """Write a job into a new or empty folder; returns its YAML.

    parameters: of MLproject's main entry point, in place of the defaults. data: a folder here, or
    a URI of Azure ML, that is mounted; '' for none.
    Raises DeployError for a parameter that there is not, and for files that would not be there.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DeployError(f"{folder} exists and is not empty: name another")
    job = _job(parameters, compute, experiment, data)
    (folder / CODE).mkdir(parents=True)
    for part in CODE_PARTS:
        source, target = PROJECT_DIR / part, folder / CODE / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    for name, value in ((CONDA, _environment()), (JOB, job)):
        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000)
        (folder / name).write_text(text, "utf-8", newline="\n")
    return folder / JOB


def submit_job(file: Path, where: Workspace) -> str:
    """Submit a written job; returns its name, and tells how to follow it. Raises DeployError."""
    ml = need("azure.ai.ml", EXTRA)
    client = connect(where)
    with step("the job"):
        job = client.jobs.create_or_update(ml.load_job(file))
    print(
        f"job {job.name}: {job.studio_url}\n"
        f"az ml job stream -n {job.name} -g {where.resource_group} -w {where.workspace}",
        flush=True,
    )
    return job.name


def _job(parameters: Mapping[str, str], compute: str, experiment: str, data: str) -> dict:
    values = _values(parameters)
    _check_files(values, data)
    inputs = {name: value for name, value in values.items() if value and DATA not in value}
    if data:
        inputs["data"] = {"type": "uri_folder", "path": data}
    return {
        "$schema": f"{SCHEMAS}/commandJob.schema.json",
        "type": "command",
        "experiment_name": experiment,
        "display_name": "train",
        "code": f"./{CODE}",
        "command": _command(values),
        "inputs": inputs,
        "environment": {"image": IMAGE_NAME, "conda_file": f"./{CONDA}"},
        "compute": compute if compute.startswith("azureml:") else f"azureml:{compute}",
    }


def _main() -> dict:
    project = yaml.safe_load((PROJECT_DIR / "MLproject").read_text("utf-8"))
    return project["entry_points"]["main"]


def _values(parameters: Mapping[str, str]) -> dict[str, str]:
    declared = {name: str(said["default"]) for name, said in _main()["parameters"].items()}
    if unknown := sorted(set(parameters) - set(declared)):
        raise DeployError(f"parameters has {unknown[0]!r}, expected some of {', '.join(declared)}")
    return declared | parameters


def _check_files(values: Mapping[str, str], data: str) -> None:
    for name, value in values.items():
        if DATA in value and not data:
            raise DeployError(f"{name} is {value}, and no data was given")
        if value == "auto" or (name == "weights_path" and _NO_FILE.fullmatch(value)):
            continue
        if name in _PATHS and value and not value.startswith(f"{DATA}/"):
            travels = any(Path(value).is_relative_to(part) for part in CODE_PARTS)
            if not travels or not (PROJECT_DIR / value).is_file():
                raise DeployError(
                    f"{name} is {value}, which would not be there: expected a file of"
                    f" {', '.join(CODE_PARTS[-2:])} in the project, or {DATA}/FILE and data"
                )


def _command(values: Mapping[str, str]) -> str:
    """Fill MLproject's own command: values as the job's inputs, without what is empty."""

    def fill(option: re.Match) -> str:
        name = option[1]
        if not values[name]:
            return ""
        value = values[name].replace(DATA, "${{inputs.data}}")
        shown = f"${{{{inputs.{name}}}}}" if DATA not in values[name] else value
        return option[0].replace(f"{{{name}}}", f"'{shown}'")

    return " ".join(_OPTION.sub(fill, _main()["command"]).split())


def _environment() -> dict:
    python = ".".join(platform.python_version_tuple()[:2])
    pins = (PROJECT_DIR / "requirements.txt").read_text("utf-8").splitlines()
    return {
        "name": "keras-yolo-training",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": [*pins, TRACKING_PIN]}],
    }
