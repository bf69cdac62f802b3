"""Measure a network: after each epoch in one pass, and as the detector that it becomes."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import keras

from yolo3.data.annotations import Picture
from yolo3.data.batches import Batches
from yolo3.data.images import place
from yolo3.detector.detector import Detector, in_picture
from yolo3.evaluation.ap import MAX_DETECTIONS, average_precision
from yolo3.evaluation.evaluate import Evaluation, evaluate
from yolo3.network.grid import decode
from yolo3.network.loss import COMPONENTS, yolo_loss
from yolo3.network.postprocess import Thresholds
from yolo3.training.learner import Learner

VAL_BATCH_SIZE = 16  # fixed, since the validation loss depends on what shares a batch
THRESHOLDS = Thresholds(score_threshold=0.001, max_detections=MAX_DETECTIONS)
"""What AP is measured with: nearly everything that was found counts, ranked by its score."""


def evaluate_detector(
    detector: Detector, pictures: Sequence[Picture], progress: bool = False
) -> Evaluation:
    """Measure a detector as it will be used, down to the lowest scores."""
    detect = partial(detector.detect, **asdict(THRESHOLDS))
    return evaluate(detect, pictures, detector.spec.class_names, progress=progress)


def validate(learner: Learner, batches: Batches, pictures: Sequence[Picture]) -> dict[str, float]:
    """Measure a network as it is: `val_loss` with its components, and `val_AP50`, `val_AP`.

    batches: the pictures, un-augmented and in order. A component is the mean over batches, each
    weighted by its pictures. AP is COCO's, in the pictures' own pixels.
    """
    sums = dict.fromkeys(COMPONENTS, 0.0)
    detections = []
    for number in range(len(batches)):
        given, (*targets, truths_xyxy) = batches[number]
        count = len(truths_xyxy)
        raw = learner.predict_on_batch(given)
        parts = yolo_loss(raw, targets, truths_xyxy, learner.spec)
        for name, value in parts.items():
            sums[name] += float(value) * count
        boxes_xyxy, scores = map(keras.ops.convert_to_numpy, decode(raw, learner.spec))
        start = len(detections)
        for picture, boxes, score in zip(
            pictures[start : start + count], boxes_xyxy, scores, strict=True
        ):
            placed = place(picture.size_wh, learner.spec.input_wh)
            detections.append(in_picture(boxes, score, placed, THRESHOLDS))
    found = average_precision(pictures, detections, len(learner.spec.class_names))
    losses = {f"val_{name}": total / len(pictures) for name, total in sums.items()}
    return {
        "val_loss": sum(losses.values()),
        **losses,
        "val_AP50": found.ap50,
        "val_AP": found.ap,
    }
