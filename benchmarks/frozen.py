"""The frozen stage from features kept on disk, against the same stage that computes them anew.

python -m benchmarks.frozen
"""

import time
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from unittest.mock import patch

import click

from benchmarks.data import batches_of, network_on_base, read_sample
from benchmarks.table import HEAD, Row


def measure(input_size=416, epochs=10, precision="auto") -> list[Row]:
    """Train the stage both ways on the sample, a tenth of it for validation."""
    from yolo3.training.determinism import settle
    from yolo3.training.precision import choose_precision

    settle(1)
    pictures, spec = read_sample(input_size)
    chosen = choose_precision(precision)
    with TemporaryDirectory() as folder:
        anew = _train(pictures, spec, epochs, chosen, Path(folder) / "anew", 0)
        kept = _train(pictures, spec, epochs, chosen, Path(folder) / "kept", 1e10)
    part = "frozen stage"
    other = f"computed in each epoch, {chosen}"
    return [
        Row(part, f"{other}, after the first epoch", anew.speed, "images/s"),
        Row(
            part,
            "from features, after the first epoch",
            kept.speed,
            "images/s",
            other,
            kept.speed / anew.speed,
            20.0,
        ),
        Row(part, f"{epochs} epochs, {other}", anew.seconds, "s"),
        Row(
            part,
            f"{epochs} epochs, features and all",
            kept.seconds,
            "s",
            other,
            anew.seconds / kept.seconds,
            4.0,
        ),
        Row(part, f"val AP50, {other}", 100 * anew.ap50, "%"),
        Row(part, "val AP50, from features", 100 * kept.ap50, "%"),
    ]


class _Ran:
    def __init__(self, seconds, history):
        self.seconds = seconds
        self.speed = median(numbers["images_per_second"] for numbers in history[1:])
        self.ap50 = history[-1]["val_AP50"]


def _train(pictures, spec, epochs, precision, folder, room):
    from yolo3.training.features import Seen, see_features
    from yolo3.training.learner import Learner
    from yolo3.training.stages import Stage, frozen_layers, run_stage
    from yolo3.training.validation import validate

    val, train = pictures[::10], [p for n, p in enumerate(pictures) if n % 10]
    network, filled = network_on_base(spec, precision)
    stage = Stage("frozen", epochs, 1e-2, frozen_layers(network, "body", filled))
    plain = {"augmentation": None, "workers": 1}
    given = Seen(
        Learner(network, spec),
        batches_of(train, spec, 16),
        batches_of(val, spec, 16, **plain),
    )
    began = time.perf_counter()
    with patch("builtins.print"):
        seen = see_features(given, stage, folder / "features", room)
        checking = partial(validate, seen.learner, seen.val, val)
        ran = run_stage(seen.learner, stage, seen.train, checking, lambda *_: None, folder)
    return _Ran(time.perf_counter() - began, ran)


@click.command(context_settings={"show_default": True})
@click.option("--input-size", default=416)
@click.option("--epochs", default=10)
@click.option("--precision", default="auto")
def main(**options):
    """Print images/s, seconds and AP50 of both."""
    from yolo3.evaluation.machine import describe

    print("\n".join([describe(), "", *HEAD, *(row.line for row in measure(**options))]))


if __name__ == "__main__":
    main()
