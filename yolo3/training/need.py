"""Estimate the memory that a stage takes, from the shapes of its network.

What a step holds follows from the network's graph. The constants are measured:
`python -m benchmarks.memory` compares estimates with processes, see docs/memory.md.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import keras
from keras import layers

from yolo3.data import batches, samples
from yolo3.data.images import place
from yolo3.data.pictures import Picture
from yolo3.network.spec import NetworkSpec
from yolo3.training.validation import VAL_BATCH_SIZE

MIB = 1 << 20
COMPILED = 120 * MIB  # Keras's and TensorFlow's own, once
COMPILED_LAYER = 1.2 * MIB  # graph and kernels of a layer with weights
COMPILED_TRAINED_LAYER = 3.8 * MIB  # more, for its gradients and its optimizer
WEIGHT_COPIES = 4  # gradient, the two slots of AdamW, the update
WORKING = 1.12  # of the activations of a step: what kernels hold while they run, and gaps
WORKING_FORWARD = 1.2  # the same where nothing is kept for a way back
UNLIKE = 0.4  # of a validation batch: what the pool cannot give it where a step's is far smaller
PIXELS = 1.5  # float32 copies of the picture beside the network's input
LOSS_NUMBERS = 8  # float32 numbers per number of the outputs, and per candidate and true box
LOADED_BATCHES = batches.QUEUE + 4  # in two workers, on the way to the step, and in it
TURNED = range(2, 9)  # EXIF orientations that need a copy to turn


@dataclass(frozen=True)
class Need:
    """Hold the bytes that a stage takes on top of what the process held before.

    fixed: compiled functions, decoding a picture, writing the best weights.
    cache: pictures that the batches keep.
    weights: gradients, optimizer and update.
    per_picture: what a training step holds for each picture of its batch.
    validation: a batch of validation, whose size is fixed.
    """

    fixed: int
    cache: int
    weights: int
    per_picture: int
    validation: int

    def at(self, batch_size: int) -> int:
        """Give the whole need with a batch size.

        What a step leaves in the pool serves validation badly where its batches are smaller.
        """
        unlike = UNLIKE * self.validation * max(0, 1 - batch_size / VAL_BATCH_SIZE)
        step = self.weights + batch_size * self.per_picture + int(unlike)
        return self.fixed + self.cache + max(step, self.weights // 2 + self.validation)

    def largest_batch(self, limit: float) -> int:
        """Give the largest batch size whose need is within a limit in bytes; 0: none is."""
        most = max(1, int(limit / self.per_picture))
        return bisect_right(range(1, most + 1), limit, key=self.at)

    def resized(self, part: float) -> "Need":
        """Estimate the same with an input of another area, as a part of this one's."""
        scaled = {
            name: math.ceil(getattr(self, name) * part)
            for name in ("cache", "per_picture", "validation")
        }
        return replace(self, **scaled)


def estimate_need(
    network: keras.Model,
    spec: NetworkSpec,
    frozen: Collection[str],
    pictures: Sequence[Picture],
    sources: int = 1,
) -> Need:
    """Estimate the peak of a stage that trains all layers but the frozen ones, on a CPU.

    sources: pictures that the augmentation may join to one.
    """
    flow = list(_flow(network))
    trained = [node for node in flow if node.layer.weights and node.name not in frozen]
    weighted = sum(bool(node.layer.weights) for node in flow)
    training = _Step(flow, {node.name for node in trained})
    forward = _Step(flow, ())
    loss = _loss_bytes(spec, pictures, sources)
    loaded = LOADED_BATCHES * _batch_bytes(spec, pictures, sources)
    pixels = PIXELS * 4 * 3 * math.prod(spec.input_wh)
    step = max(
        WORKING_FORWARD * training.forward,
        WORKING * training.backward,
        training.kept + loss,
    )
    return Need(
        fixed=int(
            COMPILED
            + weighted * COMPILED_LAYER
            + len(trained) * COMPILED_TRAINED_LAYER
            + 4 * network.count_params()
            + _decoding_bytes(pictures)
        ),
        cache=_cache_bytes(pictures, spec.input_wh),
        weights=WEIGHT_COPIES * sum(_weight_bytes(node.layer) for node in trained),
        per_picture=int(step + pixels + loaded),
        validation=int(VAL_BATCH_SIZE * (max(WORKING_FORWARD * forward.forward, loss) + pixels)),
    )


class _Node(NamedTuple):
    layer: keras.layers.Layer
    name: str
    inputs: tuple[str, ...]  # names of the layers that it reads
    size: int  # of its output, in bytes per picture


def _flow(network) -> Iterator[_Node]:
    """List the layers in the order in which they compute."""
    makers = {}  # id of a tensor -> name of the layer that makes it
    for layer in network.layers:
        first = isinstance(layer, layers.InputLayer)
        read = () if first else tuple(makers[id(x)] for x in keras.tree.flatten(layer.input))
        made = keras.tree.flatten(layer.output)
        makers |= {id(tensor): layer.name for tensor in made}
        size = sum(math.prod(tensor.shape[1:]) for tensor in made) * _width(layer)
        yield _Node(layer, layer.name, read, size)


def _width(layer):
    return 2 if layer.compute_dtype in ("bfloat16", "float16") else 4


def _weight_bytes(layer):
    return sum(4 * math.prod(weight.shape) for weight in layer.weights)


class _Step:
    """Follow a step through the layers; per picture, in bytes:

    forward: the most that is held on the way to the outputs.
    kept: what the backward pass waits for when the outputs are there.
    backward: the most that is held on the way back.
    """

    def __init__(self, flow: list[_Node], trained: Collection[str]):
        self._flow = flow
        self._size = {node.name: node.size for node in flow}
        self._readers = Counter(name for node in flow for name in node.inputs)
        self._reached = set()  # layers whose output depends on a trained weight
        for node in flow:
            if node.name in trained or self._reached.intersection(node.inputs):
                self._reached.add(node.name)
        self._kept = set().union(*(_kept(n, trained) for n in flow if n.name in self._reached))
        self._held = {}
        self.forward = max(self._go_forward())
        self.kept = sum(self._held.values())
        self.backward = max(self._go_backward(), default=0)

    def _go_forward(self):
        waiting = Counter(self._readers)
        for node in self._flow:
            waiting.subtract(node.inputs)
            done = [x for x in node.inputs if not waiting[x] and x not in self._kept]
            if self._in_place(node):
                self._drop(done)
            self._held[node.name] = node.size
            yield sum(self._held.values())
            self._drop(done)

    def _go_backward(self):
        gradients = {}
        for node in reversed(self._flow):
            if node.name not in self._reached:
                continue
            gradients.setdefault(node.name, node.size)
            gradients |= {x: self._size[x] for x in node.inputs if x in self._reached}
            yield sum(self._held.values()) + sum(gradients.values())
            del gradients[node.name]
            self._drop([node.name])

    def _in_place(self, node):
        """Tell whether it joins the convolution before it, as TensorFlow does in float32."""
        joins = isinstance(node.layer, layers.BatchNormalization | layers.LeakyReLU)
        return joins and node.name not in self._reached and _width(node.layer) == 4

    def _drop(self, names):
        for name in names:
            self._held.pop(name, None)


def _kept(node, trained):
    """Name the outputs that the gradients of a layer need."""
    match node.layer:
        case layers.ZeroPadding2D() | layers.UpSampling2D() | layers.Concatenate() | layers.Add():
            return ()
        case layers.Conv2D():
            return node.inputs if node.name in trained else ()
        case layers.BatchNormalization() | layers.LeakyReLU():
            return node.inputs
        case _:
            return (*node.inputs, node.name)


def _loss_bytes(spec, pictures, sources):
    """Per picture: every candidate is compared with every true box."""
    numbers = _candidates(spec) * (5 + len(spec.class_names) + _most_boxes(pictures, sources))
    return LOSS_NUMBERS * 4 * numbers


def _batch_bytes(spec, pictures, sources):
    """Per picture: pixels, targets and true boxes."""
    targets = _candidates(spec) * (5 + len(spec.class_names))
    return 3 * math.prod(spec.input_wh) + 4 * (targets + 4 * _most_boxes(pictures, sources))


def _candidates(spec):
    cells = map(math.prod, spec.grids_hw)
    return sum(count * len(owned) for count, owned in zip(cells, spec.mask, strict=True))


def _most_boxes(pictures, sources):
    return max(len(picture.boxes_xyxy) for picture in pictures) * sources


def _cache_bytes(pictures, input_wh):
    """Give what the batches will keep, each picture once."""
    sizes = {picture.path: picture.size_wh for picture in pictures}
    scaled = (place(size_wh, input_wh).resized_wh for size_wh in sizes.values())
    return min(samples.CACHE_BYTES, sum(samples.picture_bytes(size_wh) for size_wh in scaled))


def _decoding_bytes(pictures):
    """Give what two workers decode at most."""
    return 2 * max(
        samples.picture_bytes(picture.size_wh) * (2 if picture.stored.orientation in TURNED else 1)
        for picture in pictures
    )
