"""The layers of a Darknet network that this project knows, and the shapes that they give."""

from dataclasses import dataclass

LEAKY, LINEAR = "leaky", "linear"

Shape = tuple[int, int, int]
"""Rows, columns, channels."""


@dataclass(frozen=True)
class Layer:
    """One layer: line of its section (0 where there is none), numbers of the layers it reads.

    Layers are numbered from 0 as the cfg lists them, [net] not counted; -1 is the picture.
    """

    line: int
    inputs: tuple[int, ...]
    shape: Shape  # of its output


@dataclass(frozen=True)
class Convolution(Layer):
    """A convolution with batch normalisation or a bias; padding on every side, in pixels.

    name: of the Keras layer, `conv_N` or `output_STRIDE`; N counts convolutions from 1.
    """

    name: str
    channels: int  # of its input
    filters: int
    size: int
    stride: int
    padding: int
    batch_normalize: bool
    activation: str

    @property
    def is_output(self) -> bool:
        """Tell whether a [yolo] layer reads it."""
        return self.name.startswith("output_")

    @property
    def numbers(self) -> int:
        """Count what a weights file holds for it."""
        return self.filters * ((4 if self.batch_normalize else 1) + self.channels * self.size**2)


@dataclass(frozen=True)
class MaxPool(Layer):
    """A maximum over windows; padding is the sum of both sides, as Darknet counts it.

    The near side has padding // 2 of it, and what is padded never is the maximum.
    """

    size: int
    stride: int
    padding: int


@dataclass(frozen=True)
class Route(Layer):
    """The outputs of its inputs, side by side."""


@dataclass(frozen=True)
class Shortcut(Layer):
    """The sum of its two inputs."""


@dataclass(frozen=True)
class Upsample(Layer):
    """Each cell repeated, `factor` times in both directions."""

    factor: int


@dataclass(frozen=True)
class Yolo(Layer):
    """What reads an output convolution: anchors in pixels of the input, and those it owns."""

    classes: int
    anchors_wh: tuple[tuple[float, float], ...]
    mask: tuple[int, ...]


@dataclass(frozen=True)
class Cfg:
    """A network as a cfg describes it; `file` is named in errors."""

    file: str
    input_wh: tuple[int, int]
    layers: tuple[Layer, ...]

    @property
    def convolutions(self) -> tuple[Convolution, ...]:
        """Give the convolutions in the order of the weights file."""
        return tuple(layer for layer in self.layers if isinstance(layer, Convolution))

    @property
    def yolos(self) -> tuple[tuple[int, Yolo], ...]:
        """Give the [yolo] layers with their strides in pixels, coarse first."""
        width, _ = self.input_wh
        found = [
            (width // layer.shape[1], layer) for layer in self.layers if isinstance(layer, Yolo)
        ]
        return tuple(sorted(found, key=lambda pair: -pair[0]))


def convolved(side: int, size: int, stride: int, padding: int) -> int:
    """Give a convolution's output side."""
    return (side + 2 * padding - size) // stride + 1


def pooled(side: int, size: int, stride: int, padding: int) -> int:
    """Give a maximum pooling's output side."""
    return (side + padding - size) // stride + 1
