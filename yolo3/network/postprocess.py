"""From candidate boxes to detections: thresholds and non-maximum suppression, in NumPy."""

import math
from dataclasses import dataclass

import numpy as np

from yolo3.network.boxes import iou_xyxy

MAX_CANDIDATES = 1000
"""At most so many (box, class) pairs of a picture, the best by score, enter the suppression."""

BLOCK = 64  # of them are compared with the others at once


def _is_number(value) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond any float
        return False


@dataclass(frozen=True, eq=False)
class Detections:
    """Hold what was found in one picture, by falling score.

    boxes_xyxy: (N, 4) float32, pixels. scores: (N,) float32, 0..1. class_ids: (N,) int64.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Thresholds:
    """Say what counts as found.

    score_threshold: the least score, 0..1. iou_threshold: of two boxes of one class that overlap
    by more, the better one stays, 0..1. max_detections: at most so many per picture, 1..1000.
    Raises ValueError for anything else. The defaults are Darknet's.
    """

    score_threshold: float = 0.25
    iou_threshold: float = 0.45
    max_detections: int = 100

    def __post_init__(self):
        for name in ("score_threshold", "iou_threshold"):
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value <= 1:
                raise ValueError(f"{name} must be a number from 0 to 1, got {value!r}")
        count = self.max_detections
        if not _is_number(count) or count != int(count) or not 1 <= count <= MAX_CANDIDATES:
            raise ValueError(
                f"max_detections must be a whole number from 1 to {MAX_CANDIDATES}, got {count!r}"
            )


DEFAULT_THRESHOLDS = Thresholds()


def select(
    boxes_xyxy: np.ndarray,
    scores: np.ndarray,
    score_threshold: float,
    iou_threshold: float,
    max_detections: int,
) -> Detections:
    """Select the detections of one picture: greedy non-maximum suppression within each class.

    boxes_xyxy: (N, 4). scores: (N, C). One box may be found under several classes, as in Darknet.
    Only the best MAX_CANDIDATES (box, class) pairs are looked at. Equal scores keep the order of
    the candidates. Candidates that are not finite are left out.
    Raises ValueError for thresholds out of range.
    """
    Thresholds(score_threshold, iou_threshold, max_detections)
    candidates, class_ids, kept_scores = _best(boxes_xyxy, scores, score_threshold)
    boxes = boxes_xyxy[candidates].astype(np.float32)  # (K, 4)
    kept = _suppress(boxes, class_ids, iou_threshold, int(max_detections))
    return Detections(boxes[kept], kept_scores[kept].astype(np.float32), class_ids[kept])


def _best(boxes_xyxy, scores, score_threshold):
    """Find the pairs above the threshold: box numbers, class ids and scores, by falling score."""
    finite = np.isfinite(boxes_xyxy).all(axis=1)[:, None] & np.isfinite(scores)  # (N, C)
    candidates, class_ids = np.nonzero(finite & (scores >= score_threshold))
    pair_scores = scores[candidates, class_ids]  # (K,)
    if len(pair_scores) > MAX_CANDIDATES:
        least = np.partition(pair_scores, -MAX_CANDIDATES)[-MAX_CANDIDATES]
        among = np.flatnonzero(pair_scores >= least)  # more than MAX_CANDIDATES where some tie
    else:
        among = np.arange(len(pair_scores))
    order = among[np.argsort(-pair_scores[among], kind="stable")][:MAX_CANDIDATES]
    return candidates[order], class_ids[order].astype(np.int64), pair_scores[order]


def _suppress(boxes_xyxy, class_ids, iou_threshold, max_detections) -> np.ndarray:
    """Walk down the scores, keep what no better box of its class covers: numbers of the kept.

    A block at a time is compared with all that remain.
    """
    remaining = np.arange(len(boxes_xyxy))
    kept = []
    while len(remaining) and len(kept) < max_detections:
        block = remaining[:BLOCK]
        overlaps = iou_xyxy(boxes_xyxy[block], boxes_xyxy[remaining]) > iou_threshold
        clear = ~overlaps | (class_ids[block, None] != class_ids[remaining])  # (block, remaining)
        standing = np.ones(len(remaining), bool)
        for place, candidate in enumerate(block):
            if standing[place]:
                kept.append(candidate)
                standing &= clear[place]
        remaining = remaining[len(block) :][standing[len(block) :]]
    return np.array(kept[:max_detections], np.int64)
