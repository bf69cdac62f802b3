"""A stage that ended before its time, and went on from what it kept."""

import math
from dataclasses import replace

import keras
import numpy as np
import pytest
from batches_cases import write_pictures
from learner_cases import batches_of, plain_learner

from yolo3.data.augmentation import Augmentation
from yolo3.data.pictures import DataError
from yolo3.training.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from yolo3.training.interrupt import Interrupted
from yolo3.training.stages import LossNotFinite, Stage, run_stage

STAGE = Stage("s", 4, 0.05, frozenset({"conv_1", "conv_1_bn"}), first_epoch=2)
SCORES = {3: 0.2, 4: 0.9, 5: 0.5, 6: 0.6}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"), 6)


class Trial:
    """Run a stage in a process of its own, as far as the learner can tell."""

    def __init__(self, pictures, folder, stage=STAGE, scores=SCORES, seed=0):
        self.learner = plain_learner(seed)
        self.batches = batches_of(pictures, augmentation=Augmentation(), seed=1)
        self.folder, self.stage, self.scores = folder, stage, scores
        self.file = folder / "checkpoint.npz"
        self.epochs, self.steps = [], 0

    def run(self, stop_after=math.inf, resume=False):
        """Train; stop_after: steps after which it is asked to stop."""

        def asked_to_stop():
            self.steps += 1
            return self.steps >= stop_after

        return run_stage(
            self.learner,
            self.stage,
            self.batches,
            self.validate,
            lambda epoch, numbers: self.epochs.append(epoch + 1),
            self.folder,
            keep=lambda state: write_checkpoint(self.file, state, {}),
            resumed=read_checkpoint(self.file)[0] if resume else None,
            asked_to_stop=asked_to_stop,
        )

    def validate(self):
        epoch = self.batches.epoch  # counted from 1, once it has passed
        mean = float(np.mean([np.mean(w) for w in self.weights()]))
        return {"val_AP50": self.scores[epoch], "val_AP": mean, "val_loss": mean}

    def weights(self):
        return [np.array(weight) for weight in self.learner.network.weights]


def without_clock(history):
    return [{k: v for k, v in row.items() if k != "images_per_second"} for row in history]


@pytest.fixture(scope="module")
def whole(pictures, tmp_path_factory):
    trial = Trial(pictures, tmp_path_factory.mktemp("whole"))
    return without_clock(trial.run()), trial.weights()


@pytest.mark.parametrize(
    ("stop_after", "done"),
    [(1, 0), (2, 0), (3, 1), (4, 1), (8, 2), (15, 4)],
    ids=[
        "first step",
        "second step",
        "last step",
        "epoch's end",
        "later epoch",
        "last step of all",
    ],
)
def test_what_is_resumed_equals_what_was_never_stopped(pictures, whole, tmp_path, stop_after, done):
    """Three steps to an epoch; asked after each, and once more when the epoch has ended."""
    first = Trial(pictures, tmp_path)
    if done < 4:
        with pytest.raises(Interrupted, match=f"^s, {done} epochs done$"):
            first.run(stop_after)
    else:
        first.run(stop_after)
    assert first.epochs == [3, 4, 5, 6][:done]
    second = Trial(pictures, tmp_path, seed=9)  # other weights, until the checkpoint is read
    if done:
        history = second.run(resume=True)
        assert second.epochs == [3, 4, 5, 6][done:]
    else:
        assert not first.file.exists()
        second = Trial(pictures, tmp_path)
        history = second.run()
    assert without_clock(history) == whole[0]
    for found, expected in zip(second.weights(), whole[1], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_an_interrupted_stage_leaves_the_weights_of_its_last_whole_epoch(pictures, tmp_path):
    trial = Trial(pictures, tmp_path)
    with pytest.raises(Interrupted):
        trial.run(stop_after=10)  # within the third epoch
    state, _ = read_checkpoint(trial.file)
    assert len(state.history) == 2
    for found, last in zip(trial.weights(), state.weights, strict=True):
        np.testing.assert_array_equal(found, last)
    assert all(layer.trainable for layer in trial.learner.network.layers)
    saved = keras.models.load_model(tmp_path / "s.keras", compile=False)
    for found, last in zip(saved.get_weights(), trial.learner.network.get_weights(), strict=True):
        np.testing.assert_array_equal(found, last)


def test_a_checkpoint_of_another_stage_is_refused(pictures, tmp_path):
    first = Trial(pictures, tmp_path)
    with pytest.raises(Interrupted):
        first.run(stop_after=5)
    unfrozen = Trial(pictures, tmp_path, replace(STAGE, frozen=frozenset()))
    with pytest.raises(CheckpointError, match="optimizer do not fit"):
        unfrozen.run(resume=True)


def test_a_loss_that_is_no_number_stops_and_names_the_pictures(pictures, tmp_path):
    trial = Trial(pictures, tmp_path)
    compute_loss = trial.learner.compute_loss
    calls = []

    def explode(*args, **kwargs):
        calls.append(1)
        loss = compute_loss(*args, **kwargs)
        return loss * math.nan if len(calls) == 5 else loss

    trial.learner.compute_loss = explode
    with pytest.raises(LossNotFinite) as told:
        trial.run()
    message = str(told.value)
    assert message.startswith("s: the loss is no finite number in epoch 4, over ")
    names = trial.batches.names(3, 1)
    assert len(names) == 2 and all(name in message for name in names)
    assert "initial_lr" in message and "float32" in message
    assert len(calls) == 5 and trial.epochs == [3]
    state, _ = read_checkpoint(trial.file)  # the last good weights
    for found, kept in zip(trial.weights(), state.weights, strict=True):
        assert np.isfinite(found).all()
        np.testing.assert_array_equal(found, kept)


def test_a_picture_that_is_gone_is_named(tmp_path):
    pictures = write_pictures(tmp_path / "pictures", 6)
    trial = Trial(pictures, tmp_path)
    pictures[3].path.unlink()
    with pytest.raises(DataError, match=r"3\.png was readable when it was checked.*does not exist"):
        trial.run()
    assert all(layer.trainable for layer in trial.learner.network.layers)
