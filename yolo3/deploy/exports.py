"""Write a detector as a file for another runtime: network and decoding, labels and settings.

Every format takes letterboxed pictures, uint8 (B, H, W, 3) RGB, as `image`, and gives float32
`boxes` (B, N, 4), xyxy in pixels of the network's input, and `scores` (B, N, C). Left to the reader
are the letterbox, thresholds and non-maximum suppression; the settings say how.
"""

import importlib.util
import json
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import keras

from yolo3.data.images import BAR_GREY
from yolo3.detector.pyfunc import Settings
from yolo3.network.decoding import PIXELS, with_decoding
from yolo3.network.spec import NetworkSpec

BOXES, SCORES = "boxes", "scores"
LABELS_FILE, SETTINGS_FILE = "labels.txt", "settings.json"
LABELS, SETTINGS = "labels", "settings"
EXTRA_ASSETS = "assets.extra"  # SavedModel's place for files that its graph does not read


class ExportError(ValueError):
    """Say why a detector was not exported, or not as it is."""


@dataclass(frozen=True)
class Card:
    """What a file tells of itself."""

    labels: tuple[str, ...]
    settings: dict

    def labels_text(self) -> str:
        """Write the labels one per line, by class id."""
        return "".join(f"{label}\n" for label in self.labels)

    def settings_text(self) -> str:
        """Write the settings as JSON."""
        return json.dumps(self.settings, indent=2, ensure_ascii=False)


def make_card(settings: Settings, source: dict[str, str]) -> Card:
    """Tell all that is needed to use the boxes and scores. source: which model it is."""
    width, height = settings.spec.input_wh
    described = {
        "model": source,
        "input": {
            "width": width,
            "height": height,
            "pixels": "uint8, RGB, 0 to 255",
            "letterbox": "aspect kept, centred, bilinear with antialiasing",
            "letterbox_grey": BAR_GREY,
        },
        "outputs": {
            BOXES: "xmin, ymin, xmax, ymax in pixels of the input, for each candidate",
            SCORES: "0 to 1, for each candidate and label",
        },
        "suppression": "greedy, of boxes of one label that overlap by more than iou_threshold",
        "thresholds": asdict(settings.thresholds),
        "network": json.loads(settings.spec.to_json()),
    }
    return Card(settings.spec.class_names, described)


def export(kind: str, network: keras.Model, spec: NetworkSpec, card: Card, output: Path) -> None:
    """Write the network, float32, with its decoding and card, in one of FORMATS.

    Raises ExportError for an output that exists or is called otherwise than the format's files are,
    for packages that are missing, and for another Keras than TensorFlow's.
    """
    check_format(kind, output)
    output.parent.mkdir(parents=True, exist_ok=True)
    FORMATS[kind].write(network, spec, card, output)


def check_format(kind: str, output: Path) -> None:
    """Raise ExportError for what `export` would; nothing is read or written."""
    chosen = FORMATS[kind]
    if output.suffix != chosen.suffix:
        expected = f"a name that ends in {chosen.suffix}" if chosen.suffix else "a folder's name"
        raise ExportError(f"{output}: expected {expected} for the format {kind}")
    if existing := [file for file in files_of(kind, output) if file.exists()]:
        raise ExportError(f"{existing[0]} exists; give another place, or remove it")
    missing = [name for name in chosen.packages if importlib.util.find_spec(name) is None]
    if missing:
        names = ", ".join(name.replace("_", "-") for name in missing)
        raise ExportError(f'the format {kind} needs {names}: pip install -e ".[export]"')
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"Keras runs on {keras.backend.backend()}, exports need KERAS_BACKEND=tensorflow"
        )


def _named(network: keras.Model, spec: NetworkSpec) -> keras.Model:
    """Give the network with its decoding, and its outputs their names."""
    decoded = with_decoding(network, spec)
    boxes, scores = decoded.outputs
    return keras.Model(decoded.inputs[0], {BOXES: boxes, SCORES: scores})


def _pictures(spec: NetworkSpec, count: int | None) -> list[keras.InputSpec]:
    """Describe the input, for so many pictures at once; None: for any number."""
    width, height = spec.input_wh
    return [keras.InputSpec(shape=(count, height, width, 3), dtype="uint8", name=PIXELS)]


def _write_onnx(network, spec, card, output):
    import onnx

    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "In the future `np.object`")  # Keras's patch of tf2onnx
        bare = Path(temporary) / output.name
        _named(network, spec).export(
            str(bare), format="onnx", verbose=False, input_signature=_pictures(spec, None)
        )
        model = onnx.load(bare)
    onnx.helper.set_model_props(
        model, {LABELS: json.dumps(card.labels, ensure_ascii=False), SETTINGS: card.settings_text()}
    )
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.shape.dim[0].dim_param = "pictures"
    onnx.checker.check_model(model)
    onnx.save(model, output)


def _write_openvino(network, spec, card, output):
    import openvino as ov

    from yolo3.detector.openvino_engine import FILE
    from yolo3.detector.openvino_model import write_openvino

    with tempfile.TemporaryDirectory() as temporary:
        write_openvino(network, spec, Path(temporary))
        model = ov.Core().read_model(Path(temporary) / FILE)
        model.set_rt_info(json.dumps(card.labels, ensure_ascii=False), [LABELS])
        model.set_rt_info(card.settings_text(), [SETTINGS])
        ov.save_model(model, output, compress_to_fp16=False)


def _write_litert(network, spec, card, output):
    _named(network, spec).export(
        str(output), format="litert", verbose=False, input_signature=_pictures(spec, 1)
    )
    # As TensorFlow's metadata tools do: a ZIP behind the model, which runtimes do not read.
    with zipfile.ZipFile(output, "a") as archive:
        archive.writestr(LABELS_FILE, card.labels_text())
        archive.writestr(SETTINGS_FILE, card.settings_text())


def _write_saved_model(network, spec, card, output):
    with tempfile.TemporaryDirectory(dir=output.parent) as temporary:
        bare = Path(temporary) / "saved"
        _named(network, spec).export(str(bare), format="tf_saved_model", verbose=False)
        extra = bare / EXTRA_ASSETS
        extra.mkdir()
        (extra / LABELS_FILE).write_text(card.labels_text(), "utf-8")
        (extra / SETTINGS_FILE).write_text(card.settings_text(), "utf-8")
        shutil.move(bare, output)


@dataclass(frozen=True)
class Format:
    """How one kind of file is called, what writes it, and what that needs beside the lock."""

    suffix: str
    write: Callable[[keras.Model, NetworkSpec, Card, Path], None]
    packages: tuple[str, ...] = ()


FORMATS = {
    "onnx": Format(".onnx", _write_onnx, ("onnx", "tf2onnx", "onnxruntime")),
    "openvino": Format(".xml", _write_openvino),
    "litert": Format(".tflite", _write_litert, ("ai_edge_litert",)),
    "saved_model": Format("", _write_saved_model),
}


def files_of(kind: str, output: Path) -> list[Path]:
    """List the files and folders that an export consists of."""
    return [output, output.with_suffix(".bin")] if kind == "openvino" else [output]


def size_of(kind: str, output: Path) -> int:
    """Count the bytes of an export."""
    places = files_of(kind, output)
    files = [file for place in places for file in (place, *place.rglob("*"))]
    return sum(file.stat().st_size for file in files if file.is_file())
