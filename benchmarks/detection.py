"""Detection: from the network alone to a picture over HTTP, beside other runtimes.

    python -m benchmarks --only detection --model runs:/RUN_ID/keras-yolo-model

Every runtime has all cores. OpenCV (below 5) reads the network as Darknet's files; a peer that is
not installed is left out (the `test` extra has all).
"""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.servers import free_port, running_server
from benchmarks.table import Row, ratio_of, seconds_in_turns

PROJECT = Path(__file__).resolve().parents[1]
SIZE_WH = (640, 480)  # of the JPEGs
PICTURES = 48
BATCH = 16
INPUT_SIZE = 416  # of a model that is made up


def measure(model: str = "", rounds: int = 15) -> list[Row]:
    """Measure detection with a trained model (URI or folder), or else with one that is made up."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = _jpegs(folder / "pictures")
        saved = _downloaded(model, folder) if model else _made_up(folder, files)
        few = max(3, rounds // 3)
        return [
            *_measure_network(saved, folder, rounds),
            *_measure_pictures(saved, folder, files, rounds),
            _measure_evaluation(saved, files, few),
            *_measure_start(saved, folder, few),
        ]


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


def _made_up(folder: Path, files: list[Path]) -> Path:
    """Save a model of random weights that finds about as much as a trained one: a dozen things."""
    import keras

    from yolo3.data.images import letterbox, read_image
    from yolo3.detector.mlflow_model import save_detector
    from yolo3.network.grid import OBJECTNESS
    from yolo3.network.model import build_network, output_layers
    from yolo3.network.spec import make_spec, read_anchors

    names = ("helmet", "hat", "bare")
    anchors_wh = read_anchors(PROJECT / "model_data" / "yolo_tiny_anchors.txt")
    spec = make_spec(names, anchors_wh, (INPUT_SIZE, INPUT_SIZE))
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


def _measure_network(saved: Path, folder: Path, rounds: int) -> list[Row]:
    """Compare runtimes on the network alone, with one picture and with sixteen."""
    from yolo3.detector.engines import NETWORK_FILE
    from yolo3.detector.openvino_engine import FILE, OpenVINOEngine
    from yolo3.detector.pyfunc import read_detector, read_settings
    from yolo3.network.keras_file import load_network

    settings = read_settings(saved / "data")
    spec, precision = settings.spec, settings.engine.precision
    network = load_network(saved / "data" / NETWORK_FILE)
    engine = read_detector(saved / "data").engine
    exact = OpenVINOEngine(saved / "data" / FILE, spec)
    rng = np.random.default_rng(1)
    width, height = spec.input_wh
    rows = []
    for count in (1, BATCH):
        pixels = rng.integers(0, 256, (count, height, width, 3), np.uint8)
        floats = pixels.astype(np.float32) / np.float32(255)
        network.predict_on_batch(floats)  # Keras exports what was called once
        peers = {
            ("OpenCV 4 DNN", 4.0): _opencv(network, spec, folder, floats),
            ("Keras predict_on_batch, float32", 2.0): partial(network.predict_on_batch, floats),
            ("ONNX Runtime", None): _onnx(network, folder, floats),
            ("OpenVINO alone, without decoding", None): _bare(network, spec, precision, floats),
            ("itself in float32", None): partial(exact, pixels),
        }
        calls = {key: call for key, call in peers.items() if call is not None}
        times = seconds_in_turns({"engine": partial(engine, pixels)} | calls, rounds)
        own = times.pop("engine")
        name = "OpenVINO engine, " + ("one picture" if count == 1 else f"{count} pictures, each")
        for (peer, wanted), taken in times.items():
            wanted = wanted if count == 1 else None
            ratio = ratio_of(taken, own)
            rows.append(
                Row("network alone", name, 1000 * min(own) / count, "ms", peer, ratio, wanted)
            )
    return rows


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


def _measure_pictures(saved: Path, folder: Path, files: list[Path], rounds: int) -> list[Row]:
    """Follow one JPEG through reading, network, detector, served model and HTTP."""
    import mlflow.pyfunc
    import pandas as pd

    from yolo3.data.images import letterbox, read_image
    from yolo3.detector.pyfunc import read_detector

    detector = read_detector(saved / "data")
    data = [file.read_bytes() for file in files[:BATCH]]
    images = [read_image(one) for one in data]
    pixels = [letterbox(image, detector.spec.input_wh)[0][None] for image in images]
    model = mlflow.pyfunc.load_model(str(saved))
    texts = [base64.b64encode(one).decode() for one in data]
    tables = [pd.DataFrame({"image": [text]}) for text in texts]
    together = pd.DataFrame({"image": texts})
    bodies = [json.dumps({"dataframe_split": {"columns": ["image"], "data": [[t]]}}) for t in texts]
    with _server(saved, folder) as address:
        invocations = f"{address}/invocations"
        times = seconds_in_turns(
            {
                "least": lambda: [
                    (read_image(one), detector.engine(ready))
                    for one, ready in zip(data, pixels, strict=True)
                ],
                "detector, one JPEG to boxes": lambda: [
                    detector.detect([read_image(one)]) for one in data
                ],
                "pyfunc.predict, one row": lambda: [model.predict(table) for table in tables],
                f"pyfunc.predict, {BATCH} rows, each": lambda: model.predict(together),
                "HTTP, one picture to a request": lambda: [
                    _post(invocations, body.encode()) for body in bodies
                ],
            },
            rounds,
        )
    least = times.pop("least")
    rows = []
    for name, taken in times.items():
        wanted = 1 / 1.25 if name.startswith("detector") else None
        against, ratio = "network plus decoding the JPEG", ratio_of(least, taken)
        value = 1000 * min(taken) / BATCH
        rows.append(Row("a picture to boxes", name, value, "ms", against, ratio, wanted))
    return rows


def _measure_evaluation(saved: Path, files: list[Path], rounds: int) -> Row:
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
    times = seconds_in_turns(
        {
            "engine": lambda: [detector.engine(batch) for batch in batches],
            "evaluation": lambda: evaluate_detector(detector, pictures),
        },
        rounds,
    )
    value = 1000 * min(times["evaluation"]) / len(files)
    ratio = ratio_of(times["engine"], times["evaluation"])
    against = "the engine's batches"
    return Row("evaluation", "evaluation, each picture", value, "ms", against, ratio, 0.8)


def _measure_start(saved: Path, folder: Path, rounds: int) -> list[Row]:
    """Time the help of both command lines, and a server from its command to its first answer."""

    def helped(*words):
        command = [sys.executable, *words, "--help"]
        return lambda: subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)

    helps = {
        "python train.py --help": helped("train.py"),
        "python -m yolo3 --help": helped("-m", "yolo3"),
    }
    fastest = {n: min(taken) for n, taken in seconds_in_turns(helps, rounds, warm=1).items()}
    fastest["mlflow models serve, from command to ready"] = min(
        _seconds_to_ready(saved, folder) for _ in range(rounds)
    )
    return [
        Row("start", name, 1000 * seconds, "ms", f"{limit} s", limit / seconds, 1.0)
        for (name, seconds), limit in zip(fastest.items(), (1, 1, 10), strict=True)
    ]


def _seconds_to_ready(saved: Path, folder: Path) -> float:
    began = time.perf_counter()
    with _server(saved, folder):
        return time.perf_counter() - began


@contextmanager
def _server(saved: Path, folder: Path):
    address = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["-m", str(saved), "-h", "127.0.0.1", "-p", address.rpartition(":")[2]]
    variables = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with running_server(command, f"{address}/ping", folder / "server.txt", env=variables):
        yield address


def _post(address: str, body: bytes) -> bytes:
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()
