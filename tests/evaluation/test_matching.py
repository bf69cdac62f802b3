import numpy as np
import pytest
from evaluation_cases import found, picture_of

from yolo3.evaluation.matching import UNMATCHED, confusion_matrix, match

BOX = (10, 10, 50, 50)
FAR = (60, 60, 90, 90)


def test_missed_extra_and_confused_are_told_apart():
    truth = picture_of([(*BOX, 0), (*FAR, 1), (0, 80, 20, 100, 1)])
    outcome = match(truth, found([(*BOX, 0, 0.9), (*FAR, 0, 0.8), (70, 0, 90, 20, 1, 0.7)]), 0.5)
    np.testing.assert_array_equal(outcome.truth_of_detection, [0, 1, UNMATCHED])
    assert (outcome.missed.tolist(), outcome.extra.tolist()) == ([2], [2])
    assert outcome.confused.tolist() == [1]
    assert (outcome.errors, outcome.mean_iou) == (3, pytest.approx(1.0))


def test_the_better_score_takes_the_box_and_the_other_is_extra():
    outcome = match(picture_of([(*BOX, 0)]), found([(10, 10, 50, 40, 1, 0.9), (*BOX, 0, 0.8)]), 0.5)
    np.testing.assert_array_equal(outcome.truth_of_detection, [0, UNMATCHED])
    assert outcome.extra.tolist() == [1]


def test_of_equal_overlaps_the_own_class_is_taken():
    truth = picture_of([(*BOX, 0), (*BOX, 1)])
    outcome = match(truth, found([(*BOX, 1, 0.9), (*BOX, 0, 0.8)]), 0.5)
    np.testing.assert_array_equal(outcome.truth_of_detection, [1, 0])
    assert outcome.errors == 0


def test_scores_below_the_threshold_are_left_out():
    outcome = match(picture_of([(*BOX, 0)]), found([(*BOX, 0, 0.4)]), 0.5)
    assert (len(outcome.detections.scores), outcome.missed.tolist()) == (0, [0])
    assert outcome.mean_iou == 0.0


def test_a_picture_rightly_left_empty_is_perfect():
    outcome = match(picture_of([]), found([]), 0.5)
    assert (outcome.errors, outcome.mean_iou) == (0, 1.0)


def test_confusion_matrix_counts_every_box_once():
    truths = [picture_of([(*BOX, 0), (*FAR, 1)]), picture_of([(*BOX, 1)]), picture_of([])]
    detections = [
        found([(*BOX, 0, 0.9), (*FAR, 0, 0.8)]),
        found([]),
        found([(*BOX, 1, 0.9), (*FAR, 0, 0.1)]),
    ]
    outcomes = [match(*pair, 0.5) for pair in zip(truths, detections, strict=True)]
    expected = [
        [1, 0, 0],
        [1, 0, 1],
        [0, 1, 0],
    ]
    np.testing.assert_array_equal(confusion_matrix(truths, outcomes, 2), expected)


def test_confusion_matrix_of_no_pictures_is_zero():
    assert confusion_matrix([], [], 2).sum() == 0
