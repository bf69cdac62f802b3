import os
import re
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
from network_cases import OWN_SPECS, TINY_ANCHORS
from numpy.testing import assert_allclose

from yolo3.network.model import build_network, output_layers
from yolo3.network.spec import NetworkSpec, make_spec

COCO_TINY = make_spec(OWN_SPECS["full"].class_names, TINY_ANCHORS, (96, 64))


def layers_of(network, kind):
    return [layer for layer in network.layers if isinstance(layer, kind)]


def numbers_of_convolutions(network):
    names = [layer.name for layer in layers_of(network, keras.layers.Conv2D)]
    return sorted(int(name[5:]) for name in names if re.fullmatch(r"conv_\d+", name))


def test_tiny_has_darknets_numbers_and_filters(tiny):
    assert tiny.name == "yolov3_tiny"
    filters = {1: 16, 2: 32, 3: 64, 4: 128, 5: 256, 6: 512, 7: 1024, 8: 256, 9: 512, 11: 128}
    filters[12] = 256  # 10 and 13 are the outputs
    assert numbers_of_convolutions(tiny) == sorted(filters)
    for number, count in filters.items():
        convolution = tiny.get_layer(f"conv_{number}")
        assert convolution.filters == count
        assert convolution.kernel_size == ((1, 1) if number in (8, 11) else (3, 3))
        assert not convolution.use_bias
        assert tiny.get_layer(f"conv_{number}_bn")
        assert tiny.get_layer(f"conv_{number}_leaky")


def test_full_has_darknets_numbers(full):
    assert full.name == "yolov3"
    outputs = {59, 67, 75}
    assert numbers_of_convolutions(full) == [n for n in range(1, 76) if n not in outputs]
    assert full.get_layer("conv_52").filters == 1024  # the last of Darknet-53
    assert full.get_layer("conv_60").filters == 256  # before the first upsampling
    assert len(layers_of(full, keras.layers.Add)) == 23


def test_sizes_are_those_of_the_published_files(full):
    # yolov3-tiny.weights has 35,434,956 bytes and yolov3.weights 248,007,048, 20 of them a header
    assert build_network(COCO_TINY).count_params() == (35_434_956 - 20) // 4 == 8_858_734
    assert full.count_params() == (248_007_048 - 20) // 4 == 62_001_757


def test_outputs_are_coarse_first_and_rows_before_columns(tiny, full):
    assert [tuple(output.shape) for output in tiny.outputs] == [(None, 2, 3, 21), (None, 4, 6, 21)]
    shapes = [(None, 2, 3, 255), (None, 4, 6, 255), (None, 8, 12, 255)]
    assert [tuple(output.shape) for output in full.outputs] == shapes
    assert tiny.inputs[0].shape == (None, 64, 96, 3)
    assert [layer.name for layer in output_layers(tiny)] == ["output_32", "output_16"]
    assert [layer.name for layer in output_layers(full)] == ["output_32", "output_16", "output_8"]
    found = tiny.predict_on_batch(np.zeros((3, 64, 96, 3), np.float32))
    assert [array.shape for array in found] == [(3, 2, 3, 21), (3, 4, 6, 21)]


def test_mask_of_the_spec_decides_the_width_of_the_outputs():
    spec = NetworkSpec(("a",), TINY_ANCHORS, ((2, 3, 4, 5), (0, 1)), (64, 64))
    assert [output.shape[-1] for output in build_network(spec).outputs] == [4 * 6, 2 * 6]


def test_constants_are_darknets(tiny, full):
    for network in (tiny, full):
        norms = layers_of(network, keras.layers.BatchNormalization)
        assert {layer.epsilon for layer in norms} == {1e-6}
        leaks = layers_of(network, keras.layers.LeakyReLU)
        assert_allclose([layer.negative_slope for layer in leaks], 0.1, rtol=1e-6)
        assert len(norms) == len(leaks) == len(numbers_of_convolutions(network))
        upsamplings = layers_of(network, keras.layers.UpSampling2D)
        assert {layer.interpolation for layer in upsamplings} == {"nearest"}


def test_outputs_are_raw(tiny):
    for layer in output_layers(tiny):
        assert layer.activation is keras.activations.linear
    features = keras.Model(tiny.input, tiny.get_layer("output_16").input)
    pixels = np.random.default_rng(0).random((2, 64, 96, 3), np.float32)
    kernel, bias = tiny.get_layer("output_16").get_weights()
    expected = features.predict_on_batch(pixels) @ kernel[0, 0] + bias
    assert_allclose(tiny.predict_on_batch(pixels)[1], expected, rtol=1e-4, atol=1e-4)


def test_fresh_network_starts_every_cell_empty():
    network = build_network(make_spec(("hat", "bare"), TINY_ANCHORS, (64, 64)))
    for layer in output_layers(network):
        bias = layer.get_weights()[1].reshape(3, 7)
        assert_allclose(1 / (1 + np.exp(-bias[:, 4])), 0.01, rtol=1e-4)
        assert not bias[:, [0, 1, 2, 3, 5, 6]].any()


def convolve_padded(pixels, kernel, stride):
    """Convolve (H, W, C) with one pixel of zeros on all four sides, as Darknet does."""
    padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)))
    rows, columns = ((side + 2 - 3) // stride + 1 for side in pixels.shape[:2])
    result = np.zeros((rows, columns, kernel.shape[-1]))
    for row in range(rows):
        for column in range(columns):
            window = padded[row * stride : row * stride + 3, column * stride : column * stride + 3]
            result[row, column] = np.tensordot(window, kernel, 3)
    return result


def test_stride_2_pads_as_darknet(full):
    part = keras.Model(full.get_layer("conv_2_pad").input, full.get_layer("conv_2").output)
    pixels = np.random.default_rng(0).random((1, 64, 96, 32), np.float32)
    expected = convolve_padded(pixels[0], full.get_layer("conv_2").get_weights()[0], stride=2)
    found = part.predict_on_batch(pixels)[0]
    assert found.shape == (32, 48, 64)
    assert_allclose(found, expected, atol=1e-4)


def test_stride_1_pads_as_darknet(tiny):
    part = keras.Model(tiny.input, tiny.get_layer("conv_1").output)
    pixels = np.random.default_rng(0).random((1, 64, 96, 3), np.float32)
    expected = convolve_padded(pixels[0], tiny.get_layer("conv_1").get_weights()[0], stride=1)
    assert_allclose(part.predict_on_batch(pixels)[0], expected, atol=1e-4)


def test_pool_of_stride_1_keeps_the_size_and_pads_right_and_bottom(tiny):
    pool = keras.Model(tiny.get_layer("pool_6").input, tiny.get_layer("pool_6").output)
    values = np.random.default_rng(0).normal(-5, 1, (1, 2, 3, 512)).astype(np.float32)
    padded = np.pad(values[0], ((0, 1), (0, 1), (0, 0)), constant_values=-np.inf)
    expected = np.max([padded[:-1, :-1], padded[1:, :-1], padded[:-1, 1:], padded[1:, 1:]], axis=0)
    assert_allclose(pool.predict_on_batch(values)[0], expected)


def test_route_joins_the_upsampled_features_before_those_of_stride_16(tiny):
    parts = ["conv_11_leaky", "conv_5_leaky", "route"]
    probe = keras.Model(tiny.input, [tiny.get_layer(name).output for name in parts])
    pixels = np.random.default_rng(0).random((1, 64, 96, 3), np.float32)
    coarse, fine, route = probe.predict_on_batch(pixels)
    assert_allclose(route[..., :128], coarse.repeat(2, axis=1).repeat(2, axis=2))
    assert_allclose(route[..., 128:], fine)


def test_reduced_precision_computes_so_but_answers_in_float32():
    spec = make_spec(("a",), TINY_ANCHORS, (64, 64))
    network = build_network(spec, precision="mixed_bfloat16")
    assert network.get_layer("conv_3").compute_dtype == "bfloat16"
    assert {output.dtype for output in network.outputs} == {"float32"}
    assert {weight.dtype for weight in network.weights} == {"float32"}
    for raw in network.predict_on_batch(np.zeros((1, 64, 64, 3), np.float32)):
        assert raw.dtype == np.float32
        assert np.isfinite(raw).all()


def test_only_layers_of_keras_itself(tiny, full):
    for network in (tiny, full):
        assert not layers_of(network, keras.layers.Lambda)
        assert all(type(layer).__module__.startswith("keras.src") for layer in network.layers)


LOAD_ELSEWHERE = """
import sys
import keras, numpy as np
network = keras.models.load_model(sys.argv[1], compile=False, safe_mode=True)
assert "yolo3" not in sys.modules
pixels = np.load(sys.argv[2])
np.savez(sys.argv[3], *network.predict_on_batch(pixels))
"""


def test_saved_network_loads_in_safe_mode_where_this_project_is_not(tiny, tmp_path):
    pixels = np.random.default_rng(0).random((2, 64, 96, 3), np.float32)
    tiny.save(tmp_path / "network.keras")
    np.save(tmp_path / "pixels.npy", pixels)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run(
        [sys.executable, "-I", "-c", LOAD_ELSEWHERE, "network.keras", "pixels.npy", "raw.npz"],
        cwd=tmp_path,
        env=environment | {"TF_CPP_MIN_LOG_LEVEL": "2"},
        check=True,
    )
    with np.load(tmp_path / "raw.npz") as raw:
        for found, expected in zip(raw.values(), tiny.predict_on_batch(pixels), strict=True):
            assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_spec_of_another_shape_is_named():
    spec = replace(COCO_TINY, strides=(16, 8))
    with pytest.raises(ValueError, match=r"expected strides .* got \(16, 8\); .* Darknet cfg"):
        build_network(spec)
