from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import keras
import numpy as np
import pytest
import tensorflow as tf
from batches_cases import write_pictures
from keras import layers

from yolo3.data import batches, samples
from yolo3.data.images import Stored
from yolo3.network.model import build_network, output_layers
from yolo3.network.spec import make_spec
from yolo3.training.learner import Learner
from yolo3.training.need import estimate_need
from yolo3.training.stages import Stage, frozen_layers, prepare

SIX = tuple((8 * k, 9 * k) for k in range(1, 7))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"), 6)


def network_of(size=64, precision="float32", classes=2):
    names = tuple(f"class {number}" for number in range(classes))
    spec = make_spec(names, SIX, (size, size))
    return build_network(spec, precision), spec


@pytest.fixture(scope="module")
def tiny():
    return network_of()


def every(network):
    return tuple(layer.name for layer in network.layers if layer.weights)


def body(network):
    return frozen_layers(network, "body", every(network))


def test_the_need_grows_with_the_batch_and_the_input(tiny, pictures):
    need = estimate_need(*tiny, (), pictures)
    assert need.at(2) < need.at(4) < need.at(8)
    assert need.at(40) - need.at(36) == 4 * need.per_picture
    larger = estimate_need(*network_of(128), (), pictures)
    assert larger.weights == need.weights
    assert larger.per_picture == pytest.approx(4 * need.per_picture, rel=0.05)
    assert larger.validation == pytest.approx(4 * need.validation, rel=0.05)


def test_frozen_layers_need_less(tiny, pictures):
    network, spec = tiny
    whole = estimate_need(network, spec, (), pictures)
    trunk = {f"conv_{n}{part}" for n in range(1, 3) for part in ("", "_bn")}
    backbone = estimate_need(network, spec, trunk, pictures)
    outputs = estimate_need(network, spec, body(network), pictures)
    for name in ("fixed", "weights", "per_picture"):
        needs = [getattr(need, name) for need in (outputs, backbone, whole)]
        assert needs == sorted(set(needs)), name
    parameters = sum(layer.count_params() for layer in output_layers(network))
    assert outputs.weights == 4 * 4 * parameters
    assert whole.weights == 4 * 4 * network.count_params()


def test_what_is_trainable_is_told_by_the_names_alone(pictures):
    network, spec = network_of()
    before = estimate_need(network, spec, (), pictures)
    network.trainable = False
    assert estimate_need(network, spec, (), pictures) == before


def test_reduced_precision_halves_the_activations(tiny, pictures):
    whole = estimate_need(*tiny, (), pictures)
    reduced = estimate_need(*network_of(precision="mixed_bfloat16"), (), pictures)
    assert 0.5 < reduced.per_picture / whole.per_picture < 0.65
    assert reduced.weights == whole.weights


def crowd(picture, count):
    return replace(picture, boxes_xyxy=np.ones((count, 4)), class_ids=np.zeros(count, int))


def test_boxes_and_classes_cost_in_the_loss(tiny, pictures):
    network, spec = tiny
    few = estimate_need(network, spec, (), pictures)
    many = estimate_need(network, spec, (), [crowd(pictures[0], 500), *pictures])
    joined = estimate_need(network, spec, (), [crowd(pictures[0], 125)], sources=4)
    candidates = (4 * 4 + 2 * 2) * 3
    assert many.per_picture - few.per_picture > 4 * candidates * 400
    assert joined.per_picture == many.per_picture
    assert estimate_need(*network_of(classes=200), (), pictures).per_picture > few.per_picture


def test_kept_pictures_count_once_and_to_their_limit(tiny, pictures, monkeypatch):
    network, spec = tiny
    need = estimate_need(network, spec, (), pictures * 3)
    read = batches.Batches(
        pictures, spec.input_wh, lambda *_: [], 2, augmentation=batches.Augmentation()
    )
    assert read.cached_bytes == 0
    for number in range(len(read)):
        read[number]
    assert need.cache == read.cached_bytes > 0
    monkeypatch.setattr(samples, "CACHE_BYTES", 1000)
    assert estimate_need(network, spec, (), pictures).cache == 1000


def test_a_large_picture_needs_room_while_it_is_decoded(tiny, pictures):
    network, spec = tiny
    small = estimate_need(network, spec, (), pictures)
    large = replace(pictures[0], size_wh=(6000, 4000))
    turned = replace(large, stored=Stored("JPEG", 6))
    decoded = 6000 * 4000 * 4
    more = [estimate_need(network, spec, (), [*pictures, x]).fixed for x in (large, turned)]
    assert more[0] - small.fixed == pytest.approx(2 * decoded, rel=0.01)
    assert more[1] - more[0] == 2 * decoded


def test_the_largest_batch_that_fits(tiny, pictures):
    need = estimate_need(*tiny, (), pictures)
    for batch_size in (10, 40, 1000):
        assert need.largest_batch(need.at(batch_size)) == batch_size
        assert need.largest_batch(need.at(batch_size) - 1) == batch_size - 1
    assert need.largest_batch(need.at(1) - 1) == 0
    assert need.largest_batch(0) == 0
    half = need.resized(0.5)
    assert half.per_picture == pytest.approx(need.per_picture / 2, abs=1)
    assert (half.fixed, half.weights) == (need.fixed, need.weights)


def test_a_step_holds_what_was_estimated(pictures):
    """Compare with what TensorFlow's allocator held, where the activations outweigh the rest.

    In a fresh process: what other tests left in its pool changes what new pieces take of it.
    """
    need = estimate_need(*_wide(), (), pictures)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        held = process.submit(_held_by_a_step, 32).result()
    if held is None:
        pytest.skip("this TensorFlow counts no memory")
    assert held > 100e6
    assert held == pytest.approx(need.weights + 32 * need.per_picture, rel=0.3)


def _held_by_a_step(count):
    network, spec = _wide()
    learner = Learner(network, spec)
    prepare(learner, Stage("s", 1, 1e-3), 1)
    learner.run_eagerly = True  # traces nothing, which takes longer than the step
    grids = [np.zeros((count, *grid_hw, 3, 7), "float32") for grid_hw in spec.grids_hw]
    pixels = np.zeros((count, *spec.input_wh, 3), "uint8")
    try:
        tf.config.experimental.reset_memory_stats("CPU:0")
    except ValueError:
        return None
    before = tf.config.experimental.get_memory_info("CPU:0")["current"]
    learner.train_on_batch(pixels, (*grids, np.zeros((count, 3, 4), "float32")))
    return tf.config.experimental.get_memory_info("CPU:0")["peak"] - before


def _wide():
    spec = make_spec(("hat", "bare"), SIX, (160, 160))
    pixels = keras.Input((160, 160, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv_1")(pixels)
    x = layers.LeakyReLU()(layers.BatchNormalization(name="conv_1_bn")(x))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv_2")(x)
    x = layers.LeakyReLU()(layers.BatchNormalization(name="conv_2_bn")(x))
    fine = layers.MaxPooling2D(16)(x)
    outputs = [
        layers.Conv2D(21, 1, strides=2, name="output_32")(fine),
        layers.Conv2D(21, 1, name="output_16")(fine),
    ]
    return keras.Model(pixels, outputs), spec
