"""The outputs of start weights: the anchors and classes that their channels were trained for."""

from dataclasses import dataclass

import keras
import numpy as np

from yolo3.network.formats import Mask, Weights
from yolo3.network.model import output_layers
from yolo3.network.spec import NetworkSpec
from yolo3.network.weights import Arrays


@dataclass(frozen=True)
class MatchedOutputs:
    """Hold arrays whose output channels fit a training.

    mask: of the training's anchors, if the arrays fill the outputs. notes: what was changed, a
    sentence each.
    """

    arrays: Arrays
    mask: Mask
    notes: tuple[str, ...] = ()


def match_outputs(weights: Weights, network: keras.Model, spec: NetworkSpec) -> MatchedOutputs:
    """Match the output channels of weights to the anchors and classes of a training.

    Outputs for other anchors are left out: they would place every box wrongly. Classes of the same
    name keep their channels, wherever the spec lists them; the others follow in order. Outputs of
    another shape, for another number of classes, are left for `fill` to skip. Weights that do not
    know their anchors or names are taken to be for those of the spec.
    """
    outputs = output_layers(network)
    if not outputs_fit(weights, network):
        return MatchedOutputs(weights.arrays, spec.mask)
    mask = _mask(weights, spec)
    if mask is None:
        names = {layer.name for layer in outputs}
        others = {name: arrays for name, arrays in weights.arrays.items() if name not in names}
        return MatchedOutputs(others, spec.mask, (_other_anchors(weights, spec.class_names),))
    arrays, notes = _match_classes(weights, [layer.name for layer in outputs], spec.class_names)
    return MatchedOutputs(arrays, mask, notes)


def outputs_fit(weights: Weights, network: keras.Model) -> bool:
    """Tell whether the outputs of weights have the shapes of a network's."""
    return all(_fits(layer, weights.arrays) for layer in output_layers(network))


def _fits(layer, arrays):
    expected = [tuple(weight.shape) for weight in layer.weights]
    return expected == [array.shape for array in arrays.get(layer.name, ())]


def _mask(weights, spec):
    """Give the mask by which the spec has the weights' anchors; None if it lacks one of them."""
    if weights.anchors_wh is None:
        return weights.mask or spec.mask
    owned = [[weights.anchors_wh[anchor] for anchor in scale] for scale in weights.mask]
    if not {anchor for scale in owned for anchor in scale} <= set(spec.anchors_wh):
        return None
    return tuple(tuple(map(spec.anchors_wh.index, scale)) for scale in owned)


def _other_anchors(weights, class_names):
    anchors = ", ".join(f"{width:g},{height:g}" for width, height in weights.anchors_wh)
    own = weights.class_names
    classes = f", for the classes {', '.join(own)}" if own and own != class_names else ""
    return (
        "outputs: not filled, they start from random values: the weights were trained with other "
        f"anchors ({anchors}){classes}; give these anchors as anchors_path to keep the outputs"
    )


def _match_classes(weights, outputs, class_names):
    """Reorder the class channels by name; returns the arrays and what there is to say of it."""
    own = weights.class_names
    if own is None or len(own) != len(class_names) or own == class_names:
        return weights.arrays, ()
    rest = (name for name in own if name not in class_names)
    sources = [name if name in own else next(rest) for name in class_names]
    renamed = [
        f"{old} becomes {new}" for old, new in zip(sources, class_names, strict=True) if old != new
    ]
    channels = np.array([*range(5), *(5 + own.index(name) for name in sources)])
    arrays = dict(weights.arrays)
    for name in outputs:
        arrays[name] = [_take(array, channels) for array in arrays[name]]
    notes = [f"classes: of other names in the weights: {', '.join(renamed)}"] if renamed else []
    if not renamed or sorted(channels) != list(channels):
        notes.append("classes: in another order in the weights, matched by name")
    return arrays, tuple(notes)


def _take(array, channels):
    """Reorder the last axis, (…, A * (5 + C)), within each anchor."""
    by_anchor = array.reshape(*array.shape[:-1], -1, len(channels))  # (…, A, 5 + C)
    return by_anchor[..., channels].reshape(array.shape)
