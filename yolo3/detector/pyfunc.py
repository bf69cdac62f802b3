"""The served model: a table with pictures in, a table with detections out.

MLflow imports this module from the model's own folder and calls `_load_pyfunc`; nothing of it, or
below it, needs training code.
"""

import base64
import binascii
import json
import string
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from PIL import Image

from yolo3.data.images import Header, ImageError, read_header
from yolo3.detector.ahead import ahead
from yolo3.detector.checksums import check_sums
from yolo3.detector.detector import Detector, Prepared
from yolo3.detector.engines import EngineChoice, open_engine
from yolo3.detector.limits import (
    DEFAULT_LIMITS,
    MAX_PICTURE_BYTES,
    Deadline,
    Limits,
    check_rows,
    is_serving,
)
from yolo3.detector.reading import prepare
from yolo3.network.postprocess import Detections, Thresholds
from yolo3.network.spec import NetworkSpec

IMAGE = "image"
SETTINGS_FILE = "detector.json"

_WHITE_SPACE = string.whitespace.encode()


def _load_pyfunc(path: str) -> "PictureModel":
    """Load the model from its data folder; MLflow calls this. ValueError where it is damaged."""
    check_sums(Path(path).parent)
    detector = read_detector(Path(path))
    width, height = detector.spec.input_wh
    detector.detect([Image.new("RGB", (width, height))])  # compile now, not in the first request
    return PictureModel(detector, Limits.from_environment())


@dataclass(frozen=True)
class Settings:
    """Hold all that a detector needs beside its network."""

    spec: NetworkSpec
    thresholds: Thresholds
    engine: EngineChoice


def write_settings(folder: Path, settings: Settings) -> None:
    """Write the settings beside the network."""
    values = {
        "network": json.loads(settings.spec.to_json()),
        "thresholds": asdict(settings.thresholds),
        "engine": asdict(settings.engine),
    }
    text = json.dumps(values, indent=2, ensure_ascii=False)
    (folder / SETTINGS_FILE).write_text(text + "\n", encoding="utf-8")


def read_settings(folder: Path) -> Settings:
    """Read what `write_settings` wrote; ValueError for anything else.

    Models of before there was a choice of engines have Keras's.
    """
    path = folder / SETTINGS_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Settings(
            NetworkSpec.from_json(json.dumps(values["network"])),
            Thresholds(**values["thresholds"]),
            EngineChoice(**values.get("engine", {})),
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path.name} cannot be read: {error!r}") from error


def read_detector(folder: Path) -> Detector:
    """Read a detector from the data folder of a logged model; ValueError where it is damaged."""
    settings = read_settings(folder)
    engine = open_engine(settings.engine, settings.spec, folder)
    return Detector(engine, settings.spec, thresholds=settings.thresholds)


class Received(NamedTuple):
    """An image as it came: the bytes of its file and their header, or what is wrong with it."""

    data: bytes = b""
    header: Header | None = None
    reason: str = ""


class PictureModel:
    """Detect in pictures that come as rows of a table."""

    def __init__(self, detector: Detector, limits: Limits = DEFAULT_LIMITS):
        self.detector = detector
        self.limits = limits

    def predict(self, table: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:
        """Find the objects in each row's picture.

        table: a column `image` with base64 text of a picture file (or its bytes).
        params: score_threshold, iou_threshold, max_detections; the model's own where left out.
        Returns, on the table's index: `detections` (lists of label, class_id, score and xmin, ymin,
        xmax, ymax in pixels of the picture as a viewer shows it), `width`, `height` (0 where the
        picture cannot be read) and `error` ('' where it can).
        Raises MlflowException (BAD_REQUEST) for params out of range and for a table without that
        column, and in a server for a request that is too large or takes too long, see `limits`.
        """
        try:
            _check_table(table)
            thresholds = self._choose(params or {})
        except ValueError as error:
            raise MlflowException(str(error), error_code=BAD_REQUEST) from error
        deadline = Deadline(self.limits.seconds) if is_serving() else Deadline()
        received = self._receive(table[IMAGE], deadline)
        rows = []

        def pictures() -> Iterator[Prepared]:
            for picture in ahead(partial(self._read, deadline=deadline), received):
                rows.append(_row(picture))
                if not isinstance(picture, str):
                    yield picture

        found = iter(self.detector.detect_prepared(pictures(), thresholds))
        for row in rows:
            if not row["error"]:
                row["detections"] = as_objects(next(found), self.detector.spec.class_names)
        return _table(rows, table.index)

    def _choose(self, params: dict) -> Thresholds:
        known = vars(self.detector.thresholds)
        if unknown := set(params) - set(known):
            raise ValueError(
                f"params has {', '.join(map(repr, sorted(unknown, key=str)))}, expected some of"
                f" {', '.join(known)}"
            )
        return self.detector.choose(**params)

    def _receive(self, values: pd.Series, deadline: Deadline) -> Iterable[Received]:
        """Read the headers: in a server all of them, and their sum is checked, before decoding."""
        received = map(partial(_receive, deadline=deadline), values)
        if not is_serving():
            return received
        check_rows(values)
        listed = list(received)
        self.limits.check_pixels(sum(image.header.pixels for image in listed if image.header))
        return listed

    def _read(self, received: Received, deadline: Deadline) -> Prepared | str:
        """Read and letterbox one picture, or say in words what is wrong with it."""
        data, header, reason = received
        if reason:
            return reason
        try:
            return prepare(data, header, self.detector.spec.input_wh, deadline)
        except ImageError as error:
            return f"image {error}"


def _receive(value, deadline: Deadline) -> Received:
    deadline.remaining()
    try:
        data = picture_bytes(value)
        return Received(data, read_header(data))
    except ImageError as error:
        return Received(reason=f"image {error}")


def _row(picture: Prepared | str) -> dict:
    """Begin the answer for a picture, or for what is wrong with it."""
    if isinstance(picture, str):
        return {"detections": [], "width": 0, "height": 0, "error": picture}
    width, height = picture[1].size_wh
    return {"detections": [], "width": width, "height": height, "error": ""}


def _check_table(table: pd.DataFrame) -> None:
    """Raise ValueError for what is no table of pictures."""
    if not isinstance(table, pd.DataFrame) or list(table.columns).count(IMAGE) != 1:
        raise ValueError(f"expected a table with one column {IMAGE!r}")


def picture_bytes(value) -> bytes:
    """Take the bytes of a picture file from base64 text, a data URL or bytes; else ImageError."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _not_too_long(bytes(value), 1)
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA:
        raise ImageError("is missing (null)")
    if not isinstance(value, str):
        raise ImageError(f"is a {type(value).__name__}, expected base64 text of a picture file")
    if not value.strip():
        raise ImageError("is empty (0 bytes)")
    _not_too_long(value, 3 / 4)
    text = value.partition(",")[2] if value.lstrip()[:5].lower() == "data:" else value
    try:
        return base64.b64decode(text.encode("ascii").translate(None, _WHITE_SPACE), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError("is not base64 text of a picture file") from error


def _not_too_long(value, bytes_each: float):
    """Return bytes, or a text that is not decoded yet; ImageError where there is too much of it."""
    if len(value) * bytes_each > MAX_PICTURE_BYTES:
        size = int(len(value) * bytes_each)
        raise ImageError(f"has {size:,} bytes, at most {MAX_PICTURE_BYTES:,}: save it smaller")
    return value


def as_objects(detections: Detections, class_names: tuple[str, ...]) -> list[dict]:
    """Turn detections into plain objects: label, class_id, score, xmin, ymin, xmax, ymax."""
    objects = []
    for (xmin, ymin, xmax, ymax), score, class_id in zip(
        detections.boxes_xyxy.tolist(),
        detections.scores.tolist(),
        detections.class_ids.tolist(),
        strict=True,
    ):
        objects.append(
            {
                "label": class_names[class_id],
                "class_id": class_id,
                "score": score,
                "xmin": xmin,
                "ymin": ymin,
                "xmax": xmax,
                "ymax": ymax,
            }
        )
    return objects


def _table(rows: list[dict], index: pd.Index) -> pd.DataFrame:
    kinds = {"detections": object, "width": "int64", "height": "int64", "error": object}
    columns = {
        name: pd.Series([row[name] for row in rows], index, kind) for name, kind in kinds.items()
    }
    return pd.DataFrame(columns)
