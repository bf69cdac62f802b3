"""From 200 to 20,000 generated pictures: does anything but the time of a whole pass grow?

    python -m benchmarks.growth --counts 200,20000

Each count is measured in a process of its own: the check (pictures a second, and the peak of the
process), then the input pipeline (pictures a second over 40 batches spread over the data set, and
the peak), and with --step the training step on those batches.
"""

import json
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.data import PROJECT, batches_of
from benchmarks.table import HEAD, Row

BATCHES = 40
SIZE_WH = (640, 480)


def measure(counts=(200, 2000), input_size=416, step=False) -> list[Row]:
    """Compare the largest count with the smallest."""
    with TemporaryDirectory() as folder:
        _generate(Path(folder), max(counts))
        found = {count: _in_a_process(Path(folder), count, input_size, step) for count in counts}
    small, large = min(counts), max(counts)
    rows = []
    for name, unit, better in (
        ("check", "images/s", 1),
        ("peak memory of the check", "MB", -1),
        ("input pipeline", "images/s", 1),
        ("peak memory of the pipeline, kept pictures left out", "MB", -1),
        ("training step", "images/s", 1),
    ):
        if name not in found[small]:
            continue
        first, last = found[small][name], found[large][name]
        rows.append(
            Row(
                "growth",
                f"{name}, {large:,} pictures",
                last,
                unit,
                f"{small:,} pictures",
                (last / first) ** better,
                0.9,
            )
        )
    return rows


def _generate(folder, count):
    """Write pictures of a few shapes on noise, no two alike, and their list."""
    parts = [range(start, min(start + 250, count)) for start in range(0, count, 250)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        lines = [line for part in pool.map(partial(_write, folder), parts) for line in part]
    (folder / "list.txt").write_text("".join(lines), "utf-8")


def _write(folder, numbers):
    import numpy as np
    from PIL import Image, ImageDraw

    lines = []
    for number in numbers:
        rng, draw = np.random.default_rng(number), random.Random(number)
        rough = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
        image = rough.resize(SIZE_WH, Image.Resampling.BICUBIC)
        boxes = []
        for _ in range(3):
            x, y, side = draw.randrange(0, 500), draw.randrange(0, 340), draw.randrange(20, 130)
            colour = tuple(draw.randrange(256) for _ in range(3))
            ImageDraw.Draw(image).rectangle((x, y, x + side, y + side), fill=colour)
            boxes.append(f"{x},{y},{x + side},{y + side},{draw.randrange(3)}")
        image.save(folder / f"{number:06}.jpg", quality=85)
        lines.append(f"{number:06}.jpg {' '.join(boxes)}\n")
    return lines


def _in_a_process(folder, count, input_size, step):
    words = ["--measure", str(folder), "--counts", str(count), "--input-size", str(input_size)]
    command = [sys.executable, "-m", "benchmarks.growth", *words, *(["--step"] if step else [])]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    told = subprocess.check_output(command, cwd=PROJECT, env=quiet, text=True)
    return json.loads(told.splitlines()[-1])


def _measure(folder, count, input_size, step):
    import psutil

    from benchmarks.memory import _Watch
    from yolo3.data import samples as module
    from yolo3.data.annotations import read_annotations
    from yolo3.network.spec import make_spec, read_anchors

    names = ("a", "b", "c")
    lines = (folder / "list.txt").read_text("utf-8").splitlines(keepends=True)
    own = folder / f"list-{count}.txt"
    own.write_text("".join(lines[:count]), "utf-8")
    found = {}
    start = psutil.Process().memory_info().rss
    with _Watch() as watch:
        began = time.perf_counter()
        pictures, _ = read_annotations(own, names, folder)
        found["check"] = count / (time.perf_counter() - began)
    found["peak memory of the check"] = (start + watch.rise) / 1e6
    anchors_wh = read_anchors(PROJECT / "model_data" / "yolo_tiny_anchors.txt")
    spec = make_spec(names, anchors_wh, (input_size, input_size))
    module.CACHE_BYTES = 0  # what is kept is bounded and would hide the rest
    batches = batches_of(pictures, spec, 16)
    batches[0]
    order = [number * len(batches) // BATCHES for number in range(BATCHES)]
    start = psutil.Process().memory_info().rss
    with _Watch() as watch:
        began = time.perf_counter()
        for number in order:
            batch = batches[number]
        found["input pipeline"] = 16 * BATCHES / (time.perf_counter() - began)
    found["peak memory of the pipeline, kept pictures left out"] = (start + watch.rise) / 1e6
    if step:
        found["training step"] = _step(spec, batches, order[:8], batch)
    return found


def _step(spec, batches, order, batch):
    from benchmarks.data import network_on_base
    from yolo3.training.learner import Learner
    from yolo3.training.precision import choose_precision
    from yolo3.training.stages import Stage, prepare

    learner = Learner(network_on_base(spec, choose_precision("auto"))[0], spec)
    prepare(learner, Stage("benchmark", 1, 1e-4), 100)
    for _ in range(2):
        learner.train_on_batch(*batch)
    taken = 0.0
    for number in order:
        loaded = batches[number]
        began = time.perf_counter()
        learner.train_on_batch(*loaded)
        taken += time.perf_counter() - began
    return 16 * len(order) / taken


@click.command(context_settings={"show_default": True})
@click.option("--counts", default="200,2000", help="Numbers of pictures.")
@click.option("--input-size", default=416)
@click.option("--step", is_flag=True, help="Time the training step as well.")
@click.option("--measure", "folder", hidden=True, type=click.Path(path_type=Path))
def main(counts, input_size, step, folder):
    """Print the figures of the largest count, and their ratio to those of the smallest."""
    numbers = [int(count) for count in counts.split(",")]
    if folder:
        print(json.dumps(_measure(folder, numbers[0], input_size, step)))
        return
    from yolo3.evaluation.machine import describe

    rows = measure(numbers, input_size, step)
    print("\n".join([describe(), "", *HEAD, *(row.line for row in rows)]))


if __name__ == "__main__":
    main()
