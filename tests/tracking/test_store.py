"""MLflow's settings that cannot be used, each a sentence."""

import http.server
import os
import shutil
import socket
import sqlite3
import threading
import time
from contextlib import contextmanager

import mlflow
import pytest

from yolo3.tracking.store import TrackingError, check_registry, check_run, check_store, start_run

NOBODY = "http://127.0.0.1:9"  # nothing listens there
SCHEMA = "UPDATE alembic_version SET version_num = ?"


@contextmanager
def answering(status, body):
    """Answer every request so; yield the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

        do_POST = do_GET

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def told(uri, call=check_store):
    """Give the sentence that is told of a tracking store, which must come at once."""
    mlflow.set_tracking_uri(str(uri))
    began = time.monotonic()
    with pytest.raises(TrackingError) as raised:
        call()
    assert time.monotonic() - began < 10
    sentence = str(raised.value)
    assert len(sentence) < 500 and "\n" not in sentence
    return sentence


ANSWERS = {
    (401, b"<html>log in</html>"): "error code 401 != 200; it asks for another login, by MLFLOW_",
    (403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}'): "no; it asks for another login",
    (404, b"<html>"): "error code 404",
    (200, b"<html>hello</html>"): "not in a valid JSON format; expected a running MLflow server",
    (500, b"oops"): "too many 500 error responses; expected a running",
}


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_a_server_that_is_none_or_wants_a_login(tracking, answer):
    with answering(*answer) as address:
        sentence = told(address)
    assert sentence.startswith(f"MLFLOW_TRACKING_URI={address} cannot be used: ")
    assert ANSWERS[answer] in sentence and "<html>" not in sentence


def test_a_server_that_does_not_speak_tls(tracking):
    with answering(200, b"") as address:
        assert "this server speaks http, not https" in told(address.replace("http:", "https:"))


def test_a_server_that_accepts_and_is_silent(tracking, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sentence = told(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert ": timed out; MLFLOW_HTTP_REQUEST_TIMEOUT is 1; expected" in sentence


ADDRESSES = {
    NOBODY: "Connection refused; expected a running MLflow server",
    "http://no..body:5000": "MLFLOW_TRACKING_URI=http://no..body:5000 cannot be used: ",
    "http://me:hunter2secret@127.0.0.1:9": "MLFLOW_TRACKING_URI=http://***@127.0.0.1:9 cannot",
    "http://127.0.0.1:port": "Invalid url",
    "ftp://host/x": "unsupported URI 'ftp://host/x'",
    "mlruns": "`mlflow migrate-filestore` copies what such a folder has to a database; expected",
    "sqlite://mlflow.db": "Invalid SQLite URL",
    "sqlite:////proc/nowhere/mlflow.db": "cannot be written (No such file or directory)",
    "mysql+nothing://me@127.0.0.1/x": "nothing",
}


@pytest.mark.parametrize("uri", ADDRESSES)
def test_an_address_that_leads_nowhere(tracking, uri):
    sentence = told(uri)
    assert ADDRESSES[uri] in sentence and "hunter2secret" not in sentence


def test_a_file_that_is_no_database_of_this_mlflow(tracking, tmp_path):
    (tmp_path / "text.db").write_text("no database" * 100)
    assert "file is not a database" in told(f"sqlite:///{tmp_path}/text.db")
    assert "(Is a directory)" in told(f"sqlite:///{tmp_path}")
    for number, version in enumerate(("ffffffffffff", "451aebb31d03")):
        other = tmp_path / f"{number}.db"
        shutil.copy(tmp_path / "mlflow.db", other)
        with sqlite3.connect(other) as database:
            database.execute(SCHEMA, [version])
        database.close()
        sentence = told(f"sqlite:///{other}")
        assert f"found version {version}" in sentence and "`mlflow db upgrade`" in sentence


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads and writes every file")
def test_a_database_that_may_not_be_read(tracking, tmp_path):
    (tmp_path / "mlflow.db").chmod(0)
    assert "cannot be written (Permission denied)" in told(tracking)


def test_a_registry_of_its_own_is_asked(tracking, monkeypatch):
    check_registry()
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", NOBODY)
    sentence = told(tracking, check_registry)
    assert sentence.startswith(f"MLFLOW_REGISTRY_URI={NOBODY} cannot be used: ")


@pytest.mark.parametrize(("number", "said"), [("-1", "max_retries"), ("99", "maximum allowable")])
def test_numbers_that_mlflow_refuses_are_named(tracking, monkeypatch, number, said):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", number)
    sentence = told(NOBODY)
    assert said in sentence and f"; MLFLOW_HTTP_REQUEST_MAX_RETRIES is {number}; " in sentence


def run_of(status=None, deleted=False):
    client = mlflow.MlflowClient()
    run_id = client.create_run("0").info.run_id
    if status:
        client.set_terminated(run_id, status)
    if deleted:
        client.delete_run(run_id)
    return run_id


def test_the_run_that_the_environment_names(tracking, monkeypatch):
    bad = {
        "0" * 32: "not found; unset it, or name another run",
        "a/b": "Invalid value",
        run_of("FINISHED"): "the run is finished; unset it",
        run_of(deleted=True): "the run is deleted; unset it",
    }
    for run_id, said in bad.items():
        monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
        sentence = told(tracking, check_run)
        assert sentence.startswith(f"MLFLOW_RUN_ID={run_id} cannot be used: ") and said in sentence
    monkeypatch.setenv("MLFLOW_RUN_ID", run_of("FINISHED"))
    check_run(resumed=True)
    monkeypatch.setenv("MLFLOW_RUN_ID", run_of())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "999")  # does not matter then
    check_run()


def test_the_experiment_that_the_environment_names(tracking, monkeypatch):
    client = mlflow.MlflowClient()
    gone, there = (client.create_experiment(name) for name in ("gone", "there"))
    client.delete_experiment(gone)
    bad = {
        (None, "999"): "MLFLOW_EXPERIMENT_ID=999 cannot be used: No Experiment with id=999 exists",
        ("gone", None): f"is deleted, `mlflow experiments restore -x {gone}` brings it back; name",
        (None, gone): f"MLFLOW_EXPERIMENT_ID={gone} cannot be used: the experiment is deleted",
        ("there", "0"): f"that is experiment {there}, but MLFLOW_EXPERIMENT_ID is 0; name another",
    }
    for settings, said in bad.items():
        setting(monkeypatch, *settings)
        assert said in told(tracking, check_run)
    for settings in ((None, None), ("new", None), ("there", there), (None, there)):
        setting(monkeypatch, *settings)
        check_run()


def setting(monkeypatch, name, number):
    for variable, value in (("MLFLOW_EXPERIMENT_NAME", name), ("MLFLOW_EXPERIMENT_ID", number)):
        monkeypatch.setenv(variable, value) if value else monkeypatch.delenv(variable, False)


def test_a_run_that_the_store_does_not_take(tracking, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", run_of(deleted=True))
    assert "it is in the deleted state; expected" in told(tracking, start_run)
