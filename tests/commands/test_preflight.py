"""Each command that uses MLflow says what is wrong with its settings; the others do not care."""

import os
import subprocess
import sys

import mlflow
import pytest
from check_cases import clean_data
from click.testing import CliRunner
from job_cases import PROJECT
from mlflow.utils.mlflow_tags import MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE
from server_cases import environment

import train
from yolo3.commands.main import main

NOBODY = "http://127.0.0.1:9"  # nothing listens there
RUN = f"runs:/{'0' * 32}/model"
RECORDING = {  # commands that open a run -> exit status where they cannot
    "train": 1,
    "train --resume x": 1,
    "pretrain --output x.keras --data scenes": 1,
    "evaluate --model folder": 1,
    "check --annotation-path x --classes-path x": 2,
    "promote --name x --annotation-path x": 2,
    "reproduce --run-id x": 2,
}
LOADING = (  # commands that load a model by its address in MLflow
    f"detect --model {RUN} --input . --output found",
    "detect --model models:/x/1 --input . --output found",
    f"convert --model {RUN} --to-darknet new",
    f"export --model m-{'0' * 32} --format onnx --output x.onnx",
    f"score-spark --model {RUN} --folder . --output found",
    f"azureml-export --model {RUN} --output new",
    f"azureml-deploy --model {RUN} --name x --dry-run",
)


def call(line):
    words = line.split()
    command, given = (train.main, words[1:]) if words[0] == "train" else (main, words)
    return CliRunner().invoke(command, given, catch_exceptions=False)


@pytest.mark.parametrize("line", [*RECORDING, *LOADING])
def test_a_server_that_is_away_is_told_before_any_work(tracking, tmp_path, line):
    mlflow.set_tracking_uri(NOBODY)
    done = call(line)
    assert done.exit_code == RECORDING.get(line, 1), done.output
    assert done.output.startswith(f"Error: MLFLOW_TRACKING_URI={NOBODY} cannot be used: ")
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db"}


@pytest.mark.parametrize("line", RECORDING)
def test_a_run_or_experiment_of_nothing_is_told(tracking, monkeypatch, line):
    settings = {
        "MLFLOW_RUN_ID": "0" * 32,
        "MLFLOW_EXPERIMENT_ID": "999",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "soon",
    }
    for name, value in settings.items():
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            done = call(line)
        if name != "MLFLOW_EXPERIMENT_ID" or "resume" not in line:  # goes on in its own experiment
            assert done.exit_code == RECORDING[line] and name in done.output, done.output
            assert done.output.count("\n") == 1


@pytest.mark.parametrize("line", [line for line in LOADING if "spark" not in line])  # it is slow
def test_what_opens_no_run_asks_for_none(tracking, monkeypatch, line):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    assert "MLFLOW_RUN_ID" not in call(line).output


def test_commands_without_mlflow_do_not_ask(tracking, tmp_path):
    mlflow.set_tracking_uri(NOBODY)
    data = clean_data(tmp_path / "data")
    for line in (
        f"check {' '.join(map(str, data.options))} --no-log",
        f"detect --model nothing --input {data.folder} --output found",
        "azureml-job --dry-run",
    ):
        assert "MLFLOW_TRACKING_URI" not in call(line).output


def test_a_registry_that_is_away_stops_only_what_uses_it(tracking, monkeypatch):
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", NOBODY)
    for line in (
        "promote --name x --annotation-path x",
        "detect --model models:/x/1 --input . --output found",
        "train --weights-path models:/x/1 --annotation-path x",
    ):
        assert f"MLFLOW_REGISTRY_URI={NOBODY} cannot be used" in call(line).output
    done = call("train --registered-model-name x --annotation-path x")  # registered last, or later
    assert "x: the annotation list does not exist" in done.output


def test_a_store_that_is_still_to_be_made_is_not_made_for_bad_data(tracking, tmp_path, monkeypatch):
    (tmp_path / "mlflow.db").unlink()
    assert "x: the annotation list does not exist" in call("train --annotation-path x").output
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon")
    assert "for MLFLOW_HTTP_REQUEST_TIMEOUT" in call("train --annotation-path x").output
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT")
    (tmp_path / "mlflow.db").write_text("no database")
    assert "file is not a database" in call("train --annotation-path x").output


@pytest.mark.parametrize(
    ("line", "settings", "told"),
    [
        (["train.py"], {"MLFLOW_TRACKING_URI": "mlruns"}, (1, "MLFLOW_TRACKING_URI=mlruns cannot")),
        (["-m", "yolo3", "check"], {"MLFLOW_TRACKING_URI": NOBODY}, (2, "Connection refused")),
        (["train.py"], {"MLFLOW_CONFIGURE_LOGGING": "maybe"}, (1, "but got maybe")),
    ],
)
def test_a_process_prints_one_sentence(tmp_path, line, settings, told):
    """In a process of its own: MLflow reads some variables when it is imported."""
    data = clean_data(tmp_path / "data")
    script = [str(PROJECT / line[0])] if line[0].endswith(".py") else line
    done = subprocess.run(
        [sys.executable, *script, *map(str, data.options)],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(PROJECT), TF_CPP_MIN_LOG_LEVEL="3", **settings),
        capture_output=True,
        text=True,
        timeout=120,
    )
    status, sentence = told
    assert done.returncode == status and sentence in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_a_mistake_exits_with_another_status_than_a_finding(tracking, tmp_path, monkeypatch):
    def mistake(**_):
        raise RuntimeError("a mistake")

    monkeypatch.setattr("yolo3.commands.check._check", mistake)
    done = call("check --annotation-path x --classes-path x --no-log")
    assert done.exit_code == 2 and "RuntimeError: a mistake" in done.output


AT_PROJECT = {  # source that `mlflow run` records -> whether it works in a copy
    "https://host.invalid/me/keras-yolo.git": True,
    "git@host.invalid:me/keras-yolo": True,
    "/home/me/keras-yolo.zip": True,
    str(PROJECT): False,
    f"file://{PROJECT}": False,
    f"file://{PROJECT.parent}#{PROJECT.name}": False,
}


@pytest.mark.parametrize("source", AT_PROJECT)
def test_relative_paths_are_refused_in_a_copy_and_nowhere_else(tracking, monkeypatch, source):
    tags = {MLFLOW_SOURCE_NAME: source, MLFLOW_SOURCE_TYPE: "PROJECT"}
    run_id = mlflow.MlflowClient().create_run("0", tags=tags).info.run_id
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{os.getcwd()}/mlflow.db")
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    line = "train --annotation-path nowhere.txt --log-dir /dev/null/logs"
    assert "does not exist" in call(line).output  # in another folder
    monkeypatch.chdir(PROJECT)
    done = call(line)
    refused = "annotation_path is nowhere.txt, but `mlflow run` of a repository works in a copy"
    assert (refused in done.output) == AT_PROJECT[source], done.output
    assert ("does not exist" in done.output) != AT_PROJECT[source]


REFUSED = {  # at a copy of the project
    "train --annotation-path nowhere.txt": "annotation_path",
    "train --val-annotation-path nowhere.txt": "val_annotation_path",
    "train --classes-path nowhere.txt": "classes_path",
    "train --anchors-path nowhere.txt": "anchors_path",
    "train --weights-path nowhere.keras": "weights_path",
    "train --log-dir logs/mine": "log_dir",
    "pretrain --output mine.keras": "output",
    "pretrain --data scenes": "data",
    "evaluate --model nowhere": "model",
    "evaluate --model /nowhere --output report": "output",
    "promote --name x --annotation-path nowhere.txt": "annotation_path",
    "reproduce --run-id x --weights-path nowhere.keras": "weights_path",
    "azureml-export --model /nowhere --output new": "output",
    "azureml-export --model /nowhere --output /new --picture nowhere.jpg": "picture",
    "azureml-deploy --package nowhere --name x --dry-run": "package",
    "azureml-job --data nowhere --dry-run": "data",
    "azureml-job --output job --dry-run": "output",
}
MEANT = {  # files of the project, addresses and names
    "train --annotation-path README.md --log-dir /dev/null/x": "README.md, in the copy of the",
    "train --weights-path yolov3-tiny --annotation-path /nowhere --log-dir /dev/null/x": "/nowhere",
    "train --weights-path none --annotation-path /nowhere --log-dir /dev/null/x": "/nowhere",
    f"evaluate --model {RUN} --annotation-path /nowhere": "no model at",
}


@pytest.fixture
def in_copy(tracking, monkeypatch):
    tags = {MLFLOW_SOURCE_NAME: "https://host.invalid/me/x", MLFLOW_SOURCE_TYPE: "PROJECT"}
    run_id = mlflow.MlflowClient().create_run("0", tags=tags).info.run_id
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{os.getcwd()}/mlflow.db")
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    monkeypatch.chdir(PROJECT)


@pytest.mark.parametrize("line", REFUSED)
def test_every_path_of_every_entry_point_is_refused(in_copy, line):
    done = call(line)
    name = REFUSED[line]
    assert f"Error: {name} is " in done.output and f"as -P {name}=/" in done.output, done.output
    assert done.exit_code == (2 if line.startswith(("promote", "reproduce")) else 1)


@pytest.mark.parametrize("line", MEANT)
def test_what_the_project_holds_is_meant(in_copy, line):
    output = call(line).output
    assert MEANT[line] in output and "works in a copy" not in output
    assert ("in the copy" in output) == ("README.md" in line)


def test_a_resumed_run_has_its_own_paths(in_copy):
    output = call("train --resume x").output
    assert f"relative paths lie in {PROJECT}, the copy" in output and "no run 'x'" in output
