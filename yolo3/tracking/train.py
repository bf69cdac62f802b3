"""The main job: read and check the data, train in two stages, evaluate, log.

classes, anchors, lists -> pictures (checked)  -> training and validation batches
weights -> network -> frozen stage -> evaluation, logged model -> fine-tune stage -> the same
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import keras
import mlflow

from yolo3.checks.checkup import Checkup, check_up
from yolo3.data.annotations import Picture, read_annotations, read_classes
from yolo3.data.augmentation import Augmentation
from yolo3.data.batches import Batches
from yolo3.data.images import read_image
from yolo3.data.pictures import Findings
from yolo3.data.splits import check_apart, split_pictures
from yolo3.detector.detector import Detector
from yolo3.detector.mlflow_model import as_float32, log_detector
from yolo3.evaluation import figures
from yolo3.evaluation.evaluate import Evaluation
from yolo3.network.grid import encode
from yolo3.network.model import build_network
from yolo3.network.postprocess import Thresholds
from yolo3.network.spec import make_spec, parse_input_size, read_anchors
from yolo3.tracking import run as record
from yolo3.tracking.check import log_check
from yolo3.tracking.dataset import boxes_per_class, log_pictures
from yolo3.tracking.weights import Start, start_from
from yolo3.training.learner import Learner
from yolo3.training.memory import foresee_memory
from yolo3.training.stages import Stage, frozen_layers, run_stage
from yolo3.training.validation import VAL_BATCH_SIZE, evaluate_detector, one_box, validate

FROZEN_MODEL = "keras-yolo-model-frozen-pass"
FINAL_MODEL = "keras-yolo-model"
FINE_TUNE_RATE = 0.1  # of initial_lr: the outputs alone bear more than all layers do


@dataclass(frozen=True)
class Settings:
    """Hold what the user chose; the README's table says what each means."""

    annotation_path: str
    weights_path: str
    classes_path: str
    anchors_path: str
    log_dir: str
    initial_lr: float
    batch_size: int
    frozen_epochs: int
    fine_tune_epochs: int
    input_size: str
    val_split: float
    val_annotation_path: str
    seed: int
    freeze: str
    precision: str
    registered_model_name: str


@dataclass(frozen=True)
class Data:
    """Hold the pictures of a training, by what they are for."""

    train: Sequence[Picture]
    val: Sequence[Picture]
    class_names: tuple[str, ...]
    findings: Findings


def read_data(settings: Settings) -> Data:
    """Read, check and divide the pictures; DataError tells all that is wrong at once."""
    class_names = read_classes(record.find_file(settings.classes_path))
    pictures, findings = _read_list(settings.annotation_path, class_names)
    if settings.val_annotation_path:
        val, val_findings = _read_list(settings.val_annotation_path, class_names)
        shared = check_apart(pictures, val)
        return Data(pictures, val, class_names, findings + val_findings + shared)
    train, val = split_pictures(pictures, settings.val_split, settings.seed)
    return Data(train, val, class_names, findings)


def _read_list(path, class_names):
    return read_annotations(record.find_file(path), class_names, record.PROJECT_DIR)


@dataclass(frozen=True)
class Outcome:
    """Name the run, and hold the final metrics by the names that MLflow has."""

    run_id: str
    metrics: dict[str, float]


def train_and_evaluate(settings: Settings) -> Outcome:
    """Run the main job in one MLflow run.

    Raises DataError, WeightsError, MemoryNeeded or ValueError, before the run is opened, for what
    the user must mend.
    """
    anchors_wh = read_anchors(record.find_file(settings.anchors_path))
    input_wh = parse_input_size(settings.input_size)
    given = read_data(settings)
    planned = make_spec(given.class_names, anchors_wh, input_wh)
    checkup = check_up(given.train, given.val, planned)
    data = replace(given, findings=given.findings + checkup.new_findings)
    _print_data(data, checkup)
    keras.utils.set_random_seed(settings.seed)
    network = build_network(planned, settings.precision)
    start = start_from(network, planned, settings.weights_path)
    frozen = frozen_layers(network, settings.freeze, start.filled)
    if settings.fine_tune_epochs:  # the first stage takes less, and might end an hour later
        foresee_memory("finetune", network, start.spec, (), data.train, settings.batch_size)
    with record.open_run() as run:
        folder = Path(settings.log_dir) / run.info.run_id
        _record_start(settings, start, data, checkup, folder)
        job = _Job(settings, start.spec, data, network, folder)
        metrics = job.run_stage(
            Stage(
                "frozen",
                settings.frozen_epochs,
                settings.initial_lr,
                frozen,
                tolerance=one_box(data.val),
            ),
            "frozen_",
            FROZEN_MODEL,
        )
        boundary = len(job.history)
        rate = settings.initial_lr * FINE_TUNE_RATE
        fine_tune = Stage(
            "finetune",
            settings.fine_tune_epochs,
            rate,
            first_epoch=boundary,
            tolerance=one_box(data.val),
        )
        metrics |= job.run_stage(fine_tune, "", FINAL_MODEL, settings.registered_model_name)
        job.record_history(boundary)
        print(_closing(run.info.run_id))
        return Outcome(run.info.run_id, metrics)


class _Job:
    """Carry what both stages share."""

    def __init__(self, settings, spec, data, network, folder):
        self.spec, self.data, self.folder = spec, data, folder
        self.learner = Learner(network, spec)
        self.history = []
        encoding = partial(encode, spec=spec)
        self._train = Batches(
            data.train,
            spec.input_wh,
            encoding,
            settings.batch_size,
            augmentation=Augmentation(),
            seed=settings.seed,
            workers=2,
        )
        val_batches = Batches(data.val, spec.input_wh, encoding, VAL_BATCH_SIZE)
        self._validate = partial(validate, self.learner, val_batches, data.val)

    def run_stage(self, stage: Stage, prefix: str, model_name: str, registered_name: str = ""):
        """Train a stage, evaluate what it leaves, and log both."""
        ran = run_stage(self.learner, stage, self._train, self._validate, _log_epoch, self.folder)
        self.history += ran
        step = len(self.history)
        losses = {
            f"{stage.name}_{name.removeprefix('val_')}": value
            for name, value in self._validate().items()
            if name.endswith("loss")
        }
        mlflow.log_metrics(losses, step=step)
        network = as_float32(self.learner.network)  # what is logged is what is measured
        evaluation = evaluate_detector(Detector(network, self.spec), self.data.val)
        numbers = record.log_evaluation(evaluation, f"evaluation/{stage.name}", prefix, step)
        self._log_model(network, evaluation, model_name, registered_name, step)
        print(_summary(stage.name, evaluation), flush=True)
        return losses | numbers

    def record_history(self, boundary: int):
        """Log the curves of the whole training; `boundary` epochs of it were the first stage."""
        record.log_json(self.history, "history.json")
        if self.history:
            mlflow.log_figure(
                figures.training_curves(self.history, boundary), "figures/training.png"
            )

    def _log_model(self, network, evaluation: Evaluation, name, registered_name, step):
        log_detector(
            network,
            self.spec,
            name=name,
            lock=record.LOCK,
            thresholds=Thresholds(score_threshold=_usable(evaluation.curves.best_threshold)),
            example=read_image(self.data.val[0].path),
            registered_model_name=registered_name or None,
            step=step,
        )


def _usable(threshold: float) -> float:
    """Keep a best-F1 threshold within what a detector should answer with."""
    return float(min(max(threshold, 0.05), 0.95))


def _log_epoch(epoch, numbers):
    mlflow.log_metrics(numbers, step=epoch + 1)


def _record_start(
    settings: Settings, start: Start, data: Data, checkup: Checkup, folder: Path
) -> None:
    """Record all that is known before the first step; the spec also beside the checkpoints."""
    record.log_settings(settings)
    record.log_lock()
    start.log()
    log_check(checkup, settings.annotation_path)
    mlflow.log_text(start.spec.to_json(), "network.json")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "network.json").write_text(start.spec.to_json(), "utf-8")
    source = record.find_file(settings.annotation_path)
    log_pictures(data.train, data.class_names, source, "training")
    val_source = record.find_file(settings.val_annotation_path or settings.annotation_path)
    log_pictures(data.val, data.class_names, val_source, "validation")
    mlflow.log_metrics({f"data_{kind}": count for kind, count in data.findings.counts.items()})
    record.log_text_lines(_data_lines(data), "data.txt")
    for name, pictures in (("training", data.train), ("validation", data.val)):
        record.log_text_lines(
            (f"{picture.digest} {picture.source}" for picture in pictures), f"pictures/{name}.txt"
        )


def _data_lines(data: Data) -> list[str]:
    lines = []
    for name, pictures in (("training", data.train), ("validation", data.val)):
        counts = boxes_per_class(pictures, data.class_names)
        shown = ", ".join(f"{count} {label}" for label, count in counts.items())
        lines.append(f"{name}: {len(pictures)} pictures, boxes: {shown}")
    return lines + data.findings.lines()


def _print_data(data: Data, checkup: Checkup) -> None:
    print("\n".join([*_data_lines(data), checkup.anchor_line()]), flush=True)


def _summary(stage: str, evaluation: Evaluation) -> str:
    numbers = evaluation.metrics()
    return (
        f"{stage}: AP50 {numbers['AP50']:.3f}, AP {numbers['AP']:.3f} "
        f"on {len(evaluation.pictures)} validation pictures"
    )


def _closing(run_id: str) -> str:
    return (
        f"model: runs:/{run_id}/{FINAL_MODEL}\n"
        f"detect with it: python -m yolo3 detect --model runs:/{run_id}/{FINAL_MODEL} "
        "--input PICTURE --output found"
    )
