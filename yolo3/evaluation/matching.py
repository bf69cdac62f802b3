"""Which detection found which true box, and the confusion matrix that follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yolo3.evaluation.ap import Boxes
from yolo3.network.boxes import iou_xyxy
from yolo3.network.postprocess import Detections

UNMATCHED = -1


@dataclass(frozen=True)
class Outcome:
    """What the detections of one picture that reach a threshold found.

    A true box is found, taken for another class, or missed; a detection that is on no true box,
    or on one that a better detection already has, is extra.
    """

    detections: Detections  # those that reach the threshold, N
    truth_of_detection: np.ndarray  # (N,) index of the true box, or UNMATCHED
    ious: np.ndarray  # (N,) with that true box, or 0.0
    missed: np.ndarray  # indices of the true boxes that nothing found
    extra: np.ndarray  # indices of the detections that found nothing
    confused: np.ndarray  # indices of the detections on a true box of another class

    @property
    def errors(self) -> int:
        """Count what is wrong: a wrong class is one error, like a missed or an extra box."""
        return len(self.missed) + len(self.extra) + len(self.confused)

    @property
    def mean_iou(self) -> float:
        """Return the mean IoU of matched boxes: 1.0 on a picture that is rightly left empty."""
        matched = self.truth_of_detection != UNMATCHED
        if matched.any():
            return float(self.ious[matched].mean())
        return 1.0 if self.errors == 0 else 0.0


def match(
    truth: Boxes, detections: Detections, score_threshold: float, iou_threshold: float = 0.5
) -> Outcome:
    """Match detections to true boxes of any class, the best score first.

    Each takes the free true box that it overlaps most, if by at least `iou_threshold`; of boxes
    that it overlaps alike, one of its own class.
    """
    kept = _reaching(detections, score_threshold)
    truth_ids = np.asarray(truth.class_ids)
    iou = iou_xyxy(
        kept.boxes_xyxy.astype(np.float64), truth.boxes_xyxy.astype(np.float64)
    )  # (N, M)
    same_class = kept.class_ids[:, None] == truth_ids[None]
    truth_of_detection = np.full(len(kept.scores), UNMATCHED)
    ious = np.zeros(len(kept.scores))
    free = np.ones(len(truth_ids), bool)
    for index in np.argsort(-kept.scores, kind="stable"):
        wanted = np.flatnonzero(free & (iou[index] >= iou_threshold))
        if wanted.size:
            order = np.lexsort((same_class[index, wanted], iou[index, wanted]))
            taken = wanted[order[-1]]
            truth_of_detection[index], ious[index] = taken, iou[index, taken]
            free[taken] = False
    matched = truth_of_detection != UNMATCHED
    right = np.zeros(len(matched), bool)
    right[matched] = same_class[np.flatnonzero(matched), truth_of_detection[matched]]
    return Outcome(
        detections=kept,
        truth_of_detection=truth_of_detection,
        ious=ious,
        missed=np.flatnonzero(free),
        extra=np.flatnonzero(~matched),
        confused=np.flatnonzero(matched & ~right),
    )


def confusion_matrix(
    truths: Sequence[Boxes], outcomes: Sequence[Outcome], class_count: int
) -> np.ndarray:
    """Count the true class (rows) against the found class (columns), (C + 1, C + 1).

    The last row is the background (extra detections), the last column what was missed.
    """
    background = class_count
    counts = np.zeros((class_count + 1, class_count + 1), np.int64)
    for truth, outcome in zip(truths, outcomes, strict=True):
        truth_ids = np.append(np.asarray(truth.class_ids, np.int64), background)
        # UNMATCHED, -1, indexes the background put at the end
        found_rows = truth_ids[outcome.truth_of_detection]
        np.add.at(counts, (found_rows, outcome.detections.class_ids), 1)
        np.add.at(counts, (truth_ids[outcome.missed], background), 1)
    return counts


def _reaching(detections: Detections, score_threshold: float) -> Detections:
    """Keep the detections that score at least the threshold."""
    kept = np.asarray(detections.scores, np.float64) >= score_threshold
    return Detections(
        detections.boxes_xyxy[kept], detections.scores[kept], detections.class_ids[kept]
    )
