"""Train again what a run recorded, and tell by the exit status whether it came out the same."""

import os
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import click

from yolo3.commands.errors import explain_errors

SAME, OTHER, NOT_TRIED = 0, 1, 2  # exit status


def run_reproduce(run_id: str, environment: str, threads: int, **files: str) -> int:
    """Reproduce a run; returns the exit status, and tells why where it could not be tried."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # many small files
    from yolo3.tracking.reproduce.compare import IDENTICAL
    from yolo3.tracking.reproduce.job import Wish, reproduce

    given = {name: path for name, path in files.items() if path}
    try:
        with _stops_tidily():
            comparison = explain_errors(reproduce)(Wish(run_id, given, environment, threads))
    except click.ClickException as error:
        error.show()
    except KeyboardInterrupt:
        click.echo("interrupted: the run is not reproduced", err=True)
    except Exception:  # a server that fell silent, or a mistake here: 1 would say that it differs
        traceback.print_exc()
    else:
        return SAME if comparison.verdict == IDENTICAL else OTHER
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
