"""How sure a difference in AP50 is: the paired bootstrap over pictures.

Two detectors are measured on the same pictures. A resample draws as many pictures as there are,
with replacement, and measures both on what it drew; how the difference varies over many resamples
says how much of it is the luck of these pictures. Source: Efron and Tibshirani, An Introduction to
the Bootstrap (1993), chapters 8 and 13.

What was found in one picture does not depend on the others, so pycocotools matches each picture
once, and a resample only counts pictures anew.
"""

from collections.abc import Sequence

import numpy as np

from yolo3.evaluation.ap import Boxes, ClassMatches, class_matches
from yolo3.network.postprocess import Detections

IOU_THRESHOLD = 0.5
RECALL_POINTS = np.linspace(0.0, 1.0, 101)  # COCO's
_MOST_NUMBERS = 4_000_000  # in memory at a time


def resampled_ap50(
    truths: Sequence[Boxes],
    detections: Sequence[Detections],
    class_count: int,
    counts: np.ndarray,
) -> np.ndarray:  # (R, C)
    """Measure AP50 per class in each resample; NaN where it drew no true box of a class.

    counts: (R, P), from `draw`; the same ones for two detectors pair what they give. A row of ones
    gives COCO's AP50 of the pictures as they are. Raises ValueError where lengths differ.
    """
    matches = class_matches(truths, detections, class_count, IOU_THRESHOLD)
    columns = [_average_precision(ranked, counts) for ranked in matches]
    return np.stack(columns, axis=1) if columns else np.empty((len(counts), 0))


def draw(pictures: int, resamples: int, seed: int) -> np.ndarray:
    """Draw resamples of pictures: how often each is taken, (R, P), each row a sum of P.

    Raises ValueError where there is nothing to draw from.
    """
    if pictures < 1 or resamples < 1:
        raise ValueError(
            f"expected at least one picture and one resample, got {pictures} and {resamples}"
        )
    rng = np.random.default_rng(seed)
    return rng.multinomial(pictures, np.full(pictures, 1 / pictures), size=resamples)


def mean_over_classes(values: np.ndarray) -> np.ndarray:  # (R, C) -> (R,)
    """Return the mean over what is not NaN as COCO does, 0.0 where all is."""
    present = ~np.isnan(values)
    sums = np.where(present, values, 0.0).sum(axis=1)
    return sums / np.maximum(present.sum(axis=1), 1)


def resampled_medians(values: np.ndarray, counts: np.ndarray) -> np.ndarray:  # (R,)
    """Return the median of the pictures' values (P,) in each resample."""
    pictures = np.arange(len(values))
    return np.array([np.median(values[np.repeat(pictures, row)]) for row in counts])


def interval(samples: np.ndarray, confidence: float) -> tuple[float, float]:
    """Return the percentile interval of samples, NaN left out; (0.0, 0.0) where all are."""
    present = samples[~np.isnan(samples)]
    if not present.size:
        return 0.0, 0.0
    low, high = np.quantile(present, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _average_precision(ranked: ClassMatches, counts: np.ndarray) -> np.ndarray:  # (R,)
    hits = np.flatnonzero(ranked.hits)
    pictures = ranked.pictures[: hits[-1] + 1] if hits.size else ranked.pictures[:0]
    rows = max(1, _MOST_NUMBERS // max(1, len(pictures)))
    parts = [
        _of_rows(pictures, hits, ranked.truth_counts, counts[start : start + rows])
        for start in range(0, len(counts), rows)
    ]
    return np.concatenate([*parts, np.empty(0)])


def _of_rows(pictures, hits, truth_counts, counts):
    """Accumulate as pycocotools does, in all rows at once.

    A picture that is drawn twice has each of its detections twice, one after the other. Precision
    only rises within such a group of hits and only falls after a hit, so that the precision that is
    reached at each recall follows from the ends of the groups of hits alone.
    """
    truths = counts @ truth_counts  # (R,)
    taken = counts[:, pictures]  # (R, N)
    right = np.cumsum(taken[:, hits], axis=1)  # (R, H)
    seen = np.cumsum(taken, axis=1)[:, hits]
    precision = right / (seen + np.spacing(1))  # pycocotools' way round 0 / 0
    reached = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = np.concatenate([reached, np.zeros((len(counts), 1))], axis=1)  # beyond: 0
    recall = right / np.maximum(truths, 1)[:, None]
    places = [np.searchsorted(row, RECALL_POINTS) for row in recall]  # (R, 101)
    ap = np.take_along_axis(reached, np.stack(places), axis=1).mean(axis=1)
    return np.where(truths > 0, ap, np.nan)
