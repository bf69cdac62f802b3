"""A `.weights` file in and out: a header, then each convolution's numbers in the order of the cfg.

    int32 major, minor, revision; pictures seen in training: int64 from version 0.2 on, else int32
    per convolution, float32: biases; with batch normalisation scales, means and variances; then
    the kernel as (filters, channels, rows, columns)

Darknet's `load_weights_upto` and `save_weights_upto` (parser.c) are the definition.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import keras
import numpy as np

from yolo3.network.darknet.graph import describe_network
from yolo3.network.darknet.layers import Cfg, Convolution
from yolo3.network.model import BATCH_NORM_EPSILON
from yolo3.network.weights import Arrays, WeightsError

PARTIAL_NAME = re.compile(r"\.conv\.\d+$")
"""How Darknet's users call a file that `darknet partial` wrote: yolov3-tiny.conv.15."""

FLOAT = np.dtype("<f4")
VERSION = (0, 2, 5)
LATEST_VERSION = 1000  # Darknet takes larger ones for another kind of file


def read_darknet_weights(
    path: Path, described_by: Cfg | keras.Model, partial: bool = False
) -> Arrays:
    """Read the arrays of a Darknet file, by the names of layers.

    described_by: what divides the file's one row of numbers: a cfg, which it must fit to the byte,
    or a network of this project, which it may fit with output convolutions for another number of
    classes (found from the file's size; their arrays have their shapes in the file).
    partial: the file may end before the network does, and may hold more; a file whose name ends
    with `.conv.N` says so itself. Raises WeightsError for any other file.
    """
    numbers = _read_numbers(Path(path))
    is_partial = partial or bool(PARTIAL_NAME.search(Path(path).name))
    if isinstance(described_by, Cfg):
        return _divide(path, numbers, described_by.convolutions, described_by.file, is_partial)
    convolutions = describe_network(described_by).convolutions
    fitted = _for_classes_of_file(convolutions, len(numbers))
    if fitted is None and not is_partial and len(numbers) > _count(convolutions):
        raise WeightsError(_no_number_of_classes(path, convolutions, len(numbers)))
    return _divide(path, numbers, fitted or convolutions, described_by.name, is_partial)


def unused_bytes(path: Path, cfg: Cfg) -> int:
    """Count the bytes of a partial file that a cfg's convolutions have no place for."""
    return FLOAT.itemsize * max(0, len(_read_numbers(Path(path))) - _count(cfg.convolutions))


def write_darknet_weights(path: Path, cfg: Cfg, network: keras.Model) -> None:
    """Write the weights of a network in the order of its cfg.

    Where a normalisation's epsilon is not Darknet's, its variances make up for the difference.
    """
    with Path(path).open("wb") as file:
        file.write(struct.pack("<3iq", *VERSION, 0))
        for convolution in cfg.convolutions:
            for array in _arrays_in_file(convolution, network):
                file.write(np.ascontiguousarray(array, FLOAT).tobytes())


def _arrays_in_file(convolution, network):
    kernel, *bias = network.get_layer(convolution.name).get_weights()
    if convolution.batch_normalize:
        layer = network.get_layer(f"{convolution.name}_bn")
        gamma, beta, mean, variance = map(np.asarray, layer.get_weights())
        variance = variance.astype(FLOAT) + (layer.epsilon - BATCH_NORM_EPSILON)
        bias = [beta, gamma, mean, variance]
    return [*bias, np.transpose(kernel, (3, 2, 0, 1))]


def _read_numbers(path: Path) -> np.ndarray:
    """Read all numbers after the header; WeightsError for what is no Darknet file."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(12)
            if len(start) < 12:
                raise WeightsError(f"{path}: has {size} bytes, no header of a Darknet weights file")
            major, minor, _ = struct.unpack("<3i", start)
            if not (0 <= major < LATEST_VERSION and 0 <= minor < LATEST_VERSION):
                raise WeightsError(
                    f"{path}: is no Darknet weights file: its header says version {major}.{minor}, "
                    "expected 0.1 or 0.2"
                )
            file.seek(8 if (major, minor) >= (0, 2) else 4, 1)
            data = file.read()
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the weights: {error.strerror}") from None
    if len(data) % FLOAT.itemsize:
        raise WeightsError(f"{path}: ends within a number; is it cut short?")
    return np.frombuffer(data, FLOAT)


def _divide(path, numbers, convolutions, described_by, partial) -> Arrays:
    arrays: Arrays = {}
    start = 0
    for count, convolution in enumerate(convolutions):
        end = start + convolution.numbers
        if end > len(numbers):
            if start == len(numbers) and partial and count:
                break
            raise WeightsError(
                _cut_short(path, convolutions, count, described_by, end - len(numbers), partial)
            )
        arrays |= _arrays(convolution, numbers[start:end])
        start = end
    if start < len(numbers) and not partial:
        left = (len(numbers) - start) * FLOAT.itemsize
        raise WeightsError(
            f"{path}: holds {left:,} bytes more than the {len(convolutions)} convolutions of "
            f"{described_by}; it was made for another network, or is declared partial (--partial)"
        )
    return arrays


def _arrays(convolution: Convolution, numbers) -> Arrays:
    filters, size = convolution.filters, convolution.size
    rows = 4 if convolution.batch_normalize else 1
    heads = numbers[: rows * filters].reshape(rows, filters)
    kernel = numbers[rows * filters :].reshape(filters, convolution.channels, size, size)
    kernel = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))  # (rows, columns, in, out)
    if not convolution.batch_normalize:
        return {convolution.name: [kernel, heads[0]]}
    beta, gamma, mean, variance = heads
    return {convolution.name: [kernel], f"{convolution.name}_bn": [gamma, beta, mean, variance]}


def _for_classes_of_file(convolutions, count) -> list[Convolution] | None:
    """Give the outputs as many filters as a file of this length has for them, None if no number."""
    body = sum(layer.numbers for layer in convolutions if not layer.is_output)
    outputs = sum(layer.numbers for layer in convolutions if layer.is_output)
    ratio = Fraction(count - body, outputs)
    filters = {layer.name: layer.filters * ratio for layer in convolutions if layer.is_output}
    if any(number < 6 or number.denominator > 1 for number in filters.values()):
        return None
    return [replace(c, filters=int(filters.get(c.name, c.filters))) for c in convolutions]


def _count(convolutions: Sequence[Convolution]) -> int:
    return sum(layer.numbers for layer in convolutions)


def _cut_short(path, convolutions, count, described_by, missing, partial):
    layer = convolutions[count]
    where = f"{layer.name} ({described_by}:{layer.line})" if layer.line else layer.name
    lacking = missing * FLOAT.itemsize
    begun = "within" if lacking < layer.numbers * FLOAT.itemsize else "before"
    text = (
        f"{path}: ends {begun} {where}, convolution {count + 1} of {len(convolutions)}, "
        f"which lacks {lacking:,} bytes"
    )
    if partial or begun == "within" or not count:
        return f"{text}; it is cut short, or was made for another network"
    return (
        f"{text}; it is cut short, or holds the first layers only: then declare it partial "
        f"(--partial, or a name that ends with .conv.N)"
    )


def _no_number_of_classes(path, convolutions, count):
    own = _count(convolutions)
    return (
        f"{path}: holds {count * FLOAT.itemsize:,} bytes of numbers; this network needs "
        f"{own * FLOAT.itemsize:,} for its own classes, and no other number of classes fits; it is "
        "cut short, or was made for another network (python -m yolo3 convert takes its cfg)"
    )
