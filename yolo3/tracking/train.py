"""The main job: read and check the data, begin or go on, and record all that is known then.

classes, anchors, lists -> pictures (checked) -> training and validation pictures
weights -> network; run id -> where a killed run stood
all of these -> `tracking.job`, which trains the two stages
"""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow

from yolo3.checks.anchors import network_sizes_wh
from yolo3.checks.checkup import Checkup, check_up
from yolo3.data.pictures import left_out_line
from yolo3.network.model import build_network
from yolo3.network.spec import make_spec, parse_input_size, read_anchors
from yolo3.network.weights import outputs_filled
from yolo3.tracking import provenance
from yolo3.tracking import run as record
from yolo3.tracking.check import log_check
from yolo3.tracking.data import AUTO, CONTEXTS, Data, keep_inputs, list_of, read_data
from yolo3.tracking.dataset import boxes_per_class, log_pictures, picture_line
from yolo3.tracking.job import FINAL_MODEL, Job
from yolo3.tracking.registry import check_name
from yolo3.tracking.resume import NETWORK, Past, alone_in, look_back, remove_checkpoints
from yolo3.tracking.secrets import refuse_secrets
from yolo3.tracking.weights import Start, choose_weights, is_sample, start_from
from yolo3.training import determinism
from yolo3.training.checkpoint import FILE
from yolo3.training.interrupt import stop_on_signals
from yolo3.training.memory import foresee_memory
from yolo3.training.precision import choose_precision
from yolo3.training.recipe import RECIPE, choose_epochs, choose_initial_lr, expected_minutes
from yolo3.training.stages import frozen_layers

TINY_ANCHORS, FULL_ANCHORS = "model_data/yolo_tiny_anchors.txt", "model_data/yolo_anchors.txt"
FULL_WEIGHTS = "yolov3"


@dataclass(frozen=True)
class Settings:
    """Hold what the user chose; the README's table says what each means."""

    annotation_path: str
    weights_path: str
    classes_path: str
    anchors_path: str
    log_dir: str
    initial_lr: float | str
    batch_size: int
    frozen_epochs: int
    fine_tune_epochs: int | str
    input_size: str
    val_split: float
    val_annotation_path: str
    test_annotation_path: str
    seed: int
    freeze: str
    precision: str
    engine: str
    registered_model_name: str
    threads: int
    cache_gb: float


@dataclass(frozen=True)
class Outcome:
    """Name the run, and hold the final metrics by the names that MLflow has."""

    run_id: str
    metrics: dict[str, float]


def train_and_evaluate(settings: Settings) -> Outcome:
    """Run the main job in one MLflow run, which records the precision that `auto` came to.

    Raises DataError, WeightsError, MemoryNeeded or ValueError, before the run is opened, for what
    the user must mend, and Interrupted where the training was asked to end.
    """
    refuse_secrets(vars(settings), allowed=("weights_path",))
    if settings.registered_model_name:
        check_name(settings.registered_model_name)
    return _train(replace(settings, precision=choose_precision(settings.precision)), None)


def resume_training(run_id: str, changed: dict) -> Outcome:
    """Go on with a run that was killed or interrupted, with its own settings.

    changed: settings that the user gave beside the run's id; they must be those of the run.
    Raises ResumeError, and what `train_and_evaluate` raises.
    """
    past = look_back(run_id, Settings, changed)
    return _train(past.settings, past)


def _train(settings, past: Past | None):
    input_wh = parse_input_size(settings.input_size)
    given = read_data(settings)
    print("\n".join(_data_lines(given)), flush=True)
    settings = with_chosen_weights(settings, given)
    if settings.fine_tune_epochs == AUTO:
        epochs = choose_epochs(len(given.train), is_sample(given.given))
        settings = replace(settings, fine_tune_epochs=epochs)
    anchors_path = settings.anchors_path
    if anchors_path == AUTO:
        anchors_path = FULL_ANCHORS if settings.weights_path == FULL_WEIGHTS else TINY_ANCHORS
    anchors_wh = read_anchors(record.find_file(anchors_path))
    planned = make_spec(given.class_names, anchors_wh, input_wh)
    if past:
        past.check_spec(planned)
        past.check_data(given.digests)
    threads = provenance.recorded_threads(past.run_id) if past else 0  # on whatever machine it was
    determinism.settle(settings.seed, threads or settings.threads)
    network = build_network(planned, settings.precision)
    standing = past.standing if past else None
    sizes_wh = None
    if settings.anchors_path == AUTO and not is_sample(given.given):
        sizes_wh = network_sizes_wh(given.train, input_wh)
    start = None if standing else start_from(network, planned, settings.weights_path, sizes_wh)
    if settings.initial_lr == AUTO:
        filled = start and outputs_filled(network, start.report)
        settings = replace(settings, initial_lr=choose_initial_lr(filled))
    checkup = check_up(given.train, given.val, start.spec if start else planned)
    data = replace(given, findings=given.findings + checkup.new_findings)
    print("\n".join([*checkup.new_findings.lines(), checkup.anchor_line()]), flush=True)
    if settings.fine_tune_epochs:  # the first stage takes less, and might end an hour later
        foresee_memory("finetune", network, planned, (), data.train, settings.batch_size)
    record.check_writable(Path(settings.log_dir), "log_dir")
    with ExitStack() as held:
        asked_to_stop = held.enter_context(stop_on_signals())
        if past:  # before its run is entered, which would end with this process, not with its own
            held.enter_context(alone_in(Path(settings.log_dir) / past.run_id))
        run = held.enter_context(record.open_run(past.run_id if past else ""))
        folder = Path(settings.log_dir) / run.info.run_id
        if not past:
            held.enter_context(alone_in(folder))
        kept = settings
        if start:
            chosen = "" if start.own_anchors else str(anchors_path)
            kept, data = keep_inputs(settings, data, start.spec, chosen, folder)
        job = Job(kept, data, network, folder, run.info.run_id, asked_to_stop)
        if standing:
            job.go_on(standing)
        else:
            job.begin(start.spec, frozen_layers(network, kept.freeze, start.filled))
            _record_start(kept, settings, start, data, checkup, folder, job)
        metrics = job.run()
        remove_checkpoints(folder / FILE)
    print(_closing(run.info.run_id), record.how_to_view(run), sep="\n")
    return Outcome(run.info.run_id, metrics)


def with_chosen_weights(settings, data: Data):
    """Choose the weights to start from, where that is left to the project."""
    if settings.weights_path != AUTO:
        return settings
    own = settings.anchors_path
    count = len(read_anchors(record.find_file(TINY_ANCHORS if own == AUTO else own)))
    return replace(settings, weights_path=choose_weights(data.given, count))


def _record_start(
    settings: Settings,
    given: Settings,
    start: Start,
    data: Data,
    checkup: Checkup,
    folder: Path,
    job: Job,
) -> None:
    """Record all that is known before the first step; the spec also beside the checkpoints.

    given: the settings before what was imported and chosen was written into the run's folder.
    May be repeated: a run that was killed while this was done does it again when it is resumed.
    """
    mlflow.set_tag("recipe", RECIPE)
    record.log_settings(settings, {name: getattr(given, name) for name in CONTEXTS})
    record.log_lock()
    provenance.log(settings, given, folder)
    start.log()
    fit = log_check(checkup, given.annotation_path, given.seed)
    mlflow.log_text(start.spec.to_json(), NETWORK)
    (folder / NETWORK).write_text(start.spec.to_json(), "utf-8")
    for context, pictures in data.by_context.items():
        source = record.find_file(list_of(context, settings))
        log_pictures(pictures, data.class_names, source, context)
        record.log_text_lines(map(picture_line, pictures), f"pictures/{context}.txt")
    counts = {f"data_{kind}": n for kind, n in data.findings.counts.items()}
    counts |= {"data_images_left_out": len(data.left_out)}
    images, epochs = len(data.train), settings.fine_tune_epochs
    minutes = expected_minutes(job.learner, images, len(data.val), epochs)
    job.journal.log(counts | fit)
    mlflow.set_tag("expected_minutes", f"{minutes:.1f}")  # of a clock: no number to repeat
    length = f"{epochs} epochs of {images} images"
    print(f"finetune: {length}, about {minutes:.0f} minutes on this machine", flush=True)
    record.log_text_lines(_data_lines(data), "data.txt")
    if data.left_out:
        record.log_text_lines(map(left_out_line, data.left_out), "left_out.txt")


def _data_lines(data: Data) -> list[str]:
    lines = []
    for context, pictures in data.by_context.items():
        counts = boxes_per_class(pictures, data.class_names)
        shown = ", ".join(f"{count} {label}" for label, count in counts.items())
        lines.append(f"{context}: {len(pictures)} pictures, boxes: {shown}")
    return lines + data.findings.lines()


def _closing(run_id: str) -> str:
    return (
        f"model: runs:/{run_id}/{FINAL_MODEL}\n"
        f"detect with it: python -m yolo3 detect --model runs:/{run_id}/{FINAL_MODEL} "
        "--input PICTURE --output found"
    )
