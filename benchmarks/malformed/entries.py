"""The project's entry points, each given one sample, and what comes of it."""

import base64
import contextlib
import io
import json
import logging
import signal
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click
import numpy as np

from benchmarks.malformed import samples
from benchmarks.malformed.inputs import Sample

ACCEPTED, REFUSED, DEFECT = "accepted", "refused", "defect"
BEFORE = "before"
"""MLflow's server fails on the body by itself, and answers 500, before the model is asked."""

SECONDS = 30  # of processor time, after which an input counts as one that hangs


@dataclass(frozen=True)
class Outcome:
    """What came of one input: read, refused in a sentence, or neither."""

    verdict: str
    message: str = ""


class Hang(BaseException):
    """Say that an input took too long."""


def try_sample(sample: Sample, folder: Path) -> Outcome:
    """Give a sample to the entry point of its form, as the command line would.

    Refused is what the command line tells in one sentence, and a request that is answered as the
    client's fault. Whatever else is raised is a defect, warnings included.
    """
    from yolo3.commands.errors import explain_errors

    try:
        with _limited(SECONDS), warnings.catch_warnings(), _silent():
            warnings.simplefilter("error")
            # of libraries, on valid files too
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
            warnings.filterwarnings("ignore", module=r"(mlflow|keras|h5py|pydantic)\b")
            told = explain_errors(ENTRIES[sample.form])(sample, folder)
    except click.ClickException as error:
        if not error.message.strip():
            return Outcome(DEFECT, "an error without a word")
        return Outcome(REFUSED, error.message)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Outcome(DEFECT, f"{type(error).__name__}: {error}"[:500])
    return told if isinstance(told, Outcome) else Outcome(ACCEPTED)


@contextlib.contextmanager
def _limited(seconds: float):
    def stop(*_):
        raise Hang(f"no end after {seconds} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _silent():
    return contextlib.redirect_stdout(io.StringIO())


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _with_pictures(folder: Path, below: str = "") -> None:
    names = (("a.jpg", "JPEG"), ("b c.png", "PNG"), ("d.jpg", "JPEG"))
    _write(folder / below, {name: samples.picture(kind) for name, kind in names})


def _read_list(sample: Sample, folder: Path) -> None:
    from yolo3.data.annotations import read_annotations, read_classes, write_annotations

    _with_pictures(folder)
    _write(folder, {"list.txt": samples.LIST, "classes.txt": samples.CLASSES} | sample.files)
    names = read_classes(folder / "classes.txt")
    pictures, _ = read_annotations(folder / "list.txt", names, folder)
    write_annotations(pictures, folder / "again.txt")
    again, _ = read_annotations(folder / "again.txt", names, folder)
    _assert_inside(again)


def _assert_inside(pictures) -> None:
    """Hold what was accepted to what a Picture promises."""
    for picture in pictures:
        boxes = picture.boxes_xyxy
        assert np.isfinite(boxes).all() and (boxes[:, 2:] > boxes[:, :2]).all()
        assert (boxes >= 0).all() and (boxes <= np.array(picture.size_wh * 2)).all()


def _assert_below(pictures, folder: Path) -> None:
    """Hold the pictures of a data set to its folder."""
    _assert_inside(pictures)
    root = folder.resolve()
    assert all(picture.path.resolve().is_relative_to(root) for picture in pictures)


def _read_anchors(sample: Sample, folder: Path) -> None:
    from yolo3.network.spec import make_spec, read_anchors

    _write(folder, sample.files)
    make_spec(("hat",), read_anchors(folder / "anchors.txt"), (64, 64))


def _read_labels(sample: Sample, folder: Path) -> None:
    """Import what is damaged beside the labels of two images that are whole."""
    from yolo3.data.labels.formats import read_labels
    from yolo3.data.labels.policy import ImportOptions

    _with_pictures(folder)
    whole = samples.labels_of(sample.form, "b c.png") | samples.labels_of(sample.form, "d.jpg")
    names = {"data.yaml": samples.DATA_YAML} if sample.form == "yolo" else {}
    _write(folder, whole | names | sample.files)
    imported = read_labels(folder, ImportOptions(format=samples.LABELS[sample.form][0]))
    _assert_below(imported.pictures, folder)
    left_out = [one.reason for one in imported.left_out]
    assert len(imported.pictures) + len(left_out) == imported.total and all(left_out)


def _read_picture(sample: Sample, folder: Path) -> None:
    from yolo3.data.images import image_size, letterbox, read_image
    from yolo3.data.pictures import Entry, check_entries, raise_if_any

    _write(folder, sample.files)
    path = folder / "a.jpg"
    found, left_out, _ = check_entries([Entry(path, [(0, 0, 9, 9)], [0], "list:1", 1)])
    raise_if_any(left_out)
    [picture] = found
    image = read_image(path)
    assert image.mode == "RGB" and image.size == picture.size_wh == image_size(path)
    letterbox(image, (64, 64))


def _read_cfg(sample: Sample, folder: Path) -> None:
    from yolo3.network.darknet.build import build_from_cfg
    from yolo3.network.darknet.cfg import cfg_text, read_cfg, spec_of

    _write(folder, sample.files)
    cfg = read_cfg(folder / "net.cfg")
    spec = spec_of(cfg)
    assert read_cfg_again(cfg_text(cfg), folder) == [layer.shape for layer in cfg.layers]
    network = build_from_cfg(cfg)
    shapes = [tuple(output.shape[1:3]) for output in network.outputs]
    assert shapes == list(spec.grids_hw)


def read_cfg_again(text: str, folder: Path) -> list:
    """Give the shapes of a cfg that was written."""
    from yolo3.network.darknet.cfg import read_cfg

    (folder / "again.cfg").write_text(text, "utf-8")
    return [layer.shape for layer in read_cfg(folder / "again.cfg").layers]


def _read_weights(sample: Sample, folder: Path) -> None:
    from yolo3.network.formats import read_file
    from yolo3.network.weights import fill

    _write(folder, sample.files)
    network, _, _ = samples.tiny_network()
    path = next(folder / name for name in sample.files if name.startswith("a."))
    fill(network, read_file(path, network).arrays, str(path))
    assert all(np.isfinite(value).all() for value in network.get_weights())


def _read_model(sample: Sample, folder: Path) -> None:
    from PIL import Image

    from yolo3.detector.load import load_detector

    kept = saved_model()
    whole = ["MLmodel", *(f"data/{file.name}" for file in (kept / "data").iterdir())]
    _write(folder, {name: (kept / name).read_bytes() for name in whole} | sample.files)
    detector = load_detector(folder)
    for found in detector.detect([Image.new("RGB", (60, 40))]):
        assert np.isfinite(found.boxes_xyxy).all()


def _ask(sample: Sample, folder: Path) -> Outcome:
    """Give a body to what MLflow's server runs for each request."""
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc.scoring_server import invocations

    model = served_model()
    schema = model.metadata.get_input_schema()
    try:
        answer = invocations(sample.files["body.json"], "application/json", model, schema)
    except MlflowException as error:
        return judge_error(error)
    except (ValueError, RecursionError) as error:
        if "yolo3" in "".join(traceback.format_exception(error)):
            raise
        return Outcome(BEFORE, f"{type(error).__name__}: {error}")
    return judge_answer(answer.status, answer.response)


def _predict(sample: Sample, folder: Path) -> Outcome:
    """Give a table to the model itself, whose values MLflow has not looked at."""
    import pandas as pd
    from mlflow.exceptions import MlflowException

    rows, params = json.loads(sample.files["rows.json"])
    values = [_as_bytes(row) if number % 3 == 2 else row for number, row in enumerate(rows)]
    table = pd.DataFrame({"image": pd.Series(values, dtype=object)})
    try:
        found = served_model()._model_impl.predict(table, params)
    except MlflowException as error:
        return judge_error(error)
    assert len(found) == len(table) and found.columns[0] == "detections"
    rows = found.to_dict("records")
    return judge_answer(200, json.dumps({"predictions": rows}))


def _as_bytes(value: object) -> bytes:
    """Give the picture that a text stands for, or else the text's own bytes."""
    text = str(value).encode("utf-8", "surrogatepass")
    with contextlib.suppress(ValueError):
        return base64.b64decode(text, validate=True)
    return text


def judge_error(error) -> Outcome:
    """Tell what is answered as the client's fault from what the model did not foresee."""
    status = error.get_http_status_code()
    unforeseen = "unexpected error" in error.message and "yolo3" in str(error.serialize_as_json())
    fine = 400 <= status < 500 and not unforeseen
    return Outcome(REFUSED if fine else DEFECT, f"{status} {error.message}")


def judge_answer(status: int, text: str) -> Outcome:
    """Tell an answer with an error in each row from one that found something to look at."""
    if status != 200:
        return Outcome(REFUSED if 400 <= status < 500 else DEFECT, f"{status} {text[:300]}")
    rows = json.loads(text, parse_constant=_refuse_constant)["predictions"]
    if rows and all(row["error"] for row in rows):
        return Outcome(REFUSED, rows[0]["error"])
    return Outcome(ACCEPTED)


def _refuse_constant(name: str):
    raise ValueError(f"an answer has {name}, which is no JSON")


@cache
def saved_model() -> Path:
    """Save the tiny network as a model, once; it is removed with the process."""
    import atexit
    import tempfile

    from yolo3.detector.mlflow_model import save_detector
    from yolo3.network.postprocess import Thresholds
    from yolo3.tracking.run import LOCK

    temporary = tempfile.TemporaryDirectory()
    atexit.register(temporary.cleanup)
    network, spec, _ = samples.tiny_network()
    folder = Path(temporary.name) / "model"
    surely_found = Thresholds(score_threshold=0.05)  # an export wants an object in its sample
    save_detector(network, spec, folder, lock=LOCK, thresholds=surely_found)
    return folder


@cache
def served_model():
    """Load the saved model as MLflow's server does."""
    import sys

    import mlflow.pyfunc

    for name in ("mlflow.models.utils", "mlflow.pyfunc.scoring_server"):
        logging.getLogger(name).setLevel(logging.ERROR)  # of each odd parameter, and the like
    path = list(sys.path)
    model = mlflow.pyfunc.load_model(str(saved_model()))
    sys.path[:] = path  # the model's code lacks the other rooms
    return model


ENTRIES: dict[str, Callable[[Sample, Path], Outcome | None]] = {
    "list": _read_list,
    "anchors": _read_anchors,
    **dict.fromkeys(samples.LABELS, _read_labels),
    "picture": _read_picture,
    "cfg": _read_cfg,
    "weights": _read_weights,
    "model": _read_model,
    "request": _ask,
    "table": _predict,
}
