"""A network and its decoding as one: what engines and exports run."""

import keras

from yolo3.network.grid import decode
from yolo3.network.spec import NetworkSpec

PIXELS = "image"


def with_decoding(network: keras.Model, spec: NetworkSpec) -> keras.Model:
    """Put what the letterbox gives before a network, and what `grid.decode` gives after it.

    Returns a model from uint8 pixels (B, H, W, 3), RGB, to boxes (B, N, 4), xyxy in pixels of the
    network's input, and scores (B, N, C), both float32. It shares the network's weights.
    Raises ValueError when input and outputs are not those that the spec describes.
    """
    _check_outputs(network, spec)
    width, height = spec.input_wh
    pixels = keras.Input((height, width, 3), dtype="uint8", name=PIXELS)
    raw = network(keras.ops.cast(pixels, "float32") / 255)
    raw = [keras.ops.cast(output, "float32") for output in raw]
    return keras.Model(pixels, list(decode(raw, spec)))


def _check_outputs(network: keras.Model, spec: NetworkSpec) -> None:
    width, height = spec.input_wh
    if tuple(network.input_shape) != (None, height, width, 3):
        raise ValueError(
            f"the network's input is {network.input_shape}, expected (None, {height}, {width}, 3)"
        )
    numbers = 5 + len(spec.class_names)
    expected = [
        (None, *grid_hw, len(owned) * numbers)
        for grid_hw, owned in zip(spec.grids_hw, spec.mask, strict=True)
    ]
    found = [tuple(output.shape) for output in network.outputs]
    if found != expected:
        raise ValueError(
            f"the network's outputs are {found}, expected {expected} for "
            f"{len(spec.class_names)} classes, {len(spec.anchors_wh)} anchors and mask {spec.mask}"
        )
