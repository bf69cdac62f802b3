"""Every format of weights, told apart by name and content, read into arrays by layer."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import keras

from yolo3.network.darknet.cfg import read_cfg, spec_of
from yolo3.network.darknet.weights import PARTIAL_NAME, read_darknet_weights
from yolo3.network.hdf5 import is_keras_3, open_hdf5, read_keras_3
from yolo3.network.keras2 import TINY_MASK, is_keras_2, read_keras_2
from yolo3.network.model import output_layers
from yolo3.network.spec import MASKS, NetworkSpec
from yolo3.network.weights import Arrays, WeightsError
from yolo3.network.weights import read_weights as read_keras

EXPECTED = (
    "a .keras file, .weights.h5, .h5 (Keras 2), .weights (Darknet) or .conv.15 (its first layers)"
)
SPEC_FILES = ("detector.json", "network.json")
"""Where a logged model and a training keep the spec, beside the network's file."""

SNAPSHOT = re.compile(r"_(best|final|last|\d+)$")
"""What Darknet's training appends to the cfg's name for its weights."""

STRANGERS = {
    b"<": "begins like a web page; a dead link may have served it in place of the weights",
    b"version https://git-lfs": "is a pointer of Git LFS; `git lfs pull` fetches the file itself",
}

COCO_CLASSES = 80
ANCHORS_PER_SCALE = 3
PUBLISHED_ANCHORS = {
    2: ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319)),
    3: (
        *((10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119)),
        *((116, 90), (156, 198), (373, 326)),
    ),
}
"""Anchors of the published Tiny YOLOv3 and YOLOv3, by the number of scales."""

Mask = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Weights:
    """Hold what a file of weights says.

    arrays: by layer. kind: the format, in words. mask: the anchors of each scale that its outputs
    were trained for, coarse first. anchors_wh: the anchors that the mask counts. class_names: of
    its outputs. Each is None if neither the file nor what lies next to it says so.
    """

    arrays: Arrays
    kind: str
    mask: Mask | None = None
    anchors_wh: tuple[tuple[float, float], ...] | None = None
    class_names: tuple[str, ...] | None = None


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
        return Weights(read_keras(file), "Keras", *_trained_for(file))
    return _read_hdf5(file, network)


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
        return Weights(arrays, "Darknet, first layers")
    mask, anchors_wh = _published(arrays, network)
    if cfg := _beside(file, ".cfg"):
        spec = spec_of(read_cfg(cfg))
        if anchors_wh != spec.anchors_wh:
            mask, anchors_wh = spec.mask, spec.anchors_wh
    return Weights(arrays, "Darknet", mask, anchors_wh, _names_beside(file))


def _published(arrays, network):
    """Give mask and anchors of outputs for COCO's 80 classes, (None, None) for other outputs.

    They are the published ones, or were trained on from them: their mask is not what the published
    cfg says today.
    """
    numbers = (5 + COCO_CLASSES) * ANCHORS_PER_SCALE
    sizes = [
        arrays[layer.name][-1].size for layer in output_layers(network) if layer.name in arrays
    ]
    if sizes == [numbers] * 2:
        return TINY_MASK, PUBLISHED_ANCHORS[2]
    if sizes == [numbers] * 3:
        return MASKS[9], PUBLISHED_ANCHORS[3]
    return None, None


def _beside(file, suffix):
    """Find the file of the same name, but for what Darknet's training adds to it: `_best`, …"""
    stems = (file.stem, SNAPSHOT.sub("", file.stem))
    return next(
        (found for stem in stems if (found := file.with_name(stem + suffix)).is_file()), None
    )


def _names_beside(file):
    """Read the class names next to a Darknet file, None if there are none."""
    found = _beside(file, ".names")
    if found is None:
        return None
    lines = found.read_text("utf-8-sig", errors="replace").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def _read_hdf5(file, network):
    with open_hdf5(file) as opened:
        if is_keras_2(opened):
            arrays = read_keras_2(opened)
            mask, anchors_wh = _published(arrays, network)
            mask = mask or (None if "output_8" in arrays else TINY_MASK)
            return Weights(arrays, "Keras 2", mask, anchors_wh)
        if is_keras_3(opened):
            return Weights(read_keras_3(opened), "Keras 3 weights", *_trained_for(file))
    raise WeightsError(f"{file}: is an HDF5 file, but not of weights that Keras 2 or 3 saved")


def _trained_for(file):
    """Read mask, anchors and class names from the spec next to a network; none if there is none."""
    for name in SPEC_FILES:
        found = file.with_name(name)
        if found.is_file():
            try:
                fields = json.loads(found.read_text("utf-8"))
                spec = NetworkSpec.from_json(json.dumps(fields.get("network", fields)))
            except (AttributeError, RecursionError, ValueError) as error:
                raise WeightsError(f"{found}: is no spec of a network: {error}") from error
            return spec.mask, spec.anchors_wh, spec.class_names
    return ()
