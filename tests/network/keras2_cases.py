"""Files as Keras 2 wrote them, made with h5py from a network of this project."""

import json

import h5py
import keras
import numpy as np

TOPOLOGICAL = {
    13: (*range(1, 9), 11, 9, 12, 10, 13),
    75: (*range(1, 58), 60, *range(61, 66), 68, *range(69, 75), 58, 66, 59, 67, 75),
}
"""Darknet's numbers in an order in which a file lists both heads interleaved, by their count."""

BATCH_NORM = ("gamma:0", "beta:0", "moving_mean:0", "moving_variance:0")


def with_epsilon(network, epsilon):
    """Give a network another batch-normalisation epsilon; return it."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = epsilon
    return network


def in_darknets_order(network):
    """List (convolution, its normalisation or None) of a network in Darknet's order."""
    names = {layer.name for layer in network.layers if layer.weights}
    outputs = {13: (10, 13), 75: (59, 67, 75)}[sum("_bn" not in name for name in names)]
    number_of = {f"output_{32 >> scale}": number for scale, number in enumerate(outputs)}
    found = {}
    for name in names:
        if not name.endswith("_bn"):
            number = number_of.get(name) or int(name.removeprefix("conv_"))
            norm = network.get_layer(f"{name}_bn") if f"{name}_bn" in names else None
            found[number] = (network.get_layer(name), norm)
    return [found[number] for number in sorted(found)]


def write_keras_2(network, path, *, first=1, whole=False, only=None, epsilon=None):
    """Write a network's weights as Keras 2 did.

    first: the number of the first layer of each kind; 0: it has none, as later Keras 2 named it.
    whole: a model with its description, not weights alone. only: leave out what comes after so many
    convolutions. epsilon: what the description says of every normalisation.
    """
    pairs = in_darknets_order(network)
    order = [n for n in TOPOLOGICAL[len(pairs)] if only is None or n <= only]
    normed = [n for n, (_, norm) in enumerate(pairs, 1) if norm is not None]
    layers = {"input_1": {}}
    for n in order:
        convolution, norm = pairs[n - 1]
        values = [np.asarray(value) for value in convolution.weights]
        layers[_name("conv2d", n - 1 + first)] = dict(
            zip(("kernel:0", "bias:0"), values, strict=False)
        )
        if norm is not None:
            values = [np.asarray(value) for value in norm.weights]
            name = _name("batch_normalization", normed.index(n) + first)
            layers[name] = dict(zip(BATCH_NORM, values, strict=True))
        layers[_name("leaky_re_lu", n - 1 + first)] = {}
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights") if whole else file
        if whole:
            file.attrs["keras_version"] = np.bytes_("2.2.4")
            file.attrs["model_config"] = np.bytes_(json.dumps(_description(layers, epsilon)))
        write_layers(group, layers)
    return path


def write_layers(group, layers):
    """Write {layer: {weight: array}} as a Keras 2 file has it."""
    group.attrs["backend"] = np.bytes_("tensorflow")
    group.attrs["layer_names"] = np.array(list(layers), "S")
    for name, weights in layers.items():
        folder = group.create_group(name)
        folder.attrs["weight_names"] = np.array([f"{name}/{weight}" for weight in weights], "S")
        for weight, values in weights.items():
            folder[f"{name}/{weight}"] = values


def _name(kind, number):
    return f"{kind}_{number}" if number else kind


def _description(layers, epsilon):
    told = {} if epsilon is None else {"epsilon": epsilon}
    normalisations = [
        {"class_name": "BatchNormalization", "name": name, "config": {"name": name} | told}
        for name in layers
        if name.startswith("batch")
    ]
    return {"class_name": "Model", "config": {"layers": normalisations}}
