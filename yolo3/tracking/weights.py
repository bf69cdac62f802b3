"""What a training starts from: found, loaded, told, and recorded in its run."""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import mlflow
import numpy as np

from yolo3.checks.anchors import better_anchors
from yolo3.data.annotations import read_classes
from yolo3.data.pictures import Picture
from yolo3.data.project import PROJECT_DIR
from yolo3.detector.engines import NETWORK_FILE
from yolo3.detector.load import DATA_FOLDER, ModelError, model_folder
from yolo3.network.formats import read_file
from yolo3.network.outputs import match_outputs, outputs_fit
from yolo3.network.spec import NetworkSpec
from yolo3.network.weights import (
    NO_WEIGHTS,
    Filled,
    WeightsError,
    fill,
    outputs_filled,
    random_start,
)
from yolo3.tracking.download import OFFICIAL, DownloadError, cache_folder, fetch, fetch_in_time
from yolo3.tracking.run import find_file
from yolo3.tracking.secrets import redact

URI = re.compile(r"[a-z][a-z0-9+.-]+:/|m-[0-9a-f]{32}$")
"""What a logged model is called: runs:/…, models:/…, the address of its folder, or m-…"""

BASE = "model_data/yolo_tiny_base.keras"
SAMPLE_SHA256 = "79979e761b154db4673b4a202b00b169bc3ca5dbe56430c735deeecea0f78709"
"""Of the digests of the images of voc/, in order."""
FULL_ANCHORS = 9
COCO_NAMES = "model_data/coco_classes.txt"
TAG_LENGTH = 250  # characters; Azure ML takes 256


@dataclass(frozen=True)
class Start:
    """Tell what a training starts from.

    spec: the training's own, with the mask of the weights where they filled the outputs.
    kind, sha256: of the file, empty for random weights. notes: what its outputs were trained for,
    where that is not what this training has.
    own_anchors: the spec's anchors are no longer those that it was given with.
    """

    weights_path: str
    spec: NetworkSpec
    report: Filled
    kind: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()
    own_anchors: bool = False

    @property
    def filled(self) -> tuple[str, ...]:
        """Name the layers that took the file's numbers."""
        return self.report.filled

    def lines(self) -> list[str]:
        """Say in words what was loaded, and which anchors belong to which scale."""
        if self.kind:
            loaded = f"{self.weights_path} ({self.kind}): {self.report}"
        else:
            loaded = "weights_path=none: training from random weights, nothing is frozen"
        return [loaded, *self.notes, f"mask: {_mask_in_words(self.spec)}"]

    def log(self) -> None:
        """Record it in the active run: `weights.json`, and a tag that the UI shows."""
        mlflow.log_dict(self.as_dict(), "weights.json")
        mlflow.set_tag("weights", self.lines()[0][:TAG_LENGTH])

    def as_dict(self) -> dict:
        """Write all of it as plain values."""
        return {
            "weights_path": self.weights_path,
            "kind": self.kind,
            "sha256": self.sha256,
            "notes": self.notes,
            "mask": self.spec.mask,
            "layers": {
                "filled": len(self.report.filled),
                "skipped": len(self.report.skipped),
                "left": len(self.report.left),
            },
            "parameters": {
                "filled": self.report.parameters,
                "skipped": self.report.skipped_parameters,
                "left": self.report.left_parameters,
            },
            "filled": self.report.filled,
            "skipped": [asdict(layer) for layer in self.report.skipped],
            "left": self.report.left,
            "not_in_the_network": self.report.unused,
        }


def start_from(
    network: keras.Model,
    spec: NetworkSpec,
    weights_path: str,
    sizes_wh: np.ndarray | None = None,
) -> Start:
    """Fill the network that the spec describes, or leave it random where the path is `none`.

    weights_path: a file (see `network.formats`), a logged model's URI or folder, or the name of an
    official file, which is downloaded once. sizes_wh: sizes (N, 2) of the training boxes in pixels
    of the network's input, where its anchors are still to be chosen: those of the weights, if they
    fill the outputs, or else what `better_anchors` makes of the sizes.
    Prints what was filled, the mask and the anchors.
    Raises WeightsError, DownloadError or CfgError, before the network is changed.
    """
    start = _load(network, spec, weights_path, sizes_wh)
    print("\n".join(start.lines()), flush=True)
    return start


def _load(network, spec, weights_path, sizes_wh):
    if weights_path == NO_WEIGHTS:
        chosen, notes = _choose_anchors(spec, None, sizes_wh)
        own = chosen != spec
        return Start(weights_path, chosen, random_start(network), notes=notes, own_anchors=own)
    with located(weights_path) as file:
        weights = read_file(file, network)
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest in {official.sha256 for official in OFFICIAL.values()}:
        weights = replace(weights, class_names=read_classes(PROJECT_DIR / COCO_NAMES))
    told = redact(weights_path)
    fitting = weights if outputs_fit(weights, network, spec) else None
    chosen, notes = _choose_anchors(spec, fitting, sizes_wh)
    matched = match_outputs(weights, network, chosen)
    report = fill(network, matched.arrays, told)
    mask = matched.mask if outputs_filled(network, report) else chosen.mask
    used = replace(chosen, mask=mask)
    notes, own = (*matched.notes, *notes), chosen != spec
    return Start(told, used, report, weights.kind, digest, notes, own)


def _choose_anchors(spec, fitting, sizes_wh):
    """Choose the anchors where they are still free; returns the spec, and what there is to say."""
    if sizes_wh is None:
        return spec, ()
    if fitting:
        anchors_wh = fitting.anchors_wh
        same = anchors_wh is None or len(anchors_wh) != len(spec.anchors_wh)
        own = None if same else tuple((float(w), float(h)) for w, h in anchors_wh)
        line = "anchors: those of the weights, which fill the outputs"
    else:
        own, line = better_anchors(sizes_wh, spec.anchors_wh)
    return replace(spec, anchors_wh=own or spec.anchors_wh), (line,)


def choose_weights(pictures: Sequence[Picture], anchors: int) -> str:
    """Choose what `weights_path=auto` stands for: the shipped base for the sample, else COCO's.

    anchors: number of the network's, by which Tiny YOLOv3 and YOLOv3 differ. Where COCO's weights
    are neither in the cache nor to be downloaded, it is the shipped base, and a line says so.
    """
    if is_sample(pictures):
        return BASE
    name = "yolov3" if anchors == FULL_ANCHORS else "yolov3-tiny"
    try:
        fetch_in_time(OFFICIAL[name], cache_folder())
        return name
    except DownloadError as error:
        used = BASE if name == "yolov3-tiny" else NO_WEIGHTS
        print(
            f"{error}\nweights_path={used} is used instead, which on photographs costs a fiftieth "
            f"to two fifths of AP50: `python -m yolo3 weights {name}` fetches COCO's",
            flush=True,
        )
        return used


def is_sample(pictures: Sequence[Picture]) -> bool:
    """Tell whether images are those of the project's sample, wherever they lie."""
    digests = "".join(sorted(picture.digest for picture in pictures))
    return hashlib.sha256(digests.encode()).hexdigest() == SAMPLE_SHA256


@contextmanager
def located(weights_path: str) -> Iterator[Path]:
    """Find the file that is meant; what is downloaded of a logged model is removed afterwards."""
    if not weights_path:
        raise WeightsError("weights_path is empty; weights_path=none trains from random weights")
    if weights_path in OFFICIAL:
        yield fetch(OFFICIAL[weights_path], cache_folder())
    elif URI.match(weights_path) or os.path.isdir(find_file(weights_path)):
        source = weights_path if URI.match(weights_path) else find_file(weights_path)
        try:
            with model_folder(str(source)) as folder:
                yield folder / DATA_FOLDER / NETWORK_FILE
        except ModelError as error:
            raise WeightsError(
                f"{weights_path}: is no logged model of this project that can be used: {error}"
            ) from error
    else:
        yield find_file(weights_path)


def _mask_in_words(spec):
    return ", ".join(
        f"anchors {','.join(map(str, owned))} at stride {stride}"
        for owned, stride in zip(spec.mask, spec.strides, strict=True)
    )
