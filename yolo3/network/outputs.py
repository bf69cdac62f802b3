"""The outputs of start weights: the anchors and classes that their channels were trained for."""

from dataclasses import dataclass

import keras

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

    Outputs for other anchors are left out: they would place every box wrongly. Boxes and objectness
    keep their channels whatever the classes are, and so does each class of the same name, wherever
    the spec lists it. Of as many classes the others follow in order; of another number they keep
    the network's own values, random ones. Weights that do not know their anchors or names are taken
    to be for those of the spec if they have as many classes. Other outputs, and those with another
    number of anchors, are left for `fill` to skip.
    """
    outputs = output_layers(network)
    count = _class_count(weights, network, spec)
    if count is None:
        return MatchedOutputs(weights.arrays, spec.mask)
    mask = _mask(weights, spec)
    if mask is None:
        names = {layer.name for layer in outputs}
        others = {name: arrays for name, arrays in weights.arrays.items() if name not in names}
        return MatchedOutputs(others, spec.mask, (_other_anchors(weights, spec.class_names),))
    sources, notes = _match_classes(weights, count, spec.class_names)
    arrays = dict(weights.arrays)
    for layer, owned in zip(outputs, spec.mask, strict=True):
        arrays[layer.name] = [
            _take(found, own, sources, len(owned))
            for found, own in zip(arrays[layer.name], layer.get_weights(), strict=True)
        ]
    return MatchedOutputs(arrays, mask, notes)


def outputs_fit(weights: Weights, network: keras.Model, spec: NetworkSpec) -> bool:
    """Tell whether the outputs of weights differ from a network's in their classes at most."""
    return _class_count(weights, network, spec) is not None


def _class_count(weights, network, spec):
    """Count the classes of the weights' outputs; None where their boxes cannot be taken."""
    mask = weights.mask or spec.mask
    if list(map(len, mask)) != list(map(len, spec.mask)):
        return None
    counts = set()
    for layer, owned in zip(output_layers(network), mask, strict=True):
        shapes = [array.shape for array in weights.arrays.get(layer.name, ())]
        channels = shapes[0][-1] if shapes else 0
        if shapes != [(*weight.shape[:-1], channels) for weight in layer.weights]:
            return None
        counts.add(channels / len(owned) - 5)
    count = counts.pop()
    if counts or count < 1 or not count.is_integer():
        return None
    known = weights.anchors_wh is not None or count == len(spec.class_names)
    return int(count) if known else None


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


def _match_classes(weights, count, names):
    """Give each class's place among the weights' `count` classes, None for none; and notes."""
    own = weights.class_names if len(weights.class_names or ()) == count else ()
    if not own and count == len(names):
        return range(count), ()
    rest = iter([name for name in own if name not in names] if count == len(names) else ())
    sources = [name if name in own else next(rest, None) for name in names]
    places = [None if name is None else own.index(name) for name in sources]
    if count != len(names):
        kept = ", ".join(filter(None, sources))
        classes = f", and of the classes {kept}; the others start" if kept else "; classes start"
        return places, (f"outputs: boxes and objectness are kept{classes} from random values",)
    renamed = [
        f"{old} becomes {new}" for old, new in zip(sources, names, strict=True) if old != new
    ]
    notes = [f"classes: of other names in the weights: {', '.join(renamed)}"] if renamed else []
    if places != sorted(places):
        notes.append("classes: in another order in the weights, matched by name")
    return places, tuple(notes)


def _take(found, own, sources, anchors):
    """Replace the channels of the last axis, (…, A * (5 + C)), that the weights have, by anchor."""
    found = found.reshape(*found.shape[:-1], anchors, -1)  # (…, A, 5 + C of the weights)
    taken = own.reshape(*own.shape[:-1], anchors, -1).copy()
    taken[..., :5] = found[..., :5]
    for target, source in enumerate(sources):
        if source is not None:
            taken[..., 5 + target] = found[..., 5 + source]
    return taken.reshape(own.shape)
