"""Run a detector over labelled pictures and judge what it found."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image
from tqdm import tqdm

from yolo3.data.pictures import Picture, read_again
from yolo3.detector.ahead import ahead
from yolo3.evaluation.ap import AveragePrecision, average_precision
from yolo3.evaluation.curves import ThresholdCurves, threshold_curves
from yolo3.evaluation.matching import UNMATCHED, Outcome, confusion_matrix, match
from yolo3.evaluation.names import metric_names, short_names
from yolo3.network.postprocess import Detections

MATCH_IOU = 0.5

Detect = Callable[[Iterable[Image.Image]], Sequence[Detections]]


@dataclass(frozen=True)
class Evaluation:
    """What a detector found on labelled pictures, and the numbers that follow; boxes in pixels.

    Every number is finite. A class without a true box has no AP: it is left out of the means and
    of `metrics`, and None in `per_class`.
    """

    class_names: tuple[str, ...]
    pictures: tuple[Picture, ...]
    detections: tuple[Detections, ...]  # of each picture, down to very low scores

    def __post_init__(self) -> None:
        if len(self.pictures) != len(self.detections):
            raise ValueError(
                f"expected detections of {len(self.pictures)} pictures, "
                f"got those of {len(self.detections)}"
            )

    @cached_property
    def average_precision(self) -> AveragePrecision:
        """Return COCO's average precision and recall."""
        return average_precision(
            self.pictures, self.detections, len(self.class_names), by_size=True
        )

    @cached_property
    def curves(self) -> ThresholdCurves:
        """Return precision, recall and F1 over the score threshold at IoU 0.5."""
        return threshold_curves(self.average_precision.candidates)

    @cached_property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Return what was found in each picture at the best-F1 threshold and IoU 0.5."""
        return self.outcomes_at(self.curves.best_threshold)

    @cached_property
    def confusion(self) -> np.ndarray:  # (C + 1, C + 1)
        """Return the confusion matrix with background at the best-F1 threshold and IoU 0.5."""
        return self.confusion_at(self.curves.best_threshold)

    @cached_property
    def picture_names(self) -> tuple[str, ...]:
        """Return the pictures' file names, with folders only where needed to tell them apart."""
        return short_names([picture.path for picture in self.pictures])

    def outcomes_at(
        self, score_threshold: float, iou_threshold: float = MATCH_IOU
    ) -> tuple[Outcome, ...]:
        """Return what was found in each picture at any score and IoU threshold."""
        return tuple(
            match(picture, detections, score_threshold, iou_threshold)
            for picture, detections in zip(self.pictures, self.detections, strict=True)
        )

    def confusion_at(self, score_threshold: float, iou_threshold: float = MATCH_IOU) -> np.ndarray:
        """Return the confusion matrix with background at any score and IoU threshold."""
        outcomes = self.outcomes_at(score_threshold, iou_threshold)
        return confusion_matrix(self.pictures, outcomes, len(self.class_names))

    def metrics(self) -> dict[str, float]:
        """Return the numbers by names that MLflow takes.

        Classes and sizes without a true box are left out. Missed, extra and confused boxes are
        counted at the best-F1 threshold.
        """
        average, curves = self.average_precision, self.curves
        class_ap50 = zip(metric_names(self.class_names), average.class_ap_at(0.5), strict=True)
        return {
            "AP": average.ap,
            "AP50": average.ap50,
            "AP75": average.ap75,
            "AR": average.ar,
            **{f"AP_{size}": value for size, value in average.by_size.items()},
            **{f"AP50_{name}": float(value) for name, value in class_ap50 if np.isfinite(value)},
            "best_f1": curves.best_f1,
            "best_f1_threshold": curves.best_threshold,
            "best_f1_precision": curves.best_precision,
            "best_f1_recall": curves.best_recall,
            "pictures": float(len(self.pictures)),
            "boxes": float(average.truth_counts.sum()),
            "missed": float(sum(len(outcome.missed) for outcome in self.outcomes)),
            "extra": float(sum(len(outcome.extra) for outcome in self.outcomes)),
            "confused": float(sum(len(outcome.confused) for outcome in self.outcomes)),
        }

    def per_class(self) -> list[dict]:
        """Return one row per class: its true boxes, AP, AP50, AP75 and AR, and what became of it.

        `found`, `confused` (taken for another class) and `missed` add up to `boxes`; `extra` are
        detections of this class on the background.
        """
        average, confusion = self.average_precision, self.confusion
        recall = average.recall.mean(axis=0)
        return [
            {
                "class_id": class_id,
                "class": name,
                "boxes": int(average.truth_counts[class_id]),
                "AP": _number_or_none(average.class_ap[class_id]),
                "AP50": _number_or_none(average.class_ap_at(0.5)[class_id]),
                "AP75": _number_or_none(average.class_ap_at(0.75)[class_id]),
                "AR": _number_or_none(recall[class_id]),
                "found": int(confusion[class_id, class_id]),
                "confused": int(confusion[class_id, :-1].sum() - confusion[class_id, class_id]),
                "missed": int(confusion[class_id, -1]),
                "extra": int(confusion[-1, class_id]),
            }
            for class_id, name in enumerate(self.class_names)
        ]

    def worst_first(self) -> list[int]:
        """Return the pictures' indices: most errors first, then the lowest mean IoU."""
        keys = [
            (-outcome.errors, outcome.mean_iou, name)
            for outcome, name in zip(self.outcomes, self.picture_names, strict=True)
        ]
        return sorted(range(len(keys)), key=keys.__getitem__)

    def clearest(self) -> Picture:
        """Return the image with the surest correct detection, the first one if none is correct."""

        def surest(outcome):
            right = np.flatnonzero(outcome.truth_of_detection != UNMATCHED)
            scores = outcome.detections.scores[np.setdiff1d(right, outcome.confused)]
            return scores.max(initial=0.0)

        return max(
            zip(self.pictures, self.outcomes, strict=True), key=lambda pair: surest(pair[1])
        )[0]

    def as_json(self) -> dict:
        """Return metrics, classes and each picture's true and found boxes as plain values.

        Boxes in pixels to three decimals; pictures by short name, never by absolute path.
        """
        return {
            "metrics": self.metrics(),
            "per_class": self.per_class(),
            "confusion": {
                "classes": [*self.class_names, "background"],
                "true_by_found": self.confusion.tolist(),
            },
            "pictures": [self._picture_as_json(index) for index in range(len(self.pictures))],
        }

    def _picture_as_json(self, index: int) -> dict:
        """Return one picture's boxes as plain values."""
        picture, found, outcome = (
            self.pictures[index],
            self.detections[index],
            self.outcomes[index],
        )
        return {
            "name": self.picture_names[index],
            "digest": picture.digest,
            "width": int(picture.size_wh[0]),
            "height": int(picture.size_wh[1]),
            "missed": len(outcome.missed),
            "extra": len(outcome.extra),
            "confused": len(outcome.confused),
            "truths": [
                self._box_as_json(box, class_id)
                for box, class_id in zip(picture.boxes_xyxy, picture.class_ids, strict=True)
            ],
            "detections": [
                {**self._box_as_json(box, class_id), "score": round(float(score), 6)}
                for box, class_id, score in zip(
                    found.boxes_xyxy, found.class_ids, found.scores, strict=True
                )
            ],
        }

    def _box_as_json(self, box_xyxy: np.ndarray, class_id: int) -> dict:
        """Return one box in the words of the logged model's answer."""
        corners = (round(float(value), 3) for value in box_xyxy)
        return {
            "label": self.class_names[class_id],
            "class_id": int(class_id),
            **dict(zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)),
        }


def evaluate(
    detect: Detect,
    pictures: Sequence[Picture],
    class_names: Sequence[str],
    progress: bool = False,
) -> Evaluation:
    """Read the pictures as they are, detect in them, and return what was found.

    `detect` takes RGB pictures, which are read ahead of it, and returns their detections in pixels
    of each picture, with a score threshold low enough (0.001) for the whole precision-recall curve.
    Raises DataError for a picture that cannot be read any more, ValueError where `detect` skips
    one.
    """
    images = ahead(read_again, pictures)
    found = detect(
        tqdm(images, "evaluate", total=len(pictures), unit="picture", disable=not progress)
    )
    if len(found) != len(pictures):
        raise ValueError(f"expected detections of {len(pictures)} pictures, got {len(found)}")
    return Evaluation(tuple(class_names), tuple(pictures), tuple(found))


def _number_or_none(value: float) -> float | None:
    """Return a plain number, None for NaN."""
    return float(value) if np.isfinite(value) else None
