"""A tracking server that is away for a while: told apart from other errors, and waited for."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import mlflow
import requests
from mlflow.environment_variables import (
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
)
from mlflow.exceptions import MlflowException

from yolo3.tracking.secrets import redact

SERVERS = ("http", "azureml", "databricks")  # how the address of a tracking server begins
PATIENCE = 600.0  # seconds that the end of a stage waits for the server
PAUSE = 5.0  # seconds between two tries
QUICK_TIMEOUT = 10  # seconds; for what can be sent later as well

Answer = TypeVar("Answer")


class TrackingAway(ValueError):
    """Say that the tracking server has not answered for long, and how to finish the run."""


def is_outage(error: Exception) -> bool:
    """Tell whether a server did not answer, or answered that it is not well.

    A store on this machine's disk, or in a database, has no outages: its errors are errors.
    """
    if not mlflow.get_tracking_uri().startswith(SERVERS):
        return False
    if isinstance(error, MlflowException):
        return error.get_http_status_code() >= 500
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code >= 500
    return isinstance(error, requests.RequestException)


@contextmanager
def asking_once(timeout: int | None = None, *, only_unset: bool = False) -> Iterator[None]:
    """Ask a server once, where MLflow would try for minutes.

    timeout: in seconds. only_unset: what the user has set stays.
    """
    changed = {MLFLOW_HTTP_REQUEST_MAX_RETRIES: 0}
    if timeout:
        changed[MLFLOW_HTTP_REQUEST_TIMEOUT] = timeout
    if only_unset:
        changed = {variable: value for variable, value in changed.items() if not variable.is_set()}
    earlier = {variable: variable.get_raw() for variable in changed}
    for variable, value in changed.items():
        variable.set(value)
    try:
        yield
    finally:
        for variable, value in earlier.items():
            variable.unset() if value is None else variable.set(value)


def patiently(call: Callable[[], Answer], how_to_finish: str) -> Answer:
    """Call again until the server answers; what is called must bear being repeated.

    Raises TrackingAway after PATIENCE seconds of outage.
    """
    end = None
    while True:
        try:
            with asking_once():
                return call()
        except Exception as error:
            if not is_outage(error):
                raise
            now = time.monotonic()
            if end is None:
                end = now + PATIENCE
                print(
                    f"the tracking server at {redact(mlflow.get_tracking_uri())} does not answer; "
                    f"waiting for it, {PATIENCE / 60:.0f} minutes at most",
                    flush=True,
                )
            elif now > end:
                raise TrackingAway(
                    f"the tracking server at {redact(mlflow.get_tracking_uri())} has not "
                    f"answered for {PATIENCE / 60:.0f} minutes. {how_to_finish}"
                ) from error
            time.sleep(PAUSE)
