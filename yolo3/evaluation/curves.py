"""Precision, recall and F1 over the score threshold, and the threshold where F1 is best."""

from dataclasses import dataclass

import numpy as np

from yolo3.evaluation.ap import Candidates

UNDECIDED_THRESHOLD = 0.5  # where no detection is a hit, no threshold is better than another


@dataclass(frozen=True)
class ThresholdCurves:
    """Precision, recall and F1 over all classes for each threshold that changes them.

    A threshold keeps the detections that score at least as much. All boxes of all classes count
    alike; 0 / 0 is 0.
    """

    thresholds: np.ndarray  # (N,) the distinct scores, falling
    precision: np.ndarray  # (N,)
    recall: np.ndarray  # (N,)
    f1: np.ndarray  # (N,)
    best_threshold: float
    best_precision: float
    best_recall: float
    best_f1: float

    def at(self, thresholds: np.ndarray) -> np.ndarray:
        """Return precision, recall and F1 at any thresholds, (3, M) for (M,)."""
        kept = np.searchsorted(-self.thresholds, -np.asarray(thresholds), side="right")
        curves = np.stack([self.precision, self.recall, self.f1])
        return np.concatenate([np.zeros((3, 1)), curves], axis=1)[:, kept]


def threshold_curves(candidates: Candidates) -> ThresholdCurves:
    """Compute the curves and the best-F1 threshold.

    The best threshold lies midway between the last score it keeps and the first that it drops, so
    that a rounded threshold keeps the same boxes; of equally good ones, it is the highest. Without
    any hit it is 0.5, with 0.0 for precision, recall and F1.
    """
    scores = candidates.scores
    is_last_of_equals = np.append(scores[1:] != scores[:-1], True)[: len(scores)]
    hits = np.cumsum(candidates.hits)[is_last_of_equals]
    kept = np.arange(1, len(scores) + 1)[is_last_of_equals]
    thresholds = scores[is_last_of_equals]
    precision = hits / kept
    recall = hits / max(candidates.truth_count, 1)
    f1 = 2 * hits / (kept + candidates.truth_count)
    best = int(np.argmax(f1)) if hits.any() else None
    return ThresholdCurves(
        thresholds=thresholds,
        precision=precision,
        recall=recall,
        f1=f1,
        best_threshold=UNDECIDED_THRESHOLD if best is None else _midway(thresholds, best),
        best_precision=0.0 if best is None else float(precision[best]),
        best_recall=0.0 if best is None else float(recall[best]),
        best_f1=0.0 if best is None else float(f1[best]),
    )


def _midway(thresholds: np.ndarray, index: int) -> float:
    """Return the middle between a threshold and the next lower one, or 0."""
    lower = thresholds[index + 1] if index + 1 < len(thresholds) else 0.0
    return float((thresholds[index] + lower) / 2)
