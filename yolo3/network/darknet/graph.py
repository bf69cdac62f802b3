"""The layers of a cfg from a Keras network of this project: tiny, full, or converted."""

import math
import re
from collections import Counter
from dataclasses import dataclass, field, replace

import keras
from keras import layers

from yolo3.network.darknet.layers import (
    LEAKY,
    LINEAR,
    Cfg,
    Convolution,
    Layer,
    MaxPool,
    Route,
    Shortcut,
    Upsample,
    Yolo,
    convolved,
    pooled,
)
from yolo3.network.model import LEAKY_SLOPE
from yolo3.network.spec import NetworkSpec


class GraphError(ValueError):
    """Name a layer of a network that no cfg can express."""


def describe_network(network: keras.Model, spec: NetworkSpec | None = None) -> Cfg:
    """List a network's layers as a cfg does, with one [yolo] for each output.

    Convolutions stand in the order of their names' numbers; each output follows the convolutions
    that it needs. Without a spec the [yolo] layers are left out, and the cfg is good for the order
    of weights only. Raises GraphError for a layer that no cfg can express.
    """
    _, height, width, _ = network.input_shape
    units = _Walk(network).convolutions()
    writing = _Writing(spec)
    for unit in sorted(units, key=lambda unit: unit.order):
        writing.add(unit)
    return Cfg(network.name, (width, height), tuple(writing.layers))


@dataclass(eq=False)
class _Unit:
    """What becomes one layer of the cfg, or two where an output gets its [yolo]."""

    layer: Layer | None  # inputs still empty; None: the picture
    sources: list["_Unit"]
    order: float = 0.0
    """The last convolution's number; of an output, half a step after those that it needs."""
    scale: int | None = None  # of an output


@dataclass
class _Writing:
    """The cfg's layers so far, and where each unit's result stands among them."""

    spec: NetworkSpec | None
    layers: list[Layer] = field(default_factory=list)
    places: dict[_Unit, int] = field(default_factory=dict)

    def add(self, unit: _Unit) -> int:
        """List a unit after all that it reads; give its place."""
        if unit.layer is None:
            return -1
        if unit in self.places:
            return self.places[unit]
        inputs = [self.add(source) for source in unit.sources]
        if not isinstance(unit.layer, Route):
            if isinstance(unit.layer, Shortcut) and inputs[1] == len(self.layers) - 1:
                inputs.reverse()
            inputs[0] = self._last(inputs[0], unit)
        place = self.places[unit] = len(self.layers)
        self.layers.append(replace(unit.layer, inputs=tuple(inputs)))
        if unit.scale is not None and self.spec is not None:
            self.layers.append(_yolo(self.spec, unit.scale, place, unit.layer.shape))
        return place

    def _last(self, place, unit):
        """Make a place the last one, which most layers read, by a [route] to it."""
        if place == len(self.layers) - 1:
            return place
        if place < 0:
            raise GraphError(f"{unit.layer.name}: only a cfg's first layer can read the picture")
        self.layers.append(Route(0, (place,), self.layers[place].shape))
        return len(self.layers) - 1


def _yolo(spec, scale, place, shape):
    classes = len(spec.class_names)
    return Yolo(
        0, (place,), shape, classes=classes, anchors_wh=spec.anchors_wh, mask=spec.mask[scale]
    )


class _Walk:
    """Walk over a network from the picture on, and make units of its layers.

    Padding, normalisation and activation join the unit of their convolution.
    """

    def __init__(self, network: keras.Model):
        self.units = {id(network.inputs[0]): _Unit(None, [])}  # by tensor
        self.padded = {}  # the tensor before a padding, and the padding, by the tensor after it
        inner = [layer for layer in network.layers if not isinstance(layer, layers.InputLayer)]
        self.readers = Counter(id(tensor) for layer in inner for tensor in _inputs(layer))
        self.readers.update(map(id, network.outputs))
        for layer in inner:
            self._add(layer)
        for scale, output in enumerate(network.outputs):
            _mark_output(self.units[id(output)], scale)

    def convolutions(self) -> list[_Unit]:
        """Give the units of the convolutions."""
        return [u for u in dict.fromkeys(self.units.values()) if isinstance(u.layer, Convolution)]

    def _add(self, layer):
        tensors = _inputs(layer)
        match layer:
            case layers.ZeroPadding2D():
                self.padded[id(layer.output)] = (tensors[0], layer.padding)
                return
            case layers.Conv2D():
                before, padding = self.padded.get(id(tensors[0]), (tensors[0], ((0, 0), (0, 0))))
                unit = _convolution(layer, before, padding, self._unit(before, layer))
            case layers.BatchNormalization() | layers.LeakyReLU():
                unit = self._unit(tensors[0], layer)
                if not isinstance(unit.layer, Convolution) or self.readers[id(tensors[0])] > 1:
                    raise GraphError(
                        f"{layer.name} expected to follow a convolution, which it ends"
                    )
                unit.layer = _followed(layer, unit.layer)
            case _:
                sources = [self._unit(tensor, layer) for tensor in tensors]
                order = max(source.order for source in sources)
                unit = _Unit(_plain(layer, tensors), sources, order)
        self.units[id(layer.output)] = unit

    def _unit(self, tensor, layer):
        if id(tensor) in self.padded:
            raise GraphError(f"{layer.name} reads a padding, which only a convolution can")
        return self.units[id(tensor)]


def _inputs(layer):
    return layer.input if isinstance(layer.input, list) else [layer.input]


def _mark_output(unit, scale):
    layer = unit.layer
    if not isinstance(layer, Convolution) or layer.batch_normalize or layer.activation != LINEAR:
        raise GraphError(f"output {scale} expected to be a convolution with a bias and no more")
    unit.scale = scale


def _convolution(layer, before, padding, source):
    size, stride = (_one(layer, key) for key in ("kernel_size", "strides"))
    if _one(layer, "dilation_rate") != 1 or layer.groups != 1:
        raise GraphError(f"{layer.name} is dilated or grouped, which is not supported")
    if layer.activation is not keras.activations.linear:
        raise GraphError(f"{layer.name} has an activation of its own, expected a layer for it")
    nears = {
        near + _near(layer, size, stride, side + near + far, out)
        for (near, far), side, out in zip(
            padding, before.shape[1:3], layer.output.shape[1:3], strict=True
        )
    }
    near = min(nears)
    sides = tuple(convolved(side, size, stride, near) for side in before.shape[1:3])
    if len(nears) > 1 or sides != tuple(layer.output.shape[1:3]):
        raise GraphError(f"{layer.name} pads in a way that Darknet, equal on all sides, cannot")
    match = re.fullmatch(r"conv_(\d+)|output_\d+(?:_\d+)?", layer.name)
    if not match:
        raise GraphError(f"{layer.name} is a convolution called so, expected conv_N or output_N")
    described = Convolution(
        0,
        (),
        tuple(layer.output.shape[1:]),
        name=layer.name,
        channels=before.shape[-1],
        filters=layer.filters,
        size=size,
        stride=stride,
        padding=near,
        batch_normalize=not layer.use_bias,
        activation=LINEAR,
    )
    return _Unit(described, [source], int(match[1]) if match[1] else source.order + 0.5)


def _near(layer, size, stride, side, out):
    """Give what Keras's "same" pads before the first row or column; "valid" pads nothing."""
    return max(0, (out - 1) * stride + size - side) // 2 if layer.padding == "same" else 0


def _followed(layer, convolution):
    """Let a convolution be followed by a normalisation or an activation."""
    if convolution.activation != LINEAR:
        raise GraphError(f"{layer.name} follows an activation, expected a convolution")
    if isinstance(layer, layers.LeakyReLU):
        if not math.isclose(layer.negative_slope, LEAKY_SLOPE, rel_tol=1e-6):
            raise GraphError(f"{layer.name} has slope {layer.negative_slope:g}, expected 0.1")
        return replace(convolution, activation=LEAKY)
    if not convolution.batch_normalize:
        raise GraphError(f"{layer.name} follows a convolution with a bias, expected none")
    return convolution


def _plain(layer, tensors):
    """Describe a layer without weights."""
    shape = tuple(layer.output.shape[1:])
    match layer:
        case layers.MaxPooling2D():
            return _pool(layer, tensors[0].shape[1:3], shape)
        case layers.UpSampling2D():
            if layer.interpolation != "nearest":
                raise GraphError(f"{layer.name} is {layer.interpolation}, expected nearest")
            return Upsample(0, (), shape, factor=_one(layer, "size"))
        case layers.Concatenate():
            if layer.axis not in (-1, 3):
                raise GraphError(f"{layer.name} joins along axis {layer.axis}, expected channels")
            return Route(0, (), shape)
        case layers.Add():
            if len(tensors) != 2 or tensors[0].shape != tensors[1].shape:
                raise GraphError(f"{layer.name} expected to add two inputs of one shape")
            return Shortcut(0, (), shape)
    raise GraphError(f"{layer.name} is a {type(layer).__name__}, for which a cfg has no section")


def _pool(layer, sides, shape):
    size, stride = (_one(layer, key) for key in ("pool_size", "strides"))
    nears = {
        _near(layer, size, stride, side, out) for side, out in zip(sides, shape[:2], strict=True)
    }
    for padding in (size - 1, 0):
        outs = tuple(pooled(side, size, stride, padding) for side in sides)
        if outs == shape[:2] and nears == {padding // 2}:
            return MaxPool(0, (), shape, size=size, stride=stride, padding=padding)
    raise GraphError(f"{layer.name} pads in a way that Darknet's maxpool cannot")


def _one(layer, key):
    """Read a size that must be the same for rows and columns."""
    sizes = set(getattr(layer, key))
    if len(sizes) > 1:
        raise GraphError(f"{layer.name} has {key} {getattr(layer, key)}, expected equal numbers")
    return sizes.pop()
