"""What the frozen layers make of the pictures: computed once, kept on disk, read by the stage.

training pictures -> VIEWS augmented views each, validation pictures as they are
-> frozen layers, in inference mode -> <folder>/<key>/feature-0.npy, … and the views' boxes
-> FeatureBatches -> the layers that are trained

Features are kept in half precision: bfloat16 where the layers compute in it, which loses nothing,
else float16. The key is a digest of all that decides them: pictures and boxes, weights,
augmentation, seed, input size, precision, threads, and the code and versions that compute them. A
computation that was killed goes on where it stood.
"""

import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras
import ml_dtypes
import numpy as np
from filelock import FileLock
from tqdm import tqdm

from yolo3.data import augmentation, decoding, images, samples
from yolo3.data import batches as data_batches
from yolo3.data.batches import Batches
from yolo3.data.pictures import pictures_digest
from yolo3.detector.ahead import ahead
from yolo3.network import model
from yolo3.network.weights import weights_digest
from yolo3.training import view as training_view
from yolo3.training.checkpoint import write_atomically
from yolo3.training.cut import cut
from yolo3.training.determinism import running_threads
from yolo3.training.interrupt import Interrupted
from yolo3.training.learner import Learner
from yolo3.training.stages import Stage

VIEWS = 2
"""Augmented views of each training picture; docs/speed.md tells what more would gain."""
DONE = "done.json"
SPARE_BYTES = 1 << 26
"""Room on the disk that features leave to others: checkpoints, events, MLflow's database."""
_CODE = (augmentation, data_batches, samples, decoding, images, model, training_view)


@dataclass(frozen=True)
class Plan:
    """Say which features are wanted: of these batches' pictures, in so many views.

    key: digest of all that decides the features. rows: views times pictures.
    """

    key: str
    batches: Batches  # in order; its epoch is the view
    views: int
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]

    @property
    def rows(self) -> int:
        return self.views * len(self.batches.pictures)

    @property
    def arrays(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Give shape and type of each file's array, by its name."""
        most = self.batches.most_truths
        features = zip(self.shapes, self.dtypes, strict=True)
        return {
            **{
                f"feature-{n}": ((self.rows, *shape), kept)
                for n, (shape, kept) in enumerate(features)
            },
            "boxes": ((self.rows, most, 4), "float32"),
            "class_ids": ((self.rows, most), "int64"),
        }

    @property
    def bytes(self) -> int:
        return sum(
            np.dtype(kept).itemsize * math.prod(shape) for shape, kept in self.arrays.values()
        )


def plan(trunk: keras.Model, batches: Batches, views: int) -> Plan:
    """Plan the features of a batch's pictures; `views` counts for augmented batches only."""
    ordered = Batches(**_settings_of(batches), in_order=True)
    wanted = views if batches.augmentation else 1
    decides = (
        pictures_digest(batches.pictures),
        weights_digest(trunk),
        [[layer.name, str(layer.dtype_policy.name)] for layer in trunk.layers],
        batches.input_wh,
        batches.batch_size,
        repr(batches.augmentation),
        batches.seed if batches.augmentation else None,
        wanted,
        repr(running_threads()),
        [hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest() for module in _CODE],
        [keras.__version__, keras.backend.backend(), np.__version__],
    )
    key = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]
    half = ["uint16" if out.dtype == "bfloat16" else "float16" for out in trunk.outputs]
    shapes = tuple(tuple(out.shape[1:]) for out in trunk.outputs)
    return Plan(key, ordered, wanted, shapes, tuple(half))


def _settings_of(batches):
    names = ("pictures", "input_wh", "encode", "batch_size", "augmentation", "seed")
    return {name: getattr(batches, name) for name in names}


class Features:
    """Read features, row by row: view v of picture n is row v * pictures + n."""

    def __init__(self, folder: Path, plan: Plan):
        self.views = plan.views
        self._pictures = len(plan.batches.pictures)
        self._features = [
            np.load(folder / f"feature-{number}.npy", mmap_mode="r")
            for number in range(len(plan.shapes))
        ]
        self._boxes = np.load(folder / "boxes.npy")
        self._class_ids = np.load(folder / "class_ids.npy")

    def read(self, view: int, numbers: np.ndarray) -> tuple[tuple, list]:
        """Give the features of some pictures, and their boxes and class ids in that view."""
        rows = view * self._pictures + np.asarray(numbers)
        features = tuple(_unpacked(kept[rows]) for kept in self._features)
        labels = []
        for row in rows:
            count = int((self._class_ids[row] >= 0).sum())
            labels.append((self._boxes[row, :count], self._class_ids[row, :count]))
        return features, labels


def _unpacked(kept):
    return kept.view(ml_dtypes.bfloat16) if kept.dtype == np.uint16 else kept


class FeatureBatches(Batches):
    """Give batches as Batches does, with features (one array per output of the trunk) for pixels.

    An epoch takes the same view of all its pictures, the next epoch the next one.
    """

    def __init__(self, features: Features, batches: Batches):
        super().__init__(**_settings_of(batches))
        self._features = features

    def __getitem__(self, index):
        epoch = self.epoch
        numbers = self._numbers(epoch, index)
        features, labels = self._features.read(epoch % self._features.views, numbers)
        return features, self._targets(labels)


class HeadLearner(Learner):
    """Train the head of a network on features of its trunk; its network is the whole."""

    def __init__(self, network: keras.Model, head: keras.Model, spec):
        super().__init__(network, spec, computed=head)

    def call(self, features, training=None):
        return self._view(list(features), training=training)


class Seen(NamedTuple):
    """How a stage sees its pictures: what learns, and from what batches."""

    learner: Learner
    train: Batches
    val: Batches


def see_features(
    seen: Seen,
    stage: Stage,
    folder: Path,
    limit: float,
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> Seen:
    """Let a stage learn from features of its frozen layers, computed where they are not there yet.

    folder: where features are kept, of other trainings as well; those used least recently give way.
    limit: bytes that they may take together.
    Returns `seen` itself where the stage freezes nothing that lies below all that it trains, or the
    features do not fit. Raises DataError for a picture that is gone, Interrupted where it was asked
    to stop.
    """
    parts = cut(seen.learner.network, stage.frozen) if stage.epochs and limit else None
    if parts is None:
        return seen
    plans = [
        plan(parts.trunk, seen.train, min(VIEWS, stage.epochs)),
        plan(parts.trunk, seen.val, 1),
    ]
    wanted = sum(one.bytes for one in plans)
    if wanted > limit:
        print(
            f"{stage.name}: features of the frozen layers would take {wanted / 1e9:.1f} GB of disk,"
            f" cache_gb allows {limit / 1e9:g}: they are computed anew in each epoch"
        )
        return seen
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _make_room(folder, {one.key for one in plans}, limit - wanted)
        trunk = Learner(parts.trunk, seen.learner.spec)
        trunk.compile()
        features = [_provide(one, trunk, folder / one.key, asked_to_stop) for one in plans]
    except OSError as error:
        print(f"{stage.name}: no features kept in {folder} ({error}): computed anew in each epoch")
        return seen
    print(f"{stage.name}: learns from features of the frozen layers, {wanted / 1e6:.0f} MB")
    return Seen(
        HeadLearner(seen.learner.network, parts.head, seen.learner.spec),
        FeatureBatches(features[0], seen.train),
        FeatureBatches(features[1], seen.val),
    )


def _make_room(folder, wanted, left):
    """Remove what was used least recently, until the others take no more than is left."""
    others = [place for place in folder.iterdir() if place.is_dir() and place.name not in wanted]
    for place in sorted(others, key=lambda place: -place.stat().st_mtime):
        left -= sum(file.stat().st_size for file in place.iterdir())
        if left < 0:
            shutil.rmtree(place, ignore_errors=True)


def _provide(plan, trunk, place, asked_to_stop):
    with FileLock(f"{place}.lock"):
        place.mkdir(exist_ok=True)
        if not _is_whole(plan, place):
            (place / DONE).unlink(missing_ok=True)
            for name, (shape, kept) in plan.arrays.items():
                np.lib.format.open_memmap(place / f"{name}.npy", "w+", kept, shape).flush()
            _write_done(place, 0)
        _compute(plan, trunk, place, asked_to_stop)
        os.utime(place)
    return Features(place, plan)


def _is_whole(plan, place):
    """Tell whether all files are there and as long as they must be, also where rows are missing."""
    sizes = {
        name: np.dtype(kept).itemsize * math.prod(shape)
        for name, (shape, kept) in plan.arrays.items()
    }
    files = {name: place / f"{name}.npy" for name in sizes}
    return (place / DONE).is_file() and all(
        file.is_file() and file.stat().st_size >= sizes[name] for name, file in files.items()
    )


def _write_done(place, rows):
    write_atomically(place / DONE, lambda file: file.write(json.dumps(rows).encode()))


def _compute(plan, trunk, place, asked_to_stop):
    """Compute the rows that are not there yet, batch after batch."""
    done = json.loads((place / DONE).read_text("utf-8"))
    if done == plan.rows:
        return
    _check_free(place, plan.bytes)
    files = {name: np.load(place / f"{name}.npy", mmap_mode="r+") for name in plan.arrays}
    size, count = plan.batches.batch_size, len(plan.batches.pictures)
    jobs = [
        (view, index)
        for view in range(plan.views)
        for index in range(len(plan.batches))
        if view * count + index * size >= done
    ]
    loaded = ahead(lambda job: plan.batches.labelled(*job), jobs)
    bar = tqdm(jobs, "frozen layers, once", unit="batch", leave=False, delay=2, disable=None)
    for (view, index), (pixels, labels) in zip(bar, loaded, strict=True):
        row = view * count + index * size
        padded = np.zeros((size, *pixels.shape[1:]), np.uint8)
        padded[: len(pixels)] = pixels
        rows = slice(row, row + len(pixels))
        for number, made in enumerate(keras.tree.flatten(trunk.predict_on_batch(padded))):
            files[f"feature-{number}"][rows] = _packed(np.asarray(made[: len(pixels)]))
        files["class_ids"][rows] = -1
        for number, (boxes_xyxy, class_ids) in enumerate(labels, start=row):
            files["boxes"][number, : len(boxes_xyxy)] = boxes_xyxy
            files["class_ids"][number, : len(class_ids)] = class_ids
        stopped = asked_to_stop()
        if stopped or (index + 1) % 16 == 0 or (view, index) == jobs[-1]:
            for file in files.values():
                file.flush()
            _write_done(place, rows.stop)
        if stopped:
            raise Interrupted("while the features of the frozen layers were computed")


def _check_free(place, wanted):
    """Raise OSError where the disk cannot hold what the files, made with holes, still lack.

    Nothing could be caught later: where a mapped file cannot grow, the system ends the process.
    """
    told = [file.stat() for file in place.glob("*.npy")]
    held = sum(getattr(stat, "st_blocks", stat.st_size / 512) * 512 for stat in told)
    if wanted - held + SPARE_BYTES > shutil.disk_usage(place).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _packed(made):
    if made.dtype == ml_dtypes.bfloat16:
        return made.view(np.uint16)
    largest = np.finfo(np.float16).max
    return np.clip(made, -largest, largest).astype(np.float16)
