import numpy as np
import pytest

from yolo3.evaluation.ap import Candidates
from yolo3.evaluation.curves import threshold_curves


def curves_of(scores, hits, truth_count):
    return threshold_curves(Candidates(np.array(scores, float), np.array(hits, bool), truth_count))


def test_the_best_threshold_lies_between_kept_and_dropped():
    curves = curves_of([0.9, 0.8, 0.4, 0.2], [1, 1, 0, 0], 2)
    assert curves.best_threshold == pytest.approx(0.6)
    assert (curves.best_f1, curves.best_precision, curves.best_recall) == (1.0, 1.0, 1.0)


def test_curves_by_hand():
    curves = curves_of([0.9, 0.6, 0.3], [1, 0, 1], 4)
    np.testing.assert_allclose(curves.precision, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(curves.recall, [1 / 4, 1 / 4, 2 / 4])
    np.testing.assert_allclose(curves.f1, [2 / 5, 2 / 6, 4 / 7])
    assert curves.best_threshold == pytest.approx(0.15)


def test_equal_scores_are_kept_or_dropped_together():
    curves = curves_of([0.5, 0.5, 0.5], [0, 1, 1], 2)
    np.testing.assert_allclose(curves.thresholds, [0.5])
    np.testing.assert_allclose(curves.precision, [2 / 3])


def test_a_threshold_keeps_scores_that_equal_it():
    curves = curves_of([0.9, 0.6], [1, 1], 2)
    np.testing.assert_allclose(
        curves.at(np.array([0.95, 0.9, 0.7, 0.6, 0.0]))[1], [0, 0.5, 0.5, 1, 1]
    )


@pytest.mark.parametrize(
    ("scores", "hits", "truth_count"), [([], [], 0), ([], [], 3), ([0.9], [0], 0), ([0.9], [0], 3)]
)
def test_without_a_hit_the_threshold_is_undecided(scores, hits, truth_count):
    curves = curves_of(scores, hits, truth_count)
    assert (curves.best_threshold, curves.best_f1) == (0.5, 0.0)
    assert np.isfinite(curves.at(np.array([0.0, 0.5, 1.0]))).all()
