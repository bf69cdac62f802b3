"""Weights in and out, by the names of layers; nothing loads silently."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from yolo3.network.model import build_network, output_layers
from yolo3.network.spec import NetworkSpec

NO_WEIGHTS = "none"
"""What stands for random weights where a file is expected."""

Arrays = dict[str, list[np.ndarray]]


class WeightsError(ValueError):
    """Say why a weights file cannot be used, and what would fit."""


@dataclass(frozen=True)
class Filled:
    """Report one load, by names of layers.

    filled: took the file's numbers. left: keep their own; the file has none, or output convolutions
    for other classes. unused: in the file, and not in the network.
    """

    filled: tuple[str, ...]
    left: tuple[str, ...]
    unused: tuple[str, ...]
    parameters: int

    def __str__(self):
        left = f"; left as they were: {', '.join(self.left)}" if self.left else ""
        unused = f"; not in this network: {', '.join(self.unused)}" if self.unused else ""
        return f"filled {len(self.filled)} layers ({self.parameters:,} parameters){left}{unused}"


def read_weights(path: Path) -> Arrays:
    """Read the arrays of a `.keras` file of this project, by layer.

    Raises WeightsError when there is no such file, or it is none that Keras loads in safe mode.
    """
    file = Path(path)
    if file.suffix != ".keras":
        raise WeightsError(f"{path}: expected a .keras file of this project, or none")
    if not file.is_file():
        raise WeightsError(f"{path}: no such file; weights_path=none trains from random weights")
    try:
        model = keras.models.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds for a damaged file
        raise WeightsError(f"{path}: Keras cannot load it: {error}") from error
    return {
        layer.name: [np.asarray(array, np.float32) for array in layer.get_weights()]
        for layer in model.layers
        if layer.weights
    }


def fill(network: keras.Model, arrays: Arrays, source: str) -> Filled:
    """Give the network's layers the arrays of the same name.

    The output convolutions are filled only where their shape fits: other classes, other outputs.
    Any other difference in shape raises WeightsError before anything is changed, and so does a file
    that would fill nothing.
    """
    outputs = {layer.name for layer in output_layers(network)}
    own = {layer.name: layer for layer in network.layers if layer.weights}
    fitting, wrong = [], []
    for name in own.keys() & arrays.keys():
        expected = [tuple(weight.shape) for weight in own[name].weights]
        found = [array.shape for array in arrays[name]]
        if expected == found:
            fitting.append(name)
        elif name not in outputs:
            wrong.append((name, *_first_difference(expected, found)))
    if wrong or not fitting:
        raise WeightsError(_misfit(network, source, sorted(wrong)))
    filled = tuple(name for name in own if name in fitting)
    for name in filled:
        own[name].set_weights(arrays[name])
    return Filled(
        filled,
        tuple(name for name in own if name not in fitting),
        tuple(name for name in arrays if name not in own),
        sum(array.size for name in filled for array in arrays[name]),
    )


def _first_difference(expected, found):
    """Give two different shapes, or all of both lists where one is longer."""
    if len(expected) == len(found):
        return next((e, f) for e, f in zip(expected, found, strict=True) if e != f)
    return tuple(" and ".join(map(str, shapes)) or "nothing" for shapes in (expected, found))


def _misfit(network, source, wrong):
    examples = "; ".join(f"{name}: expected {e}, found {f}" for name, e, f in wrong[:3])
    more = f"; and {len(wrong) - 3} more layers" if len(wrong) > 3 else ""
    reason = f"{examples}{more}" if wrong else "it has none of the network's layers"
    return (
        f"{source} does not fit this network ({network.name}): {reason}. "
        "The number of anchors chooses the network (6: Tiny YOLOv3, 9: YOLOv3); give weights made "
        "for it, or weights_path=none"
    )


def save_body(network: keras.Model, spec: NetworkSpec, path: Path) -> Path:
    """Save all but the output convolutions as a `.keras` file in half precision.

    Raises ValueError when a weight does not survive half precision.
    """
    half = build_network(spec, precision="float16")
    for layer in half.layers:
        if layer.weights and layer not in output_layers(half):
            with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused below
                arrays = [
                    np.asarray(array, np.float16)
                    for array in network.get_layer(layer.name).get_weights()
                ]
            if not all(np.isfinite(array).all() for array in arrays):
                raise ValueError(f"{layer.name}: weights are not finite in half precision")
            layer.set_weights(arrays)
    features = [layer.input for layer in output_layers(half)]
    body = keras.Model(half.input, features, name=f"{half.name}_body")
    path.parent.mkdir(parents=True, exist_ok=True)
    body.save(path)
    return path
