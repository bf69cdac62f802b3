"""The documented nginx configuration in front of MLflow's own server."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from detector_cases import as_text, file_bytes
from job_cases import PROJECT
from server_cases import end_group, free_port, model_server, post, split

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed")

MAIN = """
{user}
daemon off;
pid nginx.pid;
error_log error.txt;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include detector.conf;
}}
"""


@pytest.fixture(scope="module")
def servers(model_folder, tmp_path_factory):
    """Addresses of MLflow's server for the model, and of nginx in front of it."""
    folder = tmp_path_factory.mktemp("nginx")
    with model_server(model_folder, folder) as address:
        port = free_port()
        guarded = (PROJECT / "docs/nginx.conf").read_text("utf-8")
        for old, new in (
            ("127.0.0.1:8080", f"127.0.0.1:{port}"),
            ("127.0.0.1:5001", urlsplit(address).netloc),
        ):
            assert old in guarded
            guarded = guarded.replace(old, new)
        (folder / "detector.conf").write_text(guarded)
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "main.conf").write_text(MAIN.format(user=user))
        command = [NGINX, "-p", str(folder), "-c", "main.conf", "-e", "error.txt"]
        nginx = subprocess.Popen(command, start_new_session=True)
        try:
            wait_for(port, nginx, folder / "error.txt")
            yield address, f"http://127.0.0.1:{port}/invocations"
        finally:
            end_group(nginx)


def wait_for(port, nginx, log):
    for _ in range(100):
        if nginx.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"nginx did not start: {log.read_text()}")


def status(address, method="POST", path="/invocations", body=None, kind="application/json"):
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": kind})
        return connection.getresponse().status
    finally:
        connection.close()


def test_requests_pass_with_the_same_answers(servers, photos):
    body = split(*(as_text(file_bytes(photo)) for photo in photos), "broken")
    direct, guarded = (post(address, body) for address in servers)
    assert direct == guarded and guarded[0] == 200 and len(guarded[1]["predictions"]) == 7
    kind = "application/json; charset=utf-8"
    assert status(servers[1], body=json.dumps(body), kind=kind) == 200
    assert status(servers[1], "GET", "/ping") == 200


def head(line):
    """Begin a request whose body does not come as a whole."""
    lines = "POST /invocations HTTP/1.1", "Host: x", "Content-Type: application/json", line, "", ""
    return "\r\n".join(lines).encode()


def connected(address):
    host = urlsplit(address)
    return socket.create_connection((host.hostname, host.port), 60)


def test_a_body_that_is_too_large_is_refused_unread(servers):
    chunk = b"%x\r\n{" % 70_000_000  # what is announced is enough
    for start in (head("Content-Length: 70000000"), head("Transfer-Encoding: chunked") + chunk):
        with connected(servers[1]) as connection:
            connection.sendall(start)
            assert connection.recv(64).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("method", "path", "kind", "expected"),
    [
        ("POST", "/invocations", "text/csv", 415),
        ("POST", "/invocations", "application/json; charset=utf-16", 415),
        ("POST", "/invocations", "", 415),
        ("GET", "/invocations", "application/json", 405),
        ("POST", "/elsewhere", "application/json", 404),
        ("GET", "/version", "application/json", 404),
    ],
)
def test_nothing_else_passes(servers, method, path, kind, expected):
    body = b"{}" if method == "POST" else None
    assert status(servers[1], method, path, body, kind) == expected


def test_slow_bodies_are_limited_and_keep_nobody_from_the_health_route(servers, photos):
    with ExitStack() as stack:
        for _ in range(4):
            slow = stack.enter_context(connected(servers[1]))
            slow.sendall(head("Content-Length: 1000") + b"{")
        for _ in range(100):
            if status(servers[1], body=b"{}") == 503:
                break
            time.sleep(0.05)
        assert status(servers[1], body=b"{}") == 503
        assert status(servers[1], "GET", "/ping") == 200
        assert post(servers[0], split(as_text(file_bytes(photos[0]))))[0] == 200
