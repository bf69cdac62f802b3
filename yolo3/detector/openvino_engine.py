"""OpenVINO as the engine; it needs neither Keras nor TensorFlow.

`openvino_model` makes its two files, which hold the decoding as well.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import openvino as ov
from openvino import properties
from openvino.properties import hint

from yolo3.detector.cores import usable_cores
from yolo3.network.spec import NetworkSpec

FILE = "detector.xml"  # beside it lies detector.bin
OUTPUTS = ("boxes", "scores")
FLOAT32, BFLOAT16 = "float32", "bfloat16"
CORES_PER_PICTURE = 4
"""With more cores than this, several pictures are computed at once."""

_TYPES = {FLOAT32: ov.Type.f32, BFLOAT16: ov.Type.bf16}


def fastest_precision() -> str:
    """Give bfloat16 where this machine's processor has units for it, else float32."""
    able = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return BFLOAT16 if "BF16" in able else FLOAT32


class OpenVINOEngine:
    """Run a network and its decoding on the processor.

    Pictures pass one at a time, each through the same kernels: what is found in one depends neither
    on its company, nor on the number of cores (docs/detection.md tells what was tried).
    precision: of the convolutions; a processor without bfloat16 units takes float32 for it.
    Raises ValueError when the files are damaged, or are not of the network that the spec describes.
    """

    def __init__(self, path: Path, spec: NetworkSpec, precision: str = FLOAT32, cores: int = 0):
        if precision not in _TYPES:
            raise ValueError(f"precision is {precision!r}, expected {' or '.join(_TYPES)}")
        self.precision = precision if precision == FLOAT32 else fastest_precision()
        model = _read(path)
        self._shapes = _check_shapes(model, spec)
        cores = cores or usable_cores()
        at_once = max(1, cores // CORES_PER_PICTURE)
        options = {
            hint.inference_precision: _TYPES[self.precision],
            properties.inference_num_threads: cores,
            properties.num_streams: at_once,
        }
        compiled = ov.Core().compile_model(model, "CPU", options)
        self._idle = SimpleQueue()
        for _ in range(at_once):
            self._idle.put(compiled.create_infer_request())
        self._map = map if at_once == 1 else ThreadPoolExecutor(at_once).map

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the candidates of a batch; see Engine."""
        boxes, scores = (np.empty((len(pixels), *shape), np.float32) for shape in self._shapes)

        def run(number: int) -> None:
            request = self._idle.get()
            try:
                request.infer([pixels[number : number + 1]], share_inputs=True, share_outputs=True)
                for found, name in zip((boxes, scores), OUTPUTS, strict=True):
                    found[number] = request.get_tensor(name).data[0]
            finally:
                self._idle.put(request)

        for _ in self._map(run, range(len(pixels))):
            pass
        return boxes, scores


def _read(path: Path) -> ov.Model:
    try:
        return ov.Core().read_model(path)
    except RuntimeError as error:
        raise ValueError(f"{path.name} cannot be read: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """Say what OpenVINO says, without the places in its sources."""
    lines = [line for line in str(error).splitlines() if line and not line.startswith("Exception")]
    return lines[-1] if lines else type(error).__name__


def _check_shapes(model: ov.Model, spec: NetworkSpec) -> tuple[tuple[int, int], tuple[int, int]]:
    """Give the shapes of one picture's boxes and scores."""
    width, height = spec.input_wh
    candidates = sum(
        rows * columns * len(owned)
        for (rows, columns), owned in zip(spec.grids_hw, spec.mask, strict=True)
    )
    shapes = (candidates, 4), (candidates, len(spec.class_names))
    expected = [(1, height, width, 3), *((1, *shape) for shape in shapes)]
    try:
        ports = [model.input(), *map(model.output, OUTPUTS)]
        found = [tuple(port.shape) for port in ports]
    except RuntimeError as error:  # other numbers of them, other names, shapes that are left open
        raise ValueError(f"{FILE} is another model: {_first_line(error)}") from error
    if found != expected:
        raise ValueError(f"{FILE} has input and outputs of shapes {found}, expected {expected}")
    return shapes
