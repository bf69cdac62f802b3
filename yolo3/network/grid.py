"""The one encoding of boxes on the grids, and the one decoding back.

A box belongs to the cell that holds its centre, at the scale and anchor whose size is nearest (by
IoU of the sizes); the network gives its centre as a sigmoid within the cell and its size as a power
of e times the anchor (Redmon and Farhadi 2018, section 2.1).
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from yolo3.network.owners import find_owners
from yolo3.network.spec import NetworkSpec

BOX = slice(0, 4)
OBJECTNESS = 4
CLASSES = slice(5, None)
MAX_LOG_SIZE = 8.0  # e^8 anchors is past any picture; keeps the exponential finite


def encode(boxes_xyxy: np.ndarray, class_ids: np.ndarray, spec: NetworkSpec) -> list[np.ndarray]:
    """Write boxes (N, 4), in pixels of the network's input, on the grids.

    Returns one array (H, W, A, 5 + C) per scale, coarse first: xyxy in pixels, 1 for objectness,
    one-hot classes; all zero where no box belongs. Of two boxes that share a cell and an anchor the
    later one gives the box, and both give their class.
    """
    numbers = 5 + len(spec.class_names)
    targets = [
        np.zeros((*grid_hw, len(owned), numbers), np.float32)
        for grid_hw, owned in zip(spec.grids_hw, spec.mask, strict=True)
    ]
    if not len(boxes_xyxy):
        return targets
    owners = zip(*find_owners(boxes_xyxy, spec), strict=True)
    for box, class_id, (scale, row, column, slot) in zip(
        boxes_xyxy, class_ids, owners, strict=True
    ):
        cell = targets[scale][row, column, slot]
        cell[BOX] = box
        cell[OBJECTNESS] = 1
        cell[5 + int(class_id)] = 1
    return targets


class Numbers(NamedTuple):
    """Hold what the network says of its candidates, or an encoded target: an array per number.

    N counts all cells and anchors of all scales, coarse first. Arrays of one number each, since
    arithmetic on the columns of a wider one takes several times as long.
    """

    box: tuple  # of the network: x, y, w, h as it gives them; of a target: xyxy; each (B, N)
    objectness: Any  # (B, N)
    classes: Any  # (C, B, N)


def join_scales(scales, spec: NetworkSpec) -> Numbers:
    """Join raw outputs, (B, H, W, A * (5 + C)) per scale, or targets, (B, H, W, A, 5 + C) each."""
    width = 5 + len(spec.class_names)
    flat = [
        ops.reshape(scale, (-1, count, width))
        for scale, count in zip(scales, _candidates(spec), strict=True)
    ]
    planes = ops.transpose(ops.concatenate(flat, axis=1), (2, 0, 1))  # (5 + C, B, N)
    *numbers, classes = ops.split(planes, (1, 2, 3, 4, 5))
    *box, objectness = (ops.squeeze(number, 0) for number in numbers)
    return Numbers(tuple(box), objectness, classes)


def decode_boxes(numbers: Numbers, spec: NetworkSpec) -> tuple:
    """Turn the network's numbers into boxes in pixels: x1, y1, x2, y2, each (B, N)."""
    x, y, w, h = numbers.box
    column, row, stride, anchor_w, anchor_h = _constants(spec)
    centre_x, centre_y = (ops.sigmoid(x) + column) * stride, (ops.sigmoid(y) + row) * stride
    half_w = ops.exp(ops.clip(w, -MAX_LOG_SIZE, MAX_LOG_SIZE)) * (anchor_w / 2)
    half_h = ops.exp(ops.clip(h, -MAX_LOG_SIZE, MAX_LOG_SIZE)) * (anchor_h / 2)
    return centre_x - half_w, centre_y - half_h, centre_x + half_w, centre_y + half_h


def decode(raw_outputs, spec: NetworkSpec):
    """Turn the network's raw outputs into candidate boxes and their scores.

    raw_outputs: one (B, H, W, A * (5 + C)) per scale, coarse first.
    Returns boxes (B, N, 4), xyxy in pixels of the network's input, and scores (B, N, C), each the
    objectness times the class probability, where N counts all cells and anchors of all scales.
    """
    numbers = join_scales(raw_outputs, spec)
    scores = ops.sigmoid(numbers.objectness) * ops.sigmoid(numbers.classes)  # (C, B, N)
    boxes_xyxy = ops.stack(decode_boxes(numbers, spec), axis=-1)
    return boxes_xyxy, ops.transpose(scores, (1, 2, 0))


def _candidates(spec):
    """Count the cells times the anchors of each scale."""
    cells = map(math.prod, spec.grids_hw)
    return [count * len(owned) for count, owned in zip(cells, spec.mask, strict=True)]


@lru_cache(maxsize=8)
def _constants(spec):
    """Give each candidate's column, row, stride, and anchor's width and height, (N,) float32."""
    rows = []
    for scale, (height, width) in enumerate(spec.grids_hw):
        for row, column in np.ndindex(height, width):
            for anchor_w, anchor_h in spec.scale_anchors_wh(scale):
                rows.append((column, row, spec.strides[scale], anchor_w, anchor_h))
    return np.array(rows, "float32").T.copy()
