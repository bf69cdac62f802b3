"""What one request to a server may take: rows, bytes, pixels and time.

All servers ask `PictureModel.predict`, which applies them where this process is a server, and
nowhere else: Spark and Python may detect in as many images as they like.
"""

import math
import os
import time
from dataclasses import dataclass

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, TEMPORARILY_UNAVAILABLE

MAX_PICTURE_BYTES = 1 << 25  # 32 MiB of a picture's file; its pixels are limited too, see `images`
MAX_REQUEST_BYTES = 1 << 26  # of all pictures in one request to a server, as they came
MAX_REQUEST_ROWS = 1000
MEGAPIXELS = "YOLO3_MAX_REQUEST_MEGAPIXELS"
SECONDS = "YOLO3_REQUEST_TIMEOUT_SECONDS"

_SERVING = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"  # what MLflow's server sets for its own process


class RequestTooLargeError(MlflowException):
    """Say what of a request is too much; HTTP status 413, which MLflow has no code for."""

    def __init__(self, reason: str):
        super().__init__(reason, error_code=BAD_REQUEST)

    def get_http_status_code(self) -> int:
        """Return the status that servers answer with."""
        return 413


def is_serving() -> bool:
    """Say whether this process is a server."""
    return bool(os.environ.get(_SERVING))


def check_rows(images: pd.Series) -> None:
    """Raise RequestTooLargeError for too many rows or bytes."""
    if len(images) > MAX_REQUEST_ROWS:
        raise RequestTooLargeError(
            f"the request has {len(images):,} pictures, at most {MAX_REQUEST_ROWS:,}"
        )
    size = sum(len(value) for value in images if isinstance(value, (str, bytes)))
    if size > MAX_REQUEST_BYTES:
        raise RequestTooLargeError(
            f"the request's pictures have {size:,} bytes, at most {MAX_REQUEST_BYTES:,}"
        )


@dataclass(frozen=True)
class Limits:
    """Limit a request's pixels, of all its images together, and its time."""

    megapixels: float = 200.0
    seconds: float = 60.0

    @classmethod
    def from_environment(cls) -> "Limits":
        """Read the environment variables; ValueError for what is no number above 0."""
        return cls(_positive(MEGAPIXELS, cls.megapixels), _positive(SECONDS, cls.seconds))

    def check_pixels(self, pixels: int) -> None:
        """Raise RequestTooLargeError for too many."""
        if pixels > self.megapixels * 1e6:
            raise RequestTooLargeError(
                f"the request's images have {pixels / 1e6:,.1f} million pixels, at most"
                f" {self.megapixels:,g} million: send fewer or smaller ones ({MEGAPIXELS})"
            )


DEFAULT_LIMITS = Limits()


class Deadline:
    """The end of a request's time."""

    def __init__(self, seconds: float = math.inf):
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Give the seconds that are left; MlflowException (status 503) if there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.exceeded()
        return left

    def exceeded(self) -> MlflowException:
        """Say that the time is over."""
        return MlflowException(
            f"the request took more than {self._seconds:g} seconds: send fewer or smaller images,"
            f" or try again later ({SECONDS})",
            error_code=TEMPORARILY_UNAVAILABLE,
        )


def _positive(name: str, default: float) -> float:
    text = os.environ.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not value > 0:
        raise ValueError(f"{name} is {text!r}, expected a number above 0")
    return value
