"""Run exported files in their own runtimes, as engines of the detector; see `exports`."""

import json
import threading
import zipfile
from pathlib import Path

import numpy as np

from yolo3.deploy.exports import (
    BOXES,
    EXTRA_ASSETS,
    LABELS,
    LABELS_FILE,
    SCORES,
    SETTINGS,
    SETTINGS_FILE,
    Card,
)
from yolo3.detector.cores import usable_cores
from yolo3.detector.engines import Engine
from yolo3.network.decoding import PIXELS
from yolo3.network.spec import NetworkSpec


class OnnxEngine:
    """Run an ONNX file in ONNX Runtime, on the processor."""

    def __init__(self, path: Path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = usable_cores()
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the candidates of a batch; see Engine."""
        return tuple(self._session.run([BOXES, SCORES], {PIXELS: pixels}))


class LiteRTEngine:
    """Run a LiteRT file, one picture at a time, on the processor."""

    def __init__(self, path: Path):
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path), num_threads=usable_cores())
        self._run = interpreter.get_signature_runner()
        [self._input] = self._run.get_input_details()
        self._lock = threading.Lock()  # the interpreter keeps a call's tensors

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the candidates of a batch; see Engine."""
        with self._lock:
            found = [self._run(**{self._input: picture[None]}) for picture in pixels]
        return tuple(np.concatenate([one[name] for one in found]) for name in (BOXES, SCORES))


class SavedModelEngine:
    """Run a SavedModel in TensorFlow."""

    def __init__(self, path: Path):
        import tensorflow

        self._model = tensorflow.saved_model.load(str(path))
        self._run = self._model.signatures["serving_default"]
        self._constant = tensorflow.constant

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the candidates of a batch; see Engine."""
        found = self._run(self._constant(pixels))
        return found[BOXES].numpy(), found[SCORES].numpy()


def open_export(kind: str, path: Path, spec: NetworkSpec) -> Engine:
    """Open what `export` wrote, in float32."""
    if kind == "openvino":
        from yolo3.detector.openvino_engine import OpenVINOEngine

        return OpenVINOEngine(path, spec)
    engines = {"onnx": OnnxEngine, "litert": LiteRTEngine, "saved_model": SavedModelEngine}
    return engines[kind](path)


def read_card(kind: str, path: Path) -> Card:
    """Read what an exported file tells of itself."""
    labels, settings = _READERS[kind](path)
    return Card(tuple(labels), json.loads(settings))


def _read_onnx(path):
    import onnx

    told = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return json.loads(told[LABELS]), told[SETTINGS]


def _read_openvino(path):
    import openvino as ov

    model = ov.Core().read_model(path)
    labels, settings = (model.get_rt_info([name]).astype(str) for name in (LABELS, SETTINGS))
    return json.loads(labels), settings


def _read_litert(path):
    with zipfile.ZipFile(path) as archive:
        labels, settings = (archive.read(n).decode("utf-8") for n in (LABELS_FILE, SETTINGS_FILE))
    return labels.splitlines(), settings


def _read_saved_model(path):
    extra = path / EXTRA_ASSETS
    labels, settings = ((extra / n).read_text("utf-8") for n in (LABELS_FILE, SETTINGS_FILE))
    return labels.splitlines(), settings


_READERS = {
    "onnx": _read_onnx,
    "openvino": _read_openvino,
    "litert": _read_litert,
    "saved_model": _read_saved_model,
}
