"""Train on a folder of labelled images, and measure on a third of them that was held out before.

    python -m benchmarks.photographs --folder FOLDER --seeds 3 -- --input-size 224

For each seed: a third of the images is held out (copies of an image stay together), the folder is
copied without their files, and `python train.py --annotation-path COPY` trains on it, with the
options after `--`. `evaluate` measures the logged models on the held-out images. Prints each seed,
then mean and spread.
"""

import json
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from yolo3.evaluation.machine import describe


@click.command(context_settings={"show_default": True, "ignore_unknown_options": True})
@click.option("--folder", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--seeds", default=3, type=click.IntRange(1), help="Number of seeds, from 1.")
@click.option("--output", default="logs/photographs", type=click.Path(path_type=Path))
@click.argument("train_options", nargs=-1)
def main(folder, seeds, output, train_options):
    """Measure what one command reaches on a folder of labelled images."""
    print(describe())
    print(f"{folder.name}: train.py {' '.join(train_options)}", flush=True)
    rows = [_measure(folder, seed, output, train_options) for seed in range(1, seeds + 1)]
    for name in ("AP50", "AP", "frozen_AP50", "frozen_AP", "minutes"):
        values = [row[name] for row in rows]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"{name:12} mean {statistics.mean(values):.3f}  spread (sd) {spread:.3f}")
    (output / f"{folder.name}.json").write_text(json.dumps(rows, indent=1), "utf-8")


def _measure(folder: Path, seed: int, output: Path, train_options: Sequence[str]) -> dict:
    """Hold out, train, measure; one row."""
    import train as main_job
    from yolo3.data.annotations import write_annotations
    from yolo3.data.folders import write_lines
    from yolo3.data.labels.formats import read_labels
    from yolo3.data.splits import split_pictures
    from yolo3.tracking.evaluate import evaluate_model
    from yolo3.tracking.job import FINAL_MODEL, FROZEN_MODEL
    from yolo3.tracking.train import Settings, train_and_evaluate

    imported = read_labels(folder)
    rest, held_out = split_pictures(imported.pictures, 1 / 3, seed)
    place = output / f"{folder.name}-{seed}"
    _copy_without(folder, {picture.path.stem for picture in held_out}, place / folder.name)
    write_annotations(held_out, place / "held_out.txt")
    write_lines(imported.class_names, place / "classes.txt")
    given = ["--annotation-path", str(place / folder.name), "--seed", str(seed)]
    options = main_job.main.make_context("train.py", [*given, *train_options]).params
    del options["resume"]
    began = time.perf_counter()
    run_id = train_and_evaluate(Settings(**options)).run_id
    minutes = (time.perf_counter() - began) / 60
    row = {"seed": seed, "trained": len(rest), "held_out": len(held_out), "minutes": minutes}
    for prefix, model in (("", FINAL_MODEL), ("frozen_", FROZEN_MODEL)):
        lists = str(place / "held_out.txt"), str(place / "classes.txt")
        found = evaluate_model(f"runs:/{run_id}/{model}", *lists, "")
        row |= {f"{prefix}AP50": found["AP50"], f"{prefix}AP": found["AP"]}
    print({name: round(value, 3) for name, value in row.items()}, flush=True)
    return row


def _copy_without(folder: Path, stems: set[str], target: Path) -> None:
    """Copy a folder, but for the files of some stems: images, and labels of their own."""
    shutil.rmtree(target, ignore_errors=True)

    def left_out(_, names):
        return [name for name in names if Path(name).stem in stems]

    shutil.copytree(folder, target, ignore=left_out)


if __name__ == "__main__":
    sys.exit(main())
