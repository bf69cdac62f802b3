"""A Keras network from the layers of a cfg, made of Keras's own layers only."""

import keras
from keras import layers

from yolo3.network.darknet.layers import (
    LEAKY,
    Cfg,
    Convolution,
    MaxPool,
    Route,
    Shortcut,
    Upsample,
    Yolo,
)
from yolo3.network.model import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM, LEAKY_SLOPE


def build_from_cfg(cfg: Cfg, name: str = "darknet") -> keras.Model:
    """Build the network that a cfg describes, with random weights.

    Input, outputs and names of layers are those of `network.model`: RGB float32 in 0..1,
    (B, H, W, 3), to raw numbers (B, H / stride, W / stride, A * (5 + C)), coarse scale first.
    Layers without weights carry their number in the cfg: `maxpool_3`, `route_17`.
    """
    width, height = cfg.input_wh
    pixels = keras.Input((height, width, 3), name="image")
    tensors = []
    for number, layer in enumerate(cfg.layers):
        inputs = [pixels if source < 0 else tensors[source] for source in layer.inputs]
        tensors.append(_apply(layer, number, inputs))
    raw = [tensors[yolo.inputs[0]] for _, yolo in cfg.yolos]
    return keras.Model(pixels, raw, name=name)


def _apply(layer, number, inputs):
    match layer:
        case Convolution():
            return _convolve(layer, inputs[0])
        case MaxPool():
            return _pool(layer, f"maxpool_{number}", inputs[0])
        case Route():
            join = layers.Concatenate(name=f"route_{number}")
            return join(inputs) if len(inputs) > 1 else inputs[0]
        case Shortcut():
            return layers.Add(name=f"shortcut_{number}")(inputs)
        case Upsample():
            return layers.UpSampling2D(layer.factor, name=f"upsample_{number}")(inputs[0])
        case Yolo():
            return inputs[0]
    raise TypeError(f"no Keras layer for {layer}")


def _convolve(layer, x):
    """Pad as Darknet does, on every side; what no window reaches on the far side is left out."""
    inside = layer.stride == 1 and layer.size == 2 * layer.padding + 1
    if not inside and layer.padding:
        sides = [
            (layer.padding, max(0, (out - 1) * layer.stride + layer.size - side - layer.padding))
            for out, side in zip(layer.shape[:2], x.shape[1:3], strict=True)
        ]
        x = layers.ZeroPadding2D(tuple(sides), name=f"{layer.name}_pad")(x)
    x = layers.Conv2D(
        layer.filters,
        layer.size,
        strides=layer.stride,
        padding="same" if inside else "valid",
        use_bias=not layer.batch_normalize,
        kernel_initializer="he_normal",
        name=layer.name,
    )(x)
    if layer.batch_normalize:
        x = layers.BatchNormalization(
            epsilon=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM, name=f"{layer.name}_bn"
        )(x)
    if layer.activation == LEAKY:
        x = layers.LeakyReLU(negative_slope=LEAKY_SLOPE, name=f"{layer.name}_leaky")(x)
    return x


def _pool(layer, name, x):
    """Pool as Darknet does, whose first window begins (size - 1) // 2 before the picture.

    Keras's "same" lays the windows so too, but for windows of three and more with a stride: those
    pool at stride 1, and then keep every stride-th.
    """
    if not layer.padding:
        return layers.MaxPooling2D(layer.size, layer.stride, name=name)(x)
    if layer.size < 3 or layer.stride == 1:
        return layers.MaxPooling2D(layer.size, layer.stride, "same", name=name)(x)
    x = layers.MaxPooling2D(layer.size, 1, "same", name=name)(x)
    return layers.MaxPooling2D(1, layer.stride, name=f"{name}_stride")(x)
