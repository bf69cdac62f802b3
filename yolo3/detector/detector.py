"""The detector that evaluation, the command line and the served model share."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

import numpy as np
from PIL import Image

from yolo3.data.images import Letterbox, letterbox
from yolo3.detector.ahead import ahead
from yolo3.detector.engines import Engine
from yolo3.network.postprocess import DEFAULT_THRESHOLDS, Detections, Thresholds, select
from yolo3.network.spec import NetworkSpec

Prepared = tuple[np.ndarray, Letterbox]
"""A picture as the network takes it: uint8 pixels (H, W, 3), and how it lies there."""


class Detector:
    """Find objects in pictures with an engine; may be called from several threads."""

    def __init__(
        self,
        engine: Engine,
        spec: NetworkSpec,
        batch_size: int = 16,
        thresholds: Thresholds = DEFAULT_THRESHOLDS,
    ):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.spec = spec
        self.batch_size = batch_size
        self.thresholds = thresholds
        self.engine = engine

    def detect(
        self,
        images: Iterable[Image.Image],
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int | None = None,
    ) -> list[Detections]:
        """Find the objects in upright RGB pictures: one Detections each, in the picture's pixels.

        Thresholds left out are the detector's own. An iterable is read little by little: while one
        batch is computed, the next is made ready in several threads.
        Raises ValueError for thresholds out of range.
        """
        thresholds = self.choose(score_threshold, iou_threshold, max_detections)
        return self.detect_prepared(ahead(self.prepare, images), thresholds)

    def choose(self, score_threshold=None, iou_threshold=None, max_detections=None) -> Thresholds:
        """Take the thresholds that are given, and the detector's own for the others."""
        given = {
            "score_threshold": score_threshold,
            "iou_threshold": iou_threshold,
            "max_detections": max_detections,
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        return replace(self.thresholds, **chosen)

    def prepare(self, image: Image.Image) -> Prepared:
        """Letterbox a picture as training does."""
        return letterbox(image, self.spec.input_wh)

    def detect_prepared(
        self, prepared: Iterable[Prepared], thresholds: Thresholds
    ) -> list[Detections]:
        """Find the objects in pictures that `prepare` made ready."""
        remaining = iter(prepared)
        batch = list(islice(remaining, self.batch_size))
        if len(batch) < self.batch_size:  # no further one to make ready meanwhile
            return self._look_through(batch, self._run(batch), thresholds) if batch else []
        found = []
        with ThreadPoolExecutor(1) as runner:
            while batch:
                running = runner.submit(self._run, batch)
                following = list(islice(remaining, self.batch_size))
                found += self._look_through(batch, running.result(), thresholds)
                batch = following
        return found

    def _run(self, batch: list[Prepared]) -> tuple[np.ndarray, np.ndarray]:
        return self.engine(np.stack([pixels for pixels, _ in batch]))  # (B, H, W, 3)

    def _look_through(self, batch, candidates, thresholds) -> list[Detections]:
        return [
            in_picture(boxes, scores, placed, thresholds)
            for boxes, scores, (_, placed) in zip(*candidates, batch, strict=True)
        ]


def in_picture(
    boxes_xyxy: np.ndarray, scores: np.ndarray, placed: Letterbox, thresholds: Thresholds
) -> Detections:
    """Select from candidates (N, 4) and (N, C), and map the boxes to the picture, clipped.

    A candidate that lies in the grey bars alone is none: nothing of it is left in the picture.
    """
    likely = (scores >= thresholds.score_threshold).any(axis=1)  # (N,), mostly False
    likely_boxes, likely_scores = boxes_xyxy[likely], scores[likely]
    clipped = placed.to_picture(likely_boxes)
    inside = (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
    chosen = select(
        likely_boxes[inside],
        likely_scores[inside],
        thresholds.score_threshold,
        thresholds.iou_threshold,
        thresholds.max_detections,
    )
    return replace(chosen, boxes_xyxy=placed.to_picture(chosen.boxes_xyxy))
