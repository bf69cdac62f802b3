"""Does a deployed detector find in the sample image what the exported model found there?"""

import numpy as np

from yolo3.network.boxes import iou_xyxy

LEAST_IOU = 0.9
SCORE_TOLERANCE = 0.1  # other processors compute in another precision


def is_sure(found: dict, score_threshold: float) -> bool:
    """Tell whether an object would be found even where it scored less by the tolerance."""
    return found["score"] > score_threshold + SCORE_TOLERANCE


def difference(expected: list[dict], answered: list[dict], score_threshold: float) -> str:
    """Say how two lists of objects, as `predict` gives them, differ; '' where they agree.

    They agree where each object has a partner of its class with IoU and score within tolerance. One
    that barely passes the threshold may have none: with a little less it would not be listed.
    """
    remaining = list(answered)
    for target in expected:
        same = [found for found in remaining if found["label"] == target["label"]]
        overlaps = iou_xyxy(_boxes([target]), _boxes(same))[0]  # (N,)
        overlap = overlaps.max(initial=0)
        nearest = same[overlaps.argmax()] if overlap > 0 else None
        if overlap >= LEAST_IOU:
            remaining.remove(nearest)
            if abs(nearest["score"] - target["score"]) <= SCORE_TOLERANCE:
                continue
        elif not is_sure(target, score_threshold):
            continue
        got = f"{_in_words(nearest)} with IoU {overlap:.2f}" if nearest else "nothing there"
        return f"expected {_in_words(target)}, got {got}"
    for found in remaining:
        if is_sure(found, score_threshold):
            return f"got {_in_words(found)}, expected nothing there"
    return ""


def _boxes(objects: list[dict]) -> np.ndarray:
    corners = [[found[name] for name in ("xmin", "ymin", "xmax", "ymax")] for found in objects]
    return np.array(corners, float).reshape(-1, 4)


def _in_words(found: dict) -> str:
    corners = ", ".join(f"{corner:.0f}" for corner in _boxes([found])[0])
    return f"{found['label']!r} at {corners} with score {found['score']:.2f}"
