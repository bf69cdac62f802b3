import re

import pytest

from yolo3.deploy.agreement import difference, is_sure

THRESHOLD = 0.3


def found(label="cup", score=0.8, xmin=100.0, side=100.0):
    return {"label": label, "score": score, "xmin": xmin, "ymin": 10.0, "xmax": xmin + side} | {
        "ymax": 10.0 + side
    }


CUP, HAT, FAR = found(), found("hat", 0.5), found(xmin=400.0)


@pytest.mark.parametrize(
    ("expected", "answered"),
    [
        ([CUP, HAT, FAR], [FAR, HAT, CUP]),
        ([CUP], [found(score=0.71, xmin=104.0)]),  # IoU 0.92
        ([CUP, found(score=0.39, xmin=300.0)], [CUP]),
        ([CUP], [CUP, found(score=0.39, xmin=300.0)]),
        ([CUP, found(score=0.35)], [CUP, found(score=0.44)]),
        ([CUP, found(score=0.35, xmin=300.0)], [CUP, found(score=0.35, xmin=350.0)]),
    ],
)
def test_small_differences_agree(expected, answered):
    assert difference(expected, answered, THRESHOLD) == ""


@pytest.mark.parametrize(
    ("expected", "answered", "told"),
    [
        ([CUP], [], "expected 'cup' at 100, 10, 200, 110 with score 0.80, got nothing there"),
        ([CUP], [found("hat")], "expected 'cup' .* got nothing there"),
        ([CUP], [FAR], "expected 'cup' .* got nothing there"),
        ([CUP], [found(xmin=106.0)], "got 'cup' at 106, .* with IoU 0.89"),
        ([CUP], [found(score=0.69)], "got 'cup' .* score 0.69 with IoU 1.00"),
        ([found(score=0.35)], [found(score=0.46)], "got 'cup' .* score 0.46"),
        ([CUP], [CUP, FAR], "got 'cup' at 400, .* expected nothing there"),
        ([CUP], [CUP, HAT], "got 'hat' .* expected nothing there"),
        ([CUP, found(xmin=101.0)], [CUP], "expected 'cup' at 101, .* got nothing there"),
        ([CUP], [CUP, CUP], "got 'cup' at 100, .* expected nothing there"),
        ([CUP], [found(side=0.0)], "got nothing there"),
    ],
)
def test_what_differs_is_told(expected, answered, told):
    assert re.search(told, difference(expected, answered, THRESHOLD))


def test_an_object_is_sure_where_the_tolerance_cannot_hide_it():
    assert is_sure(found(score=0.41), THRESHOLD) and not is_sure(found(score=0.4), THRESHOLD)
