"""The two stages of transfer learning, each one call of `run_stage`."""

import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from yolo3.data.batches import Batches
from yolo3.network.model import output_layers
from yolo3.training.checkpoint import StageState, arrays_of, fill_variables
from yolo3.training.interrupt import Interrupted
from yolo3.training.learner import Learner
from yolo3.training.memory import check_memory, explain_exhaustion

FREEZE = ("body", "backbone", "none")
WARM_UP = 0.1
"""Part of a stage's steps in which the learning rate rises linearly from nothing."""
LAST_RATE = 0.02
"""Where the cosine ends, as a part of the learning rate."""
WEIGHT_DECAY = 5e-4
OVERFIT = 0.02
"""Validation AP, as a mean of SMOOTHED epochs, by which a stage was better before its end."""
SMOOTHED = 5


class LossNotFinite(ValueError):
    """Say that the loss stopped being a number, over which pictures, and what to try."""

    def __init__(self, stage, epoch, names):
        super().__init__(
            f"{stage.name}: the loss is no finite number in epoch {epoch + 1}, over "
            f"{', '.join(names)}. Try a lower initial_lr or precision float32, and look at the "
            "boxes of these pictures (python -m yolo3 check)"
        )


@dataclass(frozen=True)
class Stage:
    """Say what one stage trains and for how long.

    frozen: names of the layers that keep their weights and their batch statistics.
    first_epoch: number of its first epoch on the axis that the stages share.
    """

    name: str
    epochs: int
    learning_rate: float
    frozen: frozenset[str] = field(default_factory=frozenset)
    first_epoch: int = 0


def frozen_layers(network: keras.Model, freeze: str, filled: tuple[str, ...]) -> frozenset[str]:
    """Name the layers to freeze.

    `body`: all but the output convolutions. `backbone`: those that a weights file filled, outputs
    excepted. `none`: none. Nothing is frozen where nothing was filled, since frozen random weights
    learn nothing.
    """
    if freeze not in FREEZE:
        raise ValueError(f"freeze must be one of {', '.join(FREEZE)}, got {freeze!r}")
    outputs = {layer.name for layer in output_layers(network)}
    if freeze == "none" or not filled:
        return frozenset()
    names = {layer.name for layer in network.layers if layer.weights} - outputs
    return frozenset(names if freeze == "body" else names & set(filled))


def run_stage(
    learner: Learner,
    stage: Stage,
    batches: Batches,
    validate: Callable[[], dict[str, float]],
    on_epoch: Callable[[int, dict[str, float]], None],
    folder: Path,
    *,
    keep: Callable[[StageState], None] = lambda state: None,
    resumed: StageState | None = None,
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> list[dict[str, float]]:
    """Train one stage to the end of its schedule; the last epoch's weights are the result.

    No epoch is chosen by its validation: with few validation images that picks luck, and mostly an
    epoch whose learning rate was still high (docs/choices.md).

    on_epoch: called after each epoch with its place on the common axis, from 0, and its numbers.
    folder: where TensorBoard's events go, and `<stage>.keras` when the stage ends, also by an
        error.
    keep: called after on_epoch with where the stage stands then.
    resumed: where an earlier process left this stage; the stage goes on from there.
    asked_to_stop: asked after each step; the step's epoch is given up then, since what is resumed
        begins with a whole one.
    Returns the numbers of each epoch, which count from 1; none where the stage has no epochs, and
    nothing changes then.
    Raises MemoryNeeded where the stage does not fit into memory; Interrupted, LossNotFinite, or
    DataError for a picture that is gone: the learner then has the weights of the last whole epoch,
    or those that the stage began with.
    """
    if not stage.epochs:
        return []
    check_memory(stage.name, learner, stage.frozen, batches)
    prepare(learner, stage, len(batches))
    begun = arrays_of(learner.network.weights)
    report = _Report(stage, batches, validate, begun, on_epoch, keep, asked_to_stop)
    if resumed:
        _go_on(learner, resumed, report)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if not (resumed and resumed.ended):
            _fit(learner, stage, batches, report, folder)
    finally:
        fill_variables(learner.network.weights, report.weights, "weights")
        for layer in learner.network.layers:
            layer.trainable = True
        if report.history:
            _save(learner.network, folder / weights_file(stage.name))
    if lost := overfitting(report.history):
        print(f"{stage.name}: {lost}", flush=True)
    return report.history


def overfitting(history: Sequence[dict[str, float]]) -> str:
    """Say whether a stage was better before its end, by validation AP; empty if it was not.

    AP is a mean over SMOOTHED epochs: one epoch's is mostly luck where validation images are few.
    """
    if len(history) < 2 * SMOOTHED:
        return ""
    found = [numbers["val_AP"] for numbers in history]
    means = np.convolve(found, np.ones(SMOOTHED) / SMOOTHED, "valid")
    if not means.max() - means[-1] > OVERFIT:
        return ""
    best = history[int(means.argmax()) + SMOOTHED // 2]["epoch"]
    return (
        f"overfitting: validation AP was {means.max():.3f} around epoch {best} and is "
        f"{means[-1]:.3f} at the end (means of {SMOOTHED} epochs); more images help, or fewer "
        "epochs"
    )


def _save(network: keras.Model, path: Path) -> None:
    """Write a copy for the user; a disk that does not take it ends nothing and hides no error."""
    whole = path.with_name(f"new-{path.name}")
    try:
        network.save(whole)
        os.replace(whole, path)
    except OSError as error:
        print(f"{path} was not written ({error}); the training goes on", flush=True)
    finally:
        whole.unlink(missing_ok=True)


def weights_file(stage_name: str) -> str:
    """Name the file with a stage's weights, which it writes however it ends."""
    return f"{stage_name}.keras"


def _go_on(learner, state, report):
    """Stand where an earlier process stood after its last epoch."""
    learner.optimizer.build(learner.trainable_variables)
    fill_variables(learner.network.weights, state.weights, "weights")
    fill_variables(learner.optimizer.variables, state.optimizer, "optimizer")
    report.history, report.weights = list(state.history), state.weights


def _fit(learner, stage, batches, report, folder):
    """Run Keras's fit over the epochs that remain; raise what ended it before its time."""
    batches.epoch = stage.first_epoch + len(report.history)
    try:
        explain_exhaustion(stage.name, batches.batch_size)(learner.fit)(
            batches,
            initial_epoch=batches.epoch,
            epochs=stage.first_epoch + stage.epochs,
            shuffle=False,  # the batches shuffle themselves, from their seed; Keras would not
            verbose=0,
            callbacks=[
                report,
                keras.callbacks.TensorBoard(str(folder / stage.name), write_graph=False),
            ],
        )
    except Exception as error:
        if batches.failure:  # TensorFlow tells it as an error of its own, with a traceback as text
            raise batches.failure from error
        raise
    if report.ended_by:
        raise report.ended_by


def prepare(learner: Learner, stage: Stage, steps_per_epoch: int) -> None:
    """Freeze what the stage freezes, and compile with its optimizer.

    The optimizer makes its variables here: made within the first step, they would have TensorFlow
    trace that step twice.
    """
    for layer in learner.network.layers:
        layer.trainable = layer.name not in stage.frozen
    learner.compile(optimizer=_optimizer(stage, steps_per_epoch))
    learner.optimizer.build(learner.trainable_variables)


def _optimizer(stage, steps_per_epoch):
    """AdamW (Loshchilov and Hutter 2019); biases and batch normalisation do not decay."""
    optimizer = keras.optimizers.AdamW(_schedule(stage, steps_per_epoch), weight_decay=WEIGHT_DECAY)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _schedule(stage, steps_per_epoch):
    """Rise linearly, then fall as a cosine (Loshchilov and Hutter 2017)."""
    steps = stage.epochs * steps_per_epoch
    rising = max(1, int(WARM_UP * steps))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=stage.learning_rate / 100,
        decay_steps=max(1, steps - rising),
        alpha=LAST_RATE,
        warmup_target=stage.learning_rate,
        warmup_steps=rising,
    )


class _Report(keras.callbacks.Callback):
    """Validate after each epoch, keep its weights, and tell a person how it goes."""

    def __init__(self, stage, batches, validate, weights, on_epoch, keep, asked_to_stop):
        super().__init__()
        self.history, self.weights = [], weights  # after the last whole epoch
        self.ended_by = None
        self._stage, self._batches = stage, batches
        self._validate, self._on_epoch, self._keep = validate, on_epoch, keep
        self._asked_to_stop = asked_to_stop
        self._bar = None

    def on_epoch_begin(self, epoch, logs=None):
        self._batches.epoch = epoch  # not counted: a trainer may take batches before the first
        done = epoch - self._stage.first_epoch + 1
        self._bar = tqdm(
            total=len(self._batches),
            desc=f"{self._stage.name} {done}/{self._stage.epochs}",
            unit="batch",
            leave=False,
            disable=not sys.stderr.isatty(),
        )
        self._began = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self._bar.update()
        self._bar.set_postfix(loss=f"{logs['loss']:.3f}")
        whole = batch == len(self._batches) - 1
        epoch = self._stage.first_epoch + len(self.history)
        if not math.isfinite(logs["loss"]):
            self._end(LossNotFinite(self._stage, epoch, self._batches.names(epoch, batch)))
        elif self._asked_to_stop() and not whole:
            self._end(Interrupted(f"{self._stage.name}, {len(self.history)} epochs done"))

    def _end(self, error):
        """End the training after this step; raised within a callback, it would leave threads."""
        self.ended_by = error
        self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._began
        self._bar.close()
        if self.ended_by:
            logs.clear()  # an epoch that broke off has no numbers, in TensorBoard neither
            return
        logs["images_per_second"] = len(self._batches) * self._batches.batch_size / seconds
        logs["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))
        logs.update(self._validate())
        self.weights = arrays_of(self.model.network.weights)
        self.history.append({"epoch": epoch + 1, **{n: float(v) for n, v in logs.items()}})
        ended = len(self.history) == self._stage.epochs
        self._on_epoch(epoch, {n: v for n, v in self.history[-1].items() if n != "epoch"})
        optimizer = arrays_of(self.model.optimizer.variables)
        name, history = self._stage.name, list(self.history)
        self._keep(StageState(name, ended, history, self.weights, optimizer))
        print(_line(self._stage, epoch, logs), flush=True)  # what is told is kept
        if self._asked_to_stop() and not ended:
            self._end(Interrupted(f"{self._stage.name}, {len(self.history)} epochs done"))


def _line(stage, epoch, numbers):
    done = epoch - stage.first_epoch + 1
    return (
        f"{stage.name} {done}/{stage.epochs}  loss {numbers['loss']:.3f}"
        f"  val loss {numbers['val_loss']:.3f}  val AP50 {numbers['val_AP50']:.3f}"
        f"  AP {numbers['val_AP']:.3f}  {numbers['images_per_second']:.1f} images/s"
    )
