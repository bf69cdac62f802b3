"""Measure the speed of each part in one run; `python -m benchmarks --help`.

Figures of a shared machine are worth what stands beside them: compare the rows of one run.
"""

import json
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click

from yolo3.evaluation.machine import describe


@click.command(context_settings={"show_default": True})
@click.option("--input-size", default=416)
@click.option("--batch-size", default=16)
@click.option("--steps", default=8, help="Counted steps of each measurement, after two more.")
@click.option("--output", default="logs/benchmarks.json", type=click.Path(path_type=Path))
def main(input_size, batch_size, steps, output):
    """Print images/s of training and milliseconds of detection."""
    print(describe())
    with TemporaryDirectory() as folder:
        rows = _measure_all(Path(folder), input_size, batch_size, steps)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"machine": describe(), "rows": rows}, indent=1), "utf-8")


def _measure_all(folder, input_size, batch_size, steps):
    import numpy as np

    from yolo3.data.annotations import read_annotations, read_classes
    from yolo3.data.augmentation import Augmentation
    from yolo3.data.batches import Batches
    from yolo3.network.grid import encode
    from yolo3.network.spec import make_spec, read_anchors
    from yolo3.scenes import write_dataset

    write_dataset(folder / "scenes", 64, 1, workers=1, progress=False)
    names = read_classes(folder / "scenes" / "classes.txt")
    pictures, _ = read_annotations(folder / "scenes" / "list_master.txt", names, folder)
    anchors_wh = read_anchors(Path(__file__).parents[1] / "model_data" / "yolo_tiny_anchors.txt")
    spec = make_spec(names, anchors_wh, (input_size, input_size))
    batches = partial(Batches, pictures, spec.input_wh, partial(encode, spec=spec), batch_size)
    augmented = batches(augmentation=Augmentation())
    rows = []

    def report(name, value, unit):
        rows.append({"name": name, "value": value, "unit": unit})
        print(f"{name:48} {value:9.1f} {unit}", flush=True)

    pipeline = _seconds(lambda number: augmented[number % len(augmented)], steps)
    report("input pipeline alone, one thread", batch_size / pipeline, "images/s")
    for precision in ("float32", "mixed_bfloat16"):
        for stage, freeze in (("frozen", "body"), ("fine-tune", "none")):
            learner = _learner(spec, precision, freeze)
            step = _seconds(partial(_train_on, learner, augmented[0]), steps)
            report(f"{stage} step on data in memory, {precision}", batch_size / step, "images/s")
            whole = _epoch_seconds(learner, batches(augmentation=Augmentation(), workers=2))
            images = len(augmented) * batch_size
            report(f"{stage} stage, whole, {precision}", images / whole, "images/s")
    _measure_detection(report, spec, pictures, steps, np)
    return rows


def _learner(spec, precision, freeze):
    from yolo3.network.model import build_network
    from yolo3.training.learner import Learner
    from yolo3.training.stages import Stage, frozen_layers, prepare

    network = build_network(spec, precision)
    every = tuple(layer.name for layer in network.layers if layer.weights)
    learner = Learner(network, spec)
    prepare(learner, Stage("benchmark", 1, 1e-4, frozen_layers(network, freeze, every)), 100)
    return learner


def _train_on(learner, batch, _):
    learner.train_on_batch(*batch)


def _epoch_seconds(learner, batches):
    """Time the second epoch of a fit: by then the function is traced and pictures are kept."""
    import keras

    marks = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: marks.append(time.perf_counter()),
        on_epoch_end=lambda epoch, logs: marks.append(time.perf_counter()),
    )
    learner.fit(batches, epochs=2, shuffle=False, verbose=0, callbacks=[clock])
    return marks[3] - marks[2]


def _measure_detection(report, spec, pictures, steps, np):
    from yolo3.data.images import letterbox, read_image
    from yolo3.detector.detector import Detector
    from yolo3.detector.keras_engine import KerasEngine
    from yolo3.network.model import build_network
    from yolo3.training.validation import THRESHOLDS

    network = build_network(spec)
    detector = Detector(KerasEngine(network, spec), spec)
    images = [read_image(picture.path) for picture in pictures[:16]]
    one = np.stack([letterbox(images[0], spec.input_wh)[0]]).astype("float32") / 255
    report(
        "network alone, predict_on_batch of one",
        1e3 * _seconds(lambda _: network.predict_on_batch(one), steps),
        "ms/picture",
    )
    found = partial(detector.detect, **asdict(THRESHOLDS))
    report(
        "detection, one decoded picture to boxes",
        1e3 * _seconds(lambda number: found([images[number % 16]]), steps),
        "ms/picture",
    )
    report(
        "detection, one JPEG to boxes",
        1e3 * _seconds(lambda number: found([read_image(pictures[number % 16].path)]), steps),
        "ms/picture",
    )
    report(
        "detection, 16 decoded pictures at once",
        1e3 * _seconds(lambda _: found(images), max(2, steps // 4)) / 16,
        "ms/picture",
    )


def _seconds(call, steps):
    """Take the median of several calls, after two that are not counted."""
    times = []
    for number in range(steps + 2):
        began = time.perf_counter()
        call(number)
        times.append(time.perf_counter() - began)
    return median(times[2:])


if __name__ == "__main__":
    main()
