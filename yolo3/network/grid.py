"""The one encoding of boxes on the grids, and the one decoding back.

A box belongs to the cell that holds its centre, at the scale and anchor whose size is nearest (by
IoU of the sizes); the network gives its centre as a sigmoid within the cell and its size as a power
of e times the anchor (Redmon and Farhadi 2018, section 2.1).
"""

import math

import numpy as np
from keras import ops

from yolo3.network.owners import find_owners
from yolo3.network.spec import NetworkSpec

BOX = slice(0, 4)
OBJECTNESS = 4
CLASSES = slice(5, None)
NUMBERS = (2, 4, 5)
"""Where to split a candidate's numbers into xy, wh, objectness and classes."""
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


def join_scales(raw_outputs, spec: NetworkSpec):
    """View raw outputs, (B, H, W, A * (5 + C)) per scale, as one (B, N, 5 + C).

    N counts all cells and anchors of all scales, coarse first. Targets as `encode` writes them,
    stacked to (B, H, W, A, 5 + C), are joined alike.
    """
    numbers = 5 + len(spec.class_names)
    counts = _candidates(spec)
    flat = [
        ops.reshape(raw, (-1, count, numbers))
        for raw, count in zip(raw_outputs, counts, strict=True)
    ]
    return ops.concatenate(flat, axis=1)


def decode_boxes(xy, wh, spec: NetworkSpec):
    """Turn numbers of the network, (B, N, 2) and (B, N, 2), into boxes xyxy in pixels (B, N, 4)."""
    corners_xy, strides, anchors_wh = _constants(spec)
    centres_xy = (ops.sigmoid(xy) + corners_xy) * strides
    halves_wh = ops.exp(ops.clip(wh, -MAX_LOG_SIZE, MAX_LOG_SIZE)) * (anchors_wh / 2)
    return ops.concatenate([centres_xy - halves_wh, centres_xy + halves_wh], axis=-1)


def decode(raw_outputs, spec: NetworkSpec):
    """Turn the network's raw outputs into candidate boxes and their scores.

    raw_outputs: one (B, H, W, A * (5 + C)) per scale, coarse first.
    Returns boxes (B, N, 4), xyxy in pixels of the network's input, and scores (B, N, C), each the
    objectness times the class probability, where N counts all cells and anchors of all scales.
    """
    joined = join_scales(raw_outputs, spec)  # (B, N, 5 + C)
    xy, wh, objectness, classes = ops.split(joined, NUMBERS, axis=-1)
    return decode_boxes(xy, wh, spec), ops.sigmoid(objectness) * ops.sigmoid(classes)


def _candidates(spec):
    """Count the cells times the anchors of each scale."""
    cells = map(math.prod, spec.grids_hw)
    return [count * len(owned) for count, owned in zip(cells, spec.mask, strict=True)]


def _constants(spec):
    """Give each candidate's cell (N, 2), stride (N, 1) and anchor (N, 2), float32."""
    corners, strides, anchors = [], [], []
    for scale, (rows, columns) in enumerate(spec.grids_hw):
        anchors_wh = np.array(spec.scale_anchors_wh(scale), "float32")  # (A, 2)
        cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)  # (H, W, 2)
        corners.append(np.repeat(cells.reshape(-1, 2), len(anchors_wh), axis=0))
        strides.append(np.full((len(corners[-1]), 1), spec.strides[scale]))
        anchors.append(np.tile(anchors_wh, (rows * columns, 1)))
    return [np.concatenate(parts).astype("float32") for parts in (corners, strides, anchors)]
