import numpy as np
import pytest
from detector_cases import make_photo

from yolo3.data.images import letterbox
from yolo3.detector.keras_engine import KerasEngine
from yolo3.detector.parity import Parity, compare_engines

BOXES = np.array([[[10, 10, 30, 20], [40, 8, 60, 40], [0, 0, 9, 9]]], np.float32)
SCORES = np.array([[[0.9, 0.1], [0.0, 0.3], [0.01, 0.02]]], np.float32)


def engine(boxes=BOXES, scores=SCORES):
    return lambda pixels: (boxes, scores)


@pytest.fixture(scope="module")
def prepared():
    return [letterbox(make_photo(seed, (192, 128)), (96, 64)) for seed in range(2)]


def test_an_engine_equals_itself(network, spec, prepared):
    keras_engine = KerasEngine(network, spec)
    found = compare_engines(keras_engine, keras_engine, prepared)
    assert found.pictures == 2 and found.candidates > 10
    assert (found.box_pixels, found.score) == (0.0, 0.0)


def test_differences_are_told_in_the_pictures_pixels_and_the_largest_counts(prepared):
    boxes, scores = BOXES.copy(), SCORES.copy()
    boxes[0, 0, 2] += 1.5
    boxes[0, 1, 1] -= 0.5
    scores[0, 1] = (0.25, 0.35)
    found = compare_engines(engine(), engine(boxes, scores), prepared)
    assert (found.pictures, found.candidates) == (2, 4)
    assert found.box_pixels == pytest.approx(3.0)  # the picture is twice as large as the input
    assert found.score == pytest.approx(0.25)


def test_unlikely_candidates_are_left_out_unless_one_engine_believes_in_them(prepared):
    boxes, scores = BOXES.copy(), SCORES.copy()
    boxes[0, 2] += 5
    assert compare_engines(engine(), engine(boxes), prepared).box_pixels == 0
    scores[0, 2, 0] = 0.6
    found = compare_engines(engine(), engine(boxes, scores), prepared)
    assert found.box_pixels == pytest.approx(10) and found.score == pytest.approx(0.59)
    assert compare_engines(engine(), engine(boxes), prepared, least_score=0.0).box_pixels == 10


def test_numbers_that_are_not_finite_differ_only_from_finite_ones(prepared):
    broken = BOXES.copy()
    broken[0, 1, 3] = np.nan
    assert compare_engines(engine(), engine(broken), prepared).box_pixels == np.inf
    assert compare_engines(engine(broken), engine(broken), prepared).box_pixels == 0
    lost = np.full_like(SCORES, np.nan)
    assert compare_engines(engine(), engine(scores=lost), prepared).score == np.inf
    assert compare_engines(engine(scores=lost), engine(scores=lost), prepared).candidates == 0


def test_no_pictures_and_other_shapes(prepared):
    assert compare_engines(engine(), engine(), []) == Parity()
    with pytest.raises(ValueError, match=r"shapes \(\(1, 3, 4\), .* got \(\(1, 2, 4\)"):
        compare_engines(engine(), engine(BOXES[:, :2]), prepared)


def test_metrics_have_names_that_mlflow_takes():
    assert Parity(3, 7, 0.5, 0.01).metrics() == {
        "parity_pictures": 3.0,
        "parity_candidates": 7.0,
        "parity_box_pixels": 0.5,
        "parity_score": 0.01,
    }
