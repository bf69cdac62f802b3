"""Train contestants for equal processor time, and measure each on images that it never saw.

    python -m benchmarks.contest --data FOLDER --data FOLDER --minutes 8 --seeds 1,2,3 \\
        --project now=. --project before=../before --project "random=. --weights-path none" \\
        --yolov5 PYTHON:CHECKOUT:STATE --ultralytics PYTHON --csv contest.csv

For each seed and data set a third of the images is held out (copies of an image stay together) and
every contestant trains on the rest; the labels of the held-out third are seen by nobody but the one
judge, which is this version's evaluation. The budget is processor time of all processes: of a
project, training with its validation and the features that are computed once, without starting,
evaluating and logging; of a peer, its whole training command. Two short trials per contestant tell
how many epochs fill it. Contestants alternate, each on one thread, two side by side with --jobs 2.
Rows that the CSV has for this processor are not run again, so a contest can be stopped and
continued. --minutes 0: the defaults of each project, which end by themselves.
"""

import csv
import itertools
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import click

from benchmarks.contest.contestants import Project, Ultralytics, YOLOv5
from benchmarks.contest.split import hold_out
from yolo3.evaluation.machine import processor, vector_units

KEY = ("processor", "contestant", "data", "seed", "minutes")
MEASURED = ("start", "epochs", "spent_minutes", "AP50", "AP75", "AP")


@click.command(context_settings={"show_default": True})
@click.option("--data", "folders", multiple=True, required=True, type=click.Path(exists=True))
@click.option("--minutes", default="8", help="Budgets in processor minutes, 8,2,4; 0: no budget.")
@click.option("--seeds", default="1,2,3", help="Seeds of the splits and of the trainings.")
@click.option("--project", "projects", multiple=True, help="NAME=CHECKOUT [options of train.py].")
@click.option("--yolov5", help="PYTHON:CHECKOUT:STATE of ultralytics/yolov5.")
@click.option("--ultralytics", help="PYTHON of an environment with ultralytics.")
@click.option("--jobs", default=1, type=click.IntRange(1), help="Trainings side by side.")
@click.option("--csv", "table", default="contest.csv", type=click.Path(path_type=Path))
@click.option("--work", default="logs/contest", type=click.Path(path_type=Path))
def main(folders, minutes, seeds, projects, yolov5, ultralytics, jobs, table, work):
    """Train, measure and compare; prints a row per training, and the means at the end."""
    contestants = [Project.parse(text) for text in projects]
    contestants += [YOLOv5(*yolov5.split(":"))] if yolov5 else []
    contestants += [Ultralytics(ultralytics)] if ultralytics else []
    budgets, numbers = ([*map(float, minutes.split(","))], [*map(int, seeds.split(","))])
    data = [Path(folder).resolve() for folder in folders]
    name, flags = processor()
    chip = f"{name} ({vector_units(flags)})"  # one name is sold with and without AVX-512
    rows = _read(table)
    done = {tuple(row[name] for name in KEY) for row in rows}
    cores = Queue()
    for core in range(jobs):
        cores.put(core)

    def measure(job):
        budget, seed, folder, contestant = job
        key = (chip, contestant.name, folder.name, str(seed), f"{budget:g}")
        if key in done:
            return
        core = cores.get()
        try:
            place = (work / contestant.name / f"{folder.name}-{seed}-{budget:g}").resolve()
            split = hold_out(folder, seed, place)
            measured = contestant.measure(split, budget * 60, place, core)
        except subprocess.CalledProcessError as error:
            print(f"{' '.join(key)}: failed, {error}", flush=True)
            return
        finally:
            cores.put(core)
        row = dict(zip(KEY, key, strict=True)) | {name: measured.get(name) for name in MEASURED}
        rows.append(row)
        _append(table, row)
        print(" ".join(f"{name}={value}" for name, value in row.items()), flush=True)

    jobs_in_turn = itertools.product(budgets, numbers, data, contestants)
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(measure, jobs_in_turn))
    print(summary(rows, chip))


def _read(table: Path) -> list[dict]:
    if not table.exists():
        return []
    with table.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _append(table: Path, row: dict) -> None:
    new = not table.exists()
    with table.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, (*KEY, *MEASURED), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def summary(rows: list[dict], chip: str) -> str:
    """Write a markdown table per budget: means over sets and seeds, and paired differences.

    The difference is to the first contestant, over the sets and seeds that both have, with its
    standard error.
    """
    lines = []
    own = [row for row in rows if row["processor"] == chip]
    for minutes in dict.fromkeys(row["minutes"] for row in own):
        found = {}
        for row in own:
            if row["minutes"] == minutes:
                place = (row["data"], row["seed"])
                found.setdefault(row["contestant"], {})[place] = row
        first = next(iter(found.values()))
        lines += [f"\n{minutes} processor minutes", ""]
        lines += ["| contestant | start | AP50 | AP75 | AP | AP against the first | trainings |"]
        lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
        for contestant, of in found.items():
            means = " | ".join(
                f"{statistics.mean(float(row[key]) for row in of.values()):.3f}"
                for key in ("AP50", "AP75", "AP")
            )
            pairs = [float(of[p]["AP"]) - float(first[p]["AP"]) for p in of if p in first]
            start = next(iter(of.values()))["start"]
            lines += [f"| {contestant} | {start} | {means} | {_difference(pairs)} | {len(of)} |"]
    return "\n".join(lines)


def _difference(pairs: list[float]) -> str:
    if len(pairs) < 2:
        return ""
    error = statistics.stdev(pairs) / len(pairs) ** 0.5
    return f"{statistics.mean(pairs):+.3f} ± {error:.3f}"


if __name__ == "__main__":
    sys.exit(main())
