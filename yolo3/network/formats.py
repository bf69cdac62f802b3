"""Every format of weights, told apart by name and content, read into arrays by layer."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import keras

from yolo3.network.darknet.cfg import read_cfg, spec_of
from yolo3.network.darknet.weights import PARTIAL_NAME, read_darknet_weights
from yolo3.network.hdf5 import is_keras_3, open_hdf5, read_keras_3
from yolo3.network.keras2 import TINY_MASK, is_keras_2, read_keras_2
from yolo3.network.spec import NetworkSpec
from yolo3.network.weights import Arrays, WeightsError
from yolo3.network.weights import read_weights as read_keras

EXPECTED = (
    "a .keras file, .weights.h5, .h5 (Keras 2), .weights (Darknet) or .conv.15 (its first layers)"
)
SPEC_FILES = ("detector.json", "network.json")
"""Where a logged model and a training keep the spec, beside the network's file."""

STRANGERS = {
    b"<": "begins like a web page; a dead link may have served it in place of the weights",
    b"version https://git-lfs": "is a pointer of Git LFS; `git lfs pull` fetches the file itself",
}

COCO_CLASSES = 80
ANCHORS_PER_SCALE = 3

Mask = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Weights:
    """Hold what a file of weights says.

    arrays: by layer. kind: the format, in words. mask: the anchors of each scale that its outputs
    were trained for, coarse first; None where the file does not tell.
    """

    arrays: Arrays
    kind: str
    mask: Mask | None


def read_file(path: Path, network: keras.Model) -> Weights:
    """Read a file of any format that training starts from.

    network: what it is for; a Darknet file is one row of numbers, which only the network divides.
    Raises WeightsError when there is no such file, or it is of no known format, or damaged.
    """
    file = Path(path)
    if not os.path.isfile(file):
        raise WeightsError(f"{path}: no such file; weights_path=none trains from random weights")
    name = file.name.lower()
    darknet = name.endswith(".weights") or PARTIAL_NAME.search(name)
    if not darknet and not name.endswith((".keras", ".h5", ".hdf5")):
        raise WeightsError(f"{path}: expected {EXPECTED}, or none")
    _refuse_strangers(file)
    if darknet:
        return _read_darknet(file, network, partial=bool(PARTIAL_NAME.search(name)))
    if name.endswith(".keras"):
        return Weights(read_keras(file), "Keras", _mask_beside(file))
    return _read_hdf5(file)


def _refuse_strangers(file):
    with file.open("rb") as stream:
        start = stream.read(256).lstrip()
    if not start:
        raise WeightsError(f"{file}: is empty")
    for beginning, reason in STRANGERS.items():
        if start.startswith(beginning):
            raise WeightsError(f"{file}: {reason}")


def _read_darknet(file, network, partial):
    arrays = read_darknet_weights(file, network, partial=partial)
    if partial:
        return Weights(arrays, "Darknet, first layers", None)
    return Weights(arrays, "Darknet", _darknet_mask(file, network))


def _darknet_mask(file, network):
    """Give the mask that a Darknet file was trained with, None where nothing tells it.

    Outputs for COCO's 80 classes are the published ones, or were trained on from them: their mask
    is not what the published cfg says today. Of other files the `.cfg` of the same name knows it.
    """
    numbers = (5 + COCO_CLASSES) * ANCHORS_PER_SCALE
    if [output.shape[-1] for output in network.outputs] == [numbers, numbers]:
        return TINY_MASK
    cfg = file.with_suffix(".cfg")
    if not cfg.is_file():
        return None
    return spec_of(read_cfg(cfg)).mask


def _read_hdf5(file):
    with open_hdf5(file) as opened:
        if is_keras_2(opened):
            arrays = read_keras_2(opened)
            return Weights(arrays, "Keras 2", None if "output_8" in arrays else TINY_MASK)
        if is_keras_3(opened):
            return Weights(read_keras_3(opened), "Keras 3 weights", _mask_beside(file))
    raise WeightsError(f"{file}: is an HDF5 file, but not of weights that Keras 2 or 3 saved")


def _mask_beside(file):
    """Read the mask from the spec that lies beside a network, None where none does."""
    for name in SPEC_FILES:
        found = file.with_name(name)
        if found.is_file():
            try:
                fields = json.loads(found.read_text("utf-8"))
                return NetworkSpec.from_json(json.dumps(fields.get("network", fields))).mask
            except (AttributeError, RecursionError, ValueError) as error:
                raise WeightsError(f"{found}: is no spec of a network: {error}") from error
    return None
