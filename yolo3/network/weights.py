"""Weights in and out, by the names of layers; nothing loads silently."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from yolo3.network.keras_file import load_network
from yolo3.network.model import build_network, output_layers
from yolo3.network.spec import NetworkSpec

NO_WEIGHTS = "none"
"""What stands for random weights where a file is expected."""

Arrays = dict[str, list[np.ndarray]]


class WeightsError(ValueError):
    """Say why a weights file cannot be used, and what would fit."""


@dataclass(frozen=True)
class Skipped:
    """Name a layer whose shape in the file is another, and both shapes."""

    name: str
    expected: str
    found: str

    def __str__(self):
        return f"{self.name}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True)
class Filled:
    """Report one load, by names of layers.

    filled: took the file's numbers. skipped: output convolutions for another number of classes.
    left: the file has none for them. unused: in the file, and not in the network. The network's
    own parameters are counted: `parameters` are those that were filled.
    """

    filled: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    left: tuple[str, ...]
    unused: tuple[str, ...]
    parameters: int
    skipped_parameters: int
    left_parameters: int

    def __str__(self):
        parts = [
            f"filled {_count(self.filled, self.parameters)}",
            f"skipped for shape {_count(self.skipped, self.skipped_parameters, self.skipped)}",
            f"left as they were {_count(self.left, self.left_parameters, self.left)}",
        ]
        if self.unused:
            parts.append(f"not in this network: {', '.join(self.unused)}")
        return "; ".join(parts)


def _count(layers, parameters, named=()):
    if not layers:
        return "none"
    names = f": {', '.join(map(str, named))}" if named else ""
    unit = "layer" if len(layers) == 1 else "layers"
    return f"{len(layers)} {unit} ({parameters:,} parameters){names}"


def read_weights(path: Path) -> Arrays:
    """Read the arrays of a `.keras` file of this project, by layer.

    Raises WeightsError when it is none that Keras loads in safe mode.
    """
    try:
        model = load_network(Path(path))
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from error
    return {
        layer.name: [np.asarray(array, np.float32) for array in layer.get_weights()]
        for layer in model.layers
        if layer.weights
    }


def fill(network: keras.Model, arrays: Arrays, source: str) -> Filled:
    """Give the network's layers the arrays of the same name.

    The output convolutions are filled only where their shape fits: other classes, other outputs.
    Any other difference in shape raises WeightsError before anything is changed, and so does a file
    that would fill nothing, or with numbers that no network has.
    """
    outputs = {layer.name for layer in output_layers(network)}
    own = {layer.name: layer for layer in network.layers if layer.weights}
    fitting, misfits = [], []
    for name in [name for name in own if name in arrays]:
        expected = [tuple(weight.shape) for weight in own[name].weights]
        found = [array.shape for array in arrays[name]]
        if expected == found:
            fitting.append(name)
        else:
            misfits.append(Skipped(name, *_first_difference(expected, found)))
    wrong = [layer for layer in misfits if layer.name not in outputs]
    if wrong or not fitting:
        raise WeightsError(_misfit(network, source, wrong or misfits))
    for name in fitting:
        _check_numbers(name, arrays[name], source)
    for name in fitting:
        own[name].set_weights(arrays[name])
    left = tuple(name for name in own if name not in arrays)
    counts = {name: layer.count_params() for name, layer in own.items()}
    return Filled(
        tuple(fitting),
        tuple(misfits),
        left,
        tuple(name for name in arrays if name not in own),
        sum(counts[name] for name in fitting),
        sum(counts[layer.name] for layer in misfits),
        sum(counts[name] for name in left),
    )


def weights_digest(network: keras.Model) -> str:
    """Digest all arrays of a network: SHA-256 over their names, shapes and float32 bytes."""
    digest = hashlib.sha256()
    for layer in network.layers:
        for weight in layer.weights:
            array = np.asarray(weight, "<f4")
            digest.update(f"{layer.name}/{weight.name}{array.shape}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()


def random_start(network: keras.Model) -> Filled:
    """Report a network that nothing was loaded into."""
    own = tuple(layer.name for layer in network.layers if layer.weights)
    return Filled((), (), own, (), 0, 0, network.count_params())


def outputs_filled(network: keras.Model, filled: Filled) -> bool:
    """Tell whether all output convolutions took the file's numbers, and so go by its mask."""
    return {layer.name for layer in output_layers(network)} <= set(filled.filled)


def _check_numbers(name, arrays, source):
    """Refuse what a damaged file, or one read for another network, holds."""
    if not all(np.isfinite(array).all() for array in arrays):
        raise WeightsError(f"{source}: {name} holds numbers that are not finite; is it damaged?")
    if len(arrays) == 4 and (arrays[3] < 0).any():  # gamma, beta, mean, variance
        raise WeightsError(
            f"{source}: {name} holds a negative variance; is it damaged, or of another network?"
        )


def _first_difference(expected, found):
    """Write two different shapes, or all of both lists where one is longer."""
    if len(expected) == len(found):
        return next((str(e), str(f)) for e, f in zip(expected, found, strict=True) if e != f)
    return tuple(" and ".join(map(str, shapes)) or "nothing" for shapes in (expected, found))


def _misfit(network, source, wrong):
    more = f"; and {len(wrong) - 3} more layers" if len(wrong) > 3 else ""
    examples = "; ".join(map(str, wrong[:3]))
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
