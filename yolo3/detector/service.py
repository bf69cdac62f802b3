"""One HTTP request to the served model: what it asks for, and the answer; no web server here.

`score.py` hands the requests of Azure ML's inference server on to it. Whatever a client sends is
answered with a status below 500, or with TOO_SLOW; what goes wrong here is raised.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel

from yolo3.data.images import read_header
from yolo3.detector.drawing import MAX_JPEG_SIDE, draw_objects
from yolo3.detector.limits import MAX_PICTURE_BYTES, MAX_REQUEST_BYTES, Deadline, Limits
from yolo3.detector.pyfunc import IMAGE, picture_bytes
from yolo3.detector.reading import memory_for, read

JSON = "application/json"
DRAWN = {"image/png": "PNG", "image/jpeg": "JPEG"}  # answers with boxes drawn, and Pillow's name
ANSWERS = (JSON, *DRAWN)
TABLES = ("input_data", "dataframe_split", "dataframe_records")
TOO_SLOW = 503  # the request's time is over, by its own work or that of others
MAX_BODY_BYTES = MAX_REQUEST_BYTES + (1 << 20)  # the pictures, and the JSON around them

_JPEG_QUALITY = 90


@dataclass(frozen=True)
class Answer:
    """Hold an HTTP status, the type of what is answered, and its bytes."""

    status: int
    content_type: str
    body: bytes


class Refused(ValueError):
    """Say in a sentence what a client must change; with the HTTP status."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status


def refusal(status: int, reason: str) -> Answer:
    """Answer with a reason, as JSON with a `message`."""
    return _json_answer(status, {"message": reason})


def respond(model: PyFuncModel, content_type: str, accept: str, body: bytes) -> Answer:
    """Answer one request to a model that `mlflow.pyfunc.load_model` loaded.

    content_type: of the body, without parameters: a picture (`image/*`, octet-stream) or JSON.
    accept: one of ANSWERS. JSON holds `predictions`, a row for each picture, as `predict` has them;
    a picture has the boxes drawn. A picture that cannot be read fills its row's `error`, and is
    refused (400) where it is the only one.
    """
    deadline = Deadline(Limits.from_environment().seconds)
    try:
        values, params = _asked(content_type, body)
        rows = _predict(model, values, params)
        if len(rows) == 1 and rows[0]["error"]:
            raise Refused(400, rows[0]["error"])
        if accept in DRAWN:
            return _drawn_answer(accept, values, rows, deadline)
        return _json_answer(200, {"predictions": rows})
    except Refused as refused:
        return refusal(refused.status, str(refused))
    except MlflowException as error:
        status = error.get_http_status_code()
        if status >= 500 and status != TOO_SLOW:
            raise
        return refusal(status, error.message)


def _asked(content_type: str, body: bytes) -> tuple[list, dict]:
    """Read the pictures, as bytes or base64 text, and the inference parameters of a request."""
    if content_type.startswith("image/") or content_type == "application/octet-stream":
        values, params = [body], {}
    elif content_type == JSON:
        values, params = _read_json(body)
    else:
        raise Refused(
            415,
            f"Content-Type is {content_type or 'missing'}, expected image/* or"
            f" application/octet-stream for a picture file, or {JSON}",
        )
    if len(values) == 1 and _size(values[0]) > MAX_PICTURE_BYTES:
        raise Refused(413, f"image has {_size(values[0]):,} bytes, at most {MAX_PICTURE_BYTES:,}")
    return values, params


def _size(value) -> int:
    """Return the bytes of a picture that came as bytes or as base64 text."""
    if isinstance(value, bytes):
        return len(value)
    return len(value) * 3 // 4 if isinstance(value, str) else 0


def _read_json(body: bytes) -> tuple[list, dict]:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is no JSON: {error}") from error
    if not isinstance(request, dict):
        raise Refused(400, f"the JSON is {_kind(request)}, expected an object")
    if unknown := sorted(set(request) - {*TABLES, "params"}):
        raise Refused(400, f"the JSON has {unknown[0]!r}, expected {_listed(TABLES)}, and params")
    given = [name for name in TABLES if name in request]
    if len(given) != 1:
        raise Refused(400, f"the JSON has {_listed(given)}, expected one of {_listed(TABLES)}")
    params = request.get("params") or {}
    if not isinstance(params, dict):
        raise Refused(400, f"params is {_kind(params)}, expected an object")
    return _column(given[0], request[given[0]]), params


def _column(name: str, table) -> list:
    """Take the pictures from a table in one of the forms that MLflow and Azure ML know."""
    if name == "dataframe_records" and not isinstance(table, list):
        raise Refused(400, f"{name} is {_kind(table)}, expected a list of objects")
    if isinstance(table, list):
        return [_from_record(name, number, row) for number, row in enumerate(table)]
    if not isinstance(table, dict) or not {"columns", "data"} <= set(table):
        raise Refused(400, f"{name} is {_kind(table)}, expected an object with columns and data")
    columns, data = table["columns"], table["data"]
    if not isinstance(columns, list) or columns.count(IMAGE) != 1:
        raise Refused(400, f"{name}: columns is {columns!r:.100}, expected one column {IMAGE!r}")
    if not isinstance(data, list):
        raise Refused(400, f"{name}: data is {_kind(data)}, expected a list of rows")
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(columns):
            raise Refused(400, f"{name}: row {number} is no list of {len(columns)} values")
    return [row[columns.index(IMAGE)] for row in data]


def _from_record(name: str, number: int, row):
    """Take a picture from an object; Azure's `input_data` may hold its bare text as well."""
    if name == "input_data" and isinstance(row, str):
        return row
    if isinstance(row, dict) and IMAGE in row:
        return row[IMAGE]
    raise Refused(400, f"{name}: row {number} is {_kind(row)}, expected an object with {IMAGE!r}")


def _predict(model: PyFuncModel, values: list, params: dict) -> list[dict]:
    known = [param.name for param in model.metadata.get_params_schema().params]
    if unknown := sorted(set(params) - set(known)):
        raise Refused(400, f"params has {unknown[0]!r}, expected some of {_listed(known)}")
    table = pd.DataFrame({IMAGE: pd.Series(values, dtype=object)})  # whatever values there are
    return model.predict(table, params=params).to_dict("records")


def _json_answer(status: int, value: Mapping) -> Answer:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return Answer(status, JSON, text.encode("utf-8", "backslashreplace"))


def _drawn_answer(content_type: str, values: list, rows: list[dict], deadline: Deadline) -> Answer:
    if len(rows) != 1:
        raise Refused(
            400, f"the request has {len(rows)} pictures, expected one where a picture is answered"
        )
    size = rows[0]["width"], rows[0]["height"]
    kind = DRAWN[content_type]
    if kind == "JPEG" and max(size) > MAX_JPEG_SIDE:
        raise Refused(400, f"the picture is too long for a JPEG ({size}), ask for image/png")
    file = io.BytesIO()
    options = {"quality": _JPEG_QUALITY} if kind == "JPEG" else {"compress_level": 1}
    data = picture_bytes(values[0])
    header = read_header(data)
    with memory_for(header, deadline):
        drawn = draw_objects(read(data, header, deadline), rows[0]["detections"])
        drawn.save(file, kind, **options)
    return Answer(200, content_type, file.getvalue())


def _kind(value) -> str:
    """Name a JSON value's kind."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value"}
    return "null" if value is None else names.get(type(value), "a number")


def _listed(names) -> str:
    return ", ".join(names) or "nothing"
