"""Servers that benchmarks start on the loopback address."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """Find a port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def running_server(
    command: Sequence[str], health: str, log: Path, **options
) -> Iterator[subprocess.Popen]:
    """Run a server from when its health route answers until the block ends.

    health: address of that route. options: of `subprocess.Popen`.
    """
    with log.open("wb") as file:
        server = subprocess.Popen(
            command, stdout=file, stderr=file, start_new_session=True, **options
        )
        try:
            _wait_for(health, server, log)
            yield server
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def _wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    while server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"the server ended before it was ready:\n{log.read_text()}")
