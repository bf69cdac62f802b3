"""Change one choice at a time, and measure on pictures that training and selection never saw.

    python -m benchmarks.ablation --voc FOLDER [--voc FOLDER …] --seeds 2
    python -m benchmarks.ablation --voc voc --held-out FRESH_SCENES --input-size 416
    python -m benchmarks.ablation --voc FOLDER --seeds 3 --darknet yolov3-tiny.conv.11

Each folder (Pascal VOC) is read, a third held out (or, with --held-out, that folder judged and all
of the first trained on), and the rest trained on as the main job does, in few epochs, so that a row
takes a minute. Every row differs from the first, which is the project's default, in the one thing
that it names. With --darknet, the rows are what a training starts from instead, with
freeze=backbone: random weights, the shipped base, and that file. With --ways, they are ways to the
same training, which should make no difference.
Writes a markdown table.
"""

import json
import statistics
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import click
import keras
from keras import ops

from yolo3.data.augmentation import Augmentation
from yolo3.data.batches import Batches
from yolo3.data.labels.formats import read_labels
from yolo3.data.splits import split_pictures
from yolo3.detector.detector import Detector
from yolo3.detector.keras_engine import KerasEngine
from yolo3.evaluation.machine import describe
from yolo3.network import loss, model
from yolo3.network.formats import read_file
from yolo3.network.grid import encode
from yolo3.network.model import build_network
from yolo3.network.spec import make_spec, read_anchors
from yolo3.network.weights import fill
from yolo3.training import features, stages
from yolo3.training.features import Seen, see_features
from yolo3.training.learner import Learner
from yolo3.training.stages import Stage, frozen_layers, run_stage
from yolo3.training.validation import evaluate_detector, validate

MODEL_DATA = Path(__file__).parents[1] / "model_data"
BASE = MODEL_DATA / "yolo_tiny_base.keras"


@dataclass(frozen=True)
class Setup:
    """Hold what a row may change."""

    augmentation: Augmentation = Augmentation()
    rate: float = 1e-2
    fine_rate: float = 1e-3
    frozen_epochs: int = 4
    fine_epochs: int = 12
    base: Path | None = BASE
    freeze: str = "body"
    precision: str = "mixed_bfloat16"
    views: int = features.VIEWS  # that the first stage learns from; 0: computed in each epoch
    patches: tuple = ()  # (object, attribute, value)


def giou_xyxy(a, b):
    """Compare boxes, x1, y1, x2, y2 each, by generalised IoU (Rezatofighi et al. 2019)."""
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = a, b
    wide = ops.relu(ops.minimum(ax2, bx2) - ops.maximum(ax1, bx1))
    overlap = wide * ops.relu(ops.minimum(ay2, by2) - ops.maximum(ay1, by1))
    union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - overlap
    hull_w = ops.maximum(ax2, bx2) - ops.minimum(ax1, bx1)
    hull = ops.maximum(hull_w * (ops.maximum(ay2, by2) - ops.minimum(ay1, by1)), 1e-6)
    return overlap / ops.maximum(union, 1e-6) - (hull - union) / hull


def darknet_xyxy(a, b):
    """Stand in for Darknet's box term: squared errors of centre and of log size, 1 - their sum."""
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = a, b
    apart = ((ax1 + ax2 - bx1 - bx2) / 64) ** 2 + ((ay1 + ay2 - by1 - by2) / 64) ** 2

    def ratio(size, other):
        return (ops.log(ops.maximum(size, 1e-3)) - ops.log(ops.maximum(other, 1e-3))) ** 2

    return 1 - (apart + ratio(ax2 - ax1, bx2 - bx1) + ratio(ay2 - ay1, by2 - by1)) / 2


def sgd(stage, steps_per_epoch):
    """Build SGD with Nesterov momentum on the same schedule."""
    schedule = stages._schedule(stage, steps_per_epoch)
    return keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True)


def constant_rate(stage, steps_per_epoch):
    """Keep the learning rate as it is."""
    return stage.learning_rate


def averaging(stage, steps_per_epoch):
    """Keep a moving average of the weights, of about the last 20 steps."""
    schedule = stages._schedule(stage, steps_per_epoch)
    decay = stages.WEIGHT_DECAY
    optimizer = keras.optimizers.AdamW(schedule, decay, use_ema=True, ema_momentum=0.95)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


class Averaged(stages._Report):
    """Validate and keep the averages, and go on from the weights themselves."""

    def on_epoch_end(self, epoch, logs=None):
        swap = keras.callbacks.SwapEMAWeights()
        swap.set_model(self.model)
        swap.on_test_begin()
        super().on_epoch_end(epoch, logs)
        swap.on_test_end()


def _starts(darknet: Path) -> dict[str, Setup]:
    return {
        "random weights": Setup(base=None, views=0),
        "the shipped base": Setup(freeze="backbone", views=0),
        darknet.name: Setup(base=darknet, freeze="backbone", views=0),
    }


def _ways() -> dict[str, Setup]:
    """List the ways to the same training: arithmetic, and features of the frozen layers."""
    ways = {}
    for precision in ("float32", "mixed_bfloat16"):
        ways[f"{precision}, computed in each epoch"] = Setup(precision=precision)
        for views in (1, 2, 4):
            ways[f"{precision}, features of {views} views"] = Setup(
                precision=precision, views=views, patches=((features, "VIEWS", views),)
            )
    return ways


def _rows() -> dict[str, Setup]:
    plain = Setup()
    default = plain.augmentation
    mild = Augmentation(scale=(1.0, 1.0), stretch=1.0, mosaic=0.0)
    plain_colour = {"hue": 0.0, "saturation": 1.0, "brightness": 1.0}
    none = replace(mild, flip=0.0, **plain_colour)
    return {
        "default": plain,
        "random weights": replace(plain, base=None),
        "no frozen stage, as many epochs": replace(plain, frozen_epochs=0, fine_epochs=16),
        "box term GIoU": replace(plain, patches=((loss, "ciou_xyxy", giou_xyxy),)),
        "box term as Darknet": replace(plain, patches=((loss, "ciou_xyxy", darknet_xyxy),)),
        "ignore threshold 0.5": replace(plain, patches=((loss, "IGNORE_THRESHOLD", 0.5),)),
        "SGD, learning rate 0.01": replace(
            plain, fine_rate=1e-2, patches=((stages, "_optimizer", sgd),)
        ),
        "first stage at 0.001": replace(plain, rate=1e-3),
        "second stage at 0.003": replace(plain, fine_rate=3e-3),
        "second stage at 0.0003": replace(plain, fine_rate=3e-4),
        "constant learning rate": replace(plain, patches=((stages, "_schedule", constant_rate),)),
        "no warm-up": replace(plain, patches=((stages, "WARM_UP", 0.0),)),
        "moving average of the weights": replace(
            plain, patches=((stages, "_optimizer", averaging), (stages, "_Report", Averaged))
        ),
        "batch-norm momentum 0.9": replace(plain, patches=((model, "BATCH_NORM_MOMENTUM", 0.9),)),
        "mosaic half of the time": replace(plain, augmentation=replace(default, mosaic=0.5)),
        "scale 0.8 to 1.25": replace(plain, augmentation=replace(default, scale=(0.8, 1.25))),
        "no scale, no stretch": replace(plain, augmentation=mild),
        "no flip": replace(plain, augmentation=replace(default, flip=0.0)),
        "no change of colour": replace(plain, augmentation=replace(default, **plain_colour)),
        "no augmentation": replace(plain, augmentation=none),
    }


@click.command(context_settings={"show_default": True})
@click.option("--voc", "folders", required=True, multiple=True, type=click.Path(path_type=Path))
@click.option(
    "--held-out", type=click.Path(path_type=Path), help="A folder to judge on, for each --voc."
)
@click.option("--seeds", default=2, type=click.IntRange(1))
@click.option("--input-size", default=224)
@click.option("--only", multiple=True, help="Rows to run, by name; all if none.")
@click.option("--ways", is_flag=True, help="Compare arithmetic and features, not choices.")
@click.option("--darknet", type=click.Path(exists=True, path_type=Path), help="Compare starts.")
@click.option("--output", default="logs/ablation.json", type=click.Path(path_type=Path))
def main(folders, held_out, seeds, input_size, only, ways, darknet, output):
    """Print one row per choice, measured on the held-out third of each folder.

    Each cell: AP50 after the first stage, AP50 and AP after both; mean, and standard deviation of
    the AP50s where there are several seeds.
    """
    print(describe())
    results = {}
    print("| change | " + " | ".join(f.name for f in folders) + " |", flush=True)
    print("| --- |" + " --- |" * len(folders))
    rows = _starts(darknet) if darknet else _ways() if ways else _rows()
    for name, setup in rows.items():
        if only and name not in only:
            continue
        cells = []
        for folder in folders:
            found = [
                _measure(folder, held_out, setup, seed, input_size) for seed in range(1, seeds + 1)
            ]
            results.setdefault(name, {})[folder.name] = found
            cells.append(" / ".join(_cell(found, key) for key in ("frozen_AP50", "AP50", "AP")))
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps({"machine": describe(), "rows": results}, indent=1), "utf-8")


def _cell(found, key):
    values = [row[key] for row in found]
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 and key != "AP" else ""
    return f"{statistics.mean(values):.3f}{spread}"


def _measure(folder, fresh, setup, seed, input_size):
    """Train once; measure on `fresh`, or else on the held-out third, after each stage."""
    imported = read_labels(folder)
    rest, class_names = imported.pictures, imported.class_names
    if fresh:
        other = read_labels(fresh)
        held_out, names = other.pictures, other.class_names
        if names != class_names:
            raise click.ClickException(f"{fresh} has the classes {names}, {folder} {class_names}.")
    else:
        rest, held_out = split_pictures(rest, 1 / 3, seed)
    train, val = split_pictures(rest, 0.1, seed)
    anchors = read_anchors(MODEL_DATA / "yolo_tiny_anchors.txt")
    scaled = [(w * input_size / 416, h * input_size / 416) for w, h in anchors]
    spec = make_spec(class_names, scaled, (input_size, input_size))
    with ExitStack() as stack, patch.object(stages.keras.callbacks, "TensorBoard", _Quiet):
        for target, name, value in setup.patches:
            stack.enter_context(patch.object(target, name, value))
        keras.utils.clear_session(free_memory=True)
        keras.utils.set_random_seed(seed)
        network = build_network(spec, setup.precision)
        filled = ()
        if setup.base:
            arrays = read_file(setup.base, network).arrays
            filled = fill(network, arrays, setup.base.name).filled
        learner = Learner(network, spec)
        encoding = partial(encode, spec=spec)
        batches = Batches(
            train, spec.input_wh, encoding, 16, augmentation=setup.augmentation, seed=seed
        )
        seen = Seen(learner, batches, Batches(val, spec.input_wh, encoding, 16))
        with TemporaryDirectory() as scratch, patch("builtins.print"):
            frozen = frozen_layers(network, setup.freeze, filled)
            found = []
            for stage in (
                Stage("frozen", setup.frozen_epochs, setup.rate, frozen, 0, 99),
                Stage(
                    "finetune",
                    setup.fine_epochs,
                    setup.fine_rate,
                    first_epoch=setup.frozen_epochs,
                    patience=99,
                ),
            ):
                room = 1e10 if setup.views else 0
                own = see_features(seen, stage, Path(scratch) / "features", room)
                checking = partial(validate, own.learner, own.val, val)
                run_stage(own.learner, stage, own.train, checking, lambda *_: None, Path(scratch))
                found.append(
                    evaluate_detector(
                        Detector(KerasEngine(network, spec), spec), held_out
                    ).metrics()
                )
    first, last = found
    return last | {"frozen_AP50": first["AP50"]}


class _Quiet(keras.callbacks.Callback):
    """Write nothing where TensorBoard would."""

    def __init__(self, *_, **__):
        super().__init__()


if __name__ == "__main__":
    main()
