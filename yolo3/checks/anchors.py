"""How well anchors fit boxes, and anchors that fit better: k-means with IoU distance.

Sizes are in pixels of the network's input, after letterboxing: boxes of the stored pictures would
give anchors of another scale. After Redmon and Farhadi, *YOLO9000* (2017), section 2; k-means++
(Arthur and Vassilvitskii 2007) chooses the beginnings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yolo3.data.images import place
from yolo3.data.pictures import DataError, Picture
from yolo3.network.boxes import iou_wh

RECALL_IOU = 0.5
BOXES_PER_ANCHOR = 20
LEAST_RISE = 0.03  # of mean IoU
_RESTARTS = 10
_ROUNDS = 100
_MOST_SIZES = 20_000  # of more boxes a fixed sample is clustered; the fit is told of all

Anchors = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class AnchorFit:
    """Say how well anchors fit boxes by width and height alone, centres laid on each other.

    mean_iou: mean over boxes of the IoU with the nearest anchor.
    recall: part of the boxes whose nearest anchor has an IoU of at least 0.5, the best possible
    recall of a detector that could not reshape its anchors.
    """

    mean_iou: float
    recall: float

    def __str__(self) -> str:
        return f"mean IoU {self.mean_iou:.3f}, best possible recall {self.recall:.3f}"


def network_sizes_wh(pictures: Sequence[Picture], input_wh: tuple[int, int]) -> np.ndarray:
    """Give the sizes (N, 2) of all boxes in pixels of the network's input, float64."""
    sizes = [
        (picture.boxes_xyxy[:, 2:].astype(np.float64) - picture.boxes_xyxy[:, :2])
        * place(picture.size_wh, input_wh).scale_xy
        for picture in pictures
    ]
    return np.concatenate([np.zeros((0, 2)), *sizes])


def best_iou(sizes_wh: np.ndarray, anchors_wh: Sequence[tuple[float, float]]) -> np.ndarray:
    """Give each size's IoU with its nearest anchor, (N,)."""
    return iou_wh(sizes_wh, np.asarray(anchors_wh, np.float64)).max(axis=1)


def fit_of(sizes_wh: np.ndarray, anchors_wh: Sequence[tuple[float, float]]) -> AnchorFit:
    """Measure how well anchors fit sizes (N, 2); NaN where there is no box."""
    if not len(sizes_wh):
        return AnchorFit(float("nan"), float("nan"))
    best = best_iou(sizes_wh, anchors_wh)
    return AnchorFit(float(best.mean()), float((best >= RECALL_IOU).mean()))


def cluster_anchors(sizes_wh: np.ndarray, count: int, seed: int = 0) -> Anchors:
    """Cluster sizes (N, 2) into anchors, smallest first, in tenths of a pixel.

    The same sizes and seed give the same anchors. Of several beginnings the one with the highest
    mean IoU is kept. Raises DataError for fewer different sizes than anchors.
    """
    rng = np.random.default_rng(seed)
    ordered = sizes_wh[np.lexsort(sizes_wh.T)]  # the order of the list must not matter
    sample = ordered[np.sort(rng.permutation(len(ordered))[:_MOST_SIZES])]
    different = len(np.unique(np.round(sample, 1), axis=0))
    if different < count:
        raise DataError(
            f"the boxes have {different} different sizes, expected at least {count} for"
            f" {count} anchors: label more pictures, or keep the present anchors"
        )
    tries = (_rounded(_cluster(sample, count, rng)) for _ in range(_RESTARTS))
    best = max(tries, key=lambda anchors: fit_of(sample, anchors).mean_iou)
    return tuple(sorted(best, key=lambda wh: (wh[0] * wh[1], wh)))


def better_anchors(
    sizes_wh: np.ndarray, present_wh: Sequence[tuple[float, float]]
) -> tuple[Anchors | None, str]:
    """Cluster as many anchors as there are, where that is worth it; None keeps the present ones.

    It is where there are BOXES_PER_ANCHOR boxes and the mean IoU rises by LEAST_RISE. Also gives
    the sentence that says so, with both fits.
    """
    before = fit_of(sizes_wh, present_wh).mean_iou
    count, enough = len(present_wh), len(present_wh) * BOXES_PER_ANCHOR
    if len(sizes_wh) < enough:
        few = f"{len(sizes_wh)} boxes are too few to make others, which takes {enough}"
        return None, f"anchors: the published ones, mean IoU {before:.3f}; {few}"
    try:
        own = cluster_anchors(sizes_wh, count)
    except DataError:  # boxes of a few sizes only
        return None, f"anchors: the published ones, mean IoU {before:.3f}; too few sizes for others"
    after = fit_of(sizes_wh, own).mean_iou
    if after - before < LEAST_RISE:
        return None, (
            f"anchors: the published ones, mean IoU {before:.3f}; clustered from the boxes"
            f" {after:.3f}, less than {LEAST_RISE:g} above"
        )
    text = f"anchors: clustered from the boxes, mean IoU {after:.3f}; the published ones"
    return own, f"{text} {before:.3f}"


def write_anchors(anchors_wh: Anchors, path: Path, note: str) -> None:
    """Write anchors in one line, below a note, as `read_anchors` reads them."""
    line = ",  ".join(f"{width:g},{height:g}" for width, height in anchors_wh)
    path.write_text(f"# {note}\n{line}\n", encoding="utf-8", newline="\n")


def _cluster(sizes_wh: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Run k-means once; returns (count, 2)."""
    anchors = _beginnings(sizes_wh, count, rng)
    for _ in range(_ROUNDS):
        nearest = iou_wh(sizes_wh, anchors).argmax(axis=1)
        members = [sizes_wh[nearest == number] for number in range(count)]
        moved = np.array(
            [
                own.mean(axis=0) if len(own) else old
                for own, old in zip(members, anchors, strict=True)
            ]
        )
        if np.allclose(moved, anchors, rtol=0, atol=1e-3):
            return moved
        anchors = moved
    return anchors


def _beginnings(sizes_wh: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Choose sizes far from each other: each with a chance that grows with its distance squared."""
    chosen = sizes_wh[rng.integers(len(sizes_wh))][None]
    while len(chosen) < count:
        distance = 1 - iou_wh(sizes_wh, chosen).max(axis=1)
        chance = np.square(np.clip(distance, 0, None))
        index = rng.choice(len(sizes_wh), p=chance / chance.sum())
        chosen = np.concatenate([chosen, sizes_wh[index][None]])
    return chosen


def _rounded(anchors_wh: np.ndarray) -> Anchors:
    return tuple((max(0.1, round(w, 1)), max(0.1, round(h, 1))) for w, h in anchors_wh.tolist())
