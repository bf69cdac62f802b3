"""Make the base weights that ship with the project: train on freshly rendered scenes.

The scenes hold other headgear, other objects and other backgrounds than the sample in voc/, and
only the body is kept, so that both stages of the main job have something left to learn.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import mlflow

from yolo3.data.annotations import read_annotations, read_classes
from yolo3.data.augmentation import Augmentation
from yolo3.data.batches import Batches
from yolo3.data.pictures import pictures_digest
from yolo3.network.grid import encode
from yolo3.network.model import build_network
from yolo3.network.spec import make_spec, parse_input_size, read_anchors
from yolo3.network.weights import NO_WEIGHTS, save_body
from yolo3.scenes import PRETRAIN, write_dataset
from yolo3.tracking import provenance
from yolo3.tracking import run as record
from yolo3.tracking.dataset import log_pictures
from yolo3.tracking.secrets import redact, refuse_secrets
from yolo3.tracking.weights import start_from
from yolo3.training.determinism import settle
from yolo3.training.learner import Learner
from yolo3.training.stages import Stage, run_stage
from yolo3.training.validation import VAL_BATCH_SIZE, validate

AUGMENTATION = Augmentation(scale=(0.7, 2.0), mosaic=0.3)
"""Stronger than the main job's: thousands of scenes are seen often enough to be varied more.

Things are enlarged more than reduced, so that a small, fast input shows them at the sizes in pixels
that they have in the main job's larger one.
"""

PLACES = ("output", "weights_path", "data", "log_dir")
"""Settings that say where things lie, and nothing of the weights: the shipped story omits them."""


@dataclass(frozen=True)
class Settings:
    """Hold what the user chose; see `python -m yolo3 pretrain --help`."""

    output: str
    weights_path: str
    data: str
    count: int
    val_count: int
    epochs: int
    input_size: str
    batch_size: int
    initial_lr: float
    anchors_path: str
    log_dir: str
    seed: int
    precision: str


def pretrain(settings: Settings) -> dict[str, float]:
    """Render scenes, train on them, and save the body.

    Starts from random weights, or goes on from a base, whose story then becomes part of this one's.
    Writes the weights to `output`, and beside it a `.json` with the settings, the digests of the
    scenes and the numbers of every epoch. Returns the numbers of the last epoch.
    """
    refuse_secrets(vars(settings), allowed=("weights_path",))
    _check_places(settings)
    input_wh = parse_input_size(settings.input_size)
    train, val = _scenes(settings)
    anchors_wh = read_anchors(record.find_file(settings.anchors_path))
    planned = make_spec(PRETRAIN.class_names, anchors_wh, input_wh)
    settle(settings.seed)
    network = build_network(planned, settings.precision)
    start = start_from(network, planned, settings.weights_path)
    spec = start.spec
    learner = Learner(network, spec)
    encoding = partial(encode, spec=spec)
    batches = Batches(
        train,
        input_wh,
        encoding,
        settings.batch_size,
        augmentation=AUGMENTATION,
        seed=settings.seed,
        workers=2,
    )
    checking = partial(validate, learner, Batches(val, input_wh, encoding, VAL_BATCH_SIZE), val)
    with record.open_run() as run:
        record.log_settings(settings)
        record.log_lock()
        provenance.log(settings)
        start.log()
        log_pictures(train, PRETRAIN.class_names, Path(settings.data), "training")
        log_pictures(val, PRETRAIN.class_names, Path(settings.data), "validation")
        stage = Stage("pretrain", settings.epochs, settings.initial_lr)
        history = run_stage(
            learner,
            stage,
            batches,
            checking,
            lambda epoch, numbers: mlflow.log_metrics(numbers, step=epoch + 1),
            Path(settings.log_dir) / run.info.run_id,
        )
        output = save_body(network, spec, Path(settings.output))
        story = {
            "settings": {k: v for k, v in asdict(settings).items() if k not in PLACES},
            "earlier": _story(settings.weights_path),
            "class_names": PRETRAIN.class_names,
            "scenes_sha256": {
                "training": pictures_digest(train),
                "validation": pictures_digest(val),
            },
            "parameters": int(network.count_params()),
            "history": history,
        }
        output.with_suffix(".json").write_text(json.dumps(story, indent=1) + "\n", "utf-8")
        mlflow.log_artifact(str(output))
        mlflow.log_artifact(str(output.with_suffix(".json")))
    print(f"{output}: body, val AP50 {history[-1]['val_AP50']:.3f}")
    print(record.how_to_view(run))
    return history[-1]


def _check_places(settings):
    """Refuse now what would lose the weights at the end: a name or a folder that takes no file."""
    output = Path(settings.output)
    if output.suffix != ".keras":
        raise ValueError(f"output is {output}, expected a file whose name ends with .keras")
    record.check_writable(output.parent, "output")
    record.check_writable(Path(settings.log_dir), "log_dir")


def _story(weights_path):
    """Read what is recorded of the base that this one went on from, None for random weights."""
    if weights_path == NO_WEIGHTS:
        return None
    file = record.find_file(weights_path)
    story = file.with_suffix(".json")
    return json.loads(story.read_text("utf-8")) if story.is_file() else {"file": redact(file.name)}


def _scenes(settings):
    """Render what is not there yet; training and validation scenes have seeds of their own."""
    lists = []
    for name, count, seed in (
        ("train", settings.count, settings.seed),
        ("val", settings.val_count, settings.seed + 1_000_000),
    ):
        folder = Path(settings.data) / f"{name}-{count}-{seed}"
        if not folder.exists():
            begun = folder.with_name(f"{folder.name}.part")
            shutil.rmtree(begun, ignore_errors=True)  # of a rendering that was killed
            write_dataset(begun, count, seed, theme=PRETRAIN)
            begun.rename(folder)
        names = read_classes(folder / "classes.txt")
        lists.append(read_annotations(folder / "list_master.txt", names, folder)[0])
    return lists
