"""Compare the memory that stages are estimated to need with what processes take.

    python -m benchmarks.memory

Each row is a fresh process that trains two epochs of eight batches on rendered scenes and validates
after each, as the main job does. Measured is how far its resident memory rises above what it was
right before the stage. `after frozen` is the second of two stages: what the first left counts as
there. Figures hold for one machine: kernels, and so their working space, differ between processors.
"""

import json
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import psutil

from yolo3.evaluation.machine import describe

MB = 1e6
STEPS = 8
STAGES = ("frozen", "finetune", "after frozen")
NINE = tuple((10.0 * k, 12.0 * k) for k in range(1, 10))


@dataclass(frozen=True)
class Case:
    """Say what one row trains. boxes: in the fullest picture, 0 for as many as there are."""

    network: str
    input_size: int
    batch_size: int
    precision: str
    stage: str
    boxes: int = 0
    classes: int = 3


def _cases():
    for stage in ("frozen", "finetune"):
        for precision in ("float32", "mixed_bfloat16"):
            for size in (224, 320, 416):
                for batch_size in (4, 16):
                    yield Case("tiny", size, batch_size, precision, stage)
            yield Case("full", 224, 4, precision, stage)
    plain = Case("tiny", 416, 16, "float32", "finetune")
    yield from (replace(plain, batch_size=size) for size in (1, 8, 32))
    yield replace(plain, batch_size=32, stage="frozen")
    yield from (replace(plain, stage=stage, boxes=300) for stage in ("frozen", "finetune"))
    yield from (replace(plain, stage=stage, classes=80) for stage in ("frozen", "finetune"))
    yield replace(plain, batch_size=8, stage="after frozen")
    yield replace(plain, stage="after frozen")
    yield Case("full", 224, 1, "float32", "finetune")
    yield Case("full", 224, 2, "float32", "after frozen")


@click.command(context_settings={"show_default": True})
@click.option("--case", "text", default="", help="Run one case, given as JSON, in this process.")
@click.option("--only", default="", help="Run the cases whose names contain this.")
@click.option("--output", default="logs/memory.json", type=click.Path(path_type=Path))
def main(text, only, output):
    """Print a table of estimated and measured memory."""
    if text:
        print(json.dumps(_measure(Case(**json.loads(text)))))
        return
    print(describe())
    print(f"{'network':8}{'input':>6}{'batch':>6}  {'precision':15}{'stage':14}{'':12}", end="")
    print(f"{'estimate':>9}{'measured':>9}  ratio")
    output.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for case in _cases():
        if only in _name(case):
            rows.append(asdict(case) | _in_a_process(case))
            print(_name(case), _figures(rows[-1]), flush=True)
            story = {"machine": describe(), "rows": rows}
            output.write_text(json.dumps(story, indent=1), "utf-8")


def _name(case):
    extra = (f"{case.boxes} boxes" * bool(case.boxes)) or f"{case.classes} classes"
    return (
        f"{case.network:8}{case.input_size:6}{case.batch_size:6}  {case.precision:15}"
        f"{case.stage:14}{extra:12}"
    )


def _figures(row):
    ratio = row["estimate"] / row["measured"]
    return f"{row['estimate'] / MB:6.0f} MB{row['measured'] / MB:6.0f} MB  {ratio:5.2f}"


def _in_a_process(case):
    command = (sys.executable, "-m", "benchmarks.memory", "--case", json.dumps(asdict(case)))
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(f"{case}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _measure(case):
    """Train one case; give the bytes that were estimated and those that were taken."""
    with tempfile.TemporaryDirectory() as folder:
        learner, batches, run = _prepare(case, Path(folder))
        if case.stage == "after frozen":
            run("frozen")
        from yolo3.training.memory import held_bytes
        from yolo3.training.need import estimate_need

        held = held_bytes(batches)
        stage = "frozen" if case.stage == "frozen" else "finetune"
        frozen = _frozen(learner.network, stage)
        need = estimate_need(learner.network, learner.spec, frozen, batches.pictures)
        with _Watch() as watch:
            run(stage)
        return {
            "estimate": need.at(case.batch_size) - held,
            "measured": watch.rise,
            "need": asdict(need),
            "held": held,
        }


def _frozen(network, stage):
    from yolo3.training.stages import frozen_layers

    every = tuple(layer.name for layer in network.layers if layer.weights)
    return frozen_layers(network, "body" if stage == "frozen" else "none", every)


def _prepare(case, folder):
    """Make a learner, its batches, and what runs a stage by its name."""
    from functools import partial

    from yolo3.data.augmentation import Augmentation
    from yolo3.data.batches import Batches
    from yolo3.network.grid import encode
    from yolo3.network.model import build_network
    from yolo3.network.spec import make_spec, read_anchors
    from yolo3.training.learner import Learner
    from yolo3.training.stages import Stage, run_stage
    from yolo3.training.validation import VAL_BATCH_SIZE, validate

    pictures = _pictures(folder, case.boxes)
    names = tuple(f"class {number}" for number in range(case.classes))
    six = read_anchors(Path(__file__).parents[1] / "model_data" / "yolo_tiny_anchors.txt")
    anchors_wh = six if case.network == "tiny" else NINE
    spec = make_spec(names, anchors_wh, (case.input_size, case.input_size))
    learner = Learner(build_network(spec, case.precision), spec)
    encoding = partial(encode, spec=spec)
    count = STEPS * case.batch_size
    repeated = [pictures[number % len(pictures)] for number in range(count)]
    batches = Batches(
        repeated, spec.input_wh, encoding, case.batch_size, augmentation=Augmentation(), workers=2
    )
    val = pictures[:VAL_BATCH_SIZE]
    checking = partial(
        validate, learner, Batches(val, spec.input_wh, encoding, VAL_BATCH_SIZE), val
    )

    def run(name):
        stage = Stage(name, 2, 1e-4, _frozen(learner.network, name))
        run_stage(learner, stage, batches, checking, lambda epoch, numbers: None, folder / "logs")

    return learner, batches, run


def _pictures(folder, boxes):
    import numpy as np

    from yolo3.data.annotations import read_annotations, read_classes
    from yolo3.scenes import write_dataset

    write_dataset(folder / "scenes", 64, 1, workers=1, progress=False)
    names = read_classes(folder / "scenes" / "classes.txt")
    pictures, _ = read_annotations(folder / "scenes" / "list_master.txt", names, folder)
    if not boxes:
        return pictures
    boxes_xyxy = np.tile(np.float32([5, 5, 30, 30]), (boxes, 1))
    full = replace(pictures[0], boxes_xyxy=boxes_xyxy, class_ids=np.zeros(boxes, np.int64))
    return [full, *pictures[1:]]


class _Watch:
    """Follow the resident memory of this process: how far it rises above where it was."""

    def __enter__(self):
        self._process = psutil.Process()
        self._start = self._process.memory_info().rss
        self.rise = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def _look(self):
        while not self._over.wait(0.003):
            self.rise = max(self.rise, self._process.memory_info().rss - self._start)

    def __exit__(self, *error):
        self._over.set()
        self._thread.join()


if __name__ == "__main__":
    main()
