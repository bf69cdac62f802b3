import math

import keras
import numpy as np
import pytest
from darknet_cases import (
    NETWORKS,
    SHARED,
    conv,
    darknet_outputs,
    output,
    picture_of,
    relative_difference,
    text_of,
    write_network,
)
from keras import layers as keras_layers
from network_cases import OWN_SPECS, TINY_ANCHORS

from yolo3.network.darknet.build import build_from_cfg
from yolo3.network.darknet.cfg import read_cfg, spec_of
from yolo3.network.darknet.graph import GraphError, describe_network
from yolo3.network.darknet.weights import read_darknet_weights, write_darknet_weights
from yolo3.network.model import build_network
from yolo3.network.spec import NetworkSpec
from yolo3.network.weights import fill

OWN = "keras.src."


def load(cfg_path, weights_path):
    cfg = read_cfg(cfg_path)
    network = build_from_cfg(cfg)
    report = fill(network, read_darknet_weights(weights_path, cfg), weights_path.name)
    assert not report.left and not report.skipped and not report.unused
    return network, cfg


def without_lines(cfg):
    return [(type(layer), {**vars(layer), "line": 0}) for layer in cfg.layers]


@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
def test_network_computes_what_darknet_does_and_goes_back(layers, tmp_path):
    cfg_path, weights_path, numbers = write_network(tmp_path, [*layers, *output()])
    network, cfg = load(cfg_path, weights_path)
    picture = picture_of(32, 16)
    expected = darknet_outputs([*layers, *output()], numbers, picture)
    expected.sort(key=lambda raw: raw.shape[0])  # stable: coarse first
    found = network.predict_on_batch(picture[None])
    found = found if isinstance(found, list) else [found]
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape[1:] == b.shape
        assert relative_difference(a[0], b) < 1e-5
    described = describe_network(network, spec_of(cfg))
    write_darknet_weights(tmp_path / "back.weights", described, network)
    again = read_darknet_weights(tmp_path / "back.weights", described)
    for layer in network.layers:
        if layer.weights:
            for a, b in zip(again[layer.name], layer.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
def test_networks_are_made_of_keras_own_layers_and_survive_saving(layers, tmp_path):
    cfg_path, weights_path, _ = write_network(tmp_path, [*layers, *output()])
    network, _ = load(cfg_path, weights_path)
    assert all(type(layer).__module__.startswith(OWN) for layer in network.layers)
    network.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras", compile=False, safe_mode=True)
    picture = picture_of(32, 16)[None]
    first, second = (net.predict_on_batch(picture) for net in (network, again))
    for a, b in zip(keras.tree.flatten(first), keras.tree.flatten(second), strict=True):
        np.testing.assert_array_equal(a, b)
    described = describe_network(again)
    assert [layer.name for layer in described.convolutions] == [
        layer.name for layer in describe_network(network).convolutions
    ]


def test_layer_that_no_output_needs_is_left_out_and_told(tmp_path):
    layers = [conv(), conv(), ("route", {"layers": 0}), conv(), *output()]
    cfg_path, weights_path, _ = write_network(tmp_path, layers)
    cfg = read_cfg(cfg_path)
    network = build_from_cfg(cfg)
    report = fill(network, read_darknet_weights(weights_path, cfg), "file")
    assert report.unused == ("conv_2", "conv_2_bn") and not report.left
    described = describe_network(network, spec_of(cfg))
    assert [layer.name for layer in described.convolutions] == ["conv_1", "conv_3", "output_1"]


def test_names_are_those_of_this_projects_networks(tmp_path):
    layers = [*NETWORKS["two scales"], *output()]
    network, _ = load(*write_network(tmp_path, layers)[:2])
    names = [layer.name for layer in network.layers if layer.weights]
    assert set(names) == {
        *("conv_1", "conv_1_bn", "conv_2", "conv_2_bn", "output_4"),
        *("conv_4", "conv_4_bn", "conv_5", "conv_5_bn", "output_2"),
    }
    assert [layer.shape[1:3] for layer in network.outputs] == [(4, 8), (8, 16)]
    assert network.get_layer("conv_1_bn").epsilon == 1e-6
    layers = [*NETWORKS["two outputs of one stride"], *output()]
    network, _ = load(*write_network(tmp_path, layers)[:2])
    assert [o._keras_history.operation.name for o in network.outputs] == ["output_2", "output_2_2"]


@pytest.mark.parametrize(("name", "count"), [("tiny", 24), ("full", 107)])
def test_own_networks_are_described_as_darknets_cfgs_list_them(name, count, request):
    """The description of what the description builds is the same description."""
    spec = OWN_SPECS[name]
    described = describe_network(request.getfixturevalue(name), spec)
    assert len(described.layers) == count
    assert [layer.name for layer in described.convolutions if layer.is_output] == [
        f"output_{stride}" for stride in spec.strides
    ]
    numbers = [
        int(layer.name.removeprefix("conv_")) if not layer.is_output else place
        for place, layer in enumerate(described.convolutions, 1)
    ]
    assert numbers == list(range(1, len(numbers) + 1))
    again = describe_network(build_from_cfg(described), spec)
    assert without_lines(again) == without_lines(described)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the Darknet files in ../shared/data")
@pytest.mark.parametrize(("name", "count"), [("yolov3-tiny", 6), ("yolov3", 9)])
def test_own_networks_are_the_published_ones(name, count):
    published = read_cfg(SHARED / "darknet" / f"{name}.cfg")
    spec = spec_of(published)
    assert len(spec.anchors_wh) == count
    described = describe_network(build_network(spec), spec)
    assert without_lines(described) == without_lines(published)


def test_outputs_of_a_mask_that_shares_an_anchor_are_written_so():
    spec = NetworkSpec(("a",), TINY_ANCHORS, ((3, 4, 5), (1, 2, 3)), (64, 64))
    described = describe_network(build_network(spec), spec)
    assert [yolo.mask for _, yolo in described.yolos] == [(3, 4, 5), (1, 2, 3)]


def test_other_epsilon_is_made_up_for_by_the_variances(tmp_path):
    x = keras.Input((8, 8, 3))
    y = keras_layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv_1")(x)
    y = keras_layers.BatchNormalization(epsilon=1e-3, name="conv_1_bn")(y)
    y = keras_layers.LeakyReLU(negative_slope=0.1)(y)
    network = keras.Model(x, keras_layers.Conv2D(6, 1, name="output_1")(y))
    rng = np.random.default_rng(0)
    rows = [rng.uniform(0.5, 1.5, 4), rng.normal(0, 1, 4), rng.normal(0, 1, 4)]
    network.get_layer("conv_1_bn").set_weights([*rows, np.full(4, 1e-4)])
    spec = NetworkSpec(("a",), ((2.0, 2.0),), ((0,),), (8, 8), (1,))
    cfg = describe_network(network, spec)
    write_darknet_weights(tmp_path / "net.weights", cfg, network)
    other = build_from_cfg(cfg)
    fill(other, read_darknet_weights(tmp_path / "net.weights", cfg), "file")
    pixels = rng.random((1, 8, 8, 3), np.float32)
    found, expected = (net.predict_on_batch(pixels) for net in (other, network))
    assert relative_difference(found, expected) < 1e-5


def network_of(*steps, name="conv_1", side=8):
    """Chain layers on a picture; the last gets an output."""
    x = pixels = keras.Input((side, side, 3))
    for step in steps:
        x = step(x)
    return keras.Model(pixels, keras_layers.Conv2D(6, 1, name="output_1")(x))


def conv2d(*args, name="conv_1", **options):
    return keras_layers.Conv2D(*args, name=name, **options)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([keras_layers.Dropout(0.5, name="drop")], "drop is a Dropout, for which a cfg has no"),
        ([conv2d(3, 1, name="mine")], "mine is a convolution called so, expected conv_N or output"),
        ([conv2d(3, 3, strides=2, padding="same")], "conv_1 pads in a way that Darknet"),
        ([conv2d(3, 2, padding="same")], "conv_1 pads in a way that Darknet"),
        ([conv2d(3, (1, 3))], r"conv_1 has kernel_size \(1, 3\), expected equal numbers"),
        ([conv2d(3, 3, dilation_rate=2)], "conv_1 is dilated or grouped"),
        ([conv2d(3, 3, groups=3)], "conv_1 is dilated or grouped"),
        ([conv2d(3, 3, activation="relu")], "conv_1 has an activation of its own"),
        ([conv2d(3, 3), keras_layers.BatchNormalization(name="bn")], "bn follows .* with a bias"),
        ([keras_layers.LeakyReLU(name="leaky")], "leaky expected to follow a convolution"),
        ([conv2d(3, 3), keras_layers.LeakyReLU(0.2, name="leaky")], "has slope 0.2, expected 0.1"),
        (
            [conv2d(3, 3), *(keras_layers.LeakyReLU(0.1, name=name) for name in "ab")],
            "b follows an activation, expected a convolution",
        ),
        ([keras_layers.MaxPooling2D(3, 2, "same", name="pool")], "pool pads in a way that"),
        ([keras_layers.UpSampling2D((1, 2), name="up")], r"up has size \(1, 2\), expected equal"),
        (
            [keras_layers.UpSampling2D(2, interpolation="bilinear", name="up")],
            "up is bilinear, expected nearest",
        ),
        (
            [keras_layers.ZeroPadding2D(1), keras_layers.MaxPooling2D(2, name="pool")],
            "pool reads a padding, which only a convolution can",
        ),
    ],
)
def test_what_no_cfg_can_express_is_named(steps, message):
    with pytest.raises(GraphError, match=message):
        describe_network(network_of(*steps))


def test_networks_that_darknet_cannot_walk_are_named():
    pixels = keras.Input((8, 8, 3))
    branches = [conv2d(3, 1, name=f"conv_{n}")(pixels) for n in (1, 2)]
    joined = keras_layers.Add(name="sum")(branches)
    out = conv2d(6, 1, name="output_1")
    with pytest.raises(GraphError, match="conv_2: only a cfg's first layer can read the picture"):
        describe_network(keras.Model(pixels, out(joined)))
    shared = conv2d(3, 1, use_bias=False)(pixels)
    normal = keras_layers.BatchNormalization(name="bn")(shared)
    joined = keras_layers.Add(name="sum")([normal, shared])
    with pytest.raises(GraphError, match="bn expected to follow a convolution, which it ends"):
        describe_network(keras.Model(pixels, conv2d(6, 1, name="output_1")(joined)))
    leaky = keras_layers.LeakyReLU(0.1)(conv2d(6, 1, name="output_1")(pixels))
    with pytest.raises(GraphError, match="output 0 expected to be a convolution with a bias"):
        describe_network(keras.Model(pixels, leaky))


def test_wide_input_keeps_rows_and_columns_apart(tmp_path):
    layers = [conv(stride=2), *output()]
    (tmp_path / "net.cfg").write_text(text_of(layers, width=64, height=16))
    cfg = read_cfg(tmp_path / "net.cfg")
    assert build_from_cfg(cfg).output_shape == (None, 8, 32, 14)
    assert spec_of(cfg).grids_hw == ((8, 32),) and math.prod(cfg.layers[0].shape[:2]) == 256
