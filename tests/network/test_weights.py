import re
import zipfile

import keras
import numpy as np
import pytest
from network_cases import TINY_ANCHORS, network_of
from numpy.testing import assert_allclose, assert_array_equal

from yolo3.network.model import build_network, output_layers
from yolo3.network.spec import make_spec
from yolo3.network.weights import (
    WeightsError,
    fill,
    outputs_filled,
    random_start,
    read_weights,
    save_body,
    weights_digest,
)

SPEC = make_spec(("hat", "helmet", "bare"), TINY_ANCHORS, (64, 64))
OUTPUTS = ("output_32", "output_16")


def arrays_of(network):
    return {layer.name: layer.get_weights() for layer in network.layers if layer.weights}


def assert_same(found, expected, names):
    for name in names:
        for a, b in zip(found[name], expected[name], strict=True):
            assert_array_equal(a, b)


@pytest.fixture(scope="module")
def source():
    return network_of(1)


@pytest.fixture(scope="module")
def body(source, tmp_path_factory):
    return save_body(source, SPEC, tmp_path_factory.mktemp("body") / "deep" / "body.keras")


def test_whole_network_goes_out_and_in(source, target, tmp_path):
    source.save(tmp_path / "whole.keras")
    report = fill(target, read_weights(tmp_path / "whole.keras"), "whole.keras")
    assert set(report.filled) == set(arrays_of(target))
    assert report.left == report.unused == ()
    assert report.parameters == target.count_params()
    assert_same(arrays_of(target), arrays_of(source), report.filled)


def test_body_is_small_half_precision_and_without_outputs(source, body, target):
    assert body.stat().st_size < 18_000_000
    before = arrays_of(target)
    arrays = read_weights(body)
    assert {array.dtype for layer in arrays.values() for array in layer} == {np.dtype("float32")}
    assert not set(arrays) & set(OUTPUTS)
    report = fill(target, arrays, "body.keras")
    assert set(report.left) == set(OUTPUTS)
    assert report.unused == ()
    assert_same(arrays_of(target), before, OUTPUTS)
    for name in report.filled:
        for found, expected in zip(arrays_of(target)[name], arrays_of(source)[name], strict=True):
            assert_allclose(found, expected, rtol=1e-3, atol=1e-7)


def test_body_saves_what_a_network_of_reduced_precision_holds(tmp_path):
    network = build_network(SPEC, precision="mixed_bfloat16")
    path = save_body(network, SPEC, tmp_path / "body.keras")
    kernel = network.get_layer("conv_7").get_weights()[0]
    assert_allclose(read_weights(path)["conv_7"][0], kernel, rtol=1e-3, atol=1e-7)


def test_report_can_be_read(target, source):
    arrays = arrays_of(source)
    strange = {name: value for name, value in arrays.items() if name not in OUTPUTS}
    del strange["conv_12"]
    strange["conv_99"] = [np.zeros(3)]
    strange["output_32"] = [np.zeros((1, 1, 512, 21)), np.zeros(21)]
    report = fill(target, strange, "some.keras")
    assert report.left == ("conv_12", "output_16")
    assert [layer.name for layer in report.skipped] == ["output_32"]
    assert report.unused == ("conv_99",)
    assert str(report) == (
        f"filled {len(report.filled)} layers ({report.parameters:,} parameters); "
        "skipped for shape 1 layer (12,312 parameters): output_32: expected (1, 1, 512, 24), "
        "found (1, 1, 512, 21); left as they were 2 layers (890,904 parameters): conv_12, "
        "output_16; not in this network: conv_99"
    )
    assert report.parameters == sum(array.size for name in report.filled for array in strange[name])
    counts = (report.parameters, report.skipped_parameters, report.left_parameters)
    assert sum(counts) == target.count_params()


def test_other_classes_leave_the_outputs_and_fill_the_rest(source):
    target = network_of(2, classes=5)
    before = arrays_of(target)
    report = fill(target, arrays_of(source), "three classes")
    assert [str(layer) for layer in report.skipped] == [
        "output_32: expected (1, 1, 512, 30), found (1, 1, 512, 24)",
        "output_16: expected (1, 1, 256, 30), found (1, 1, 256, 24)",
    ]
    assert not report.left and not outputs_filled(target, report)
    assert_same(arrays_of(target), before, OUTPUTS)
    assert_same(arrays_of(target), arrays_of(source), report.filled)


def test_equal_classes_fill_the_outputs_too(source, target):
    assert outputs_filled(target, fill(target, arrays_of(source), "file"))
    one = {name: arrays for name, arrays in arrays_of(source).items() if name != "output_16"}
    assert not outputs_filled(target, fill(target, one, "file"))


def test_random_start_is_told_too(target):
    report = random_start(target)
    assert report.left_parameters == target.count_params() and len(report.left) == 24
    assert str(report).startswith(
        "filled none; skipped for shape none; left as they were 24 layers"
    )


@pytest.mark.parametrize(
    ("array", "value", "message"),
    [
        (0, np.nan, "conv_4_bn holds numbers that are not finite; is it damaged"),
        (1, np.inf, "conv_4_bn holds numbers that are not finite; is it damaged"),
        (3, -0.5, "conv_4_bn holds a negative variance; is it damaged, or of another network"),
    ],
)
def test_numbers_that_no_network_has_are_an_error(source, target, array, value, message):
    arrays, before = arrays_of(source), arrays_of(target)
    arrays["conv_4_bn"][array][5] = value
    with pytest.raises(WeightsError, match=f"file: {message}"):
        fill(target, arrays, "file")
    assert_same(arrays_of(target), before, before)


def test_tiny_weights_do_not_fit_nine_anchors(source, full):
    before = full.get_layer("conv_1").get_weights()
    with pytest.raises(WeightsError) as caught:
        fill(full, arrays_of(source), "model_data/base.keras")
    message = str(caught.value)
    assert "model_data/base.keras does not fit this network (yolov3)" in message
    assert "conv_1: expected (3, 3, 3, 32), found (3, 3, 3, 16)" in message
    assert re.search(r"and \d+ more layers", message)
    assert "6: Tiny YOLOv3, 9: YOLOv3" in message
    assert "weights_path=none" in message
    assert_array_equal(full.get_layer("conv_1").get_weights()[0], before[0])


def test_one_wrong_layer_is_an_error_and_nothing_is_changed(source, target):
    arrays, before = arrays_of(source), arrays_of(target)
    arrays["conv_4"] = [array[..., :-1] for array in arrays["conv_4"]]
    with pytest.raises(WeightsError, match=r"conv_4: expected \(3, 3, 64, 128\), found .*127\)"):
        fill(target, arrays, "file")
    assert_same(arrays_of(target), before, before)


def test_wrong_number_of_arrays_is_told_apart_from_a_wrong_shape(source, target):
    arrays = arrays_of(source)
    arrays["conv_4"].append(np.zeros(128))
    arrays["conv_6_bn"] = arrays["conv_6_bn"][:2]
    message = r"conv_4: expected \(3, 3, 64, 128\), found \(3, 3, 64, 128\) and \(128,\)"
    with pytest.raises(WeightsError, match=message):
        fill(target, arrays, "file")


@pytest.mark.parametrize("arrays", [{}, {"other": [np.zeros(3)]}], ids=["empty", "strangers"])
def test_file_that_fills_nothing_is_an_error(target, arrays):
    with pytest.raises(WeightsError, match="it has none of the network's layers"):
        fill(target, arrays, "file")


def test_damaged_files_are_named(body, tmp_path):
    whole = body.read_bytes()
    damages = {
        "empty": b"",
        "garbage": b"<html>404</html>" * 100,
        "truncated": whole[: len(whole) // 2],
        "holed": whole[: len(whole) // 2] + bytes(4096) + whole[len(whole) // 2 + 4096 :],
    }
    for name, data in damages.items():
        path = tmp_path / f"{name}.keras"
        path.write_bytes(data)
        with pytest.raises(WeightsError, match=rf"{name}\.keras: Keras cannot load it"):
            read_weights(path)


def test_archive_without_a_network_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(WeightsError, match=r"other\.keras: Keras cannot load it"):
        read_weights(tmp_path / "other.keras")


def test_file_that_carries_code_is_refused(tmp_path):
    pixels = keras.Input((4,))
    model = keras.Model(pixels, keras.layers.Lambda(lambda x: x + 1)(pixels))
    model.save(tmp_path / "code.keras")
    with pytest.raises(WeightsError, match=r"code\.keras: Keras cannot load it: .*[Ll]ambda"):
        read_weights(tmp_path / "code.keras")


def test_weights_that_half_precision_cannot_hold_are_refused(target, tmp_path):
    gamma, beta, mean, variance = target.get_layer("conv_3_bn").get_weights()
    target.get_layer("conv_3_bn").set_weights([gamma, beta, mean, variance * 0 + 1e5])
    with pytest.raises(ValueError, match="conv_3_bn: weights are not finite in half precision"):
        save_body(target, SPEC, tmp_path / "body.keras")
    assert not (tmp_path / "body.keras").exists()


def test_body_computes_the_same_features(source, body, target):
    fill(target, read_weights(body), "body")
    pixels = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    features = [
        keras.Model(network.input, [layer.input for layer in output_layers(network)])
        for network in (source, target)
    ]
    for a, b in zip(*(part.predict_on_batch(pixels) for part in features), strict=True):
        assert np.abs(a - b).max() < 0.02 * np.abs(a).max()


def test_the_digest_tells_every_bit_and_nothing_else():
    network, same = (build_network(SPEC, precision) for precision in ("float32", "mixed_bfloat16"))
    same.set_weights(network.get_weights())
    digest = weights_digest(network)
    assert weights_digest(same) == digest  # whatever the arithmetic, weights are float32
    layer = same.get_layer("conv_3_bn")
    arrays = layer.get_weights()
    arrays[1][0] = np.nextafter(arrays[1][0], np.float32(1))
    layer.set_weights(arrays)
    assert weights_digest(same) != digest
