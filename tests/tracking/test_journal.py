import shutil

import mlflow
import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, TEMPORARILY_UNAVAILABLE
from mlflow.tracking import MlflowClient
from server_cases import TrackingServer, replace_pauses

from yolo3.tracking import outage
from yolo3.tracking.journal import Journal
from yolo3.tracking.outage import TrackingAway, is_outage, patiently


@pytest.fixture(scope="module")
def server(tmp_path_factory, empty_store):
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_store, folder)
    server = TrackingServer(folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def at_server(server):
    server.start()
    mlflow.set_tracking_uri(server.address)
    yield server
    mlflow.set_tracking_uri(None)


def new_run():
    return MlflowClient().create_run("0").info.run_id


def history(run_id, name):
    return [(m.step, m.value) for m in MlflowClient().get_metric_history(run_id, name)]


def test_what_is_written_is_sent_once_and_in_order(tracking):
    run_id = new_run()
    journal = Journal(run_id)
    for step in (1, 2, 3):
        journal.write({"loss": 1 / step, "rate": 0.1}, step)
    journal.send()
    journal.send()
    journal.log({"AP": 0.5}, 3)
    assert history(run_id, "loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert history(run_id, "rate") == [(1, 0.1), (2, 0.1), (3, 0.1)]
    assert history(run_id, "AP") == [(3, 0.5)]


def test_metrics_of_a_model_go_to_its_page(tracking):
    run_id = new_run()
    model = MlflowClient().create_logged_model("0", "detector", source_run_id=run_id)
    about = {"model_id": model.model_id, "dataset_name": "list", "dataset_digest": "abc"}
    journal = Journal(run_id)
    journal.write({"loss": 1.0}, 3)
    journal.write({"AP": 0.5}, 3, about)
    journal.send()
    [metric] = MlflowClient().get_logged_model(model.model_id).metrics
    assert (metric.key, metric.value, metric.step, metric.run_id) == ("AP", 0.5, 3, run_id)
    assert (metric.dataset_name, metric.dataset_digest) == ("list", "abc")
    assert history(run_id, "AP") == [(3, 0.5)] and history(run_id, "loss") == [(3, 1.0)]


def test_what_an_earlier_process_sent_is_not_sent_again(tracking):
    run_id = new_run()
    first = Journal(run_id)
    first.log({"loss": 2.0}, 1)
    first.write({"loss": 1.0}, 2)
    second = Journal(run_id, first.entries)  # killed between writing and sending
    second.log({"loss": 0.5}, 3)
    third = Journal(run_id)  # killed before its first checkpoint: it does everything once more
    for step, loss in enumerate((2.0, 1.0, 0.5), start=1):
        third.log({"loss": loss}, step)
    assert history(run_id, "loss") == [(1, 2.0), (2, 1.0), (3, 0.5)]


def test_numbers_that_are_none_are_sent_as_they_are(tracking):
    run_id = new_run()
    Journal(run_id).log({"AP": float("nan")}, 1)
    [(step, value)] = history(run_id, "AP")
    assert step == 1 and value != value


def test_a_server_that_is_away_loses_and_doubles_nothing(at_server, capsys):
    run_id = new_run()
    journal = Journal(run_id)
    journal.log({"loss": 3.0}, 1)
    at_server.stop()
    for step in (2, 3):
        journal.write({"loss": 3.0 / step, "rate": 0.1}, step)
        assert not journal.try_to_send()
    told = capsys.readouterr().out
    assert "does not answer; 2 metrics are kept" in told and "4 metrics are kept" in told
    at_server.start()
    journal.write({"loss": 0.5, "rate": 0.1}, 4)
    assert journal.try_to_send()
    assert history(run_id, "loss") == [(1, 3.0), (2, 1.5), (3, 1.0), (4, 0.5)]
    assert [step for step, _ in history(run_id, "rate")] == [2, 3, 4]


def test_what_cannot_wait_waits_for_the_server(at_server, monkeypatch, capsys):
    run_id = new_run()
    at_server.stop()
    replace_pauses(monkeypatch, at_server.start)
    patiently(lambda: MlflowClient().set_tag(run_id, "told", "yes"), "resume")
    assert MlflowClient().get_run(run_id).data.tags["told"] == "yes"
    assert "does not answer; waiting for it, 10 minutes at most" in capsys.readouterr().out


def test_patience_ends(at_server, monkeypatch):
    at_server.stop()
    monkeypatch.setattr(outage, "PATIENCE", 0.0)
    monkeypatch.setattr(outage, "PAUSE", 0.01)
    with pytest.raises(TrackingAway, match="has not answered for 0 minutes. Go on with it: …"):
        patiently(lambda: MlflowClient().get_run("a" * 32), "Go on with it: …")


def test_errors_that_are_no_outage_are_raised(at_server):
    with pytest.raises(mlflow.MlflowException, match="not found"):
        patiently(lambda: MlflowClient().get_run("a" * 32), "")
    with pytest.raises(mlflow.MlflowException, match="not found"):
        Journal("a" * 32, [{"time": 1, "step": 1, "numbers": {"loss": 1.0}}]).try_to_send()
    with pytest.raises(ZeroDivisionError):
        patiently(lambda: 1 / 0, "")


@pytest.mark.parametrize(
    ("uri", "away"),
    [
        ("http://127.0.0.1:5000", True),
        ("azureml://region.api.azureml.ms/mlflow/v1.0/workspace", True),
        ("databricks://profile", True),
        ("sqlite:///mlflow.db", False),
        ("/home/me/mlruns", False),
    ],
)
def test_only_a_server_can_be_away(monkeypatch, uri, away):
    monkeypatch.setattr(outage.mlflow, "get_tracking_uri", lambda: uri)
    busy = MlflowException("busy", error_code=TEMPORARILY_UNAVAILABLE)
    assert is_outage(busy) is away and is_outage(requests.ConnectionError()) is away
    assert not is_outage(MlflowException("no such run", error_code=RESOURCE_DOES_NOT_EXIST))
