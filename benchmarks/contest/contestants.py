"""Contestants: versions of this project, and other programs, each trained in its own process.

yolov5 and ultralytics stand under the AGPL: they are no dependencies, and nothing of them is
imported or copied. They run as separate programs in environments of their own:

    python -m venv peer
    peer/bin/pip install ultralytics pandas seaborn scipy setuptools GitPython
    git clone https://github.com/ultralytics/yolov5

STATE is a file of torch with `state_dict` and `names` of YOLOv5n's weights of COCO.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import matplotlib
import numpy as np

from benchmarks.contest.split import Split
from yolo3.data.folders import finite_number, numbered_lines
from yolo3.evaluation.evaluate import Evaluation
from yolo3.network.postprocess import Detections

METRICS = ("AP50", "AP75", "AP")
FIELDS = "class cx cy width height score"
INPUT_SIZE = 416
BATCH_SIZE = 16


class Contestant:
    """Train for a budget, and give the metrics of the held-out images."""

    name: str
    start: str

    def __init__(self):
        self._cost = None
        self._lock = threading.Lock()

    def measure(self, split: Split, budget: float, place: Path, core: int) -> dict:
        """Train on a split for `budget` seconds of processor time, on one core; give a row.

        place: a folder of its own; what it holds is removed.
        """
        epochs = self._epochs(split, budget, place / "trial", core) if budget else None
        spent = self.train(split, epochs, _empty(place / "full"), core)
        measured = self.judge(split, place / "full", core)
        row = {"start": self.start, "epochs": epochs, "spent_minutes": round(spent / 60, 2)}
        return row | {name: round(measured[name], 4) for name in METRICS}

    def _epochs(self, split, budget, place, core):
        """Count the epochs that fill the budget.

        Two short trials on the first split tell what an image costs, in each epoch and once.
        """
        images = len(split.train)
        with self._lock:
            if self._cost is None:
                one, three = (self.train(split, n, _empty(place), core) for n in (1, 3))
                per_epoch = (three - one) / 2
                self._cost = (max(0.0, one - per_epoch) / images, per_epoch / images)
        once, each = (cost * images for cost in self._cost)
        return max(1, round((budget - once) / each))

    def train(self, split: Split, epochs: int | None, place: Path, core: int) -> float:
        """Train; give the seconds of processor time that it took."""
        raise NotImplementedError

    def judge(self, split: Split, place: Path, core: int) -> dict[str, float]:
        """Measure what a training left on the held-out images."""
        raise NotImplementedError


def _empty(place):
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    return place


def _run(words, place, core, **options):
    """Run a command on one core, its output to a log; seconds of processor time that it took.

    Raises subprocess.CalledProcessError.
    """
    place.mkdir(parents=True, exist_ok=True)

    def alone():
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[core]})

    with (place / "log.txt").open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            list(map(str, words)), stdout=log, stderr=log, preexec_fn=alone, **options
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, [*words[:3], f"see {log.name}"])
    return usage.ru_utime + usage.ru_stime


class Project(Contestant):
    """A checkout of this project, trained by its own code with options of its train.py."""

    def __init__(self, name: str, checkout: Path, options: list[str]):
        super().__init__()
        self.name, self._checkout, self._options = name, checkout.resolve(), options
        self.start = "random" if "none" in options else "COCO"

    @classmethod
    def parse(cls, text: str) -> "Project":
        """Read NAME=CHECKOUT [options of train.py]."""
        name, _, rest = text.partition("=")
        checkout, *options = shlex.split(rest)
        return cls(name, Path(checkout), options)

    def train(self, split, epochs, place, core):
        options = {"annotation-path": split.annotations, "seed": split.seed, "threads": 1}
        options |= {"classes-path": split.folder / "classes.txt", "log-dir": place / "logs"}
        options |= {} if epochs is None else {"fine-tune-epochs": epochs}
        script = Path(__file__).with_name("train_project.py")
        words = [sys.executable, script, place / "row.json", *_words(options), *self._options]
        _run(words, place, core, cwd=place, env=self._environment(place, self._checkout))
        return json.loads((place / "row.json").read_text("utf-8"))["spent_seconds"]

    def judge(self, split, place, core):
        model = json.loads((place / "row.json").read_text("utf-8"))["model"]
        options = {"model": model, "output": place / "report"}
        options |= {"annotation-path": split.held_out_annotations}
        options |= {"classes-path": split.folder / "classes.txt"}
        words = [sys.executable, "-m", "yolo3", "evaluate", *_words(options)]
        _run(words, place, core, env=self._environment(place, Path.cwd()))
        report = json.loads((place / "report" / "evaluation.json").read_text("utf-8"))
        return report["metrics"]

    def _environment(self, place, checkout):
        uri = f"sqlite:///{place}/mlflow.db"
        return os.environ | {"PYTHONPATH": str(checkout), "MLFLOW_TRACKING_URI": uri}


def _words(options):
    return [word for name, value in options.items() for word in (f"--{name}", value)]


class _Peer(Contestant):
    """Another program, which reads YOLO folders and writes what it found as text.

    Of its best epoch, by its own choice, and its last one, the better on the held-out images
    counts: a favour.
    """

    def __init__(self, python: str):
        super().__init__()
        self._python = str(Path(python).absolute())

    def train(self, split, epochs, place, core):
        return self._train(split.write_yolo(), epochs, split.seed, place, core)

    def judge(self, split, place, core):
        source, stems = split.copy_held_out()
        found = []
        for kind in ("best", "last"):
            labels = self._detect(place / "train" / "weights" / f"{kind}.pt", source, place, core)
            detections = tuple(
                read_found(labels / f"{stem}.txt", picture.size_wh)
                for stem, picture in zip(stems, split.held_out, strict=True)
            )
            found.append(Evaluation(split.class_names, split.held_out, detections).metrics())
        return max(found, key=lambda metrics: metrics["AP"])

    def _environment(self, place):
        inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        offline = {"YOLO_OFFLINE": "true", "YOLO_CONFIG_DIR": str(place), "WANDB_MODE": "disabled"}
        return inherited | offline | {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}

    def _train(self, data, epochs, seed, place, core) -> float:
        raise NotImplementedError

    def _detect(self, weights, source, place, core) -> Path:
        raise NotImplementedError


MAKE_START = """
import sys, torch
from models.yolo import Model
state, target = sys.argv[1:]
got = torch.load(state, weights_only=True)
model = Model('models/yolov5n.yaml', nc=len(got['names']))
model.load_state_dict({name: value.float() for name, value in got['state_dict'].items()})
model.names = dict(enumerate(got['names']))
empty = dict.fromkeys(('ema', 'optimizer', 'best_fitness', 'updates', 'opt', 'git', 'date'))
torch.save({'model': model.half(), 'epoch': -1} | empty, target)
"""


class YOLOv5(_Peer):
    """YOLOv5n from its weights of COCO."""

    name, start = "yolov5n", "COCO"

    def __init__(self, python: str, checkout: str, state: str):
        super().__init__(python)
        self._checkout, self._state = Path(checkout).resolve(), Path(state).resolve()

    def _run(self, words, place, core):
        font = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
        shutil.copyfile(font, place / "Arial.ttf")  # which it would download
        env = self._environment(place) | {"YOLOV5_CONFIG_DIR": str(place)}
        return _run([self._python, *words], place, core, cwd=self._checkout, env=env)

    def _train(self, data, epochs, seed, place, core):
        start = place / "start.pt"
        self._run(["-c", MAKE_START, self._state, start], place, core)
        options = {"data": data, "weights": start, "cfg": "models/yolov5n.yaml", "seed": seed}
        options |= {"img": INPUT_SIZE, "batch-size": BATCH_SIZE, "device": "cpu", "workers": 0}
        options |= {"project": place, "name": "train", "epochs": epochs}
        return self._run(["train.py", *_words(options), "--exist-ok", "--noplots"], place, core)

    def _detect(self, weights, source, place, core):
        shutil.rmtree(place / "found", ignore_errors=True)
        options = {"weights": weights, "source": source, "img": INPUT_SIZE, "device": "cpu"}
        options |= {"conf-thres": 0.001, "iou-thres": 0.6, "max-det": 300}  # as it validates
        options |= {"project": place, "name": "found"}
        self._run(
            ["detect.py", *_words(options), "--save-txt", "--save-conf", "--nosave"], place, core
        )
        return place / "found" / "labels"


class Ultralytics(_Peer):
    """ultralytics' yolov3-tiny from random weights."""

    name, start = "ultralytics yolov3-tiny", "random"

    def _run(self, words, options, place, core):
        yolo = Path(self._python).with_name("yolo")
        fixed = {"imgsz": INPUT_SIZE, "device": "cpu", "project": place, "exist_ok": True}
        given = [f"{name}={value}" for name, value in (fixed | options).items()]
        env = self._environment(place)
        return _run([yolo, "detect", *words, *given], place, core, cwd=place, env=env)

    def _train(self, data, epochs, seed, place, core):
        options = {"model": "yolov3-tiny.yaml", "pretrained": False, "data": data, "seed": seed}
        options |= {"batch": BATCH_SIZE, "workers": 0, "epochs": epochs, "name": "train"}
        return self._run(["train"], options, place, core)

    def _detect(self, weights, source, place, core):
        shutil.rmtree(place / "found", ignore_errors=True)  # it adds to files that are there
        options = {"model": weights, "source": source, "name": "found", "save": False}
        options |= {"conf": 0.001, "iou": 0.7, "max_det": 300}  # as it validates
        options |= {"save_txt": True, "save_conf": True}
        self._run(["predict"], options, place, core)
        return place / "found" / "labels"


def read_found(path: Path, size_wh: tuple[int, int]) -> Detections:
    """Read `class cx cy width height score` lines, parts of the image, into its pixels.

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
