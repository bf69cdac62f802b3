"""The two stages of transfer learning, each one call of `run_stage`."""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from yolo3.data.batches import Batches
from yolo3.network.model import output_layers
from yolo3.training.learner import Learner
from yolo3.training.memory import check_memory, explain_exhaustion

FREEZE = ("body", "backbone", "none")
WARM_UP = 0.1
"""Part of a stage's steps in which the learning rate rises linearly from nothing."""
LAST_RATE = 0.02
"""Where the cosine ends, as a part of the learning rate."""
WEIGHT_DECAY = 5e-4


@dataclass(frozen=True)
class Stage:
    """Say what one stage trains and for how long.

    frozen: names of the layers that keep their weights and their batch statistics.
    first_epoch: number of its first epoch on the axis that the stages share.
    patience: epochs without a better one after which it ends early.
    tolerance: validation AP50s that differ by no more are equal; see `run_stage`.
    """

    name: str
    epochs: int
    learning_rate: float
    frozen: frozenset[str] = field(default_factory=frozenset)
    first_epoch: int = 0
    patience: int = 20
    tolerance: float = 0.0


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
) -> list[dict[str, float]]:
    """Train one stage and leave the learner with the weights of its best epoch.

    The best epoch has the highest validation AP50; of those within the stage's tolerance of it the
    highest validation AP, and then the lowest validation loss. So one box more or less, which among
    few pictures is luck, does not end a training whose boxes still become tighter.
    on_epoch: called after each epoch with its place on the common axis, from 0, and its numbers.
    folder: where `<stage>-best.keras` and TensorBoard's events go.
    Returns the numbers of each epoch, which count from 1; none where the stage has no epochs, and
    nothing changes then. Raises MemoryNeeded where the stage does not fit into memory.
    """
    if not stage.epochs:
        return []
    check_memory(stage.name, learner, stage.frozen, batches)
    prepare(learner, stage, len(batches))
    batches.epoch = stage.first_epoch
    folder.mkdir(parents=True, exist_ok=True)
    best = _Best(folder / f"{stage.name}-best.keras", stage.tolerance)
    report = _Report(stage, batches, validate, best, on_epoch)
    explain_exhaustion(stage.name, batches.batch_size)(learner.fit)(
        batches,
        initial_epoch=stage.first_epoch,
        epochs=stage.first_epoch + stage.epochs,
        shuffle=False,  # the batches shuffle themselves, from their seed; Keras would not
        verbose=0,
        callbacks=[
            report,
            keras.callbacks.TensorBoard(str(folder / stage.name), write_graph=False),
        ],
    )
    best.restore(learner)
    for layer in learner.network.layers:
        layer.trainable = True
    return report.history


def prepare(learner: Learner, stage: Stage, steps_per_epoch: int) -> None:
    """Freeze what the stage freezes, and compile with its optimizer."""
    for layer in learner.network.layers:
        layer.trainable = layer.name not in stage.frozen
    learner.compile(optimizer=_optimizer(stage, steps_per_epoch))


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


class _Best:
    """Keep the best weights on disk, and count the epochs since."""

    def __init__(self, path, tolerance):
        self.path = path
        self.waited = 0
        self._tolerance = tolerance
        self._highest = -math.inf  # AP50 of any epoch
        self._kept = None  # AP50, AP and -loss of the epoch whose weights are on disk

    def consider(self, learner, numbers):
        """Save the weights if they are the best so far; tell whether they are."""
        measured = (numbers["val_AP50"], numbers["val_AP"], -numbers["val_loss"])
        standing = tuple(map(_or_worst, measured))
        self._highest = max(self._highest, standing[0])
        if self._kept is not None and not self._beats(standing):
            self.waited += 1
            return False
        self._kept, self.waited = standing, 0
        learner.network.save(self.path)
        return True

    def _beats(self, standing):
        bar = self._highest - self._tolerance
        if standing[0] < bar or self._kept[0] < bar:
            return standing[0] > self._kept[0]
        return standing[1:] > self._kept[1:]

    def restore(self, learner):
        learner.network.load_weights(self.path)


def _or_worst(number):
    return -math.inf if math.isnan(number) else number


class _Report(keras.callbacks.Callback):
    """Validate after each epoch, keep the best weights, and tell a person how it goes."""

    def __init__(self, stage, batches, validate, best, on_epoch):
        super().__init__()
        self.history = []
        self._stage, self._batches = stage, batches
        self._validate, self._best, self._on_epoch = validate, best, on_epoch
        self._bar = None

    def on_epoch_begin(self, epoch, logs=None):
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

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._began
        self._bar.close()
        logs["images_per_second"] = len(self._batches) * self._batches.batch_size / seconds
        logs["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))
        logs.update(self._validate())
        better = self._best.consider(self.model, logs)
        self.history.append({"epoch": epoch + 1, **logs})
        print(_line(self._stage, epoch, logs, better), flush=True)
        self._on_epoch(epoch, dict(logs))
        if self._best.waited >= self._stage.patience:
            print(f"{self._stage.name}: no better epoch for {self._stage.patience}, stops")
            self.model.stop_training = True


def _line(stage, epoch, numbers, better):
    done = epoch - stage.first_epoch + 1
    return (
        f"{stage.name} {done}/{stage.epochs}  loss {numbers['loss']:.3f}"
        f"  val loss {numbers['val_loss']:.3f}  val AP50 {numbers['val_AP50']:.3f}"
        f"{' *' if better else '  '}  {numbers['images_per_second']:.1f} images/s"
    )
