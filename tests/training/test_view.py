import keras
import numpy as np
import pytest
import tensorflow as tf
from learner_cases import SPEC, small_network
from numpy.testing import assert_allclose, assert_array_equal

from yolo3.network.model import build_network
from yolo3.training import view as views
from yolo3.training.view import training_view

SHAPE = (6, 7, 4)


def make_network(**config):
    """Wrap one batch normalisation, with numbers of its own, in a network."""
    pixels = keras.Input(SHAPE)
    layer = keras.layers.BatchNormalization(epsilon=1e-6, momentum=0.9, name="bn", **config)
    network = keras.Model(pixels, layer(pixels))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.uniform(0.5, 2, 4) for _ in range(4)])
    return network


def passes(network, model, training, count=5):
    """Return outputs, gradients by inputs, gamma and beta, and the statistics afterwards."""
    rng = np.random.default_rng(2)
    inputs = tf.constant(rng.normal(3, 2, (count, *SHAPE)).astype("float32"))
    weights = tf.constant(rng.normal(size=(count, *SHAPE)).astype("float32"))
    layer = network.get_layer("bn")
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = model(inputs, training=training)
        total = tf.reduce_sum(tf.cast(outputs, "float32") * weights)
    sources = [inputs, layer.gamma.value, layer.beta.value]
    return [outputs, *tape.gradient(total, sources), layer.moving_mean, layer.moving_variance]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("trainable", [True, False])
def test_it_computes_what_keras_does(training, trainable):
    plain, shared = make_network(trainable=trainable), make_network(trainable=trainable)
    expected = passes(plain, plain, training)
    for a, b in zip(passes(shared, training_view(shared), training), expected, strict=True):
        assert_allclose(a, b, atol=2e-5)


def test_freezing_the_network_afterwards_freezes_the_view():
    network = make_network()
    view = training_view(network)
    network.get_layer("bn").trainable = False
    before = network.get_weights()
    passes(network, view, training=True)
    for a, b in zip(before, network.get_weights(), strict=True):
        assert_array_equal(a, b)


def test_half_precision_goes_in_and_out_and_statistics_stay_float32():
    network = make_network(dtype="mixed_bfloat16")
    outputs, *_, variance = passes(network, training_view(network), training=True)
    assert outputs.dtype == tf.bfloat16
    assert variance.dtype == "float32" and np.isfinite(np.asarray(variance)).all()


def test_the_network_keeps_its_layers_and_shares_its_weights():
    network = small_network()
    kinds = [type(layer) for layer in network.layers]
    view = training_view(network)
    assert [type(layer) for layer in network.layers] == kinds
    assert {id(v) for v in view.variables} == {id(v) for v in network.variables}
    pixels = np.random.default_rng(3).random((2, *network.input_shape[1:]), dtype=np.float32)
    for a, b in zip(view(pixels), network(pixels), strict=True):
        assert_allclose(a, b, atol=1e-5)


def gradients(model, network, pixels):
    """Return outputs and the gradients by the network's trainable weights of a weighted sum."""
    rng = np.random.default_rng(4)
    with tf.GradientTape() as tape:
        outputs = keras.tree.flatten(model(pixels, training=True))
        total = sum(
            tf.reduce_sum(tf.cast(out, "float32") * rng.normal(size=out.shape).astype("float32"))
            for out in outputs
        )
    return outputs, tape.gradient(total, [v.value for v in network.trainable_variables])


def pooled_network(strides=2, read_twice=False):
    """Convolve, normalise, leak and pool, as the network's first layers do."""
    pixels = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(pixels)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.LeakyReLU(negative_slope=0.1)(x)
    pooled = keras.layers.MaxPooling2D(2, strides=strides, padding="same", name="pool")(x)
    return keras.Model(pixels, [pooled, x] if read_twice else pooled)


def test_leaking_after_the_pooling_changes_no_output_and_no_gradient():
    network = pooled_network()
    view = training_view(network)
    assert isinstance(view.get_layer("pool_view"), views._Pooled)
    pixels = tf.constant(np.random.default_rng(5).normal(size=(3, 8, 8, 3)).astype("float32"))
    plain, seen = gradients(network, network, pixels), gradients(view, network, pixels)
    assert_allclose(seen[0][0], plain[0][0], atol=1e-5)
    for a, b in zip(seen[1], plain[1], strict=True):
        assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("options", [{"strides": 1}, {"read_twice": True}])
def test_a_leak_that_others_read_or_that_would_not_shrink_stays_in_its_place(options):
    view = training_view(pooled_network(**options))
    assert not any(isinstance(layer, views._Pooled) for layer in view.layers)


@pytest.mark.parametrize(("dtype", "near"), [("float32", 1e-4), ("mixed_bfloat16", 0.03)])
def test_a_wide_convolution_has_the_gradients_of_keras(monkeypatch, dtype, near):
    monkeypatch.setattr(views, "WIDE", 12)
    pixels = keras.Input((5, 7, 3))
    layer = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, dtype=dtype, name="wide")
    network = keras.Model(pixels, layer(pixels))
    view = training_view(network)
    assert isinstance(view.get_layer("wide_view"), views._Wide)
    batch = tf.Variable(np.random.default_rng(6).normal(size=(3, 5, 7, 3)).astype("float32"))
    found = []
    for model in (network, view):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(tf.sin(tf.cast(model(batch), "float32")))
        found.append(tape.gradient(total, [batch, layer.kernel.value]))
    for a, b in zip(*found, strict=True):
        assert_allclose(a, b, atol=near * float(tf.reduce_max(tf.abs(a))))


def test_an_output_convolution_is_a_matrix_product():
    pixels = keras.Input((5, 7, 3))
    layer = keras.layers.Conv2D(4, 1, name="output_32")
    network = keras.Model(pixels, layer(pixels))
    layer.bias.assign(np.arange(4.0))
    view = training_view(network)
    assert isinstance(view.get_layer("output_32_view"), views._Pointwise)
    batch = np.random.default_rng(7).normal(size=(3, 5, 7, 3)).astype("float32")
    (plain, by_plain), (seen, by_view) = (gradients(m, network, batch) for m in (network, view))
    for a, b in zip([*seen, *by_view], [*plain, *by_plain], strict=True):
        assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("options", [{"strides": 2}, {"activation": "relu"}, {"groups": 2}])
def test_other_convolutions_stay_as_they_are(options):
    pixels = keras.Input((6, 6, 4))
    layer = keras.layers.Conv2D(4, 1, name="output_32", **options)
    network = keras.Model(pixels, layer(pixels))
    view = training_view(network)
    assert not any(isinstance(layer, views._Pointwise) for layer in view.layers)
    batch = np.random.default_rng(8).normal(size=(2, 6, 6, 4)).astype("float32")
    assert_allclose(view(batch), network(batch))


def test_only_the_widest_convolution_of_the_tiny_network_is_multiplied_out():
    network = build_network(SPEC)
    view = training_view(network)
    wide = [layer.plain.name for layer in view.layers if isinstance(layer, views._Wide)]
    later = [layer.plain.name for layer in view.layers if isinstance(layer, views._Pooled)]
    assert wide == ["conv_7"]
    assert later == ["pool_1", "pool_2", "pool_3", "pool_4"]
