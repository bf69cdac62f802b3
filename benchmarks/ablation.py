"""Change one choice at a time, and measure on pictures that training and selection never saw.

    python -m benchmarks.ablation --voc FOLDER [--voc FOLDER …] --seeds 2
    python -m benchmarks.ablation --voc FOLDER --seeds 3 --darknet yolov3-tiny.conv.11

Each folder (Pascal VOC) is read, a third held out, and the rest trained on as the main job does,
at a small input and few epochs, so that a row takes a minute and not ten. Every row differs from
the first, which is the project's default, in the one thing that it names. With --darknet, the rows
are what a training starts from instead, with freeze=backbone: random weights, the shipped base, and
that file. Writes a markdown table.
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
from yolo3.data.splits import split_pictures
from yolo3.data.voc import read_voc
from yolo3.detector.detector import Detector
from yolo3.detector.keras_engine import KerasEngine
from yolo3.evaluation.machine import describe
from yolo3.network import loss, model
from yolo3.network.formats import read_file
from yolo3.network.grid import encode
from yolo3.network.model import build_network
from yolo3.network.spec import make_spec, read_anchors
from yolo3.network.weights import fill
from yolo3.training import stages
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
    patches: tuple = ()  # (object, attribute, value)


def giou_xyxy(a, b):
    """Compare boxes pairwise by generalised IoU (Rezatofighi et al. 2019)."""
    overlap_wh = ops.relu(ops.minimum(a[..., 2:], b[..., 2:]) - ops.maximum(a[..., :2], b[..., :2]))
    overlap = overlap_wh[..., 0] * overlap_wh[..., 1]
    sizes_a, sizes_b = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    union = sizes_a[..., 0] * sizes_a[..., 1] + sizes_b[..., 0] * sizes_b[..., 1] - overlap
    hull_wh = ops.maximum(a[..., 2:], b[..., 2:]) - ops.minimum(a[..., :2], b[..., :2])
    hull = ops.maximum(hull_wh[..., 0] * hull_wh[..., 1], 1e-6)
    return overlap / ops.maximum(union, 1e-6) - (hull - union) / hull


def darknet_xyxy(a, b):
    """Stand in for Darknet's box term: squared errors of centre and of log size, 1 - their sum."""
    sizes_a, sizes_b = (ops.maximum(x[..., 2:] - x[..., :2], 1e-3) for x in (a, b))
    apart = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2 / 32
    ratio = ops.log(sizes_a) - ops.log(sizes_b)
    return 1 - ops.sum(apart * apart + ratio * ratio, axis=-1) / 2


def sgd(stage, steps_per_epoch):
    """Build SGD with Nesterov momentum on the same schedule."""
    schedule = stages._schedule(stage, steps_per_epoch)
    return keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True)


def constant_rate(stage, steps_per_epoch):
    """Keep the learning rate as it is."""
    return stage.learning_rate


def _starts(darknet: Path) -> dict[str, Setup]:
    return {
        "random weights": Setup(base=None),
        "the shipped base": Setup(freeze="backbone"),
        darknet.name: Setup(base=darknet, freeze="backbone"),
    }


def _rows() -> dict[str, Setup]:
    plain = Setup()
    default = plain.augmentation
    mild = Augmentation(scale=(1.0, 1.0), stretch=1.0, mosaic=0.0)
    none = replace(mild, flip=0.0, hue=0.0, saturation=1.0, brightness=1.0)
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
        "batch-norm momentum 0.9": replace(plain, patches=((model, "BATCH_NORM_MOMENTUM", 0.9),)),
        "mosaic half of the time": replace(plain, augmentation=replace(default, mosaic=0.5)),
        "scale 0.8 to 1.25": replace(plain, augmentation=replace(default, scale=(0.8, 1.25))),
        "no scale, no stretch": replace(plain, augmentation=mild),
        "no augmentation": replace(plain, augmentation=none),
    }


@click.command(context_settings={"show_default": True})
@click.option("--voc", "folders", required=True, multiple=True, type=click.Path(path_type=Path))
@click.option("--seeds", default=2, type=click.IntRange(1))
@click.option("--input-size", default=224)
@click.option("--only", multiple=True, help="Rows to run, by name; all if none.")
@click.option("--darknet", type=click.Path(exists=True, path_type=Path), help="Compare starts.")
@click.option("--output", default="logs/ablation.json", type=click.Path(path_type=Path))
def main(folders, seeds, input_size, only, darknet, output):
    """Print one row per choice, measured on the held-out third of each folder.

    Each cell: AP50 after the first stage, AP50 and AP after both; mean, and standard deviation of
    the AP50s where there are several seeds.
    """
    print(describe())
    results = {}
    print("| change | " + " | ".join(f.name for f in folders) + " |", flush=True)
    print("| --- |" + " --- |" * len(folders))
    for name, setup in (_starts(darknet) if darknet else _rows()).items():
        if only and name not in only:
            continue
        cells = []
        for folder in folders:
            found = [_measure(folder, setup, seed, input_size) for seed in range(1, seeds + 1)]
            results.setdefault(name, {})[folder.name] = found
            cells.append(" / ".join(_cell(found, key) for key in ("frozen_AP50", "AP50", "AP")))
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps({"machine": describe(), "rows": results}, indent=1), "utf-8")


def _cell(found, key):
    values = [row[key] for row in found]
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 and key != "AP" else ""
    return f"{statistics.mean(values):.3f}{spread}"


def _measure(folder, setup, seed, input_size):
    """Train once; measure on the held-out third after each stage."""
    pictures, class_names, _ = read_voc(folder)
    rest, held_out = split_pictures(pictures, 1 / 3, seed)
    train, val = split_pictures(rest, 0.1, seed)
    anchors = read_anchors(MODEL_DATA / "yolo_tiny_anchors.txt")
    scaled = [(w * input_size / 416, h * input_size / 416) for w, h in anchors]
    spec = make_spec(class_names, scaled, (input_size, input_size))
    with ExitStack() as stack, patch.object(stages.keras.callbacks, "TensorBoard", _Quiet):
        for target, name, value in setup.patches:
            stack.enter_context(patch.object(target, name, value))
        keras.utils.set_random_seed(seed)
        network = build_network(spec, "mixed_bfloat16")
        filled = ()
        if setup.base:
            arrays = read_file(setup.base, network).arrays
            filled = fill(network, arrays, setup.base.name).filled
        learner = Learner(network, spec)
        encoding = partial(encode, spec=spec)
        batches = Batches(
            train, spec.input_wh, encoding, 16, augmentation=setup.augmentation, seed=seed
        )
        checking = partial(validate, learner, Batches(val, spec.input_wh, encoding, 16), val)
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
                run_stage(learner, stage, batches, checking, lambda *_: None, Path(scratch))
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
