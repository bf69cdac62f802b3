"""Runs repeated in processes of their own, as a user repeats them."""

import subprocess
import sys
import time
from functools import partial

import mlflow
import pytest
from click.testing import CliRunner
from git_cases import git
from job_cases import Trained, tracking_in
from reproduce_cases import changed, record_of
from server_cases import environment

from yolo3.commands.main import main
from yolo3.tracking.reproduce import job
from yolo3.tracking.reproduce.checkout import checked_out
from yolo3.tracking.reproduce.record import ReproduceError


@pytest.fixture(scope="module")
def cleaned(alone):
    """The clone of `alone` as its commit is: what was changed is in the record alone."""
    folder, trained = alone
    git(folder, "checkout", "--quiet", ".")
    (folder / "yolo3/training/own.py").unlink()
    yield folder, trained
    assert len(git(folder, "worktree", "list").splitlines()) == 1


def run(folder, store, *command):
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment(MLFLOW_TRACKING_URI=store),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )


def newest(trained):
    """Give the run that was made last, wherever it is."""
    experiments = [found.experiment_id for found in trained.client.search_experiments()]
    [found] = trained.client.search_runs(experiments, max_results=1)
    return Trained(found.info.run_id, "", {}, trained.store)


def test_mlflow_run_repeats_a_run_to_the_bit(cleaned):
    folder, trained = cleaned
    words = ["mlflow", "run", ".", "--env-manager", "local", "-e", "reproduce"]
    done = run(folder, trained.store, *words, "-P", f"run_id={trained.run_id}")
    assert done.returncode == 0, done.stdout
    assert "machine, threads, versions and code: the same\nidentical\n" in done.stdout
    again = newest(trained)
    assert again.run.data.tags["reproduces"] == trained.run_id
    assert again.run.data.tags["reproduction"] == "identical"
    assert again.run.data.tags["mlflow.project.entryPoint"] == "reproduce"  # its own run, no other
    assert again.json("parameters.json") | {"threads": 0, "registered_model_name": "figures"} == (
        trained.json("parameters.json")
    )
    told = again.json("reproduction.json")
    assert told["verdict"] == "identical" and told["circumstances"] == []
    assert [stage["stage"] for stage in told["weights"]] == ["frozen", "finetune"]
    assert all(stage["old"] == stage["new"] for stage in told["weights"])
    assert len(told["metrics"]) > 40 and all(metric["identical"] for metric in told["metrics"])
    assert "reproduction.html" in again.files()
    assert (
        again.json("source/source.json")["untracked"]
        == (trained.json("source/source.json")["untracked"])
    )
    assert len(trained.client.search_model_versions("name='figures'")) == 1  # not again


@pytest.mark.slow
def test_other_threads_give_other_bits_and_status_1(cleaned, monkeypatch, tmp_path, capfd):
    folder, trained = cleaned
    threads = trained.json("environment.json")["threads"]["intra_op"] + 1
    monkeypatch.setattr(job, "checked_out", partial(checked_out, project=folder))
    with tracking_in(tmp_path, monkeypatch):
        mlflow.set_tracking_uri(trained.store)
        done = call("--run-id", trained.run_id, "--threads", threads)
    assert done.exit_code == 1, done.output + capfd.readouterr().err
    lines = done.output.splitlines()
    assert lines[-1] == "differs"
    assert f"threads.intra_op: {threads - 1}, now {threads}" in lines
    assert f"note: {threads} threads to an operation as asked, the run had {threads - 1}" in lines
    again = newest(trained)
    assert again.run.info.experiment_id == trained.run.info.experiment_id
    assert again.run.info.run_name == f"reproduces-{trained.run.info.run_name}"
    told = again.json("reproduction.json")
    assert told["verdict"] == again.run.data.tags["reproduction"] == "differs"
    off = [metric for metric in told["metrics"] if not metric["identical"]]
    assert off and all(metric["largest"] > 0 for metric in off)


def test_nothing_stays_when_it_is_asked_to_end(cleaned):
    """By SIGTERM, as `mlflow run` sends it: no worktree, and no run that seems to go on."""
    folder, trained = cleaned
    process = subprocess.Popen(
        [sys.executable, "-m", "yolo3", "reproduce", "--run-id", trained.run_id],
        cwd=folder,
        env=environment(MLFLOW_TRACKING_URI=trained.store),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while newest(trained).run.info.status != "RUNNING" and process.poll() is None:
        time.sleep(0.1)
    assert len(git(folder, "worktree", "list").splitlines()) == 2
    process.terminate()
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 2 and "interrupted: the run is not reproduced" in told, told
    assert len(git(folder, "worktree", "list").splitlines()) == 1
    assert newest(trained).run.info.status in ("KILLED", "FAILED")


def call(*words):
    return CliRunner().invoke(main, ["reproduce", *map(str, words)])


def test_what_cannot_be_tried_has_status_2_and_makes_no_run(at_trained, scenes):
    before = len(at_trained.client.search_runs(["0"]))
    done = call("--run-id", "0" * 32)
    assert done.exit_code == 2 and done.output.startswith("Error: run 000000")
    done = call("--run-id", at_trained.run_id, "--annotation-path", scenes.val)
    assert done.exit_code == 2, done.output
    assert "val list.txt:1: picture" in done.output and "is not the one of run" in done.output
    assert len(at_trained.client.search_runs(["0"])) == before
    assert call().exit_code == 2


def test_an_unexpected_end_is_not_taken_for_a_difference(tracking, monkeypatch):
    def broken(_):
        raise OSError("the server is silent")

    monkeypatch.setattr(job, "reproduce", broken)
    done = call("--run-id", "x")
    assert done.exit_code == 2

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "reproduce", interrupted)
    done = call("--run-id", "x")
    assert done.exit_code == 2 and "interrupted" in done.output


def test_a_training_that_fails_leaves_a_failed_run(tracking, tmp_path):
    client = mlflow.MlflowClient()
    run_id = client.create_run("0").info.run_id
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    with pytest.raises(ReproduceError, match=f"ended with status 3.*its run is {run_id}"):
        job._train(client, command, tmp_path, {"A": "b"}, run_id)
    assert client.get_run(run_id).info.status == "FAILED"


def test_settings_are_repeated_but_for_what_must_not_be(alone, tmp_path):
    record = record_of(alone[1], tmp_path / "record")
    values, notes = job._values(record, {"annotation_path": "elsewhere.txt"}, 0)
    assert values["annotation_path"] == "elsewhere.txt" and notes == []
    assert values["registered_model_name"] == "" and values["initial_lr"] == 0.01
    assert values["threads"] == record.threads > 0
    assert job._values(record, {}, 64)[1] == [
        f"64 threads to an operation as asked, the run had {record.threads}"
    ]
    assert "--initial-lr=0.01" in job._arguments(values)


def test_a_run_of_older_code_is_given_no_setting_that_it_did_not_have(alone, tmp_path):
    record = record_of(alone[1], tmp_path / "record")
    del record.parameters["threads"]
    older = changed(record, environment={})
    values, notes = job._values(older, {}, 0)
    assert "threads" not in values and list(values) == list(record.parameters)
    assert notes == ["the run recorded no machine and no threads: other bits may come of that"]
    with pytest.raises(ReproduceError, match="has no threads parameter"):
        job._values(older, {}, 2)


@pytest.mark.parametrize(
    ("uri", "whole"),
    [
        ("sqlite:///mlflow.db", "sqlite:///{here}/mlflow.db"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("http://host:5000", "http://host:5000"),
        ("mlruns", "{here}/mlruns"),
        ("databricks", "databricks"),
    ],
)
def test_a_store_is_the_same_from_another_folder(uri, whole, tmp_path, monkeypatch):
    (tmp_path / "mlruns").mkdir()
    monkeypatch.chdir(tmp_path)
    assert job._whole(uri) == whole.format(here=tmp_path)
