"""HDF5 files that Keras 2 saved from the classic YOLOv3 graphs, tiny and full.

Such a file names its convolutions `conv2d_N` and its normalisations `batch_normalization_M`. N and
M rise in the order in which the layers were made, which is Darknet's, but start wherever the
session had got to, and the file lists the layers in another order (both heads interleaved). The
convolutions with a bias are the outputs.
"""

import json
import re

import h5py
import numpy as np

from yolo3.network.hdf5 import member, read_array
from yolo3.network.model import BATCH_NORM_EPSILON
from yolo3.network.weights import Arrays, WeightsError

KERAS_2_EPSILON = 1e-3
"""What Keras 2 adds to a variance where nothing else was asked for; these graphs ask nothing."""

TINY_MASK = ((3, 4, 5), (1, 2, 3))
"""The mask that the published tiny weights were trained with, and the Keras 2 graphs after them.

Darknet's cfg said so then, and says 0,1,2 today (AlexeyAB/darknet#1341, pjreddie/darknet#851).
"""

OUTPUT_NUMBERS = ((), (10, 13), (59, 67, 75))
"""Darknet's numbers of the output convolutions: of a body alone, of tiny, of full YOLOv3."""

CONVOLUTION, NORMALISATION = "conv2d", "batch_normalization"
OWN_NAME = re.compile(rf"({CONVOLUTION}|{NORMALISATION})(?:_v\d)?(?:_(\d+))?")
ORDER = {
    CONVOLUTION: ("kernel", "bias"),
    NORMALISATION: ("gamma", "beta", "moving_mean", "moving_variance"),
}


def is_keras_2(file: h5py.File) -> bool:
    """Tell a file of Keras 2, of a whole model or of weights alone, by its attributes."""
    return "layer_names" in file.attrs or "model_weights" in file


def read_keras_2(file: h5py.File) -> Arrays:
    """Read a Keras 2 file by the names of this project's layers, with Darknet's epsilon.

    Raises WeightsError when it is not one of the classic graphs.
    """
    group = member(file, "model_weights") if "model_weights" in file else file
    if _text(group.attrs.get("backend", "")) == "theano":
        raise WeightsError(f"{file.filename}: Theano wrote it, and turns its kernels; not read")
    layers = _numbered(group)
    convolutions = [layers[key] for key in sorted(layers) if key[0] == CONVOLUTION]
    normalisations = [layers[key] for key in sorted(layers) if key[0] == NORMALISATION]
    names = _names(convolutions, normalisations, file.filename)
    epsilon = _epsilon(file)
    arrays = dict(zip(names, convolutions, strict=True))
    inner = [name for name in names if name.startswith("conv_")]
    for name, values in zip(inner, normalisations, strict=True):
        arrays[f"{name}_bn"] = with_epsilon(values, epsilon, BATCH_NORM_EPSILON)
    return arrays


def with_epsilon(values: list[np.ndarray], made_with: float, now: float) -> list[np.ndarray]:
    """Scale gamma so that a normalisation gives the same numbers with another epsilon.

    values: gamma, beta, mean, variance. What it computes is gamma (x - mean) / sqrt(variance +
    epsilon) + beta, so the factor sqrt((variance + now) / (variance + made_with)) on gamma makes up
    for the difference. The variance could take it too (variance + made_with - now), but then a
    channel of small variance would change as soon as it is trained, when the batch's own variance
    takes the place of the stored one; with gamma it stays as it was there too.
    """
    gamma, beta, mean, variance = (np.asarray(value, np.float64) for value in values)
    scaled = gamma * np.sqrt((variance + now) / (variance + made_with))
    return [value.astype(np.float32) for value in (scaled, beta, mean, variance)]


def _numbered(group):
    """Read the arrays of all convolutions and normalisations, by (kind, number).

    A layer goes by its own name; in a model within a model, by the name before each weight's.
    """
    found = {}
    for layer in map(_text, group.attrs["layer_names"]):
        folder = member(group, layer)
        for weight in map(_text, folder.attrs["weight_names"]):
            *owners, variable = weight.split("/")
            match = OWN_NAME.fullmatch(layer) or OWN_NAME.fullmatch(owners[-1] if owners else "")
            if match is None:
                raise WeightsError(
                    f"{group.file.filename}: layer {layer} holds {weight}; expected the classic "
                    f"YOLOv3 graph of {CONVOLUTION}_N and {NORMALISATION}_M"
                )
            values = found.setdefault((match[1], int(match[2] or 0)), {})
            values[variable.split(":")[0]] = read_array(folder, weight)
    return {key: _ordered(key, values, group.file.filename) for key, values in found.items()}


def _ordered(key, values, filename):
    order = [name for name in ORDER[key[0]] if name in values or name != "bias"]
    if sorted(order) != sorted(values):
        raise WeightsError(
            f"{filename}: {key[0]}_{key[1]} holds {', '.join(values)}; expected {', '.join(order)}"
        )
    return [values[name] for name in order]


def _names(convolutions, normalisations, filename):
    """Name the convolutions as this project does; WeightsError where it is another graph."""
    biased = tuple(n for n, arrays in enumerate(convolutions, 1) if len(arrays) == 2)
    plain = len(convolutions) - len(biased)
    whole = not biased or len(convolutions) == biased[-1]
    if biased not in OUTPUT_NUMBERS or not whole or plain != len(normalisations) or not plain:
        raise WeightsError(
            f"{filename}: has {len(convolutions)} convolutions, of which {len(biased)} with a "
            f"bias, and {len(normalisations)} normalisations; expected 13, 2 and 11 (Tiny YOLOv3), "
            "75, 3 and 72 (YOLOv3), or the first of them without outputs"
        )
    outputs = {number: f"output_{32 >> scale}" for scale, number in enumerate(biased)}
    return [outputs.get(n, f"conv_{n}") for n in range(1, len(convolutions) + 1)]


def _epsilon(file):
    """Give the epsilon that a whole model says, or Keras 2's own for a file of weights alone."""
    if "model_config" not in file.attrs:
        return KERAS_2_EPSILON
    found = set(_epsilons(json.loads(_text(file.attrs["model_config"]))))
    if len(found) > 1:
        raise WeightsError(f"{file.filename}: its normalisations have several epsilons, {found}")
    return found.pop() if found else KERAS_2_EPSILON


def _epsilons(config):
    """Seek the epsilon of every normalisation in a model's description, at any depth."""
    if isinstance(config, list):
        for value in config:
            yield from _epsilons(value)
    elif isinstance(config, dict):
        if str(config.get("class_name", "")).startswith("BatchNormalization"):
            yield float(config.get("config", {}).get("epsilon", KERAS_2_EPSILON))
        for value in config.values():
            yield from _epsilons(value)


def _text(value):
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
