import json
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras2_cases import in_darknets_order
from network_cases import PUBLISHED_MASK, TINY_ANCHORS, USUAL_MASK, network_of, spec_of
from numpy.testing import assert_array_equal

from yolo3.network.darknet.cfg import cfg_text
from yolo3.network.darknet.graph import describe_network
from yolo3.network.formats import PUBLISHED_ANCHORS, read_file
from yolo3.network.spec import make_spec, read_anchors
from yolo3.network.weights import WeightsError, fill, outputs_filled

PROJECT = Path(__file__).parents[2]
DARKNET = PROJECT / ".." / "shared" / "data" / "darknet"


@pytest.fixture(scope="module")
def source():
    return network_of(1)


def assert_filled(target, source, names):
    for name in names:
        weights = zip(
            target.get_layer(name).get_weights(), source.get_layer(name).get_weights(), strict=True
        )
        for found, expected in weights:
            assert_array_equal(found, expected)


def write_darknet(network, path, layers=None):
    """Write convolutions in Darknet's order: biases or statistics, then the kernel as OIHW."""
    numbers = []
    for convolution, norm in in_darknets_order(network)[:layers]:
        kernel, *bias = convolution.get_weights()
        if norm is not None:
            gamma, beta, mean, variance = norm.get_weights()
            bias = [beta, gamma, mean, variance]
        numbers += [*bias, kernel.transpose(3, 2, 0, 1).ravel()]
    header = np.array([0, 2, 0], "<i4").tobytes() + np.array([64], "<i8").tobytes()
    path.write_bytes(header + np.concatenate(numbers).astype("<f4").tobytes())
    return path


def test_keras_file(source, target, tmp_path):
    source.save(tmp_path / "whole.keras")
    weights = read_file(tmp_path / "whole.keras", target)
    assert (weights.kind, weights.mask) == ("Keras", None)
    assert len(fill(target, weights.arrays, "whole").filled) == 24
    assert_filled(target, source, [layer.name for layer in source.layers if layer.weights])


def test_weights_of_keras_3_go_by_the_names_of_layers(source, target, tmp_path):
    source.save_weights(tmp_path / "best.weights.h5")
    weights = read_file(tmp_path / "best.weights.h5", target)
    report = fill(target, weights.arrays, "best")
    assert weights.kind == "Keras 3 weights" and len(report.filled) == 24 and not report.unused
    assert_filled(target, source, report.filled)


def test_weights_of_keras_3_with_other_classes_or_an_optimizer(source, tmp_path):
    model = keras.Model(source.input, source.get_layer("conv_2_leaky").output)
    model.compile(optimizer="adam", loss="mse")
    model.optimizer.build(model.trainable_variables)
    model.save_weights(tmp_path / "trained.weights.h5")
    target = network_of(2, classes=5)
    report = fill(target, read_file(tmp_path / "trained.weights.h5", target).arrays, "trained")
    assert report.filled == ("conv_1", "conv_1_bn", "conv_2", "conv_2_bn") and not report.unused
    source.save_weights(tmp_path / "three.weights.h5")
    report = fill(target, read_file(tmp_path / "three.weights.h5", target).arrays, "three")
    assert len(report.filled) == 22 and len(report.skipped) == 2


@pytest.mark.parametrize("name", ["detector.json", "network.json"])
def test_mask_is_that_of_the_spec_beside_a_file(source, target, tmp_path, name):
    text = spec_of(mask=PUBLISHED_MASK).to_json()
    nested = json.dumps({"network": json.loads(text), "thresholds": {}})
    (tmp_path / name).write_text(nested if name == "detector.json" else text)
    source.save(tmp_path / "model.keras")
    source.save_weights(tmp_path / "model.weights.h5")
    for file in ("model.keras", "model.weights.h5"):
        weights = read_file(tmp_path / file, target)
        assert (weights.mask, weights.anchors_wh) == (PUBLISHED_MASK, TINY_ANCHORS)
        assert weights.class_names == spec_of().class_names
    (tmp_path / name).write_text("[]")
    with pytest.raises(WeightsError, match=f"{name}: is no spec of a network"):
        read_file(tmp_path / "model.keras", target)


def test_darknet_file(source, target, tmp_path):
    path = write_darknet(source, tmp_path / "some.weights")
    weights = read_file(path, target)
    report = fill(target, weights.arrays, "some")
    assert outputs_filled(target, report) and not report.left
    assert (weights.kind, weights.mask) == ("Darknet", None)
    assert_filled(target, source, report.filled)


def test_darknet_file_of_other_classes(source, tmp_path):
    target = network_of(2, classes=5)
    weights = read_file(write_darknet(source, tmp_path / "some.weights"), target)
    report = fill(target, weights.arrays, "some")
    assert len(report.filled) == 22 and len(report.skipped) == 2
    assert_filled(target, source, report.filled)


def cfg_with_mask(path, fine_mask, classes):
    text = (DARKNET / "yolov3-tiny.cfg").read_text()
    text = text.replace("classes=80", f"classes={classes}")
    text = text.replace("filters=255", f"filters={3 * (5 + classes)}")
    path.write_text(text.replace("mask = 0,1,2", f"mask = {fine_mask}"))


def needs_darknet():
    if not DARKNET.is_dir():
        pytest.skip("../shared/data/darknet is not here")


def test_cfg_beside_a_darknet_file_tells_its_mask(source, target, tmp_path):
    needs_darknet()
    path = write_darknet(source, tmp_path / "some.weights")
    cfg_with_mask(tmp_path / "some.cfg", "1,2,3", classes=3)
    assert read_file(path, target).mask == PUBLISHED_MASK
    cfg_with_mask(tmp_path / "some.cfg", "0,1,2", classes=3)
    assert read_file(path, target).mask == USUAL_MASK


def write_cfg(path, network, spec):
    path.write_text(cfg_text(describe_network(network, spec)))


def test_coco_tiny_weights_have_the_mask_they_were_trained_with(tmp_path):
    """Whatever the cfg beside them says, which was changed after they were published."""
    coco = network_of(3, classes=80)
    path = write_darknet(coco, tmp_path / "yolov3-tiny.weights")
    assert read_file(path, coco).mask == PUBLISHED_MASK
    anchors = read_anchors(PROJECT / "model_data" / "yolo_tiny_anchors.txt")
    assert read_file(path, coco).anchors_wh == anchors
    cfg = tmp_path / "yolov3-tiny.cfg"
    write_cfg(cfg, coco, replace(spec_of(80), anchors_wh=anchors))
    assert read_file(path, coco).mask == PUBLISHED_MASK
    write_cfg(cfg, coco, spec_of(80))  # trained on with anchors of its own
    weights = read_file(path, coco)
    assert (weights.mask, weights.anchors_wh) == (USUAL_MASK, TINY_ANCHORS)


def test_coco_yolov3_weights_have_the_published_anchors():
    anchors = read_anchors(PROJECT / "model_data" / "yolo_anchors.txt")
    assert PUBLISHED_ANCHORS[3] == anchors


@pytest.mark.parametrize("stem", ["own", "own_best", "own_final", "own_last", "own_2000"])
def test_cfg_and_names_beside_a_darknet_file_are_read(source, target, tmp_path, stem):
    path = write_darknet(source, tmp_path / f"{stem}.weights")
    assert read_file(path, target).class_names is None
    write_cfg(tmp_path / "own.cfg", source, spec_of(mask=PUBLISHED_MASK))
    (tmp_path / "own.names").write_text("\ufeffx\ny\n\nz\n", "utf-8")
    weights = read_file(path, target)
    assert (weights.mask, weights.anchors_wh) == (PUBLISHED_MASK, TINY_ANCHORS)
    assert weights.class_names == ("x", "y", "z")


@pytest.mark.parametrize(("file", "convolutions"), [("conv.9", 5), ("conv.11", 6)])
def test_first_layers_of_darknet(target, file, convolutions):
    needs_darknet()
    weights = read_file(DARKNET / f"yolov3-tiny.{file}", target)
    report = fill(target, weights.arrays, file)
    assert (weights.kind, weights.mask) == ("Darknet, first layers", None)
    names = [name for name in report.filled if not name.endswith("_bn")]
    assert names == [f"conv_{n}" for n in range(1, convolutions + 1)]
    assert len(report.left) == 24 - 2 * convolutions


@pytest.mark.parametrize("name", ["a.keras", "a.weights", "a.conv.15", "a.h5", "a.weights.h5"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n <!DOCTYPE html><html>", "begins like a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a pointer of Git LFS"),
    ],
)
def test_what_is_no_weights_at_all_is_named(target, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=f"{name}: {message}"):
        read_file(tmp_path / name, target)


@pytest.mark.parametrize("name", ["a.keras", "a.weights", "a.conv.15", "a.h5", "a.hdf5"])
def test_missing_file_says_how_to_do_without(target, tmp_path, name):
    with pytest.raises(WeightsError, match=f"{name}: no such file; weights_path=none trains"):
        read_file(tmp_path / name, target)


@pytest.mark.parametrize("name", ["model.pt", "model", "list.txt", "yolov3.cfg", "conv.15.zip"])
def test_other_kinds_of_file_are_named(target, tmp_path, name):
    (tmp_path / name).write_bytes(b"numbers")
    with pytest.raises(WeightsError, match=rf"{name}: expected a \.keras file, \.weights\.h5, "):
        read_file(tmp_path / name, target)


def test_damaged_hdf5_files_are_named(source, target, tmp_path):
    path = tmp_path / "best.weights.h5"
    source.save_weights(path)
    whole = path.read_bytes()
    damages = {
        "garbage": b"numbers" * 1000,
        "truncated": whole[: len(whole) // 2],
        "headless": whole[4096:],
    }
    for name, content in damages.items():
        other = tmp_path / f"{name}.h5"
        other.write_bytes(content)
        with pytest.raises(
            WeightsError, match=rf"{name}\.h5: is no HDF5 file of weights, or damag"
        ):
            read_file(other, target)


def test_hdf5_of_something_else_is_named(target, tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["pictures"] = np.zeros(3)
    with pytest.raises(WeightsError, match="data.h5: is an HDF5 file, but not of weights"):
        read_file(tmp_path / "data.h5", target)


def test_keras_3_file_without_names_is_named(source, target, tmp_path):
    path = tmp_path / "best.weights.h5"
    source.save_weights(path)
    with h5py.File(path, "r+") as file:
        del file["layers/conv2d/vars"].attrs["name"]
    with pytest.raises(WeightsError, match="does not tell the layer's name"):
        read_file(path, target)


def test_make_spec_has_the_usual_mask():
    assert make_spec(("a",), TINY_ANCHORS, (64, 64)).mask == USUAL_MASK
