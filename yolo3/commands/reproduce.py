"""Train again what a run recorded, and tell by the exit status whether it came out the same."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import click

from yolo3.commands.errors import explain_errors

SAME, OTHER, NOT_TRIED = 0, 1, 2  # exit status


def run_reproduce(run_id: str, environment: str, threads: int, **files: str) -> int:
    """Reproduce a run; returns the exit status, or exits with NOT_TRIED and tells why."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # many small files

    def compare() -> bool:
        from yolo3.tracking.reproduce.compare import IDENTICAL
        from yolo3.tracking.reproduce.job import Wish, reproduce

        given = {name: path for name, path in files.items() if path}
        return reproduce(Wish(run_id, given, environment, threads)).verdict == IDENTICAL

    try:
        with _stops_tidily():
            return SAME if explain_errors(compare, NOT_TRIED)() else OTHER
    except KeyboardInterrupt:
        click.echo("interrupted: the run is not reproduced", err=True)
        return NOT_TRIED


@contextmanager
def _stops_tidily() -> Iterator[None]:
    """Make SIGTERM what Ctrl-C is, so that nothing temporary stays; `mlflow run` sends both."""

    def stop(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM)
    earlier = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, earlier, strict=True):
            signal.signal(number, handler)
