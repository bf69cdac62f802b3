"""Azure ML's inference server on the loopback address, and requests to it."""

import http.client
import json
import subprocess
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from server_cases import end_group, environment, free_port

from yolo3.deploy.texts import SERVE

START_SECONDS = 120


@contextmanager
def inference_server(package, log, serve=SERVE):
    """Serve an exported folder, with the command of its README if none is given; yield the address.

    serve: a command that serves at port 5001.
    """
    port = free_port()
    command = serve.replace("5001", str(port))
    assert command != serve
    variables = environment(TF_CPP_MIN_LOG_LEVEL="2")
    variables.pop("PYTHONPATH", None)  # the model brings its own code
    with open(log, "w+b") as file:
        server = subprocess.Popen(
            ["bash", "-c", f"exec env {command}"],
            cwd=package,
            env=variables,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, server, log)
            yield address
        finally:
            end_group(server)


def _wait_for(address, server, log):
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            if ask(address, "GET", "/").status == 200:
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the inference server did not start:\n{log.read_text()}")


class Reply:
    def __init__(self, answer):
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read()

    @property
    def json(self):
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.body)


def ask(address, method, path, body=None, **headers):
    """Send a request as it is said: a header name has underscores for hyphens, None leaves it."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        return Reply(connection.getresponse())
    finally:
        connection.close()
