import numpy as np
from learner_cases import plain_learner

from yolo3.training.recipe import (
    EPOCHS,
    IMAGES_SEEN,
    SAMPLE_EPOCHS,
    choose_epochs,
    choose_initial_lr,
    expected_minutes,
)


def test_few_images_get_many_epochs_within_limits():
    least, most = EPOCHS
    assert choose_epochs(120, is_sample=False) == round(IMAGES_SEEN / 120)
    assert choose_epochs(1, is_sample=False) == most
    assert choose_epochs(100_000, is_sample=False) == least
    assert choose_epochs(120, is_sample=True) == SAMPLE_EPOCHS


def test_outputs_that_place_boxes_already_get_the_lower_rate():
    assert choose_initial_lr(True) < choose_initial_lr(False)


def test_expected_minutes_grow_with_images_and_epochs_and_change_no_weight():
    learner = plain_learner()
    learner.compile()
    before = [np.array(weight) for weight in learner.network.weights]
    few = expected_minutes(learner, 10, 2, epochs=1)
    assert 0 < few < 1
    assert expected_minutes(learner, 1000, 200, epochs=10) > 50 * few
    for weight, old in zip(learner.network.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)
