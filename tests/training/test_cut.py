import numpy as np
import pytest
from learner_cases import SPEC, small_network
from numpy.testing import assert_array_equal

from yolo3.network.model import build_network
from yolo3.training.cut import cut
from yolo3.training.stages import frozen_layers


def filled(network):
    return tuple(layer.name for layer in network.layers if layer.weights)


@pytest.mark.parametrize(
    ("frozen", "expected"),
    [
        ("body", [(2, 2, 512), (4, 4, 256)]),
        ("backbone", [(4, 4, 256), (2, 2, 512)]),
    ],
)
def test_head_and_trunk_are_the_network(frozen, expected):
    network = build_network(SPEC)
    if frozen == "backbone":  # as Darknet's first six convolutions fill it
        names = tuple(n for n in filled(network) if n.split("_")[1] in "123456")
        parts = cut(network, frozen_layers(network, "backbone", names))
        assert sorted(layer.name for layer in parts.head.layers if layer.weights)[0] == "conv_11"
    else:
        parts = cut(network, frozen_layers(network, "body", filled(network)))
        assert [x.name for x in parts.head.layers if x.weights] == ["output_32", "output_16"]
    assert sorted(t.shape[1:] for t in parts.trunk.outputs) == sorted(expected)
    pixels = np.random.default_rng(1).random((2, 64, 64, 3), dtype=np.float32)
    features = parts.trunk.predict_on_batch(pixels)
    for found, wanted in zip(
        parts.head.predict_on_batch(features), network.predict_on_batch(pixels), strict=True
    ):
        assert_array_equal(found, wanted)


def test_the_parts_share_the_layers():
    network = small_network()
    parts = cut(network, frozenset({"conv_1", "conv_1_bn"}))
    own = {layer.name: layer for layer in network.layers}
    for part in parts:
        for layer in part.layers:
            if layer.weights:
                assert layer is own[layer.name]
    names = [{layer.name for layer in part.layers if layer.weights} for part in parts]
    assert names[0] == {"conv_1", "conv_1_bn"} and not names[0] & names[1]


@pytest.mark.parametrize("frozen", [(), ("conv_2", "conv_2_bn"), ("output_16",)])
def test_what_trains_from_the_pictures_on_is_not_cut(frozen):
    assert cut(small_network(), frozenset(frozen)) is None
