import struct

import numpy as np
import pytest
from darknet_cases import NETWORKS, SHARED, conv, header, output, plain, write_network
from network_cases import TINY_ANCHORS, randomise
from numpy.testing import assert_array_equal

from yolo3.network.darknet.cfg import read_cfg
from yolo3.network.darknet.graph import describe_network
from yolo3.network.darknet.weights import (
    read_darknet_weights,
    unused_bytes,
    write_darknet_weights,
)
from yolo3.network.model import build_network, output_layers
from yolo3.network.spec import make_spec
from yolo3.network.weights import WeightsError, fill

LAYERS = [conv(filters=2), conv(filters=5), *output()]


@pytest.fixture
def files(tmp_path):
    cfg, weights, _ = write_network(tmp_path, LAYERS)
    return read_cfg(cfg), weights


def change(path, name, function):
    other = path.with_name(name)
    other.write_bytes(function(path.read_bytes()))
    return other


def tiny(class_count, seed=0):
    spec = make_spec([f"class {n}" for n in range(class_count)], TINY_ANCHORS, (64, 64))
    network = build_network(spec)
    randomise(network, seed)
    return network


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory):
    """The whole weights of a tiny network of five classes."""
    network = tiny(5)
    path = tmp_path_factory.mktemp("tiny") / "five.weights"
    write_darknet_weights(path, describe_network(network), network)
    return path, network


def test_numbers_come_in_darknets_order(tmp_path):
    cfg, weights, numbers = write_network(tmp_path, LAYERS)
    arrays = read_darknet_weights(weights, read_cfg(cfg))
    assert list(arrays) == ["conv_1", "conv_1_bn", "conv_2", "conv_2_bn", "output_1"]
    gamma, beta, mean, variance = arrays["conv_1_bn"]
    assert_array_equal(np.concatenate([beta, gamma, mean, variance]), numbers[:8])
    [kernel] = arrays["conv_1"]
    assert kernel.shape == (3, 3, 3, 2)
    assert kernel[1, 2, 0, 1] == numbers[8:].reshape(-1)[1 * 27 + 0 * 9 + 1 * 3 + 2]
    kernel, bias = arrays["output_1"]
    assert kernel.shape == (1, 1, 5, 14) and bias.shape == (14,)
    assert_array_equal(bias, numbers[-14 * 6 : -14 * 5])


@pytest.mark.parametrize("version", [(0, 1), (0, 2), (1, 0)])
def test_both_headers_are_read(tmp_path, version):
    cfg, weights, numbers = write_network(tmp_path, LAYERS, version=version)
    size = weights.stat().st_size - 4 * len(numbers)
    assert size == (16 if version == (0, 1) else 20)
    arrays = read_darknet_weights(weights, read_cfg(cfg))
    assert_array_equal(arrays["conv_1_bn"][1], numbers[:2])


def test_what_is_written_is_what_was_read(tmp_path, tiny_file):
    path, network = tiny_file
    other = tiny(5, seed=1)
    report = fill(other, read_darknet_weights(path, other), path.name)
    assert not report.left and not report.skipped
    write_darknet_weights(tmp_path / "again.weights", describe_network(other), other)
    assert (tmp_path / "again.weights").read_bytes() == path.read_bytes()
    assert path.read_bytes()[:20] == struct.pack("<3iq", 0, 2, 5, 0)
    assert path.stat().st_size == 20 + 4 * network.count_params()


def test_truncated_files_name_the_layer(files):
    cfg, weights = files
    line = cfg.convolutions[1].line
    cut = change(weights, "cut.weights", lambda data: data[: 20 + 4 * (2 * 4 + 2 * 27) + 40])
    message = rf"cut\.weights: ends within conv_2 \(.*net\.cfg:{line}\), convolution 2 of 3, which"
    with pytest.raises(WeightsError, match=rf"{message} lacks 400 bytes; it is cut short"):
        read_darknet_weights(cut, cfg)
    first = change(weights, "first.weights", lambda data: data[: 20 + 4 * (2 * 4 + 2 * 27)])
    message = r"first\.weights: ends before conv_2 .* lacks 440 bytes; .* declare it partial"
    with pytest.raises(WeightsError, match=message):
        read_darknet_weights(first, cfg)
    odd = change(weights, "odd.weights", lambda data: data[:-2])
    with pytest.raises(WeightsError, match=r"odd\.weights: ends within a number"):
        read_darknet_weights(odd, cfg)


@pytest.mark.parametrize(("name", "flag"), [("net.conv.1", False), ("net.weights", True)])
def test_declared_partial_files_fill_what_they_hold(files, name, flag):
    cfg, weights = files
    whole = read_darknet_weights(weights, cfg)
    part = change(weights, name, lambda data: data[: 20 + 4 * (2 * 4 + 2 * 27)])
    arrays = read_darknet_weights(part, cfg, partial=flag)
    assert list(arrays) == ["conv_1", "conv_1_bn"]
    assert_array_equal(arrays["conv_1"][0], whole["conv_1"][0])
    assert unused_bytes(part, cfg) == 0
    cut = change(part, name, lambda data: data + b"\0" * 8)
    with pytest.raises(WeightsError, match="ends within conv_2 .*cut short, or was made for anoth"):
        read_darknet_weights(cut, cfg, partial=flag)


def test_left_over_bytes_are_an_error_unless_declared(tmp_path, files):
    cfg, weights = files
    more = change(weights, "more.weights", lambda data: data + b"\0" * 12)
    message = r"more\.weights: holds 12 bytes more than the 3 convolutions of .*net\.cfg; it was"
    with pytest.raises(WeightsError, match=message):
        read_darknet_weights(more, cfg)
    assert list(read_darknet_weights(more, cfg, partial=True))[-1] == "output_1"
    assert unused_bytes(more, cfg) == 12


def test_empty_partial_file_is_an_error(files):
    cfg, weights = files
    empty = change(weights, "net.conv.0", lambda data: data[:20])
    with pytest.raises(WeightsError, match=r"net\.conv\.0: ends before conv_1"):
        read_darknet_weights(empty, cfg)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has 0 bytes, no header of a Darknet weights file"),
        (b"\0" * 11, "has 11 bytes, no header"),
        (b"<!DOCTYPE html><html>" * 10, r"is no Darknet weights file: its header says version \d+"),
        (struct.pack("<3iq", -1, 2, 5, 0), r".*header says version -1\.2, expected 0\.1 or 0\.2"),
        (header(), "ends before conv_1"),
        (header()[:14], "ends before conv_1"),
    ],
)
def test_what_is_no_weights_file_is_named(files, data, message):
    cfg, weights = files
    weights.write_bytes(data)
    with pytest.raises(WeightsError, match=rf"net\.weights: {message}"):
        read_darknet_weights(weights, cfg)


def test_missing_file_is_named(files, tmp_path):
    with pytest.raises(WeightsError, match=r"none\.weights: cannot read the weights: No such file"):
        read_darknet_weights(tmp_path / "none.weights", files[0])


def test_own_network_divides_a_file_of_its_classes(tiny_file):
    path, network = tiny_file
    arrays = read_darknet_weights(path, network)
    for layer in network.layers:
        if layer.weights:
            for found, expected in zip(arrays[layer.name], layer.get_weights(), strict=True):
                assert_array_equal(found, expected)


@pytest.mark.parametrize("class_count", [1, 3, 80])
def test_other_classes_fill_all_but_the_outputs(tiny_file, class_count):
    path, source = tiny_file
    network = tiny(class_count, seed=1)
    arrays = read_darknet_weights(path, network)
    assert arrays["output_32"][0].shape == (1, 1, 512, 30)
    report = fill(network, arrays, path.name)
    outputs = {layer.name for layer in output_layers(network)}
    assert {layer.name for layer in report.skipped} == outputs
    assert_array_equal(
        network.get_layer("conv_12").get_weights()[0], source.get_layer("conv_12").get_weights()[0]
    )


def test_a_file_that_fits_no_number_of_classes_is_told(tiny_file, tmp_path):
    path, _ = tiny_file
    network = tiny(3)
    more = change(path, "more.weights", lambda data: data + b"\0" * 4)
    with pytest.raises(WeightsError, match=r"more\.weights: .* no other number of classes fits"):
        read_darknet_weights(more, network)
    cut = change(path, "cut.weights", lambda data: data[:1_000_000])
    with pytest.raises(
        WeightsError, match=r"cut\.weights: ends within conv_5, convolution 5 of 13"
    ):
        read_darknet_weights(cut, network)


def test_partial_file_fills_the_first_layers_of_an_own_network(tiny_file):
    path, source = tiny_file
    first = describe_network(source).convolutions[:9]
    count = 20 + 4 * sum(layer.numbers for layer in first)
    part = change(path, "yolov3-tiny.conv.15", lambda data: data[:count])
    arrays = read_darknet_weights(part, tiny(3))
    assert [name for name in arrays if not name.endswith("_bn")] == [
        f"conv_{n}" for n in range(1, 10)
    ]
    with pytest.raises(WeightsError, match="ends before output_32, .* declare it partial"):
        read_darknet_weights(change(part, "part.weights", bytes), tiny(3))


def test_a_whole_file_declared_partial_is_still_whole(tiny_file):
    path, _ = tiny_file
    assert read_darknet_weights(path, tiny(80), partial=True)["output_32"][0].shape[-1] == 30


def test_outputs_of_a_network_of_different_masks_are_found_together(tmp_path):
    """Three anchors at one scale and one at the other: as many classes for both."""
    from yolo3.network.darknet.build import build_from_cfg

    paths = {}
    for classes in (2, 4):
        layers = [conv(stride=2), conv(stride=2), *output("0,1,2", classes)]
        layers += [("route", {"layers": 0}), plain(filters=3), *output("1", classes)]
        paths[classes] = write_network(tmp_path, layers, name=f"net{classes}")
    network = build_from_cfg(read_cfg(paths[2][0]))
    arrays = read_darknet_weights(paths[4][1], network)
    shapes = {name: value[0].shape[-1] for name, value in arrays.items() if name[0] == "o"}
    assert shapes == {"output_4": 27, "output_2": 9}


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the Darknet files in ../shared/data")
@pytest.mark.parametrize(("name", "count"), [("yolov3-tiny.conv.9", 5), ("yolov3-tiny.conv.11", 6)])
def test_published_partial_files_fill_the_first_convolutions(name, count):
    network = tiny(3)
    arrays = read_darknet_weights(SHARED / "darknet" / name, network)
    names = [f"conv_{n}" for n in range(1, count + 1)]
    assert [key for key in arrays if not key.endswith("_bn")] == names
    report = fill(network, arrays, name)
    assert len(report.filled) == 2 * count
    assert all((arrays[f"{key}_bn"][3] > 0).all() for key in names)
    assert_array_equal(
        list(arrays),
        list(
            read_darknet_weights(
                SHARED / "darknet" / name, read_cfg(SHARED / "darknet" / "yolov3-tiny.cfg")
            )
        ),
    )


def test_every_small_network_is_written_as_it_was(tmp_path):
    from yolo3.network.darknet.build import build_from_cfg

    for name in ("two scales", "spatial pyramid", "fine scale first"):
        cfg_path, weights, _ = write_network(tmp_path, [*NETWORKS[name], *output()])
        cfg = read_cfg(cfg_path)
        network = build_from_cfg(cfg)
        fill(network, read_darknet_weights(weights, cfg), name)
        write_darknet_weights(tmp_path / "back.weights", cfg, network)
        assert (tmp_path / "back.weights").read_bytes()[20:] == weights.read_bytes()[20:]
        assert list(read_darknet_weights(weights, network)) == list(
            read_darknet_weights(weights, cfg)
        )
