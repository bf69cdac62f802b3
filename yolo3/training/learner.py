"""The network together with its loss, as Keras's `fit` wants them."""

import keras
from keras import ops

from yolo3.network.loss import COMPONENTS, yolo_loss
from yolo3.network.spec import NetworkSpec
from yolo3.training.view import training_view


class Learner(keras.Model):
    """Train a network on the batches of `data.batches`; never saved, the network alone is.

    Takes pixels uint8 (B, H, W, 3). Every component of the loss is a metric.
    computed: the part of the network that the learner computes, where that is not all of it.
    """

    def __init__(
        self, network: keras.Model, spec: NetworkSpec, computed: keras.Model | None = None
    ):
        super().__init__(name="learner")
        self.network = network
        self._view = training_view(computed or network)
        self.spec = spec
        self.built = True  # nothing is left to build: Keras on JAX would take a batch to do it
        self._components = {name: keras.metrics.Mean(name=name) for name in COMPONENTS}

    def call(self, pixels, training=None):
        return self._view(ops.cast(pixels, "float32") / 255, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        *targets, truths_xyxy = y
        components = yolo_loss(y_pred, targets, truths_xyxy, self.spec)
        for name, value in components.items():
            self._components[name].update_state(value)
        return sum(components.values())
