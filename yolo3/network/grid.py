"""The one encoding of boxes on the grids, and the one decoding back.

A box belongs to the cell that holds its centre, at the scale and anchor whose size is nearest (by
IoU of the sizes); the network gives its centre as a sigmoid within the cell and its size as a power
of e times the anchor (Redmon and Farhadi 2018, section 2.1).
"""

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


def split_anchors(raw, spec: NetworkSpec, scale: int):
    """View a raw output (B, H, W, A * (5 + C)) as (B, H, W, A, 5 + C)."""
    rows, columns = spec.grids_hw[scale]
    numbers = 5 + len(spec.class_names)
    return ops.reshape(raw, (-1, rows, columns, len(spec.mask[scale]), numbers))


def decode_boxes(split, spec: NetworkSpec, scale: int):
    """Turn one scale's numbers (B, H, W, A, 5 + C) into boxes xyxy in pixels (B, H, W, A, 4)."""
    rows, columns = spec.grids_hw[scale]
    stride = spec.strides[scale]
    corners_xy = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)
    corners_xy = corners_xy.astype("float32").reshape(rows, columns, 1, 2)
    anchors_wh = np.array(spec.scale_anchors_wh(scale), "float32")  # (A, 2)
    centres_xy = (ops.sigmoid(split[..., 0:2]) + corners_xy) * stride
    sizes_wh = ops.exp(ops.clip(split[..., 2:4], -MAX_LOG_SIZE, MAX_LOG_SIZE)) * anchors_wh
    return ops.concatenate([centres_xy - sizes_wh / 2, centres_xy + sizes_wh / 2], axis=-1)


def decode(raw_outputs, spec: NetworkSpec):
    """Turn the network's raw outputs into candidate boxes and their scores.

    raw_outputs: one (B, H, W, A * (5 + C)) per scale, coarse first.
    Returns boxes (B, N, 4), xyxy in pixels of the network's input, and scores (B, N, C), each the
    objectness times the class probability, where N counts all cells and anchors of all scales.
    """
    boxes, scores = [], []
    for scale, raw in enumerate(raw_outputs):
        split = split_anchors(raw, spec, scale)  # (B, H, W, A, 5 + C)
        objectness = ops.sigmoid(split[..., OBJECTNESS : OBJECTNESS + 1])
        score = objectness * ops.sigmoid(split[..., CLASSES])
        candidates = int(np.prod(spec.grids_hw[scale])) * len(spec.mask[scale])
        boxes.append(ops.reshape(decode_boxes(split, spec, scale), (-1, candidates, 4)))
        scores.append(ops.reshape(score, (-1, candidates, len(spec.class_names))))
    return ops.concatenate(boxes, axis=1), ops.concatenate(scores, axis=1)
