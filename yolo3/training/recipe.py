"""The recipe of a training: its version, and what it chooses where the user leaves it `auto`.

docs/choices.md says what each choice was compared with.
"""

import time

import numpy as np

from yolo3.training.learner import Learner
from yolo3.training.validation import VAL_BATCH_SIZE

RECIPE = 2
"""Raise it with any change after which the same settings train another detector."""

KEPT_OUTPUTS_LR, RANDOM_OUTPUTS_LR = 1e-3, 3e-3
IMAGES_SEEN = 6000
"""Images that the fine-tune stage draws in all, each a new augmentation: few images get many
epochs."""
EPOCHS = (10, 100)  # at least and at most
SAMPLE_EPOCHS = 20
STEP_COST = 3.4
"""A training step takes about this many times what its forward pass takes."""


def choose_initial_lr(outputs_filled: bool) -> float:
    """Choose the first stage's highest learning rate.

    outputs_filled: whether the output layers place boxes already, since the start weights filled
    them; a higher rate undoes what they know.
    """
    return KEPT_OUTPUTS_LR if outputs_filled else RANDOM_OUTPUTS_LR


def choose_epochs(images: int, is_sample: bool) -> int:
    """Choose the fine-tune stage's epochs for a number of training images."""
    least, most = EPOCHS
    return SAMPLE_EPOCHS if is_sample else min(max(round(IMAGES_SEEN / images), least), most)


def expected_minutes(learner: Learner, images: int, val_images: int, epochs: int) -> float:
    """Estimate from two forward passes how long this machine takes to fine-tune."""
    width, height = learner.spec.input_wh
    pixels = np.zeros((VAL_BATCH_SIZE, height, width, 3), np.uint8)
    learner.predict_on_batch(pixels)  # the first call compiles
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        learner.predict_on_batch(pixels)
        seconds.append(time.perf_counter() - began)
    passes = epochs * (STEP_COST * images + val_images)
    return passes * min(seconds) / VAL_BATCH_SIZE / 60
