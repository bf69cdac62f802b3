import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from download_cases import CONTENT, FILE, in_package, index, mirrors, serving
from job_cases import PROJECT

from yolo3.tracking.download import DownloadError, cached, fetch, fetch_in_time

LONG = 20.0  # seconds, for a machine that is busy


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        yield server


@contextmanager
def seconds_below(limit):
    start = time.monotonic()
    yield
    assert time.monotonic() - start < limit


def settled(before):
    """Wait for the threads that were started since."""
    for thread in set(threading.enumerate()) - before:
        thread.join(LONG)


def test_file_is_served_in_time(server, tmp_path):
    path = fetch_in_time(FILE, tmp_path, mirrors(server, "missing", "good"), LONG)
    assert path.read_bytes() == CONTENT
    assert fetch_in_time(FILE, tmp_path, mirrors(server, "silent"), 0.1) == path  # from the cache


def test_source_that_began_may_take_its_time(server, tmp_path):
    path = fetch_in_time(FILE, tmp_path, mirrors(server, "slow"), 0.5)
    assert path.read_bytes() == CONTENT


def test_server_that_never_answers_is_given_up(server, tmp_path):
    with (
        seconds_below(LONG),
        pytest.raises(DownloadError, match=r"downloaded \(nothing came within 0.3 s\); fetch it"),
    ):
        fetch_in_time(FILE, tmp_path, mirrors(server, "silent", "good"), 0.3)


def test_refused_connection_is_no_wait(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        closed = mirrors(server, "good")
    with seconds_below(LONG), pytest.raises(DownloadError, match=r"127.*: cannot be reached"):
        fetch_in_time(FILE, tmp_path, closed, 3 * LONG)


def test_error_answers_do_not_count_as_the_file(server, tmp_path):
    with seconds_below(LONG), pytest.raises(DownloadError, match="nothing came within"):
        fetch_in_time(FILE, tmp_path, mirrors(server, "missing", "page", "silent"), 0.5)


def test_nothing_is_written_after_giving_up(server, tmp_path):
    before = set(threading.enumerate())
    with pytest.raises(DownloadError, match="nothing came within"):
        fetch_in_time(FILE, tmp_path, mirrors(server, "late", "good"), 0.3)
    server.late.set()
    settled(before)
    assert cached(FILE, tmp_path) is None and [kind for kind, _ in server.asked] == ["late"]
    assert sum(part.stat().st_size for part in tmp_path.glob("*.part")) == 0


@contextmanager
def black_hole():
    """Give the port of a server that takes no connection, and refuses none: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = []
        for _ in range(4):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(full.getsockname())
        yield full.getsockname()[1]
        for one in waiting:
            one.close()


def test_index_gets_its_turn_behind_a_mirror_that_swallows_packets(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", index(server, "json-good"))
    monkeypatch.setattr("yolo3.tracking.download.PUBLIC", index(server, "json-good").rstrip("/"))
    with black_hole() as port:
        path = fetch_in_time(in_package(), tmp_path, [f"http://127.0.0.1:{port}/"], 4.0)
    assert path.read_bytes() == CONTENT


def test_another_process_is_waited_for(server, tmp_path, capsys):
    """A thread stands for it: locks of one file exclude each other there as well."""
    first = threading.Thread(target=fetch, args=(FILE, tmp_path, mirrors(server, "late")))
    first.start()
    while not server.asked:
        time.sleep(0.01)
    threading.Timer(0.5, server.late.set).start()
    path = fetch_in_time(FILE, tmp_path, mirrors(server, "missing"), 0.2)
    first.join()
    assert path.read_bytes() == CONTENT and server.asked == [("late", None)]
    assert "waiting for another process that downloads it" in capsys.readouterr().out


def test_interrupt_ends_it(server, tmp_path):
    code = (
        "from pathlib import Path; from yolo3.tracking.download import *\n"
        "from download_cases import FILE; print('begun', flush=True)\n"
        f"fetch_in_time(FILE, Path({str(tmp_path)!r}), {mirrors(server, 'hanging')}, {LONG})"
    )
    search = {"PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}", "NO_PROXY": "127.0.0.1"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, env=search)
    while not server.asked:
        time.sleep(0.01)
    with seconds_below(LONG):
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LONG)
    assert process.returncode == -signal.SIGINT and errors.endswith(b"KeyboardInterrupt\n")
