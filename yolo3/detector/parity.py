"""How near two engines come to each other: the same candidates' boxes and scores, held together."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

from yolo3.data.images import Letterbox
from yolo3.detector.engines import Engine

LEAST_SCORE = 0.05
"""What scores less in both engines is no detection at any threshold that a model is logged with."""


@dataclass(frozen=True)
class Parity:
    """The largest differences between what two engines find in the same pictures.

    pictures, candidates: how many were compared. box_pixels: of an edge, in pixels of the picture.
    score: 0..1. Infinite where only one of two numbers is finite; 0 where nothing was compared.
    """

    pictures: int = 0
    candidates: int = 0
    box_pixels: float = 0.0
    score: float = 0.0

    def metrics(self, prefix: str = "parity_") -> dict[str, float]:
        """Return the numbers by names that MLflow takes."""
        return {f"{prefix}{name}": float(value) for name, value in asdict(self).items()}


def compare_engines(
    reference: Engine,
    other: Engine,
    prepared: Iterable[tuple[np.ndarray, Letterbox]],
    least_score: float = LEAST_SCORE,
) -> Parity:
    """Run both engines over pictures and hold their candidates together, one by one.

    Both list the candidates in one order, so each has its partner. Compared are those that either
    engine gives at least `least_score` to for some class.
    prepared: what `Detector.prepare` returns.
    Raises ValueError where the engines give different numbers of candidates or classes.
    """
    found = Parity()
    for pixels, placed in prepared:
        boxes, scores = reference(pixels[None])  # (1, N, 4), (1, N, C)
        other_boxes, other_scores = other(pixels[None])
        _check_shapes((boxes, scores), (other_boxes, other_scores))
        likely = np.fmax(scores[0], other_scores[0]).max(axis=1) >= least_score  # (N,)
        pairs = (boxes[0][likely], other_boxes[0][likely])
        found = Parity(
            found.pictures + 1,
            found.candidates + int(likely.sum()),
            max(found.box_pixels, _largest(*map(placed.to_picture, pairs))),
            max(found.score, _largest(scores[0][likely], other_scores[0][likely])),
        )
    return found


def _largest(a: np.ndarray, b: np.ndarray) -> float:
    """Give the largest difference; two numbers that are both not finite do not differ."""
    finite = np.isfinite(a), np.isfinite(b)
    with np.errstate(invalid="ignore"):
        differences = np.where(finite[0] & finite[1], np.abs(a - b), np.inf)
    return float(np.where(finite[0] | finite[1], differences, 0.0).max(initial=0.0))


def _check_shapes(found, others) -> None:
    shapes = [tuple(array.shape for array in arrays) for arrays in (found, others)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"expected boxes and scores of shapes {shapes[0]}, got {shapes[1]}")
