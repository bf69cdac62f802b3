import keras
import numpy as np
import pytest
import tensorflow as tf
from learner_cases import small_network
from numpy.testing import assert_allclose, assert_array_equal

from yolo3.training.fused import fused

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
    for a, b in zip(passes(shared, fused(shared), training), expected, strict=True):
        assert_allclose(a, b, atol=2e-5)


def test_freezing_the_network_afterwards_freezes_the_view():
    network = make_network()
    view = fused(network)
    network.get_layer("bn").trainable = False
    before = network.get_weights()
    passes(network, view, training=True)
    for a, b in zip(before, network.get_weights(), strict=True):
        assert_array_equal(a, b)


def test_half_precision_goes_in_and_out_and_statistics_stay_float32():
    network = make_network(dtype="mixed_bfloat16")
    outputs, *_, variance = passes(network, fused(network), training=True)
    assert outputs.dtype == tf.bfloat16
    assert variance.dtype == "float32" and np.isfinite(np.asarray(variance)).all()


def test_the_network_keeps_its_layers_and_shares_its_weights():
    network = small_network()
    kinds = [type(layer) for layer in network.layers]
    view = fused(network)
    assert [type(layer) for layer in network.layers] == kinds
    assert {id(v) for v in view.variables} == {id(v) for v in network.variables}
    pixels = np.random.default_rng(3).random((2, *network.input_shape[1:]), dtype=np.float32)
    for a, b in zip(view(pixels), network(pixels), strict=True):
        assert_allclose(a, b, atol=1e-5)
