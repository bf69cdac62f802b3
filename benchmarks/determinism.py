"""Measure what determinism costs: images/s of training with it and without, by turns.

    python -m benchmarks.determinism

Each measurement is the second and third epoch of a fit over 64 rendered scenes, in a process of its
own, since TensorFlow's threads are set once. With: `yolo3.training.determinism.settle`. Without:
seeds alone, and TensorFlow as it comes. Neighbours in time share what else the machine does, so the
ratio of each pair is worth more than its figures; and processor time, which what else runs hardly
changes, more than the time of a clock.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click

from yolo3.evaluation.machine import describe

PROJECT = Path(__file__).resolve().parents[1]
SCENES = 64
EPOCHS = 2  # that are counted, after one
UNITS = ("images/s", "images/s of processor time")
WITH, WITHOUT = "with", "without"


@click.command(context_settings={"show_default": True})
@click.option("--input-size", default=416)
@click.option("--batch-size", default=16)
@click.option("--pairs", default=5, type=click.IntRange(1), help="Measurements of each kind.")
@click.option("--output", default="logs/determinism.json", type=click.Path(path_type=Path))
@click.option("--measure", type=click.Choice([WITH, WITHOUT]), hidden=True)
@click.option("--precision", default="float32", hidden=True)
@click.option("--data", type=click.Path(path_type=Path), hidden=True)
def main(input_size, batch_size, pairs, output, measure, precision, data):
    """Print images/s of the fine-tune stage in both precisions, and the ratio with / without."""
    if measure:
        print(json.dumps(_measure(measure, precision, data, input_size, batch_size)))
        return
    from yolo3.scenes import write_dataset

    print(describe())
    rows = []
    with TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "scenes", SCENES, 1, workers=1, progress=False)
        for kind in ("float32", "mixed_bfloat16"):
            words = ["--precision", kind, "--data", f"{folder}/scenes"]
            words += ["--input-size", str(input_size), "--batch-size", str(batch_size)]
            rows.append(_row(kind, pairs, words))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"machine": describe(), "rows": rows}, indent=1), "utf-8")


def _row(precision, pairs, words):
    """Measure both kinds by turns, each first as often as the other."""
    found = {WITH: [], WITHOUT: []}
    for number in range(pairs):
        order = (WITHOUT, WITH) if number % 2 else (WITH, WITHOUT)
        for kind in order:
            found[kind].append(_in_a_process(kind, words))
    print(precision)
    for place, unit in enumerate(UNITS):
        values = {kind: [one[place] for one in every] for kind, every in found.items()}
        ratios = [a / b for a, b in zip(values[WITH], values[WITHOUT], strict=True)]
        print(
            f"  {unit:34} with {median(values[WITH]):7.2f}  without {median(values[WITHOUT]):7.2f}"
            f"  ratio of pairs {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
            flush=True,
        )
    return {"precision": precision, "units": UNITS, "measured": found}


def _in_a_process(kind, words):
    command = [sys.executable, "-m", "benchmarks.determinism", "--measure", kind, *words]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    told = subprocess.check_output(command, cwd=PROJECT, env=quiet, text=True)
    return json.loads(told.splitlines()[-1])


def _measure(kind, precision, data, input_size, batch_size):
    import keras

    from benchmarks.data import batches_of, network_on_base
    from yolo3.data.annotations import read_annotations, read_classes
    from yolo3.network.spec import make_spec, read_anchors
    from yolo3.training.determinism import settle
    from yolo3.training.learner import Learner
    from yolo3.training.stages import Stage, prepare

    if kind == WITH:
        settle(1)
    names = read_classes(data / "classes.txt")
    pictures, _ = read_annotations(data / "list_master.txt", names, data)
    anchors_wh = read_anchors(PROJECT / "model_data" / "yolo_tiny_anchors.txt")
    spec = make_spec(names, anchors_wh, (input_size, input_size))
    batches = batches_of(pictures, spec, batch_size)
    marks = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: marks.append((time.perf_counter(), time.process_time()))
    )
    learner = Learner(network_on_base(spec, precision)[0], spec)
    prepare(learner, Stage("benchmark", EPOCHS + 1, 1e-3), len(batches))
    learner.fit(batches, epochs=EPOCHS + 1, shuffle=False, verbose=0, callbacks=[clock])
    wall, used = (last - first for first, last in zip(marks[0], marks[-1], strict=True))
    images = EPOCHS * len(batches) * batch_size
    return images / wall, images / used


if __name__ == "__main__":
    main()
