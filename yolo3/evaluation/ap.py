"""COCO average precision and recall, computed by pycocotools from boxes in pixels."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Protocol

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolo3.network.postprocess import Detections

COCO_IOU_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
MAX_DETECTIONS = 100  # per picture and class
EVERY_SIZE = "all"


class Boxes(Protocol):
    """True boxes of one picture: a `Picture`, or anything else with these two arrays."""

    boxes_xyxy: np.ndarray  # (N, 4) pixels
    class_ids: np.ndarray  # (N,)


@dataclass(frozen=True)
class Candidates:
    """All detections of all pictures by falling score, each a hit or not at one IoU threshold."""

    scores: np.ndarray  # (N,) float64, falling
    hits: np.ndarray  # (N,) bool
    truth_count: int


@dataclass(frozen=True)
class ClassMatches:
    """The detections of one class in all pictures by falling score, and its true boxes."""

    pictures: np.ndarray  # (N,) index of the picture of each
    hits: np.ndarray  # (N,) bool
    truth_counts: np.ndarray  # (P,) true boxes in each picture


@dataclass(frozen=True)
class AveragePrecision:
    """What COCO's protocol says of one set of detections.

    NaN in the arrays stands for a class without a true box. The means leave such classes out, as
    COCO does; where no class has a true box, or nothing was detected, they are 0.0.
    """

    iou_thresholds: tuple[float, ...]  # T
    recall_points: np.ndarray  # (R,) 0..1
    precision: np.ndarray  # (T, R, C) at each recall point
    recall: np.ndarray  # (T, C) the highest reached
    by_size: dict[str, float]  # AP of small, medium, large; only sizes that occur among the truths
    truth_counts: np.ndarray  # (C,)
    candidates: Candidates  # at the first IoU threshold

    @cached_property
    def ap(self) -> float:
        """Return the mean AP over IoU thresholds and classes."""
        return _mean(self.class_ap)

    @property
    def ap50(self) -> float:
        """Return the mean AP over classes at IoU 0.5."""
        return _mean(self.class_ap_at(0.5))

    @property
    def ap75(self) -> float:
        """Return the mean AP over classes at IoU 0.75."""
        return _mean(self.class_ap_at(0.75))

    @property
    def ar(self) -> float:
        """Return the mean recall over IoU thresholds and classes, 100 detections to a picture."""
        return _mean(self.recall)

    @property
    def class_ap(self) -> np.ndarray:  # (C,)
        """Return AP per class over all IoU thresholds."""
        return self.precision.mean(axis=(0, 1))

    def class_ap_at(self, iou_threshold: float) -> np.ndarray:  # (C,)
        """Return AP per class at one IoU threshold; ValueError if it was not evaluated."""
        return self.precision_at(iou_threshold).mean(axis=0)

    def precision_at(self, iou_threshold: float) -> np.ndarray:  # (R, C)
        """Return precision at each recall point at one IoU threshold; ValueError as above."""
        if iou_threshold not in self.iou_thresholds:
            raise ValueError(
                f"expected one of the evaluated IoU thresholds {self.iou_thresholds}, "
                f"got {iou_threshold}"
            )
        return self.precision[self.iou_thresholds.index(iou_threshold)]


def average_precision(
    truths: Sequence[Boxes],
    detections: Sequence[Detections],
    class_count: int,
    iou_thresholds: Sequence[float] = COCO_IOU_THRESHOLDS,
    by_size: bool = False,
) -> AveragePrecision:
    """Evaluate the detections of each picture against its true boxes.

    Boxes are in pixels, the same pixels on both sides. `iou_thresholds=(0.5,)` is the cheap form
    for every epoch: it gives `ap50` and nothing else. `by_size` adds AP of small (under 32x32),
    medium and large (over 96x96 pixels) boxes. Raises ValueError where the two differ in length.
    Source: COCO detection evaluation, https://cocodataset.org/#detection-eval.
    """
    _check_lengths(truths, detections)
    thresholds = tuple(iou_thresholds)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
        protocol = _evaluated(truths, detections, class_count, thresholds, by_size)
        protocol.accumulate()
    precision = _nan_where_absent(protocol.eval["precision"])  # (T, R, C, sizes, 1)
    recall = _nan_where_absent(protocol.eval["recall"])  # (T, C, sizes, 1)
    truth_counts = np.zeros(class_count, int)
    for truth in truths:
        truth_counts += np.bincount(truth.class_ids, minlength=class_count)
    size_ap = {
        size: _mean(precision[:, :, :, index, 0])
        for index, size in enumerate(protocol.params.areaRngLbl)
        if size != EVERY_SIZE and not np.isnan(precision[:, :, :, index]).all()
    }
    return AveragePrecision(
        iou_thresholds=thresholds,
        recall_points=np.asarray(protocol.params.recThrs),
        precision=precision[:, :, :, 0, 0],
        recall=recall[:, :, 0, 0],
        by_size=size_ap,
        truth_counts=truth_counts,
        candidates=_candidates(protocol, int(truth_counts.sum())),
    )


def class_matches(
    truths: Sequence[Boxes],
    detections: Sequence[Detections],
    class_count: int,
    iou_threshold: float,
) -> list[ClassMatches]:
    """Match the detections of each picture to its true boxes as `average_precision` does.

    The order is that in which pycocotools ranks them, equal scores included; found boxes without
    an area, which it ignores, are left out. Raises ValueError where the two differ in length.
    """
    _check_lengths(truths, detections)
    with contextlib.redirect_stdout(io.StringIO()):
        protocol = _evaluated(truths, detections, class_count, (iou_threshold,), by_size=False)
    count = len(truths)
    return [
        _ranked(protocol.evalImgs[class_id * count : (class_id + 1) * count])
        for class_id in range(class_count)
    ]


def _ranked(matches: Sequence[dict | None]) -> ClassMatches:
    """Rank pycocotools' matches of one class: one of each picture, None where it has no box."""
    present = [(index, match) for index, match in enumerate(matches) if match]
    truth_counts = np.zeros(len(matches), np.int64)
    for index, match in present:
        truth_counts[index] = len(match["gtIds"])
    counts = [len(match["dtScores"]) for _, match in present]
    pictures = np.repeat(np.array([index for index, _ in present], np.int64), counts)
    scores = _joined([match["dtScores"] for _, match in present], np.float64)
    hits = _joined([match["dtMatches"][0] > 0 for _, match in present], bool)
    ignored = _joined([match["dtIgnore"][0] for _, match in present], bool)
    order = np.argsort(-scores, kind="stable")
    kept = order[~ignored[order]]
    return ClassMatches(pictures[kept], hits[kept], truth_counts)


def _joined(parts: Sequence[Sequence], kind: type) -> np.ndarray:
    return np.concatenate([np.asarray(part, kind) for part in parts] or [np.empty(0, kind)])


def _check_lengths(truths: Sequence[Boxes], detections: Sequence[Detections]) -> None:
    if len(truths) != len(detections):
        raise ValueError(
            f"expected detections of {len(truths)} pictures, got those of {len(detections)}"
        )


def _evaluated(
    truths: Sequence[Boxes],
    detections: Sequence[Detections],
    class_count: int,
    iou_thresholds: tuple[float, ...],
    by_size: bool,
) -> COCOeval:
    """Return pycocotools' evaluation of each picture and class, not accumulated."""
    protocol = COCOeval(_coco(truths, class_count), _coco(detections, class_count), iouType="bbox")
    sizes = len(protocol.params.areaRng) if by_size else 1
    protocol.params.areaRng = protocol.params.areaRng[:sizes]
    protocol.params.areaRngLbl = protocol.params.areaRngLbl[:sizes]  # the first is EVERY_SIZE
    protocol.params.iouThrs = np.array(iou_thresholds)
    protocol.params.maxDets = [MAX_DETECTIONS]
    protocol.evaluate()
    return protocol


def _coco(boxes_of_pictures: Sequence[Boxes | Detections], class_count: int) -> COCO:
    """Return the boxes of all pictures as a COCO data set in memory."""
    box_ids = count(1)  # 0 means "not matched" inside pycocotools
    annotations = [
        annotation
        for picture_id, boxes in enumerate(boxes_of_pictures)
        for annotation in _annotations(picture_id, boxes, box_ids)
    ]
    data_set = COCO()
    data_set.dataset = {
        "images": [{"id": picture_id} for picture_id in range(len(boxes_of_pictures))],
        "categories": [{"id": class_id} for class_id in range(class_count)],
        "annotations": annotations,
    }
    data_set.createIndex()
    return data_set


def _annotations(picture_id: int, boxes: Boxes | Detections, box_ids: count) -> list[dict]:
    """Return the boxes of one picture as COCO writes them: x, y, width, height."""
    boxes_xyxy = np.asarray(boxes.boxes_xyxy, np.float64).reshape(-1, 4)
    boxes_xywh = np.concatenate([boxes_xyxy[:, :2], boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]], axis=1)
    class_ids = np.asarray(boxes.class_ids).tolist()
    scores = np.asarray(getattr(boxes, "scores", np.ones(len(class_ids))), np.float64).tolist()
    return [
        {
            "id": next(box_ids),
            "image_id": picture_id,
            "category_id": class_id,
            "bbox": box_xywh,
            "area": box_xywh[2] * box_xywh[3],
            "iscrowd": 0,
            "score": score,
        }
        for class_id, box_xywh, score in zip(class_ids, boxes_xywh.tolist(), scores, strict=True)
    ]


def _candidates(protocol: COCOeval, truth_count: int) -> Candidates:
    """Gather pycocotools' matches of all pictures and classes at the first IoU threshold."""
    sizes, pictures = len(protocol.params.areaRng), len(protocol.params.imgIds)
    matches = [
        match
        for index, match in enumerate(protocol.evalImgs)  # class by class, size by size
        if match is not None and (index // max(pictures, 1)) % sizes == 0
    ]
    scores = np.concatenate([np.asarray(match["dtScores"]) for match in matches] or [np.empty(0)])
    hits = np.concatenate([match["dtMatches"][0] > 0 for match in matches] or [np.empty(0, bool)])
    order = np.argsort(-scores, kind="stable")
    return Candidates(scores[order], hits[order].astype(bool), truth_count)


def _nan_where_absent(values: np.ndarray) -> np.ndarray:
    """Replace pycocotools' -1 for "no true box" by NaN."""
    return np.where(values < 0, np.nan, values)


def _mean(values: np.ndarray) -> float:
    """Return the mean of what is not NaN, 0.0 where all is."""
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else 0.0
