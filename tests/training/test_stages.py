import importlib.util
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from batches_cases import write_pictures
from learner_cases import (
    SPEC,
    PlainLearner,
    batches_of,
    plain_learner,
    small_learner,
    small_network,
)

from yolo3.data.augmentation import Augmentation
from yolo3.network.loss import COMPONENTS
from yolo3.training.stages import LAST_RATE, Stage, frozen_layers, overfitting, prepare, run_stage
from yolo3.training.validation import validate

BODY = ("conv_1", "conv_1_bn", "conv_2", "conv_2_bn")
OUTPUTS = ("output_32", "output_16")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"), 6)


@pytest.fixture
def training(pictures):
    return batches_of(pictures, augmentation=Augmentation(), seed=1)


def weights_of(network):
    return {layer.name: layer.get_weights() for layer in network.layers if layer.weights}


def same(a, b, names):
    return [
        name
        for name in names
        if all(np.array_equal(x, y) for x, y in zip(a[name], b[name], strict=True))
    ]


class Told:
    """Answer as a validation would, with the numbers that it was told; keep the weights seen."""

    def __init__(self, learner, ap50s, losses=None, aps=None):
        told = zip(ap50s, losses or [1.0] * 99, aps or [0.0] * 99, strict=False)
        self.learner, self.answers = learner, list(told)
        self.weights, self.epochs, self.reports = [], [], []

    def validate(self):
        ap50, loss, ap = self.answers[len(self.weights)]
        self.weights.append(weights_of(self.learner.network))
        return {"val_AP50": ap50, "val_AP": ap, "val_loss": loss}

    def on_epoch(self, epoch, numbers):
        self.epochs.append(epoch)
        self.reports.append(numbers)


def run_told(stage, training, folder, ap50s, losses=None, aps=None):
    learner = plain_learner()
    told = Told(learner, ap50s, losses, aps)
    history = run_stage(learner, stage, training, told.validate, told.on_epoch, folder)
    return learner, told, history


def test_freezing_the_body_keeps_its_weights_and_statistics_to_the_bit(training, tmp_path):
    learner = plain_learner()
    frozen = frozen_layers(learner.network, "body", filled=BODY)
    before = weights_of(learner.network)
    told = Told(learner, [0.1, 0.2])
    stage = Stage("frozen", 2, 0.1, frozen)
    run_stage(learner, stage, training, told.validate, told.on_epoch, tmp_path)
    assert same(before, weights_of(learner.network), BODY + OUTPUTS) == list(BODY)
    assert all(layer.trainable for layer in learner.network.layers)


def test_freezing_the_backbone_trains_what_was_not_filled(training, tmp_path):
    learner = plain_learner()
    frozen = frozen_layers(learner.network, "backbone", filled=("conv_1", "conv_1_bn"))
    before = weights_of(learner.network)
    told = Told(learner, [0.1])
    run_stage(
        learner, Stage("frozen", 1, 0.1, frozen), training, told.validate, told.on_epoch, tmp_path
    )
    after = weights_of(learner.network)
    assert same(before, after, BODY + OUTPUTS) == ["conv_1", "conv_1_bn"]
    assert (after["conv_2_bn"][2] != before["conv_2_bn"][2]).any()  # the moving mean


def test_the_stage_after_a_frozen_one_trains_everything(training, tmp_path):
    learner = plain_learner()
    told = Told(learner, [0.1, 0.2])
    for stage in (Stage("frozen", 1, 0.1, frozenset(BODY)), Stage("all", 1, 0.1, first_epoch=1)):
        before = weights_of(learner.network)
        run_stage(learner, stage, training, told.validate, told.on_epoch, tmp_path)
    assert same(before, weights_of(learner.network), BODY + OUTPUTS) == []


def test_what_is_frozen():
    network = small_network()
    assert frozen_layers(network, "body", filled=BODY) == set(BODY)
    assert frozen_layers(network, "body", filled=("conv_1",)) == set(BODY)
    assert frozen_layers(network, "backbone", filled=("conv_1", "output_32")) == {"conv_1"}
    assert frozen_layers(network, "none", filled=BODY) == frozenset()


@pytest.mark.parametrize("freeze", ["body", "backbone", "none"])
def test_where_nothing_was_filled_nothing_is_frozen(freeze):
    assert frozen_layers(small_network(), freeze, filled=()) == frozenset()


def test_unknown_freeze_is_named():
    with pytest.raises(ValueError, match="must be one of body, backbone, none, got 'half'"):
        frozen_layers(small_network(), "half", filled=BODY)


def test_the_last_epochs_weights_are_the_result_and_kept_on_disk(training, tmp_path):
    stage = Stage("finetune", 4, 0.1)
    learner, told, history = run_told(stage, training, tmp_path, [0.2, 0.9, 0.5, 0.6])
    assert [numbers["val_AP50"] for numbers in history] == [0.2, 0.9, 0.5, 0.6]
    last = weights_of(learner.network)
    assert [same(last, seen, last) == list(last) for seen in told.weights] == [0, 0, 0, 1]
    kept = keras.models.load_model(tmp_path / "finetune.keras", compile=False)
    assert same(last, weights_of(kept), last) == list(last)


def test_a_copy_that_cannot_be_written_ends_nothing(training, tmp_path, capsys):
    (tmp_path / "finetune.keras").mkdir()
    stage = Stage("finetune", 1, 0.1)
    learner, _, history = run_told(stage, training, tmp_path, [0.2])
    assert len(history) == 1 and "finetune.keras was not written (" in capsys.readouterr().out
    assert not (tmp_path / "new-finetune.keras").exists()


def history_of(aps):
    return [{"epoch": 11 + number, "val_AP": ap} for number, ap in enumerate(aps)]


def test_overfitting_is_noticed_and_told(training, tmp_path, capsys):
    rising = [0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4, 0.4]
    said = overfitting(history_of([*rising, 0.35, 0.3, 0.3, 0.3, 0.3]))
    assert said.startswith("overfitting: validation AP was 0.400 around epoch 16 and is 0.310 at ")
    assert overfitting(history_of([*rising, 0.4, 0.5, 0.39, 0.4])) == ""  # luck of one epoch
    assert overfitting(history_of([*rising, 0.3])) == ""  # too short to say
    assert overfitting([]) == ""
    run_told(Stage("s", 12, 0.1), training, tmp_path, [0.9] * 12, aps=[0.5] * 6 + [0.2] * 6)
    assert "\ns: overfitting: validation AP was 0.500 around" in capsys.readouterr().out


def test_the_optimizer_has_its_variables_before_the_first_step():
    """Made within that step, they would have TensorFlow trace it twice."""
    learner = plain_learner()
    prepare(learner, Stage("frozen", 1, 0.1, frozenset(BODY)), steps_per_epoch=4)
    assert learner.optimizer.built


def test_no_epochs_change_nothing(training, tmp_path):
    learner = plain_learner()
    before = weights_of(learner.network)
    told = Told(learner, [])
    stage = Stage("frozen", 0, 0.1, frozenset(BODY))
    history = run_stage(learner, stage, training, told.validate, told.on_epoch, tmp_path / "logs")
    assert history == told.epochs == told.weights == []
    assert same(before, weights_of(learner.network), before) == list(before)
    assert not (tmp_path / "logs").exists()
    assert all(layer.trainable for layer in learner.network.layers)


@pytest.fixture
def drawn(training, monkeypatch):
    """Keep the epoch of each image that is drawn."""
    drawn = []
    sample = type(training)._sample
    monkeypatch.setattr(
        type(training),
        "_sample",
        lambda self, number, epoch, position: (
            drawn.append(epoch) or sample(self, number, epoch, position)
        ),
    )
    return drawn


def test_epochs_go_on_where_the_stage_before_ended(training, drawn, tmp_path):
    training.epoch = 0
    stage = Stage("finetune", 2, 0.1, first_epoch=5)
    _, told, history = run_told(stage, training, tmp_path, [0.1, 0.2])
    assert told.epochs == [5, 6]
    assert [numbers["epoch"] for numbers in history] == [6, 7]  # people count from 1
    assert sorted(set(drawn)) == [5, 6]
    assert training.epoch == 7


def test_what_a_trainer_takes_before_the_first_epoch_is_no_epoch(training, drawn, tmp_path):
    """Keras's trainers begin and end an epoch that is none, as the one on JAX does to build."""

    class Peeking(PlainLearner):
        def fit(self, batches, **options):
            batches.on_epoch_begin()
            batches.on_epoch_end()
            return super().fit(batches, **options)

    learner = Peeking(small_network(), SPEC)
    told = Told(learner, [0.1, 0.2])
    stage = Stage("finetune", 2, 0.1, first_epoch=5)
    run_stage(learner, stage, training, told.validate, told.on_epoch, tmp_path)
    assert sorted(set(drawn)) == [5, 6] and training.epoch == 7


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_epochs_are_the_same_on_jax():
    """The same tests on the other backend, which a process chooses once."""
    here = Path(__file__).parent
    tests = (
        "test_learner.py::test_fit_counts_its_epochs",
        "test_stages.py::test_epochs_go_on_where_the_stage_before_ended",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
        + [str(here / test) for test in tests],
        cwd=here.parents[1],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout


def test_report_holds_every_number_and_the_rate_falls(training, tmp_path, capsys):
    stage = Stage("finetune", 8, 0.5)
    _, told, history = run_told(stage, training, tmp_path, [0.1 * n for n in range(8)])
    names = {"loss", *COMPONENTS, "val_loss", "val_AP50", "val_AP"}
    names |= {"learning_rate", "images_per_second"}
    for numbers, reported in zip(history, told.reports, strict=True):
        assert set(reported) == names
        assert {name: numbers[name] for name in names} == reported
        assert all(isinstance(float(value), float) for value in reported.values())
    rates = [numbers["learning_rate"] for numbers in history]
    assert max(rates) == pytest.approx(0.5, rel=0.05)
    assert rates.index(max(rates)) <= 1
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[-1] == pytest.approx(0.5 * LAST_RATE, rel=0.2)
    need, *lines = capsys.readouterr().out.splitlines()
    assert need.startswith("finetune: needs about 0.")
    assert len(lines) == 8
    assert lines[1].startswith("finetune 2/8  loss ")
    assert "val AP50 0.100  AP 0.000  " in lines[1]


def test_same_seed_gives_the_same_numbers_to_the_bit(pictures, tmp_path):
    results = []
    for run, workers in enumerate((1, 2)):
        learner = small_learner(seed=4)
        random.seed(run)  # what else draws from Python's own generator must not matter
        training = batches_of(pictures, augmentation=Augmentation(), seed=4, workers=workers)
        checking = batches_of(pictures)
        history = run_stage(
            learner,
            Stage("s", 2, 0.05),
            training,
            lambda learner=learner, checking=checking: validate(learner, checking, pictures),
            lambda epoch, numbers: None,
            tmp_path / str(run),
        )
        for numbers in history:
            del numbers["images_per_second"]
        results.append((history, weights_of(learner.network)))
    (history, weights), (second_history, second_weights) = results
    assert history == second_history
    assert same(weights, second_weights, weights) == list(weights)


def test_tensorboard_gets_its_events(training, tmp_path):
    run_told(Stage("finetune", 1, 0.1), training, tmp_path, [0.1])
    events = list((tmp_path / "finetune").rglob("events.out.tfevents.*"))
    assert events
    assert sum(path.stat().st_size for path in events) > 200
    text = b"".join(path.read_bytes() for path in events)
    assert b"epoch_box_loss" in text
    assert b"epoch_AP50" in text or b"epoch_val_AP50" in text


def test_reduced_precision_trains(pictures, tmp_path):
    learner = small_learner(precision="mixed_bfloat16")
    before = weights_of(learner.network)
    training = batches_of(pictures, augmentation=Augmentation(), seed=1)
    checking = batches_of(pictures)
    (numbers,) = run_stage(
        learner,
        Stage("s", 1, 0.01),
        training,
        lambda: validate(learner, checking, pictures),
        lambda epoch, numbers: None,
        tmp_path,
    )
    assert all(math.isfinite(value) for value in numbers.values())
    after = weights_of(learner.network)
    assert same(before, after, before) == []
    assert {array.dtype for arrays in after.values() for array in arrays} == {np.dtype("float32")}
