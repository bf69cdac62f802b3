"""Servers that tests start on the loopback address, and requests to them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from yolo3.tracking import outage

START_SECONDS = 120


def environment(**changes):
    """Give a process this Python's programs, and no MLflow settings but those in `changes`."""
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return {**kept, "PATH": path, **changes}


@contextmanager
def mlflow_server(folder, ping, *arguments, port=None):
    """Run `mlflow …` as a server until the block ends; yield its address."""
    port = port or free_port()
    command = [sys.executable, "-m", "mlflow", *arguments, "-h", "127.0.0.1", "-p", str(port)]
    with open(folder / "log.txt", "w+b") as log:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}/{ping}", server, folder / "log.txt")
            yield f"http://127.0.0.1:{port}"
        finally:
            end_group(server)


def end_group(server):
    """End a server that leads a process group, and all that it started."""
    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def replace_pauses(monkeypatch, call):
    """Call something where a wait for the server pauses; other threads go on sleeping."""
    clock = SimpleNamespace(sleep=call, monotonic=time.monotonic)
    monkeypatch.setattr(outage, "time", clock)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class TrackingServer:
    """A tracking server that can be stopped and started again, with its store and its address."""

    def __init__(self, folder):
        self._folder, self._port = folder, free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        self._running = None

    def start(self, *_):
        if self._running is None:
            arguments = ("server", "--workers", "1")
            self._running = mlflow_server(self._folder, "health", *arguments, port=self._port)
            self._running.__enter__()

    def stop(self):
        if self._running is not None:
            self._running.__exit__(None, None, None)
            self._running = None


@contextmanager
def model_server(model, folder):
    """Serve a model until the block ends; yield the address that takes pictures."""
    arguments = ("models", "serve", "--env-manager", "local", "-m", str(model))
    with mlflow_server(folder, "ping", *arguments) as address:
        yield f"{address}/invocations"


def _wait_for(url, server, log):
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the server did not start:\n{log.read_text()}")


def post(address, body):
    """Post JSON; return status and answer."""
    request = urllib.request.Request(
        address, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def split(*values, **params):
    """Write pictures as a `dataframe_split` request."""
    table = {"columns": ["image"], "data": [[value] for value in values]}
    return {"dataframe_split": table} | ({"params": params} if params else {})


def assert_same_objects(served, expected):
    """Hold two lists of found objects together: boxes to 0.01 pixel."""
    assert len(served) == len(expected) > 0
    for a, b in zip(served, expected, strict=True):
        assert (a["label"], a["class_id"]) == (b["label"], b["class_id"])
        for name in ("xmin", "ymin", "xmax", "ymax"):
            assert a[name] == pytest.approx(b[name], abs=0.01)
        assert a["score"] == pytest.approx(b["score"], abs=1e-4)
