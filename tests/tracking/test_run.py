import random
from types import SimpleNamespace

import mlflow
import pytest
from job_cases import PROJECT
from mlflow.tracking.fluent import run_id_to_system_metrics_monitor
from server_cases import replace_pauses

from yolo3.tracking import run as record
from yolo3.training.interrupt import Interrupted

NOBODY = "http://127.0.0.1:9"  # nothing listens there


def test_files_are_sought_here_and_then_in_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    classes = "model_data/yolo_custom_classes.txt"
    assert record.find_file(classes) == PROJECT / classes
    (tmp_path / "model_data").mkdir()
    (tmp_path / classes).write_text("mine\n")
    assert record.find_file(classes).read_text() == "mine\n"
    assert str(record.find_file("nowhere.txt")) == "nowhere.txt"
    assert record.find_file(str(tmp_path / classes)) == tmp_path / classes


@pytest.mark.parametrize(
    ("uri", "command", "address"),
    [
        ("sqlite:///mlflow.db", "mlflow ui", "then open http://127.0.0.1:5000"),
        (
            "sqlite:////some where/m.db",
            "mlflow ui --backend-store-uri 'sqlite:////some where/m.db'",
            "then open http://127.0.0.1:5000",
        ),
        ("http://me:secret@host:5000/", "", "view the run: http://***@host:5000"),
    ],
)
def test_the_way_to_a_runs_page(tmp_path, monkeypatch, uri, command, address):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(record.mlflow, "get_tracking_uri", lambda: uri)
    run = SimpleNamespace(info=SimpleNamespace(experiment_id="3", run_id="abc"))
    *before, link = record.how_to_view(run).splitlines()
    assert before == ([f"view the run: {command}"] if command else [])
    assert link == f"{address}/#/experiments/3/runs/abc?workflowType=machine_learning"


def test_a_run_that_is_given_is_entered(tracking, monkeypatch, capsys):
    given = mlflow.MlflowClient().create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    with record.open_run() as run:
        assert run.info.run_id == given
    assert len(mlflow.MlflowClient().search_runs(["0"])) == 1
    assert given in capsys.readouterr().out


def test_parameters_that_are_there_stay(tracking):
    with mlflow.start_run() as run:
        mlflow.log_param("rate", "1e-2")
        record.log_params({"rate": 0.01, "list": "a b.txt"})
    params = mlflow.get_run(run.info.run_id).data.params
    assert params == {"rate": "1e-2", "list": "a b.txt"}


def test_what_auto_came_to_is_logged_beside_it(tracking):
    with mlflow.start_run() as run:
        mlflow.log_params({"weights_path": "auto", "anchors_path": "auto", "other": "auto"})
        for _ in range(2):  # as after a kill
            record.log_params({"weights_path": "yolov3-tiny", "anchors_path": "auto"})
    params = mlflow.get_run(run.info.run_id).data.params
    assert params == {
        "weights_path": "auto",
        "weights_path.chosen": "yolov3-tiny",
        "anchors_path": "auto",
        "other": "auto",
    }


def test_a_run_that_fails_says_so(tracking):
    with pytest.raises(RuntimeError), record.open_run() as run:
        raise RuntimeError("out of memory")
    assert mlflow.get_run(run.info.run_id).info.status == "FAILED"


def test_the_end_is_told_again_until_the_server_has_it(tracking, monkeypatch):
    replace_pauses(monkeypatch, lambda _: mlflow.set_tracking_uri(tracking))
    with record.open_run() as run:
        mlflow.set_tracking_uri(NOBODY)
    assert mlflow.get_run(run.info.run_id).info.status == "FINISHED"
    assert mlflow.active_run() is None


def test_an_interruption_stays_in_sight_though_the_server_is_away(tracking, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(Interrupted, match="two epochs done"), record.open_run() as run:
        mlflow.set_tracking_uri(NOBODY)
        raise Interrupted("two epochs done")
    run_id_to_system_metrics_monitor.pop(run.info.run_id).finish()
    assert "status could not be set to KILLED" in capsys.readouterr().out
    assert mlflow.active_run() is None


def test_runs_of_one_seed_have_their_own_names_and_draw_the_same_numbers(tracking):
    names, drawn = set(), set()
    for _ in range(3):
        random.seed(1)
        with record.open_run() as run:
            names.add(run.info.run_name)
        drawn.add(random.random())
    assert len(names) == 3 and len(drawn) == 1
