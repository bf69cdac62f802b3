"""Tiny YOLOv3 and YOLOv3 as functional Keras models.

Layers carry Darknet's numbering: `conv_1`, `conv_1_bn`, … count the convolutions in the order in
which the cfg lists them, and the output convolutions are `output_32`, `output_16`, `output_8` by
their stride. Architecture: Redmon and Farhadi, "YOLOv3: An Incremental Improvement" (2018), and
the cfg files that came with it.
"""

import keras
import numpy as np
from keras import layers

from yolo3.network.spec import NetworkSpec

LEAKY_SLOPE = 0.1
BATCH_NORM_EPSILON = 1e-6  # Darknet's; Keras's own default is 1e-3
BATCH_NORM_MOMENTUM = 0.97
OBJECTNESS_PRIOR = 0.01


def build_network(spec: NetworkSpec, precision: str = "float32") -> keras.Model:
    """Build the network that the spec describes, with random weights.

    precision: Keras's name of a dtype policy for all layers but the outputs, which are float32.

    Input: RGB float32 in 0..1, (B, H, W, 3). Outputs, coarse scale first: raw numbers
    (B, H / stride, W / stride, A * (5 + C)), no activation applied.

    Raises ValueError for strides that neither Tiny YOLOv3 nor YOLOv3 has.
    """
    families = {(32, 16): ("yolov3_tiny", _tiny), (32, 16, 8): ("yolov3", _full)}
    if tuple(spec.strides) not in families:
        raise ValueError(
            f"expected strides {' or '.join(map(str, families))} (Tiny YOLOv3, YOLOv3), "
            f"got {tuple(spec.strides)}; networks of other shapes come from a Darknet cfg"
        )
    name, stack = families[tuple(spec.strides)]
    width, height = spec.input_wh
    pixels = keras.Input((height, width, 3), name="image")
    outputs = stack(pixels, _Trunk(precision))
    raw = []
    for features, stride, owned in zip(outputs, spec.strides, spec.mask, strict=True):
        raw.append(_output(features, f"output_{stride}", len(owned), len(spec.class_names)))
    network = keras.Model(pixels, raw, name=name)
    for layer in output_layers(network):
        _start_empty(layer, 5 + len(spec.class_names))
    return network


def output_layers(network: keras.Model) -> list[keras.layers.Layer]:
    """List the output convolutions: those that depend on the number of classes."""
    return [layer for layer in network.layers if layer.name.startswith("output_")]


class _Trunk:
    """Count the convolutions, which are numbered as Darknet's cfg lists them."""

    def __init__(self, precision):
        self.number = 0
        self.dtype = precision

    def skip_output(self):
        self.number += 1

    def conv(self, x, filters, size, stride=1):
        """Convolve, normalise, leak."""
        self.number += 1
        name = f"conv_{self.number}"
        if stride == 2:  # Darknet pads one pixel on every side; "same" would pad the far side only
            x = layers.ZeroPadding2D(((1, 0), (1, 0)), dtype=self.dtype, name=f"{name}_pad")(x)
        x = layers.Conv2D(
            filters,
            size,
            strides=stride,
            padding="valid" if stride == 2 else "same",
            use_bias=False,
            kernel_initializer="he_normal",
            dtype=self.dtype,
            name=name,
        )(x)
        x = layers.BatchNormalization(
            epsilon=BATCH_NORM_EPSILON,
            momentum=BATCH_NORM_MOMENTUM,
            dtype=self.dtype,
            name=f"{name}_bn",
        )(x)
        return layers.LeakyReLU(negative_slope=LEAKY_SLOPE, dtype=self.dtype, name=f"{name}_leaky")(
            x
        )


def _output(x, name, anchors, classes):
    return layers.Conv2D(
        anchors * (5 + classes),
        1,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        dtype="float32",
        name=name,
    )(x)


def _start_empty(layer, numbers):
    """Start each cell as empty with probability 0.99 (Lin et al. 2017, section 4.1).

    Set on the finished layer: an initializer of our own would be a custom object when saved.
    """
    bias = np.zeros(layer.filters, np.float32)
    bias[4::numbers] = np.log(OBJECTNESS_PRIOR / (1 - OBJECTNESS_PRIOR))
    layer.bias.assign(bias)


def _tiny(pixels, trunk):
    x = pixels
    for filters in (16, 32, 64, 128):
        x = trunk.conv(x, filters, 3)
        x = layers.MaxPooling2D(2, dtype=trunk.dtype, name=f"pool_{trunk.number}")(x)
    stride_16 = trunk.conv(x, 256, 3)
    x = layers.MaxPooling2D(2, dtype=trunk.dtype, name="pool_5")(stride_16)
    x = trunk.conv(x, 512, 3)
    x = layers.MaxPooling2D(2, strides=1, padding="same", dtype=trunk.dtype, name="pool_6")(x)
    x = trunk.conv(x, 1024, 3)
    x = trunk.conv(x, 256, 1)
    coarse = trunk.conv(x, 512, 3)
    trunk.skip_output()
    x = trunk.conv(x, 128, 1)
    x = layers.UpSampling2D(2, dtype=trunk.dtype, name="upsample")(x)
    x = layers.Concatenate(dtype=trunk.dtype, name="route")([x, stride_16])
    fine = trunk.conv(x, 256, 3)
    return [coarse, fine]


def _full(pixels, trunk):
    x = trunk.conv(pixels, 32, 3)
    routes = []
    for filters, blocks in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        x = trunk.conv(x, filters, 3, stride=2)
        for _ in range(blocks):
            inner = trunk.conv(trunk.conv(x, filters // 2, 1), filters, 3)
            x = layers.Add(dtype=trunk.dtype, name=f"shortcut_{trunk.number}")([x, inner])
        routes.append(x)
    outputs = []
    for scale, filters in enumerate((512, 256, 128)):
        if scale:
            x = trunk.conv(x, filters, 1)
            x = layers.UpSampling2D(2, dtype=trunk.dtype, name=f"upsample_{scale}")(x)
            x = layers.Concatenate(dtype=trunk.dtype, name=f"route_{scale}")([x, routes[4 - scale]])
        for _ in range(2):
            x = trunk.conv(trunk.conv(x, filters, 1), filters * 2, 3)
        x = trunk.conv(x, filters, 1)
        outputs.append(trunk.conv(x, filters * 2, 3))
        trunk.skip_output()
    return outputs
