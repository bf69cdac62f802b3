"""Train on photographs and measure on a third of them that training and selection never saw.

    python -m benchmarks.photographs --voc FOLDER --seeds 3 -- --precision mixed_bfloat16

For each seed: the VOC folder is read, a third is held out (copies of a picture stay together), the
rest is written as a list and trained on as `python train.py` does, and the logged model is measured
on the held-out third with `evaluate`. With --own-anchors, anchors are made of the rest's boxes, as
`anchors` does. Prints each seed, then mean and spread.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import click

from yolo3.evaluation.machine import describe


@click.command(context_settings={"show_default": True, "ignore_unknown_options": True})
@click.option("--voc", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--seeds", default=3, type=click.IntRange(1), help="Number of seeds, from 1.")
@click.option("--own-anchors", is_flag=True, help="Make anchors of the training boxes.")
@click.option("--output", default="logs/photographs", type=click.Path(path_type=Path))
@click.argument("train_options", nargs=-1)
def main(voc, seeds, own_anchors, output, train_options):
    """Measure what the main job reaches on a folder of photographs."""
    print(describe())
    print(f"{voc.name}: train.py {' '.join(train_options)}", flush=True)
    rows = [_measure(voc, seed, own_anchors, output, train_options) for seed in range(1, seeds + 1)]
    for name in ("AP50", "AP", "frozen_AP50", "frozen_AP", "minutes"):
        values = [row[name] for row in rows]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"{name:12} mean {statistics.mean(values):.3f}  spread (sd) {spread:.3f}")
    (output / f"{voc.name}.json").write_text(json.dumps(rows, indent=1), "utf-8")


def _measure(voc, seed, own_anchors, output, train_options):
    """Hold out, train, measure; one row."""
    import train as main_job
    from yolo3.checks.anchors import cluster_anchors, network_sizes_wh, write_anchors
    from yolo3.data.annotations import write_annotations
    from yolo3.data.splits import split_pictures
    from yolo3.data.voc import read_voc
    from yolo3.network.spec import parse_input_size
    from yolo3.tracking.evaluate import evaluate_model
    from yolo3.tracking.job import FINAL_MODEL, FROZEN_MODEL
    from yolo3.tracking.train import Settings, train_and_evaluate

    pictures, class_names, _ = read_voc(voc)
    rest, held_out = split_pictures(pictures, 1 / 3, seed)
    folder = output / voc.name / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    write_annotations(rest, folder / "train.txt")
    write_annotations(held_out, folder / "held_out.txt")
    (folder / "classes.txt").write_text("\n".join(class_names) + "\n", "utf-8")
    lists = ["--annotation-path", str(folder / "train.txt")]
    lists += ["--classes-path", str(folder / "classes.txt"), "--seed", str(seed)]
    options = main_job.main.make_context("train.py", [*lists, *train_options]).params
    del options["resume"]
    if own_anchors:
        sizes_wh = network_sizes_wh(rest, parse_input_size(options["input_size"]))
        options["anchors_path"] = str(folder / "anchors.txt")
        write_anchors(cluster_anchors(sizes_wh, 6), folder / "anchors.txt", "of the training boxes")
    began = time.perf_counter()
    run_id = train_and_evaluate(Settings(**options)).run_id
    minutes = (time.perf_counter() - began) / 60
    row = {"seed": seed, "held_out": len(held_out), "minutes": minutes}
    for prefix, model in (("", FINAL_MODEL), ("frozen_", FROZEN_MODEL)):
        found = evaluate_model(f"runs:/{run_id}/{model}", str(folder / "held_out.txt"), "", "")
        row |= {f"{prefix}AP50": found["AP50"], f"{prefix}AP": found["AP"]}
    print({name: round(value, 3) for name, value in row.items()}, flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
