import re
import shlex

import pytest
import yaml
from azure.ai.ml import load_job
from click.testing import CliRunner
from job_cases import PROJECT
from proxy_cases import ROOT, LoopbackAzure

import train
from yolo3.commands.main import main
from yolo3.deploy.job import parse_parameters, write_job
from yolo3.deploy.sdk import DeployError


def write(tmp_path, parameters="", data="", compute="cpu-cluster"):
    return write_job(tmp_path / "job", parse_parameters(parameters), compute, "toys", data)


def asked(job):
    """Fill in a loaded job's inputs as Azure ML does, and let train.py read what comes of it."""

    def value(found):
        given = job.inputs[found[1]]
        return "/mnt/data" if found[1] == "data" else str(getattr(given, "_data", given))

    words = shlex.split(re.sub(r"\$\{\{inputs\.(\w+)\}\}", value, job.command))
    assert words[:2] == ["python", "train.py"]
    return train.main.make_context("train.py", words[2:]).params


def test_the_job_loads_offline_and_asks_for_mlprojects_defaults(tmp_path):
    job = load_job(write(tmp_path))
    assert (job.compute, job.experiment_name) == ("cpu-cluster", "toys")
    assert asked(job) == train.main.make_context("train.py", []).params
    assert "--resume" not in job.command and "--val-annotation-path" not in job.command


def test_parameters_and_data_travel_as_they_were_said(tmp_path):
    given = "batch_size=8 initial_lr=0.001 annotation_path='{data}/my list.txt' freeze=none"
    path = write(tmp_path, given, "azureml:toys:3", "azureml:big")
    job = load_job(path)
    params = asked(job)
    assert (params["batch_size"], params["initial_lr"], params["freeze"]) == (8, 0.001, "none")
    assert params["annotation_path"] == "/mnt/data/my list.txt"
    said = yaml.safe_load(path.read_text())
    assert said["inputs"]["data"] == {"type": "uri_folder", "path": "azureml:toys:3"}
    assert said["compute"] == "azureml:big"


def test_the_environment_is_the_lock_and_what_tracks_in_the_workspace(tmp_path):
    path = write(tmp_path)
    *_, group = yaml.safe_load((path.parent / "conda.yaml").read_text())["dependencies"]
    lock = (path.parent / "code" / "requirements.txt").read_text().splitlines()
    assert group["pip"] == [*lock, "azureml-mlflow==1.62.0.post6"]
    assert {"train.py", "yolo3", "model_data", "voc", "MLproject"} <= {
        file.name for file in (path.parent / "code").iterdir()
    }


@pytest.mark.parametrize("weights", ["none", "yolov3-tiny", "runs:/abc/keras-yolo-model"])
def test_weights_that_are_no_file_here_may_be_named(tmp_path, weights):
    assert write_job(tmp_path / "job", {"weights_path": weights}, "cpu", "yolo", "").is_file()


@pytest.mark.parametrize(
    ("parameters", "data", "reason"),
    [
        ("batch=8", "", "parameters has 'batch', expected some of annotation_path"),
        ("batch_size", "", "expected words like batch_size=8"),
        ("a='", "", "parameters: No closing quotation"),
        ("annotation_path={data}/x.txt", "", "no data was given"),
        ("annotation_path=.", "", "would not be there"),
        ("annotation_path=/home/me/x.txt", "", "would not be there"),
        ("classes_path=voc/missing.txt", "azureml:toys:3", "would not be there"),
        (
            "weights_path=/home/me/mine.keras",
            "",
            "weights_path is /home/me/mine.keras, which would",
        ),
    ],
)
def test_what_could_not_run_is_told_before(tmp_path, parameters, data, reason):
    with pytest.raises(DeployError, match=reason):
        write(tmp_path, parameters, data)
    assert not (tmp_path / "job").exists()


def test_a_folder_that_holds_something_is_left(tmp_path):
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "mine").touch()
    with pytest.raises(DeployError, match="exists and is not empty"):
        write(tmp_path)


def test_a_dry_run_prints_the_job(tmp_path):
    done = CliRunner().invoke(main, ["azureml-job", "--dry-run"], catch_exceptions=False)
    assert done.exit_code == 0 and yaml.safe_load(done.output)["type"] == "command"


def test_the_job_is_submitted(tmp_path, monkeypatch):
    arguments = ["azureml-job", "--parameters", "seed=7", "--experiment", "toys"]
    with LoopbackAzure(tmp_path) as azure:
        azure.set_environment(monkeypatch)
        done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    [sent] = azure.sent("PUT", "jobs/.*")
    said = sent.json["properties"]
    assert f"az ml job stream -n {sent.path.split('/')[-1]} -g vision -w toys" in done.output
    assert said["command"] == load_job(write(tmp_path)).command
    assert said["computeId"] == f"{ROOT}/computes/cpu-cluster" and said["experimentName"] == "toys"
    assert said["inputs"]["seed"] == {"value": "7", "jobInputType": "literal"}
    uploaded = {name.partition("/")[2]: data for name, data in azure.blobs.items()}
    assert uploaded["code/train.py"] == (PROJECT / "train.py").read_bytes()
    assert "code/model_data/yolo_tiny_base.keras" in uploaded
