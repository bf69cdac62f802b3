"""Arithmetic of boxes on NumPy arrays; the format stands in each name."""

import numpy as np


def iou_xyxy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compare every box of a (N, 4) with every box of b (M, 4): IoU (N, M), 0 for empty boxes."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    overlap = _area(bottom_right - top_left)  # (N, M)
    area_a = _area(a[:, 2:4] - a[:, :2])
    area_b = _area(b[:, 2:4] - b[:, :2])
    union = area_a[:, None] + area_b[None, :] - overlap
    return np.where(union > 0, overlap / np.where(union > 0, union, 1), 0.0)


def _area(sizes_wh: np.ndarray) -> np.ndarray:
    """Multiply sizes (..., 2), 0 where one is negative."""
    sides = np.maximum(sizes_wh, 0)
    return sides[..., 0] * sides[..., 1]


def iou_wh(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compare sizes a (N, 2) and b (M, 2) as if they shared a centre: IoU (N, M)."""
    overlap = np.prod(np.minimum(a[:, None], b[None]), axis=-1)
    union = np.prod(a, axis=-1)[:, None] + np.prod(b, axis=-1)[None] - overlap
    return overlap / np.maximum(union, 1e-12)
