"""Measure detection: from the network alone to a picture over HTTP, beside other runtimes.

    python -m benchmarks.detection
    python -m benchmarks.detection --model runs:/RUN_ID/keras-yolo-model

What is compared is measured in turns within this run, so that all meet the same machine; the ratios
are worth more than the figures, and processor time, which what else runs hardly changes, more than
the time of a clock where the machine is not idle. Every runtime has all cores. OpenCV (below 5)
reads the network as Darknet's files; ONNX Runtime is left out where it, onnx and tf2onnx are not
installed (the `test` extra has all).
"""

import base64
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np

from yolo3.evaluation.machine import describe

PROJECT = Path(__file__).resolve().parents[1]
SIZE_WH = (640, 480)  # of the JPEGs
PICTURES = 48
BATCH = 16
ENGINE, KERAS, OPENCV, ONNX = (
    "OpenVINO engine",
    "Keras predict_on_batch, float32",
    "OpenCV 4 DNN",
    "ONNX Runtime",
)
BARE, EXACT = "bare OpenVINO network", "OpenVINO engine, float32"


@dataclass(frozen=True)
class Times:
    """Seconds of a call: of the clock, and of the processor in all threads of the process.

    processor is NaN for what another process computes. Also the ratio of two such pairs.
    """

    clock: float
    processor: float

    def __truediv__(self, other: "Times | int") -> "Times":
        if isinstance(other, Times):
            return Times(self.clock / other.clock, self.processor / other.processor)
        return Times(self.clock / other, self.processor / other)

    def __add__(self, other: "Times") -> "Times":
        return Times(self.clock + other.clock, self.processor + other.processor)

    def as_json(self) -> dict[str, float]:
        """Write what is known as plain values."""
        return {name: value for name, value in asdict(self).items() if not math.isnan(value)}


@dataclass(frozen=True)
class Row:
    """The times of one thing, and their ratio to what it is compared with."""

    name: str
    times: Times
    ratio: Times | None = None
    ratio_of: str = ""

    def __str__(self) -> str:
        clock, processor = 1000 * self.times.clock, 1000 * self.times.processor
        told = f"{self.name:52} {clock:9.2f} {processor:9.2f} ms"
        if self.ratio is None:
            return told
        return f"{told} {self.ratio.clock:6.2f} {self.ratio.processor:6.2f} {self.ratio_of}"

    def as_json(self) -> dict:
        """Write it as plain values, seconds."""
        told = {"name": self.name, "seconds": self.times.as_json()}
        if self.ratio is not None:
            told |= {"ratio": self.ratio.as_json(), "ratio_of": self.ratio_of}
        return told


def in_turns(
    calls: dict[str, Callable[[], object]], rounds: int, warm_up: int = 2
) -> dict[str, Times]:
    """Give the times of each call's fastest round, which other work of the machine disturbed least.

    They take turns, each round begun by another.
    """
    names = list(calls)
    times = {name: ([], []) for name in names}
    for number in range(warm_up + rounds):
        for place in range(len(names)):
            name = names[(place + number) % len(names)]
            began = time.perf_counter(), time.process_time()
            calls[name]()
            if number >= warm_up:
                times[name][0].append(time.perf_counter() - began[0])
                times[name][1].append(time.process_time() - began[1])
    return {name: Times(*map(min, found)) for name, found in times.items()}


@click.command(context_settings={"show_default": True})
@click.option("--model", default="", help="Trained model (URI or folder); else one is made up.")
@click.option("--input-size", default=416, help="Of a model that is made up.")
@click.option("--rounds", default=15, type=click.IntRange(1), help="Turns of each measurement.")
@click.option("--output", default="logs/detection.json", type=click.Path(path_type=Path))
def main(model, input_size, rounds, output):
    """Print milliseconds per picture and ratios; write them as JSON."""
    print(describe())
    print(f"{'':52} {'clock':>9} {'processor':>9}    ratios of both")
    rows = measure_all(model, input_size, rounds, partial(print, flush=True))
    output.parent.mkdir(parents=True, exist_ok=True)
    told = {"machine": describe(), "rows": [row.as_json() for row in rows]}
    output.write_text(json.dumps(told, indent=1), "utf-8")


def measure_all(model: str, input_size: int, rounds: int, tell=lambda row: None) -> list[Row]:
    """Measure all of it; `tell` is called with each row as it is known."""
    rows = []

    def report(*row):
        rows.append(Row(*row))
        tell(rows[-1])

    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = _jpegs(folder / "pictures")
        saved = _downloaded(model, folder) if model else _made_up(folder, files, input_size)
        _measure_network(report, saved, folder, rounds)
        _measure_pictures(report, saved, files, rounds)
        _measure_evaluation(report, saved, files, max(3, rounds // 3))
        _measure_serving(report, saved, folder, files, rounds)
        _measure_start(report, max(3, rounds // 3))
    return rows


def _jpegs(folder: Path) -> list[Path]:
    """Render scenes, as JPEGs of 640x480."""
    from yolo3.data.images import read_image
    from yolo3.scenes import write_dataset

    write_dataset(folder / "scenes", PICTURES, 1, workers=1, progress=False)
    files = []
    for number, source in enumerate(sorted((folder / "scenes" / "JPEGImages").iterdir())):
        files.append(folder / f"{number}.jpg")
        read_image(source).resize(SIZE_WH).save(files[-1], quality=90)
    return files


def _downloaded(model: str, folder: Path) -> Path:
    import mlflow.artifacts

    if Path(model).is_dir():
        return Path(model)
    return Path(mlflow.artifacts.download_artifacts(model, dst_path=str(folder)))


def _made_up(folder: Path, files: list[Path], input_size: int) -> Path:
    """Save a model of random weights that finds about as much as a trained one: a dozen things."""
    import keras

    from yolo3.data.images import letterbox, read_image
    from yolo3.detector.mlflow_model import save_detector
    from yolo3.network.grid import OBJECTNESS
    from yolo3.network.model import build_network, output_layers
    from yolo3.network.spec import make_spec, read_anchors

    names = ("helmet", "hat", "bare")
    anchors_wh = read_anchors(PROJECT / "model_data" / "yolo_tiny_anchors.txt")
    spec = make_spec(names, anchors_wh, (input_size, input_size))
    keras.utils.set_random_seed(1)
    network = build_network(spec)
    pixels = np.stack([letterbox(read_image(file), spec.input_wh)[0] for file in files[:4]])
    raw_outputs = network.predict_on_batch(pixels.astype(np.float32) / 255)
    for layer, raw in zip(output_layers(network), raw_outputs, strict=True):
        kernel, bias = layer.get_weights()
        channels = np.arange(OBJECTNESS, raw.shape[-1], 5 + len(names))
        logits = raw[..., channels]
        scale = 2.5 / logits.std(axis=(0, 1, 2))
        cells = logits[0, ..., 0].size
        edge = np.quantile(logits, 1 - 1 / cells, axis=(0, 1, 2))  # above it: one cell a picture
        kernel[..., channels] *= scale
        bias[channels] = scale * (bias[channels] - edge)
        layer.set_weights([kernel, bias])
    save_detector(network, spec, folder / "model", lock=PROJECT / "requirements.txt")
    return folder / "model"


def _measure_network(report, saved: Path, folder: Path, rounds: int) -> None:
    """Compare runtimes on the network alone, with one picture and with sixteen."""
    from yolo3.detector.engines import NETWORK_FILE
    from yolo3.detector.openvino_engine import FILE, OpenVINOEngine
    from yolo3.detector.pyfunc import read_detector, read_settings
    from yolo3.network.keras_file import load_network

    settings = read_settings(saved / "data")
    spec = settings.spec
    network = load_network(saved / "data" / NETWORK_FILE)
    engine = read_detector(saved / "data").engine
    exact = OpenVINOEngine(saved / "data" / FILE, spec)
    rng = np.random.default_rng(1)
    width, height = spec.input_wh
    for count in (1, BATCH):
        pixels = rng.integers(0, 256, (count, height, width, 3), np.uint8)
        floats = pixels.astype(np.float32) / np.float32(255)
        calls = {
            ENGINE: lambda pixels=pixels: engine(pixels),
            EXACT: lambda pixels=pixels: exact(pixels),
            BARE: _bare(network, spec, settings.engine.precision, floats),
            KERAS: lambda floats=floats: network.predict_on_batch(floats),
        }
        if opencv := _opencv(network, spec, folder, floats):
            calls[OPENCV] = opencv
        if onnx := _onnx(network, folder, floats):
            calls[ONNX] = onnx
        found = in_turns(calls, rounds)
        kind = "one picture" if count == 1 else f"{count} pictures, each"
        for name, times in found.items():
            compared = () if name == ENGINE else (times / found[ENGINE], "times the engine's")
            report(f"{name}, {kind}", times / count, *compared)


def _bare(network, spec, precision, floats):
    """Give OpenVINO's own forward pass, without decoding, in its own settings for the purpose."""
    import openvino as ov
    from openvino import properties
    from openvino.properties import hint

    with TemporaryDirectory() as exported:
        network.export(exported, format="tf_saved_model", verbose=False)
        model = ov.Core().read_model(exported)
        width, height = spec.input_wh
        model.reshape([1, height, width, 3])
        many = len(floats) > 1
        modes = hint.PerformanceMode
        options = {
            hint.inference_precision: {"float32": ov.Type.f32}.get(precision, ov.Type.bf16),
            hint.performance_mode: modes.THROUGHPUT if many else modes.LATENCY,
            properties.inference_num_threads: len(os.sched_getaffinity(0)),
        }
        compiled = ov.Core().compile_model(model, "CPU", options)
    queue = ov.AsyncInferQueue(compiled)

    def run():
        for picture in floats:
            queue.start_async([picture[None]], share_inputs=True)
        queue.wait_all()

    return run


def _opencv(network, spec, folder: Path, floats):
    try:
        import cv2
    except ImportError:
        return None
    if not hasattr(cv2.dnn, "readNetFromDarknet"):
        return None
    from yolo3.network.darknet.cfg import cfg_text, read_cfg
    from yolo3.network.darknet.graph import describe_network
    from yolo3.network.darknet.weights import write_darknet_weights

    described = describe_network(network, spec)
    cfg, weights = folder / "peer.cfg", folder / "peer.weights"
    cfg.write_text(cfg_text(described))
    write_darknet_weights(weights, described, network)
    peer = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    peer.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    names = [f"conv_{yolo.inputs[0]}" for _, yolo in read_cfg(cfg).yolos]
    blob = np.ascontiguousarray(floats.transpose(0, 3, 1, 2))

    def run():
        peer.setInput(blob)
        return peer.forward(names)

    return run


def _onnx(network, folder: Path, floats):
    if any(find_spec(name) is None for name in ("onnx", "onnxruntime", "tf2onnx")):
        return None
    import onnxruntime

    file = folder / "peer.onnx"
    if not file.exists():
        network.export(file, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: floats})


def _measure_pictures(report, saved: Path, files: list[Path], rounds: int) -> None:
    """Follow one JPEG through reading, network, detector and served model."""
    import mlflow.pyfunc
    import pandas as pd

    from yolo3.data.images import letterbox, read_image
    from yolo3.detector.pyfunc import read_detector

    detector = read_detector(saved / "data")
    data = [file.read_bytes() for file in files[:BATCH]]
    images = [read_image(one) for one in data]
    pixels = [letterbox(image, detector.spec.input_wh)[0][None] for image in images]
    model = mlflow.pyfunc.load_model(str(saved))
    tables = [pd.DataFrame({"image": [base64.b64encode(one).decode()]}) for one in data]
    network, decode = "network", "decoding the JPEG"
    whole, letterboxing = "detector, one JPEG to boxes", "decoding and letterboxing it"
    served, many = "pyfunc.predict, one row", f"pyfunc.predict, {BATCH} rows, each"
    rows = pd.concat(tables, ignore_index=True)
    found = in_turns(
        {
            network: lambda: [detector.engine(one) for one in pixels],
            decode: lambda: [read_image(one) for one in data],
            letterboxing: lambda: [detector.prepare(read_image(one)) for one in data],
            whole: lambda: [detector.detect([read_image(one)]) for one in data],
            served: lambda: [model.predict(table) for table in tables],
            many: lambda: model.predict(rows),
        },
        rounds,
    )
    least = found[network] + found[decode]
    for name, times in found.items():
        compared = name in (whole, served, many)
        report(name, times / BATCH, *((times / least, "times both above") if compared else ()))


def _measure_evaluation(report, saved: Path, files: list[Path], rounds: int) -> None:
    """Compare evaluation, from files to detections at the lowest scores, with the bare batches."""
    from yolo3.data.annotations import Picture
    from yolo3.data.images import read_image
    from yolo3.detector.pyfunc import read_detector
    from yolo3.training.validation import evaluate_detector

    detector = read_detector(saved / "data")
    pictures = [
        Picture(file, np.array([[8, 8, 90, 90]], np.float32), np.array([0]), SIZE_WH, "", file.name)
        for file in files
    ]
    pixels = np.stack([detector.prepare(read_image(file))[0] for file in files])
    batches = [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]
    engine, evaluation = f"engine, batches of {BATCH}, each picture", "evaluation, each picture"
    found = in_turns(
        {
            engine: lambda: [detector.engine(batch) for batch in batches],
            evaluation: lambda: evaluate_detector(detector, pictures),
        },
        rounds,
    )
    report(engine, found[engine] / len(files))
    share = found[engine] / found[evaluation]
    report(evaluation, found[evaluation] / len(files), share, "of the engine's images/s")


def _measure_serving(report, saved: Path, folder: Path, files: list[Path], rounds: int) -> None:
    """Time `mlflow models serve` from its command to the first answer, then a request."""
    bodies = []
    for file in files[:BATCH]:
        text = base64.b64encode(file.read_bytes()).decode()
        table = {"columns": ["image"], "data": [[text]]}
        bodies.append(json.dumps({"dataframe_split": table}).encode())
    began = time.perf_counter()
    with _server(saved, folder) as address:
        ready = Times(time.perf_counter() - began, math.nan)
        report("mlflow models serve, from command to ready", ready)
        found = in_turns(
            {"HTTP": lambda: [_post(f"{address}/invocations", body) for body in bodies]}, rounds
        )
        report("HTTP, one picture to a request", Times(found["HTTP"].clock / BATCH, math.nan))


@contextmanager
def _server(saved: Path, folder: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["-m", str(saved), "-h", "127.0.0.1", "-p", str(port)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (folder / "server.txt").open("wb") as log:
        server = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PATH": path},
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}/ping", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def _wait_for(address: str, server: subprocess.Popen) -> None:
    while server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError("mlflow models serve ended before it was ready")


def _post(address: str, body: bytes) -> bytes:
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def _measure_start(report, rounds: int) -> None:
    """Time the help of both command lines, each in a process of its own."""
    commands = {"python train.py --help": ["train.py"], "python -m yolo3 --help": ["-m", "yolo3"]}

    def start(words):
        command = [sys.executable, *words, "--help"]
        return lambda: subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)

    for name, times in in_turns({n: start(w) for n, w in commands.items()}, rounds, 1).items():
        report(name, Times(times.clock, math.nan))


if __name__ == "__main__":
    main()
