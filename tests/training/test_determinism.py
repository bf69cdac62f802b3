import subprocess
import sys
from functools import partial

import keras
import pytest
from batches_cases import write_pictures
from job_cases import PROJECT
from learner_cases import SPEC, batches_of, small_network

from yolo3.data.augmentation import Augmentation
from yolo3.detector.cores import schedulable_cores
from yolo3.network.weights import weights_digest
from yolo3.training import determinism
from yolo3.training.determinism import (
    DeterminismError,
    Threads,
    running_threads,
    settle,
)
from yolo3.training.learner import Learner
from yolo3.training.stages import Stage, run_stage
from yolo3.training.validation import validate

TIMES = ("images_per_second",)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"), 7)


@pytest.fixture(scope="module")
def train(pictures, tmp_path_factory):
    """Give a function that trains the small network; it tells its numbers and its digest."""

    def trained(precision, workers):
        settle(1)
        learner = Learner(small_network(precision), SPEC)
        batches = batches_of(pictures, augmentation=Augmentation(), seed=1, workers=workers)
        checking = partial(validate, learner, batches_of(pictures), pictures)
        stage, folder = Stage("training", 2, 1e-2), tmp_path_factory.mktemp("logs")
        history = run_stage(learner, stage, batches, checking, lambda *_: None, folder)
        numbers = [{k: v for k, v in epoch.items() if k not in TIMES} for epoch in history]
        return numbers, weights_digest(learner.network)

    return trained


@pytest.fixture(scope="module")
def first(train):
    return {precision: train(precision, 1) for precision in ("float32", "mixed_bfloat16")}


@pytest.mark.parametrize(
    ("precision", "workers"), [("float32", 2), ("float32", 4), ("mixed_bfloat16", 4)]
)
def test_same_seed_same_bits_at_any_number_of_workers(train, first, precision, workers):
    again = train(precision, workers)
    assert again == first[precision]
    assert len(again[0]) == 2 and "val_AP" in again[0][0]


def test_another_precision_gives_other_bits(first):
    assert first["float32"][1] != first["mixed_bfloat16"][1]


def test_threads_are_set_once_and_then_stand():
    code = """
import keras
from yolo3.training.determinism import DeterminismError, running_threads, settle
settle(1, 3)
print(running_threads())
keras.ops.ones(3) + 1
settle(1, 3)
settle(2)
try:
    settle(1, 2)
except DeterminismError as error:
    print(error)
print(running_threads())
"""
    command = [sys.executable, "-c", code]
    told = subprocess.check_output(command, cwd=PROJECT, text=True, timeout=120).splitlines()
    three = str(Threads(3, 3))
    refused = (
        "threads=2: TensorFlow runs with 3 in this process already and cannot change it any more; "
        "start a new process"
    )
    assert told == [three, refused, three]


def test_asking_for_machine_and_precision_leaves_the_threads_to_be_set():
    code = """
from yolo3.evaluation.machine import describe
from yolo3.training.determinism import running_threads, settle
from yolo3.training.precision import choose_precision
describe(), choose_precision("auto")
settle(1, 3)
print(running_threads())
"""
    command = [sys.executable, "-c", code]
    told = subprocess.check_output(command, cwd=PROJECT, text=True, timeout=120)
    assert told.strip() == str(Threads(3, 3))


def test_a_process_that_computes_already_keeps_its_threads():
    keras.ops.ones(3) + 1
    running = running_threads()
    settle(1)
    assert running_threads() == running
    settle(1, running.intra_op)
    with pytest.raises(DeterminismError, match="start a new process"):
        settle(1, running.intra_op + 1)
    assert running_threads() == running


def test_other_backends_keep_their_own_threads(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    settle(1)
    assert running_threads() == Threads(None, None)
    with pytest.raises(DeterminismError, match="KERAS_BACKEND is jax; leave threads at 0"):
        settle(1, 2)


def test_an_environment_variable_of_tensorflow_counts_where_nobody_chose(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "5")
    assert determinism._own_choice("TF_NUM_INTRAOP_THREADS") == 5
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "0")
    assert determinism._own_choice("TF_NUM_INTRAOP_THREADS") == schedulable_cores()
