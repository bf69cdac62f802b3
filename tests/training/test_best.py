import math
from itertools import product

import pytest

from yolo3.training.best import Best, rank


def epochs(*numbers):
    return [dict(zip(("val_AP50", "val_AP", "val_loss"), one, strict=True)) for one in numbers]


def kept_by(best, history):
    """Give the number of the epoch that is kept."""
    for number, numbers in enumerate(history):
        best.consider(numbers, [number])
    return best.weights[0]


EQUAL_AP50 = epochs((0.5, 0.1, 3.0), (0.5, 0.3, 5.0), (0.5, 0.2, 1.0))


def test_of_equal_ap50_the_highest_ap_is_kept_and_then_the_lowest_loss():
    assert kept_by(Best(0.0, [None]), EQUAL_AP50) == 1
    assert kept_by(Best(0.0, [None]), epochs((0.5, 0.3, 5.0), (0.5, 0.3, 4.0))) == 1


@pytest.mark.parametrize("last", EQUAL_AP50 + epochs((0.6, 0.0, 9.0), (math.nan, 1.0, 0.0)))
def test_without_tolerance_the_highest_rank_is_kept(last):
    for order in product(EQUAL_AP50, repeat=3):
        history = [*order, last]
        best = history[kept_by(Best(0.0, [None]), history)]
        assert best == max(history, key=rank)


def test_within_tolerance_ap_decides():
    history = epochs((0.90, 0.50, 1.0), (0.92, 0.40, 1.0), (0.91, 0.60, 1.0), (0.80, 0.90, 1.0))
    assert kept_by(Best(0.02, [None]), history) == 2
    assert kept_by(Best(0.0, [None]), history) == 1
