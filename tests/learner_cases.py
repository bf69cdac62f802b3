"""A network of two convolutions that trains in no time, with names as the real ones have them."""

from functools import partial

import keras
from keras import layers, ops

from yolo3.data.batches import Batches
from yolo3.network.grid import encode
from yolo3.network.spec import make_spec
from yolo3.training.learner import Learner

ANCHORS = ((5, 7), (9, 12), (14, 11), (22, 30), (31, 24), (50, 52))
SPEC = make_spec(("hat", "bare"), ANCHORS, (64, 64))


def small_network(precision="float32"):
    """Build two scales of raw outputs over two convolutions with batch normalisation."""
    pixels = keras.Input((64, 64, 3), name="image")
    fine = _conv(pixels, 1, 16, precision)
    coarse = _conv(fine, 2, 2, precision)
    outputs = [
        layers.Conv2D(3 * 7, 1, dtype="float32", name="output_32")(coarse),
        layers.Conv2D(3 * 7, 1, dtype="float32", name="output_16")(fine),
    ]
    return keras.Model(pixels, outputs, name="small")


def _conv(x, number, stride, dtype):
    name = f"conv_{number}"
    x = layers.Conv2D(8, stride, strides=stride, use_bias=False, dtype=dtype, name=name)(x)
    x = layers.BatchNormalization(dtype=dtype, name=f"{name}_bn")(x)
    return layers.LeakyReLU(dtype=dtype, name=f"{name}_leaky")(x)


def small_learner(seed=0, precision="float32"):
    """Build a learner over the small network, from a seed."""
    keras.utils.set_random_seed(seed)
    return Learner(small_network(precision), SPEC)


class PlainLearner(Learner):
    """Learn to answer ones, step by step in Python: nothing is traced, so short stages are fast."""

    def compile(self, **options):
        super().compile(run_eagerly=True, **options)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return sum(ops.mean(ops.square(raw - 1)) for raw in y_pred)


def plain_learner(seed=0):
    """Build a plain learner over the small network, from a seed."""
    keras.utils.set_random_seed(seed)
    return PlainLearner(small_network(), SPEC)


def batches_of(pictures, **options):
    """Make batches of two for the small network."""
    options = {"batch_size": 2} | options
    return Batches(pictures, SPEC.input_wh, partial(encode, spec=SPEC), **options)
