"""Measure ultralytics' yolov3-tiny on the same photographs, for the same time, by the same judge.

    python -m venv peer && peer/bin/pip install ultralytics
    python -m benchmarks.peer_ultralytics --voc FOLDER --yolo peer/bin/yolo --cpu-minutes 24

ultralytics stands under the AGPL: it is no dependency, and nothing of it is imported or copied. Its
own command line runs as a separate program, from random weights, with its defaults. The held-out
third is the one of `benchmarks.photographs`, and its best epoch is chosen on the pictures that
`train.py` would validate on. The labels of the held-out third stay here: it gets the pictures, and
what it finds in them is measured as `evaluate` measures.

The budget is processor time of its training, all processes and its own validation included, so
that other work on the machine does not count: 24 minutes are 12 minutes of two cores. Two short
trainings tell how many epochs fill it, rounded up; their time is not counted.
"""

import json
import math
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import yaml

from yolo3.commands.numbers import FiniteRange
from yolo3.data.folders import finite_number, numbered_lines
from yolo3.data.labels.formats import read_labels
from yolo3.data.labels.yolo import write_yolo
from yolo3.data.pictures import Picture
from yolo3.data.splits import split_pictures
from yolo3.evaluation.evaluate import Evaluation
from yolo3.evaluation.machine import describe
from yolo3.network.postprocess import Detections

FIELDS = "class cx cy width height score"


def find_command(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Return the absolute path of a command; click.BadParameter if there is none."""
    found = shutil.which(value)
    if found is None:
        raise click.BadParameter(
            f"no command {value}, expected ultralytics' `yolo` in an environment of its own:"
            " python -m venv peer && peer/bin/pip install ultralytics, then --yolo peer/bin/yolo"
        )
    return str(Path(found).absolute())


@click.command(context_settings={"show_default": True})
@click.option("--voc", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--yolo", required=True, callback=find_command, help="The command to run.")
@click.option("--seeds", default=3, type=click.IntRange(1), help="Number of seeds, from 1.")
@click.option("--cpu-minutes", default=24.0, type=FiniteRange(0, min_open=True))
@click.option("--epochs", type=click.IntRange(1), help="Instead of --cpu-minutes.")
@click.option("--input-size", default=416, type=click.IntRange(32))
@click.option("--val-split", default=0.1, help="As train.py's.")
@click.option("--output", default="logs/peer", type=click.Path(path_type=Path))
def main(voc, yolo, seeds, cpu_minutes, epochs, input_size, val_split, output):
    """Measure what ultralytics' yolov3-tiny reaches on a folder of photographs."""
    print(describe(), flush=True)
    imported = read_labels(voc)
    pictures, class_names = imported.pictures, imported.class_names
    folder = output.absolute() / voc.name
    peer = Peer(yolo, folder, input_size)
    rows = []
    for seed in range(1, seeds + 1):
        rest, held_out = split_pictures(pictures, 1 / 3, seed)
        data = write_data(*split_pictures(rest, val_split, seed), class_names, folder / f"s{seed}")
        if epochs is None:
            epochs = _epochs_within(cpu_minutes * 60, peer, data)
        spent = peer.train(data, f"seed-{seed}", epochs=epochs, seed=seed)
        row = {"seed": seed, "epochs": epochs, "cpu": spent.cpu / 60, "wall": spent.wall / 60}
        row |= {"held_out": len(held_out)} | _measure(peer, f"seed-{seed}", held_out, class_names)
        print({name: round(value, 3) for name, value in row.items()}, flush=True)
        rows.append(row)
        (folder / "found.json").write_text(json.dumps(rows, indent=1), "utf-8")
    for name in ("AP50", "AP", "last_AP50", "last_AP", "cpu", "wall"):
        values = [row[name] for row in rows]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"{name:10} mean {statistics.mean(values):.3f}  spread (sd) {spread:.3f}")


@dataclass(frozen=True)
class Spent:
    """What a command took, in seconds: of all its processes, and on the clock."""

    cpu: float
    wall: float


class Peer:
    """Run the other program; all that it writes goes below `folder`."""

    def __init__(self, yolo: str, folder: Path, input_size: int):
        self.yolo = yolo
        self.folder = folder
        self.input_size = input_size
        (folder / "settings").mkdir(parents=True, exist_ok=True)
        self._run("settings", "settings", "sync=False")  # reports nothing home

    def train(self, data: Path, name: str, **options: object) -> Spent:
        """Train from random weights; the weights lie at `weights`."""
        fixed = {
            "model": "yolov3-tiny.yaml",
            "pretrained": False,
            "data": data,
            "imgsz": self.input_size,
            "batch": 16,
            "device": "cpu",
            "workers": 2,
        }
        return self._run(name, "detect", "train", *self._words(name, fixed | options))

    def weights(self, name: str, kind: str) -> Path:
        """Return the file of the best or the last epoch of a training."""
        return self.folder / name / "weights" / f"{kind}.pt"

    def predict(self, weights: Path, source: Path, name: str) -> Path:
        """Detect in a folder of pictures; return the folder of label files with scores."""
        shutil.rmtree(self.folder / name, ignore_errors=True)  # it adds to files that are there
        options = {"model": weights, "source": source, "imgsz": self.input_size, "device": "cpu"}
        options |= {"conf": 0.001, "iou": 0.7, "max_det": 300}  # as it validates
        options |= {"save": False, "save_txt": True, "save_conf": True}
        self._run(name, "detect", "predict", *self._words(name, options))
        return self.folder / name / "labels"

    def _words(self, name: str, options: dict[str, object]) -> list[str]:
        places = {"project": self.folder, "name": name, "exist_ok": True}
        return [f"{key}={value}" for key, value in (options | places).items()]

    def _run(self, name: str, *words: str) -> Spent:
        print("$ yolo", *words, flush=True)
        log = self.folder / f"{name}.log"
        places = {"YOLO_OFFLINE": "true", "YOLO_CONFIG_DIR": str(self.folder / "settings")}
        inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        began, used = time.perf_counter(), _used_by_children()
        with log.open("w", encoding="utf-8") as stream:
            code = subprocess.run(
                [self.yolo, *words],
                cwd=self.folder,
                env=inherited | places,
                stdout=stream,
                stderr=subprocess.STDOUT,
            ).returncode
        if code:
            raise click.ClickException(f"`yolo` ended with {code}, see {log}")
        return Spent(_used_by_children() - used, time.perf_counter() - began)


def _used_by_children() -> float:
    """Return the processor time, user and system, of all processes that were started and ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _epochs_within(budget: float, peer: Peer, data: Path) -> int:
    """Find from trainings of one and two epochs how many fill a budget in seconds."""
    one, two = (peer.train(data, f"calibrate-{count}", epochs=count).cpu for count in (1, 2))
    print(f"one epoch {one:.0f} s, two epochs {two:.0f} s", flush=True)
    return count_epochs(budget, one, two)


def count_epochs(budget: float, one: float, two: float) -> int:
    """Count the epochs that fill a budget, rounded up, from what one and two take in all."""
    if two <= one:
        raise click.ClickException(
            f"two epochs took {two:.0f} s and one {one:.0f} s: give --epochs, or try again"
        )
    return max(1, 1 + math.ceil((budget - one) / (two - one)))


def write_data(
    train: Sequence[Picture], val: Sequence[Picture], class_names: Sequence[str], folder: Path
) -> Path:
    """Write both sides as YOLO folders, in place of what was there; return their data.yaml."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, pictures in (("train", train), ("val", val)):
        write_yolo(pictures, class_names, folder / name)
    places = {name: str(folder / name / "images") for name in ("train", "val")}
    data = folder / "data.yaml"
    data.write_text(yaml.safe_dump(places | {"names": dict(enumerate(class_names))}), "utf-8")
    return data


def _measure(peer: Peer, training: str, held_out, class_names) -> dict[str, float]:
    """Measure the best epoch by its own choice, and the last one."""
    source = peer.folder / f"{training}-held-out"
    names = _copy_flat(held_out, source)
    row = {}
    for prefix, kind in (("", "best"), ("last_", "last")):
        labels = peer.predict(peer.weights(training, kind), source, f"{training}-{kind}")
        found = tuple(
            read_found(labels / f"{name}.txt", picture.size_wh)
            for name, picture in zip(names, held_out, strict=True)
        )
        numbers = Evaluation(tuple(class_names), tuple(held_out), found).metrics()
        row |= {f"{prefix}AP50": numbers["AP50"], f"{prefix}AP": numbers["AP"]}
        row[f"{prefix}without_boxes"] = sum(not len(boxes) for boxes in found)
    return row


def _copy_flat(pictures: Sequence[Picture], folder: Path) -> list[str]:
    """Copy pictures under numbers, since labels go by name alone; return these names."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    names = [f"{number:06d}" for number in range(len(pictures))]
    for name, picture in zip(names, pictures, strict=True):
        shutil.copyfile(picture.path, folder / f"{name}{picture.path.suffix}")
    return names


def read_found(path: Path, size_wh: tuple[int, int]) -> Detections:
    """Read `class cx cy width height score` lines, parts of the picture, into its pixels.

    No file: nothing was found. Raises ValueError, with file and line, for any other line.
    """
    lines = numbered_lines(path) if path.exists() else []
    rows = np.array([_numbers(path, *line) for line in lines], float).reshape(-1, 6)
    rows = rows[np.argsort(-rows[:, 5], kind="stable")]
    half = rows[:, 3:5] / 2
    parts_xyxy = np.concatenate([rows[:, 1:3] - half, rows[:, 1:3] + half], axis=1)
    boxes_xyxy = np.clip(parts_xyxy, 0, 1) * (size_wh * 2)
    return Detections(
        boxes_xyxy.astype(np.float32), rows[:, 5].astype(np.float32), rows[:, 0].astype(np.int64)
    )


def _numbers(path: Path, number: int, line: str) -> list[float]:
    try:
        values = [finite_number(field) for field in line.split()]
    except ValueError as error:
        raise ValueError(f"{path}:{number}: {error}, expected {FIELDS}") from None
    if len(values) != 6:
        raise ValueError(f"{path}:{number}: has {len(values)} numbers, expected 6: {FIELDS}")
    return values


if __name__ == "__main__":
    sys.exit(main())
