"""A training that was killed, interrupted, or lost its server; and how it went on."""

import json
import os
import shutil
import signal
import sys
from dataclasses import replace

import mlflow
import pytest
from job_cases import (
    PROJECT,
    Trained,
    as_arguments,
    fail_training,
    run_id_in,
    run_training,
    start_and_stop,
    tiny_options,
)
from network_cases import TINY_ANCHORS
from server_cases import TrackingServer, replace_pauses

import train
from yolo3.data.annotations import read_classes
from yolo3.network.spec import make_spec, read_anchors
from yolo3.tracking import train as job
from yolo3.tracking.job import FINAL_MODEL, FROZEN_MODEL
from yolo3.tracking.resume import ResumeError
from yolo3.training.checkpoint import FILE
from yolo3.training.recipe import RECIPE

CLOCK = ("images_per_second", "system/")  # metrics that tell of the machine


def assert_equal(found: Trained, whole: Trained):
    """Hold a training that was stopped against one that never was."""
    assert found.run.info.status == "FINISHED" and "interrupted" not in found.run.data.tags
    names = [name for name in whole.metrics if not name.startswith(CLOCK)]
    assert len(names) > 40
    for name in names:
        assert found.history(name) == whole.history(name), name
    assert found.json("evaluation/finetune/evaluation.json") == whole.json(
        "evaluation/finetune/evaluation.json"
    )
    digests = [
        {model.name: model.tags["weights_sha256"] for model in models_of(trained)}
        for trained in (found, whole)
    ]
    assert digests[0] == digests[1]
    assert sorted(digests[0]) == sorted([FROZEN_MODEL, FINAL_MODEL])
    assert all(model.status == "READY" for model in models_of(found))
    assert not [name for name in found.files() if name.startswith("checkpoint")]


def models_of(trained):
    return list(trained.client.search_logged_models(["0"], f"source_run_id = '{trained.run_id}'"))


def test_a_killed_training_goes_on_as_if_nothing_had_happened(trained, tracking, tmp_path):
    options = trained.options | {"log_dir": str(tmp_path / "logs")}
    printed = start_and_stop(
        [sys.executable, str(PROJECT / "train.py"), *as_arguments(options)],
        tmp_path,
        "finetune 1/2 ",
        lambda process: os.killpg(process.pid, signal.SIGKILL),
    )
    run_id = run_id_in(printed)
    assert (tmp_path / "logs" / run_id / FILE).is_file()
    output = run_training({"resume": run_id}).output
    assert "resumed after 2 epochs, in stage finetune" in output and "finetune 1/2" not in output
    assert_equal(Trained(run_id, output, options, tracking), trained)
    assert not (tmp_path / "logs" / run_id / FILE).exists()
    assert "is finished; there is nothing left" in fail_training({"resume": run_id})


@pytest.mark.slow
def test_ctrl_c_saves_logs_and_can_be_resumed_elsewhere(trained, clone, tracking, tmp_path):
    """`mlflow run` is interrupted as by a terminal, and log_dir is lost."""
    options = trained.options | {"log_dir": str(tmp_path / "logs"), "fine_tune_epochs": 2}
    given = [word for name, value in options.items() for word in ("-P", f"{name}={value}")]
    printed = start_and_stop(
        [sys.executable, "-m", "mlflow", "run", clone[0].as_uri(), "-v", clone[1], *given]
        + ["--env-manager", "local"],
        tmp_path,
        "frozen 1/1 ",
        lambda process: os.killpg(process.pid, signal.SIGINT),
    )
    run_id = run_id_in(printed)
    client = mlflow.MlflowClient()
    assert client.get_run(run_id).data.tags["interrupted"].startswith("finetune, ")
    assert "interrupted: finetune" in printed and f"-P resume={run_id}" in printed
    shutil.rmtree(tmp_path / "logs")
    opened = client.create_run("0").info.run_id  # what `mlflow run . -P resume=…` opens
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_RUN_ID", opened)
        output = run_training({"resume": run_id}).output
    assert client.get_run(opened).data.tags["resumes"] == run_id
    assert_equal(Trained(run_id, output, options, tracking), trained)


@pytest.mark.slow
def test_a_server_that_goes_away_and_comes_back(scenes, empty_store, tmp_path, monkeypatch):
    """Gone from the first epoch to the end of its stage: nothing is lost or doubled."""
    shutil.copy(empty_store, tmp_path)
    server = TrackingServer(tmp_path)
    server.start()
    keep = job.Job._keep

    def keep_without_server(self, state):
        if state.stage == "frozen":
            server.stop()
        keep(self, state)

    monkeypatch.setattr(job.Job, "_keep", keep_without_server)
    replace_pauses(monkeypatch, server.start)
    try:
        mlflow.set_tracking_uri(server.address)
        found = run_training(tiny_options(scenes, tmp_path / "logs"))
        assert "metrics are kept and sent later" in found.output
        assert found.run.info.status == "FINISHED"
        for name in ("loss", "val_loss", "val_AP50"):
            assert [step for step, _ in found.history(name)] == [1, 2]
        for name, step in (("frozen_loss", 1), ("frozen_AP50", 1), ("finetune_loss", 2)):
            assert [s for s, _ in found.history(name)] == [step]
        assert sorted(m.name for m in models_of(found)) == [FINAL_MODEL, FROZEN_MODEL]
        assert {m.status for m in models_of(found)} == {"READY"}
    finally:
        server.stop()
        mlflow.set_tracking_uri(None)


def test_what_cannot_be_resumed_says_why(trained, at_trained, tmp_path):
    assert "no run 'nothing'" in fail_training({"resume": "nothing"})
    assert "is finished" in fail_training({"resume": trained.run_id})
    client = mlflow.MlflowClient()
    bare = client.create_run("0").info.run_id
    assert "before it recorded parameters.json: start it anew" in fail_training({"resume": bare})
    values = trained.json("parameters.json")
    client.log_dict(bare, values | {"zoom": 2}, "parameters.json")
    assert "of another version of this project (parameters: zoom)" in fail_training(
        {"resume": bare}
    )
    client.log_dict(bare, values, "parameters.json")
    client.set_tag(bare, "mlflow.source.git.commit", "0123abc")
    assert "by recipe 1, this version by recipe 2: go on with it at commit 0123abc" in (
        fail_training({"resume": bare})
    )
    client.set_tag(bare, "recipe", trained.run.data.tags["recipe"])
    told = fail_training({"resume": bare, "batch_size": 5})
    assert f"batch_size is 5, but run {bare} has 4 and goes on with it" in told


@pytest.mark.parametrize("held_out", [True, False])
def test_images_that_changed_are_refused_and_their_list_is_named(trained, at_trained, held_out):
    run = trained.client.get_run(trained.run_id)
    values = trained.json("parameters.json")
    settings = job.Settings(**(values if held_out else values | {"val_annotation_path": ""}))
    digests = {
        tag.value: json.loads(given.dataset.profile)["sha256"]
        for given in run.inputs.dataset_inputs
        for tag in given.tags
        if tag.key == "mlflow.data.context"
    }
    past = job.Past(run, settings, None)
    past.check_data(digests)
    for context in digests:
        path = values[
            "val_annotation_path" if held_out and context == "validation" else "annotation_path"
        ]
        with pytest.raises(ResumeError, match=f"^{path}: its {context} images or their boxes"):
            past.check_data(digests | {context: "0" * 64})


@pytest.mark.parametrize(
    ("field", "value", "path", "message"),
    [
        ("class_names", ("kitten", "hat", "bare"), "classes_path", "expected kitten, hat, bare"),
        ("class_names", ("helmet", "hat"), "classes_path", "expected helmet, hat;"),
        ("anchors_wh", TINY_ANCHORS, "anchors_path", "expected 5,7, 9,12, 14,11, 22,30, "),
    ],
)
def test_a_file_that_changed_since_the_run_began_is_named(
    scenes, tracking, tmp_path, field, value, path, message
):
    """The run recorded other class names or anchors than its files have today."""
    files = {
        "classes_path": "model_data/yolo_custom_classes.txt",
        "anchors_path": "model_data/yolo_tiny_anchors.txt",
    }
    given = train.main.make_context(
        "train.py", as_arguments(tiny_options(scenes, tmp_path / "logs", **files))
    ).params
    given.pop("resume")
    began = make_spec(
        read_classes(PROJECT / given["classes_path"]),
        read_anchors(PROJECT / given["anchors_path"]),
        (96, 64),
    )
    client = mlflow.MlflowClient()
    run_id = client.create_run("0").info.run_id
    client.log_dict(run_id, given, "parameters.json")
    client.set_tag(run_id, "recipe", RECIPE)
    client.log_text(run_id, replace(began, **{field: value}).to_json(), "network.json")
    told = fail_training({"resume": run_id})
    assert f"{PROJECT / given[path]}: its " in told and message in told
    assert client.get_run(run_id).info.status == "RUNNING"


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path):
    with (
        job.alone_in(tmp_path / "run"),
        pytest.raises(ResumeError, match="another process is training this run now"),
        job.alone_in(tmp_path / "run"),
    ):
        pass
    with job.alone_in(tmp_path / "run"):  # it is free again
        pass


def test_a_run_that_is_being_trained_is_not_ended_by_who_would_resume_it(
    scenes, tracking, tmp_path
):
    options = tiny_options(scenes, tmp_path / "logs")
    given = train.main.make_context("train.py", as_arguments(options)).params
    given.pop("resume")
    client = mlflow.MlflowClient()
    run_id = client.create_run("0").info.run_id
    client.log_dict(run_id, given, "parameters.json")
    client.set_tag(run_id, "recipe", RECIPE)
    with job.alone_in(tmp_path / "logs" / run_id):
        assert "another process is training this run" in fail_training({"resume": run_id})
    assert client.get_run(run_id).info.status == "RUNNING"
