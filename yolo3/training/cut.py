"""Cut a network in two: what frozen layers compute, and what is trained on top of it."""

from collections.abc import Collection
from typing import NamedTuple

import keras
from keras import layers


class Cut(NamedTuple):
    """Hold the two parts, which share the layers of the whole: head(trunk(x)) is network(x)."""

    trunk: keras.Model  # depends on no trained weight; one output per tensor that the head reads
    head: keras.Model


def cut(network: keras.Model, frozen: Collection[str]) -> Cut | None:
    """Cut below the first layers whose outputs depend on a weight that is trained.

    frozen: names of the layers that keep their weights and their batch statistics.
    Returns None where nothing lies below: the head would read the pictures themselves.
    """
    makers = {id(t): layer for layer in network.layers for t in keras.tree.flatten(layer.output)}
    above, crossing = set(), {}
    for layer in network.layers:  # in the order in which they compute
        if isinstance(layer, layers.InputLayer):
            continue
        read = keras.tree.flatten(layer.input)
        trained = layer.weights and layer.name not in frozen
        if not trained and not any(makers[id(tensor)].name in above for tensor in read):
            continue
        above.add(layer.name)
        crossing |= {id(t): t for t in read if makers[id(t)].name not in above}
    tensors = list(crossing.values())
    if any(isinstance(makers[id(tensor)], layers.InputLayer) for tensor in tensors):
        return None
    trunk = keras.Model(network.inputs[0], tensors, name=f"{network.name}_trunk")
    return Cut(trunk, keras.Model(tensors, network.outputs, name=f"{network.name}_head"))
