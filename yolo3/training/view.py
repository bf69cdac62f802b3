"""The network as the training step computes it on TensorFlow: the same numbers, in less time.

What is saved stays made of Keras's own layers; `training_view` gives a second view of a network, on
the same layers and weights, in which

- a batch normalisation is one operation (oneDNN's on a CPU), in the data's own precision, where
  Keras 3 composes it from moments, products and sums, each a pass over memory in float32;
- a leaky ReLU that only feeds a pooling of stride 2 comes after it, on a quarter of the numbers:
  it never falls, so the largest of four is the same before and after it;
- the kernel's gradient of the widest convolutions is a matrix product, since oneDNN's own kernel
  for it takes three times as long in bfloat16; and so are the output convolutions, both ways.

docs/speed.md tells what each is worth; `python -m benchmarks.step` measures it.
"""

from collections import Counter

import keras
from keras import layers

WIDE = 1 << 19
"""Input times output channels from which the kernel's gradient is a matrix product."""


def training_view(network: keras.Model) -> keras.Model:
    """View a network as the training step computes it; every weight is shared with it.

    Which layers are trainable is read from the network's own. Backends other than TensorFlow get
    the network itself.
    """
    if keras.backend.backend() != "tensorflow":
        return network
    late = _leaks_before_pools(network)

    def view(layer):
        if isinstance(layer, layers.BatchNormalization):
            return _Fused(layer)
        if isinstance(layer, layers.Conv2D) and _is_plain(layer):
            if _is_wide(layer):
                return _Wide(layer)
            if layer.kernel_size == (1, 1) and layer.use_bias:
                return _Pointwise(layer)
        if layer in late.values():
            return layers.Identity(dtype=layer.dtype_policy, name=f"{layer.name}_later")
        if layer.name in late:
            return _Pooled(layer, late[layer.name])
        return layer

    return keras.models.clone_model(network, clone_function=view)


def _leaks_before_pools(network) -> dict[str, layers.LeakyReLU]:
    """Name the poolings of stride 2 whose input is a leaky ReLU that nothing else reads."""
    inner = [layer for layer in network.layers if not isinstance(layer, layers.InputLayer)]
    read = [tensor for layer in inner for tensor in keras.tree.flatten(layer.input)]
    readers = Counter(map(id, read + list(network.outputs)))
    pools = [x for x in inner if isinstance(x, layers.MaxPooling2D) and x.strides == (2, 2)]
    makers = {id(t): layer for layer in network.layers for t in keras.tree.flatten(layer.output)}
    found = {pool.name: makers[id(pool.input)] for pool in pools if readers[id(pool.input)] == 1}
    return {n: leak for n, leak in found.items() if isinstance(leak, layers.LeakyReLU)}


def _is_plain(layer):
    """Tell whether a convolution looks at every place once, with no activation of its own."""
    kind = (layer.strides, layer.dilation_rate, layer.groups, layer.activation)
    return kind == ((1, 1), (1, 1), 1, keras.activations.linear)


def _is_wide(layer):
    kind = (layer.kernel_size, layer.padding, layer.use_bias)
    channels, filters = layer.kernel.shape[2:]
    return kind == ((3, 3), "same", False) and channels * filters >= WIDE


class _View(layers.Layer):
    """Stand in for a layer, with its variables."""

    def __init__(self, plain):
        super().__init__(dtype=plain.dtype_policy, name=f"{plain.name}_view")
        self.plain = plain

    def build(self, _):
        self.built = True


class _Pooled(_View):
    """Pool, then leak."""

    def __init__(self, pool, leak):
        super().__init__(pool)
        self.leak = leak

    def call(self, inputs):
        return self.leak(self.plain(inputs))


class _Wide(_View):
    """Convolve 3x3 at stride 1 without a bias, with a kernel's gradient of its own."""

    def call(self, inputs):
        import tensorflow as tf

        return _convolve_wide(tf)(inputs, tf.convert_to_tensor(self.plain.kernel))


def _convolve_wide(tf):
    @tf.custom_gradient
    def convolve(inputs, kernel):
        """Convolve (B, H, W, C) with (3, 3, C, D)."""
        _, height, width, channels = inputs.shape

        def gradient(upstream):  # (B, H, W, D)
            back = tf.nn.conv2d_transpose(upstream, kernel, tf.shape(inputs), 1, "SAME")
            framed = tf.pad(inputs, [[0, 0], [1, 1], [1, 1], [0, 0]])
            patches = tf.concat(
                [
                    framed[:, row : row + height, column : column + width]
                    for row in range(3)
                    for column in range(3)
                ],
                axis=-1,
            )  # (B, H, W, 9 C)
            flat = tf.reshape(patches, [-1, 9 * channels])
            product = tf.matmul(
                flat, tf.reshape(upstream, [-1, kernel.shape[-1]]), transpose_a=True
            )
            return back, tf.reshape(product, kernel.shape)

        return tf.nn.conv2d(inputs, kernel, 1, "SAME"), gradient

    return convolve


class _Pointwise(_View):
    """Convolve 1x1 with a bias as a matrix product, whose gradients are such products too."""

    def call(self, inputs):
        channels, filters = self.plain.kernel.shape[2:]
        flat = keras.ops.reshape(inputs, (-1, channels))
        made = keras.ops.matmul(flat, self.plain.kernel[0, 0]) + self.plain.bias
        return keras.ops.reshape(made, (-1, *inputs.shape[1:3], filters))


class _Fused(_View):
    """Compute what a BatchNormalization over the last axis computes, with its variables."""

    def call(self, inputs, training=None, mask=None):
        import tensorflow as tf

        plain = self.plain
        moving = bool(training and plain.trainable)
        # tf.nn.fused_batch_norm would raise epsilon to 1e-5
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=plain.gamma,
            offset=plain.beta,
            mean=tf.zeros([0]) if moving else plain.moving_mean,
            variance=tf.zeros([0]) if moving else plain.moving_variance,
            epsilon=plain.epsilon,
            is_training=moving,
        )
        if moving:
            count = tf.cast(tf.size(inputs) // inputs.shape[-1], "float32")
            _follow(plain.moving_mean, mean, plain.momentum)
            # the operation tells the unbiased variance, Keras keeps the biased one
            _follow(plain.moving_variance, variance * (count - 1) / count, plain.momentum)
        return outputs


def _follow(average, value, momentum):
    average.assign(average * momentum + value * (1 - momentum))
