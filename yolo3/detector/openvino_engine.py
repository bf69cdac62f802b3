"""OpenVINO as the engine; it needs neither Keras nor TensorFlow.

`openvino_model` makes its two files, which hold the decoding as well.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import properties
from openvino.properties import hint

from yolo3.detector.cores import usable_cores
from yolo3.detector.fair_semaphore import FairSemaphore
from yolo3.network.spec import NetworkSpec

FILE = "detector.xml"  # beside it lies detector.bin
OUTPUTS = BOXES, SCORES = "boxes", "scores"
FLOAT32, BFLOAT16 = "float32", "bfloat16"
CORES_EACH = 4
"""Of a picture that comes alone; with more of them, as many such pictures are computed at once."""

ov.Tensor(np.zeros(1, np.uint8)).element_type.to_dtype()
# The first such call of a process fills a table of OpenVINO's; two threads that made it at once
# waited for each other for ever (2026.4). Python lets one thread alone import a module.

_CORE = ov.Core()
# One that stays. Each that has run sets a signal stack of its own and frees it at its end; of two
# that overlap, the last puts back the one that was freed, and the next Ctrl-C ends the process.

_TYPES = {FLOAT32: ov.Type.f32, BFLOAT16: ov.Type.bf16}


def fastest_precision() -> str:
    """Give bfloat16 where this machine's processor has units for it, else float32."""
    able = _CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return BFLOAT16 if "BF16" in able else FLOAT32


class OpenVINOEngine:
    """Run a network and its decoding on the processor.

    A picture that comes alone is computed by all cores, many together by one core each; always one
    picture through the same kernels. What is found depends neither on its company, nor on the
    number of cores (docs/detection.md tells what was tried).
    precision: of the convolutions; a processor without bfloat16 units takes float32 for it.
    Raises ValueError when the files are damaged, or are not of the network that the spec describes.
    """

    def __init__(self, path: Path, spec: NetworkSpec, precision: str = FLOAT32, cores: int = 0):
        if precision not in _TYPES:
            raise ValueError(f"precision is {precision!r}, expected {' or '.join(_TYPES)}")
        self.precision = precision if precision == FLOAT32 else fastest_precision()
        with _explained(path):
            model = _CORE.read_model(path)
        self._shapes = _check_shapes(model, spec)
        usable = cores or usable_cores()
        with _explained(path):
            self._together = _Requests(model, self.precision, usable, cores_each=CORES_EACH)
            self._apart = _Requests(model, self.precision, usable, cores_each=1)

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the candidates of a batch; see Engine."""
        boxes, scores = (np.empty((len(pixels), *shape), np.float32) for shape in self._shapes)

        def run(number: int) -> None:
            requests.run(pixels[number], boxes[number], scores[number])

        few = len(pixels) <= self._together.at_once
        requests = self._together if few else self._apart
        if requests.at_once == 1 or len(pixels) == 1:
            for number in range(len(pixels)):
                run(number)
        else:
            with ThreadPoolExecutor(requests.at_once) as pool:
                list(pool.map(run, range(len(pixels))))
        return boxes, scores


class _Requests:
    """A compiled model, and as many requests to it as are computed at once."""

    def __init__(self, model: ov.Model, precision: str, cores: int, cores_each: int):
        self.at_once = max(1, cores // cores_each)
        options = {
            hint.inference_precision: _TYPES[precision],
            properties.inference_num_threads: cores,
            properties.num_streams: self.at_once,
        }
        compiled = _CORE.compile_model(model, "CPU", options)
        self._idle = [compiled.create_infer_request() for _ in range(self.at_once)]
        self._turns = FairSemaphore(self.at_once)

    def run(self, picture: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> None:
        """Compute a picture (H, W, 3), and write what is found over boxes and scores."""
        with self._turns.take():
            request = self._idle.pop()
            try:
                request.get_input_tensor().data[0] = picture
                request.infer(share_outputs=True)  # the other choice is a copy more
                boxes[:] = request.get_tensor(BOXES).data[0]
                scores[:] = request.get_tensor(SCORES).data[0]
            finally:
                self._idle.append(request)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what OpenVINO says of a file into one sentence."""
    try:
        yield
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
