"""The files that tell the same thing twice tell it alike; the rooms import downwards only."""

import ast
import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import click
import pytest
import yaml
from packaging.requirements import Requirement

import train
from yolo3.commands.main import main as commands
from yolo3.commands.numbers import AutoOr
from yolo3.data.annotations import read_classes
from yolo3.deploy.package import SERVER_PIN
from yolo3.network.spec import read_anchors

PROJECT = Path(__file__).resolve().parents[1]
ENTRY_POINTS = {
    "main": train.main,
    "pretrain": commands.commands["pretrain"],
    "evaluate": commands.commands["evaluate"],
    "reproduce": commands.commands["reproduce"],
    "promote": commands.commands["promote"],
    "azureml_export": commands.commands["azureml-export"],
    "azureml_deploy": commands.commands["azureml-deploy"],
    "azureml_job": commands.commands["azureml-job"],
}
MAIN_PARAMETERS = {
    "annotation_path": "voc/list_master.txt",
    "weights_path": "auto",
    "classes_path": "auto",
    "anchors_path": "auto",
    "log_dir": "logs/default",
    "initial_lr": "auto",
    "batch_size": 8,
    "frozen_epochs": 10,
    "fine_tune_epochs": "auto",
    "input_size": "416",
    "val_split": 0.1,
    "val_annotation_path": "",
    "test_annotation_path": "",
    "freeze": "body",
    "precision": "auto",
    "engine": "openvino",
    "registered_model_name": "",
    "threads": 0,
    "cache_gb": 4.0,
}


def text(name):
    return (PROJECT / name).read_text("utf-8")


def entry_point(name):
    return yaml.safe_load(text("MLproject"))["entry_points"][name]


def parameters(name):
    """Give an entry point's parameters as {name: (type, default)}; None: it must be given."""
    found = {}
    for key, value in entry_point(name)["parameters"].items():
        said = {"type": value} if isinstance(value, str) else value
        found[key] = (said["type"], said.get("default"))
    return found


def options(command):
    return {option.name: option for option in command.params if isinstance(option, click.Option)}


def readme_parameters():
    section = text("README.md").split("\n## Parameters\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): row[1].strip(" `") for row in rows}


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_mlproject_and_options_have_the_same_names_and_defaults(name):
    declared, own = parameters(name), options(ENTRY_POINTS[name])
    assert list(declared) == list(own)
    for key, (kind, default) in declared.items():
        assert kind == ("string" if isinstance(own[key].type, STRINGS) else "float"), key
        assert own[key].required is (default is None), key
        if default is not None:
            assert default == own[key].default, key
            assert type(default) is type(own[key].default), key


STRINGS = (AutoOr, click.types.StringParamType, click.Choice)


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_mlproject_hands_every_parameter_on(name):
    command = entry_point(name)["command"]
    pairs = re.findall(r"--([a-z-]+) \{([a-z_]+)\}", command)
    assert [key for _, key in pairs] == list(parameters(name))
    assert all(option.replace("-", "_") == key for option, key in pairs)
    called = f"python -m yolo3 {name.replace('_', '-')} --"
    start = {"main": "python train.py --"}.get(name, called)
    assert command.startswith(start)


def test_the_main_entry_point_keeps_its_parameters():
    declared = parameters("main")
    assert set(declared) == {*MAIN_PARAMETERS, "seed", "resume"}
    assert {key: declared[key][1] for key in MAIN_PARAMETERS} == MAIN_PARAMETERS
    assert {kind for kind, _ in declared.values()} == {"string", "float"}


def test_the_readme_tells_the_same_parameters_and_defaults():
    told = readme_parameters()
    declared = parameters("main")
    assert list(told) == list(declared)
    assert told == {key: str(default) for key, (_, default) in declared.items()}


def test_ci_runs_the_readmes_own_test_command():
    fenced = re.findall(r"^```\w*\n(.*?)^```", text("README.md"), re.MULTILINE | re.DOTALL)
    lines = [line for block in fenced for line in block.splitlines() if "pytest" in line]
    assert len(lines) == 1 and lines[0].endswith("python -m pytest -n 2 --dist loadfile")
    script = text(".ci/run")
    assert script.startswith("#!/usr/bin/env bash\n") and "\nset -euo pipefail\n" in script
    assert "-m pytest" not in script and (PROJECT / ".ci/run").stat().st_mode & 0o111
    if awk := shutil.which("awk"):
        [program] = re.findall(r"awk '(.*?)'", script)
        command = [awk, program, str(PROJECT / "README.md")]
        assert subprocess.check_output(command, text=True).strip() == lines[0]


def lock():
    return [Requirement(line) for line in text("requirements.txt").splitlines()]


def test_the_lock_pins_exactly_and_names_no_index():
    lines = text("requirements.txt").splitlines()
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; .+)?", line) for line in lines)
    pins = {requirement.name: str(requirement.specifier) for requirement in lock()}
    assert pins["mlflow"] == "==3.15.0" and pins["keras"].startswith("==3.15.")
    assert pins["tensorflow"].startswith("==2.21.")
    assert not {"pytest", "ruff", "hypothesis", "azure-ai-ml", "azureml-mlflow"} & set(pins)
    assert not (PROJECT / "uv.lock").exists()


def test_the_lock_satisfies_what_the_project_asks_for():
    project = tomllib.loads(text("pyproject.toml"))["project"]
    pins = {requirement.name: requirement.specifier for requirement in lock()}
    for line in project["dependencies"]:
        wanted = Requirement(line)
        [pin] = pins[wanted.name]
        assert wanted.specifier.contains(pin.version), line
    assert project["requires-python"] == ">=3.11,<3.14"
    for line in project["optional-dependencies"]["test"]:
        assert Requirement(line).name not in pins


def test_the_lock_goes_with_the_inference_server():
    """An exported environment has the lock's pins and the server's, and must be solvable."""
    assert [line for line in extra("azure") if line.startswith(SERVER)] == [SERVER_PIN]
    pins = {requirement.name: requirement.specifier for requirement in lock()}
    for line in metadata.requires(SERVER) + metadata.requires("inference-schema"):
        wanted = Requirement(line)
        on_azure = {"platform_system": "Linux", "sys_platform": "linux", "extra": ""}
        if wanted.name in pins and (not wanted.marker or wanted.marker.evaluate(on_azure)):
            [pin] = pins[wanted.name]
            assert wanted.specifier.contains(pin.version), line


SERVER = "azureml-inference-server-http"


def extra(name):
    project = tomllib.loads(text("pyproject.toml"))["project"]
    return [line.split(" ;")[0] for line in project["optional-dependencies"][name]]


def test_the_runtime_carries_no_deployment_packages():
    pins = {requirement.name for requirement in lock()}
    for name in ("azure", "azureml-v1"):
        named = {Requirement(line).name for line in extra(name)} - {"setuptools"}
        assert named and not named & pins


def test_conda_installs_the_lock():
    conda = yaml.safe_load(text("conda.yaml"))
    assert yaml.safe_load(text("MLproject"))["conda_env"] == "conda.yaml"
    assert conda["dependencies"] == [
        "python>=3.11,<3.14",
        "pip",
        {"pip": ["-r requirements.txt"]},
    ]


def test_model_data_ships_classes_and_anchors():
    folder = PROJECT / "model_data"
    assert len(read_classes(folder / "coco_classes.txt")) == 80
    assert len(read_classes(folder / "voc_classes.txt")) == 20
    assert len(read_anchors(folder / "yolo_anchors.txt")) == 9
    assert len(read_anchors(folder / "yolo_tiny_anchors.txt")) == 6
    sample = read_classes(PROJECT / "voc/classes.txt")
    assert read_classes(folder / "yolo_custom_classes.txt") == sample


ROOMS = {  # room -> the rooms that it may import
    "data": set(),
    "scenes": set(),
    "network": set(),
    "checks": {"data", "network"},
    "detector": {"data", "network"},
    "evaluation": {"data", "network", "detector"},
    "training": {"data", "network", "detector", "evaluation"},
    "tracking": {"data", "scenes", "network", "checks", "detector", "evaluation", "training"},
    "deploy": {"data", "network", "detector", "evaluation", "training", "tracking"},
}
WITHOUT_MLFLOW = ("data", "scenes", "network", "checks", "evaluation", "training")


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_downwards_only(room):
    allowed = ROOMS[room] | {room}
    for file in sorted((PROJECT / "yolo3" / room).rglob("*.py")):
        for module in imports(file):
            parts = module.split(".")
            if parts[0] == "yolo3":
                assert parts[1] in allowed, f"{file}: {module}"
            assert parts[0] != "mlflow" or room not in WITHOUT_MLFLOW, f"{file}: {module}"


def imports(file):
    found = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module)
    return found
