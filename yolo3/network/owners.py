"""Which grid cell and anchor a box belongs to."""

from typing import NamedTuple

import numpy as np

from yolo3.network.boxes import iou_wh
from yolo3.network.spec import NetworkSpec


class Owners(NamedTuple):
    """Where each of N boxes is encoded; arrays (N,) of whole numbers."""

    scale: np.ndarray
    row: np.ndarray
    column: np.ndarray
    slot: np.ndarray  # position in the scale's part of the mask


def find_owners(boxes_xyxy: np.ndarray, spec: NetworkSpec) -> Owners:
    """Find the owners of boxes (N, 4), in pixels of the network's input.

    The cell holds the box's centre, at the scale and anchor whose size is nearest by IoU; of
    anchors equally near the coarsest scale's first one owns the box.
    """
    slots = np.array(
        [(scale, slot) for scale, owned in enumerate(spec.mask) for slot in range(len(owned))]
    )
    anchors_wh = np.array([spec.anchors_wh[spec.mask[scale][slot]] for scale, slot in slots])
    nearest = iou_wh(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], anchors_wh).argmax(axis=1)
    scale, slot = slots[nearest].T
    strides = np.array(spec.strides)[scale]
    last = np.array(spec.grids_hw)[scale] - 1  # (N, 2) of row, column
    centres_xy = (boxes_xyxy[:, 2:] + boxes_xyxy[:, :2]) / 2
    cells = np.minimum((centres_xy // strides[:, None]).astype(int), last[:, ::-1])
    return Owners(scale, cells[:, 1], cells[:, 0], slot)
