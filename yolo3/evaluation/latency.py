"""How long detectors take for a picture, measured in turn so that all meet the same machine."""

import time
from collections.abc import Sequence

import numpy as np

from yolo3.data.pictures import Picture, read_again
from yolo3.evaluation.evaluate import Detect

MOST_PICTURES = 32
ROUNDS = 3
_WARM_UP = 2  # calls that compile, and are not counted


def latency(
    detects: Sequence[Detect], pictures: Sequence[Picture], rounds: int = ROUNDS
) -> np.ndarray:  # (D, P) milliseconds
    """Time each detector on the same pictures, one picture to a call, reading not counted.

    Up to 32 pictures, evenly taken from the list. On each, the detectors take turns, in an order
    that changes from round to round; the fastest round counts, which other work of the machine
    disturbed least.
    """
    chosen = np.unique(np.linspace(0, len(pictures) - 1, MOST_PICTURES).round().astype(int))
    columns = []
    for number, index in enumerate(chosen):
        image = read_again(pictures[index])
        for detect in detects if number == 0 else ():
            for _ in range(_WARM_UP):
                detect([image])
        columns.append(_rounds(detects, image, rounds, number))
    return np.stack(columns, axis=1)


def _rounds(detects, image, rounds, first):
    """Return each detector's fastest round; `first` says whose turn it is at first."""
    times = np.empty((rounds, len(detects)))
    for turn in range(rounds):
        for place in range(len(detects)):
            which = (place + turn + first) % len(detects)
            times[turn, which] = _milliseconds(detects[which], image)
    return times.min(axis=0)


def _milliseconds(detect: Detect, image) -> float:
    start = time.perf_counter()
    detect([image])
    return 1000 * (time.perf_counter() - start)
