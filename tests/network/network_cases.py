"""Small specs, and arithmetic written a second time and in another way, to compare with."""

import math

import keras
import numpy as np

from yolo3.network.model import build_network
from yolo3.network.spec import NetworkSpec, make_spec

TINY_ANCHORS = ((5.0, 7.0), (9.0, 12.0), (14.0, 11.0), (22.0, 30.0), (31.0, 24.0), (50.0, 52.0))
FULL_ANCHORS = (
    *((4.0, 5.0), (7.0, 6.0), (8.0, 11.0), (12.0, 9.0), (15.0, 18.0)),
    *((24.0, 20.0), (22.0, 35.0), (40.0, 28.0), (52.0, 50.0)),
)

OWN_SPECS = {  # of the fixtures `tiny` and `full`
    "tiny": make_spec(("hat", "bare"), TINY_ANCHORS, (96, 64)),
    "full": make_spec([f"class {number}" for number in range(80)], FULL_ANCHORS, (96, 64)),
}

USUAL_MASK = ((3, 4, 5), (0, 1, 2))
PUBLISHED_MASK = ((3, 4, 5), (1, 2, 3))  # of Darknet's tiny cfg, whose first anchor has no owner


def spec_of(classes=3, mask=USUAL_MASK):
    names = tuple(f"class {number}" for number in range(classes))
    return NetworkSpec(names, TINY_ANCHORS, mask, (64, 64))


def network_of(seed, classes=3):
    """Make a tiny network in which every weight is a number of its own."""
    network = build_network(spec_of(classes))
    randomise(network, seed)
    return network


def randomise(network, seed):
    """Give every weight its own number, the variances positive ones."""
    rng = np.random.default_rng(seed)
    for layer in network.layers:
        if layer.name.endswith("_bn"):
            shape = layer.gamma.shape
            ranges = ((0.5, 1.5), (-0.3, 0.3), (-0.3, 0.3), (0.5, 2.0))
            layer.set_weights([rng.uniform(low, high, shape) for low, high in ranges])
        elif layer.weights:
            shapes = [weight.shape for weight in layer.weights]
            layer.set_weights([0.05 * rng.standard_normal(s, np.float32) for s in shapes])


def scale_kernels(network):
    """Keep the features' size from layer to layer, so that no number drowns in another."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel, *bias = layer.get_weights()
            gain = np.sqrt(1.5 / np.prod(kernel.shape[:3])) / 0.05
            layer.set_weights([kernel * gain, *bias])


def sigmoid(value):
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0


def cells(spec):
    """Walk over scale, row, column and slot in the order in which candidates are listed."""
    for scale, (rows, columns) in enumerate(spec.grids_hw):
        for row in range(rows):
            for column in range(columns):
                for slot in range(len(spec.mask[scale])):
                    yield scale, row, column, slot


def numbers_at(raw_outputs, spec, picture, scale, row, column, slot):
    """Give the 5 + C raw numbers of one candidate of one picture."""
    count = 5 + len(spec.class_names)
    return raw_outputs[scale][picture, row, column, slot * count : (slot + 1) * count]


def decoded_box(numbers, spec, scale, row, column, slot):
    """Give one candidate's box, as the paper's equations say it."""
    anchor_w, anchor_h = spec.anchors_wh[spec.mask[scale][slot]]
    stride = spec.input_wh[0] / spec.grids_hw[scale][1]
    x = (sigmoid(numbers[0]) + column) * stride
    y = (sigmoid(numbers[1]) + row) * stride
    w = math.exp(min(max(numbers[2], -8), 8)) * anchor_w
    h = math.exp(min(max(numbers[3], -8), 8)) * anchor_h
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def raw_of(targets, spec, certainty=30.0):
    """Write the raw outputs (H, W, A * (5 + C)) that say exactly what encoded targets hold."""
    raw_outputs = []
    for scale, target in enumerate(targets):
        raw = np.full(target.shape, -certainty, np.float32)
        raw[..., :4] = 0
        for row, column, slot in zip(*np.nonzero(target[..., 4]), strict=True):
            x1, y1, x2, y2 = target[row, column, slot, :4].astype(float)
            stride = spec.strides[scale]
            anchor_w, anchor_h = spec.anchors_wh[spec.mask[scale][slot]]
            within = np.array([(x1 + x2) / 2 / stride - column, (y1 + y2) / 2 / stride - row])
            within = np.clip(within, 1e-6, 1 - 1e-6)
            cell = raw[row, column, slot]
            cell[:2] = np.log(within / (1 - within))
            cell[2:4] = math.log((x2 - x1) / anchor_w), math.log((y2 - y1) / anchor_h)
            cell[4] = certainty
            cell[5:] = np.where(target[row, column, slot, 5:] > 0, certainty, -certainty)
        raw_outputs.append(raw.reshape(*target.shape[:2], -1))
    return raw_outputs


def random_boxes(rng, count, input_wh, smallest=3.0):
    """Draw boxes (N, 4) that lie inside the input."""
    size_wh = rng.uniform(smallest, np.array(input_wh) * 0.8, (count, 2))
    corner = rng.uniform(size=(count, 2)) * (np.array(input_wh) - size_wh)
    return np.concatenate([corner, corner + size_wh], axis=1).astype(np.float32)
