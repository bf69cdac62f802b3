"""A `.cfg` in and out.

The keys, their defaults and the arithmetic of shapes are Darknet's (its `parser.c` and the layers'
`make_…_layer`), the networks those of Redmon and Farhadi, "YOLOv3" (2018).
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from yolo3.network.darknet.layers import (
    LEAKY,
    LINEAR,
    Cfg,
    Convolution,
    Layer,
    MaxPool,
    Route,
    Shape,
    Shortcut,
    Upsample,
    Yolo,
    convolved,
    pooled,
)
from yolo3.network.darknet.sections import CfgError, Section, read_sections
from yolo3.network.keras_file import MAX_NUMBERS
from yolo3.network.spec import MAX_SIDE, NetworkSpec

OTHER_NAMES = {"network": "net", "conv": "convolutional", "max": "maxpool"}

TRAINING_KEYS = ("learning_rate", "stopbackward", "onlyforward", "dont_update", "train_only_bn")
"""Options of any layer that only Darknet's training reads."""

MAX_LAYERS = 500
"""More than any published network has; Keras follows a network by recursion."""

YOLO_TRAINING_KEYS = (
    *("jitter", "resize", "random", "max", "map", "ignore_thresh", "truth_thresh"),
    *("iou_loss", "iou_thresh", "iou_thresh_kind", "iou_normalizer", "cls_normalizer"),
    *("obj_normalizer", "delta_normalizer", "uc_normalizer", "max_delta", "focal_loss"),
    *("label_smooth_eps", "counters_per_class", "objectness_smooth", "show_details"),
    *("nms_kind", "beta_nms"),
)


def read_cfg(path: Path) -> Cfg:
    """Read a cfg and check every layer of it.

    Raises CfgError, with file and line, for what this project does not know.
    """
    net, *sections = _named(read_sections(path), path)
    height, width, channels = (net.integer(key, least=1) for key in ("height", "width", "channels"))
    if channels != 3:
        raise net.error(f"[net] has channels={channels}, expected 3 (RGB)", "channels")
    for key, side in (("width", width), ("height", height)):
        if side > MAX_SIDE:
            raise net.error(f"[net] has {key}={side}, expected at most {MAX_SIDE}", key)
    if len(sections) > MAX_LAYERS:
        text = f"the network has {len(sections)} layers, expected at most {MAX_LAYERS}"
        raise sections[MAX_LAYERS].error(text)
    reading = _Reading((height, width, channels), [])
    for section in sections:
        reader = _READERS.get(section.kind)
        if reader is None:
            accepted = ", ".join(f"[{kind}]" for kind in _READERS)
            text = f"layer [{section.kind}] is not supported, accepted are {accepted}"
            raise section.error(text)
        section.ignore(TRAINING_KEYS)
        section.neutral(dontload=0, dontloadscales=0)
        reading.add(section, reader(section, reading))
        section.finish()
    cfg = Cfg(str(path), (width, height), tuple(reading.layers))
    return _with_output_names(_checked(cfg, net))


def spec_of(cfg: Cfg, class_names: tuple[str, ...] = ()) -> NetworkSpec:
    """Make the spec of a cfg's network; without names its classes are `class_0`, `class_1`, ….

    [yolo] layers with lists of anchors of their own get them one list after the other.
    Raises CfgError for another number of names than the cfg has classes.
    """
    yolos = cfg.yolos
    classes, line = yolos[0][1].classes, yolos[0][1].line
    names = class_names or tuple(f"class_{number}" for number in range(classes))
    if len(names) != classes:
        raise CfgError(f"{cfg.file}:{line}: [yolo] has classes={classes}, got {len(names)} names")
    lists = list(dict.fromkeys(yolo.anchors_wh for _, yolo in yolos))
    starts = [sum(map(len, lists[:number])) for number in range(len(lists))]
    mask = tuple(
        tuple(starts[lists.index(yolo.anchors_wh)] + anchor for anchor in yolo.mask)
        for _, yolo in yolos
    )
    anchors = tuple(anchor for anchors_wh in lists for anchor in anchors_wh)
    return NetworkSpec(names, anchors, mask, cfg.input_wh, tuple(stride for stride, _ in yolos))


def cfg_text(cfg: Cfg) -> str:
    """Write a cfg that `read_cfg` reads back; its [net] sets no training."""
    width, height = cfg.input_wh
    blocks = [f"[net]\nbatch=1\nsubdivisions=1\nwidth={width}\nheight={height}\nchannels=3\n"]
    for number, layer in enumerate(cfg.layers):
        kind, options = _options(layer, number)
        lines = [f"{key}={value}" for key, value in options.items()]
        blocks.append("\n".join([f"[{kind}]", *lines]) + "\n")
    return "\n".join(blocks)


@dataclass
class _Reading:
    """What was read so far."""

    picture: Shape
    layers: list[Layer]
    numbers: int = 0  # of all weights

    def add(self, section: Section, layer: Layer) -> None:
        """Keep a layer; CfgError for one that no machine would hold."""
        inputs = [self.shape(number) for number in layer.inputs]
        if isinstance(layer, Convolution):
            self.numbers += layer.numbers
            rows, columns, channels = inputs[0]
            padded = (rows + 2 * layer.padding, columns + 2 * layer.padding, channels)
            inputs.append(padded)
        largest = max(self.numbers, *(math.prod(shape) for shape in (*inputs, layer.shape)))
        if largest > MAX_NUMBERS:
            text = f"[{section.kind}] makes the network too large, {largest:,} numbers"
            raise section.error(f"{text}, expected at most {MAX_NUMBERS:,}")
        self.layers.append(layer)

    def shape(self, number: int) -> Shape:
        return self.picture if number < 0 else self.layers[number].shape

    def before(self, section: Section) -> tuple[int, Shape]:
        """Give the number of the layer before, and its shape; a [yolo] layer gives nothing on."""
        number = len(self.layers) - 1
        if number >= 0 and isinstance(self.layers[number], Yolo):
            raise section.error(f"[{section.kind}] stands after [yolo], expected a [route] between")
        return number, self.shape(number)

    def pointed(self, section: Section, key: str, value: int) -> int:
        """Resolve the number of an earlier layer; negative ones count back from this layer."""
        own = len(self.layers)
        number = own + value if value < 0 else value
        if not 0 <= number < own:
            accepted = (
                f"-{own} to -1 or 0 to {own - 1}" if own else "a layer before it, it is first"
            )
            raise section.error(f"[{section.kind}] names layer {value}, expected {accepted}", key)
        if isinstance(self.layers[number], Yolo):
            line = self.layers[number].line
            raise section.error(
                f"[{section.kind}] names layer {value}, the [yolo] of line {line}, expected another"
                " layer",
                key,
            )
        return number


def _named(sections, path):
    for section in sections:
        section.kind = OTHER_NAMES.get(section.kind, section.kind)
    if not sections:
        raise CfgError(f"{path}: has no sections, expected [net] and layers")
    if sections[0].kind != "net":
        raise sections[0].error(f"begins with [{sections[0].kind}], expected [net]")
    return sections


def _convolution(section, reading):
    number, (rows, columns, channels) = reading.before(section)
    filters, size, stride = (
        section.integer(key, default, 1)
        for key, default in (("filters", 1), ("size", 1), ("stride", 1))
    )
    padding = section.integer("padding", 0)
    if section.flag("pad"):
        padding = size // 2
    section.neutral(groups=1, dilation=1, binary=0, xnor=0, flipped=0, antialiasing=0)
    section.neutral(stride_x=stride, stride_y=stride)
    activation = section.choice("activation", (LEAKY, LINEAR), "logistic")
    shape = _grown(section, rows, columns, filters, convolved, size, stride, padding)
    count = sum(isinstance(layer, Convolution) for layer in reading.layers) + 1
    return Convolution(
        section.line,
        (number,),
        shape,
        name=f"conv_{count}",
        channels=channels,
        filters=filters,
        size=size,
        stride=stride,
        padding=padding,
        batch_normalize=section.flag("batch_normalize"),
        activation=activation,
    )


def _maxpool(section, reading):
    number, (rows, columns, channels) = reading.before(section)
    stride = section.integer("stride", 1, 1)
    size = section.integer("size", stride, 1)
    padding = section.integer("padding", size - 1)
    if padding not in (0, size - 1):
        text = f"[maxpool] has padding={padding}, expected 0 or size - 1, which is {size - 1}"
        raise section.error(text, "padding")
    section.neutral(antialiasing=0, maxpool_depth=0, stride_x=stride, stride_y=stride)
    shape = _grown(section, rows, columns, channels, pooled, size, stride, padding)
    return MaxPool(section.line, (number,), shape, size=size, stride=stride, padding=padding)


def _route(section, reading):
    inputs = tuple(
        reading.pointed(section, "layers", value) for value in section.integers("layers")
    )
    section.neutral(groups=1, group_id=0)
    shapes = [reading.shape(number) for number in inputs]
    if len({shape[:2] for shape in shapes}) > 1:
        shown = ", ".join(_shown(shape) for shape in shapes)
        text = f"[route] joins layers of {shown} (w x h x channels), expected equal w x h"
        raise section.error(text, "layers")
    rows, columns, _ = shapes[0]
    return Route(section.line, inputs, (rows, columns, sum(shape[2] for shape in shapes)))


def _shortcut(section, reading):
    number, shape = reading.before(section)
    others = section.integers("from")
    if len(others) != 1:
        raise section.error(f"[shortcut] names {len(others)} layers, expected one", "from")
    other = reading.pointed(section, "from", others[0])
    section.choice("activation", (LINEAR,), LINEAR)
    section.neutral(alpha=1, beta=1)
    if reading.shape(other) != shape:
        raise section.error(
            f"[shortcut] adds a layer of {_shown(reading.shape(other))} to one of {_shown(shape)}"
            " (w x h x channels), expected equal shapes",
            "from",
        )
    return Shortcut(section.line, (number, other), shape)


def _upsample(section, reading):
    number, (rows, columns, channels) = reading.before(section)
    factor = section.integer("stride", 2, 1)
    section.neutral(scale=1)
    shape = (rows * factor, columns * factor, channels)
    return Upsample(section.line, (number,), shape, factor=factor)


def _yolo(section, reading):
    number, shape = reading.before(section)
    anchors_wh = section.sizes("anchors")
    count = section.integer("num", len(anchors_wh), 1)
    if count != len(anchors_wh):
        text = f"[yolo] has num={count} and {len(anchors_wh)} anchors, expected as many"
        raise section.error(text, "num")
    mask = section.integers("mask", ",".join(str(anchor) for anchor in range(count)))
    for anchor in mask:
        if not 0 <= anchor < count:
            text = f"[yolo] has anchor {anchor} in its mask, expected 0 to {count - 1}"
            raise section.error(text, "mask")
    classes = section.integer("classes", least=1)
    section.ignore(YOLO_TRAINING_KEYS)
    section.neutral(scale_x_y=1, new_coords=0)
    source = reading.layers[number] if reading.layers else None
    plain = isinstance(source, Convolution) and not source.batch_normalize
    filters = len(mask) * (5 + classes)
    if not plain or source.activation != LINEAR or source.filters != filters:
        raise section.error(
            f"[yolo] expected before it a linear [convolutional] without batch_normalize and with "
            f"filters={filters}: {len(mask)} anchors in its mask, 5 + {classes} numbers each"
        )
    return Yolo(section.line, (number,), shape, classes=classes, anchors_wh=anchors_wh, mask=mask)


_READERS = {
    "convolutional": _convolution,
    "maxpool": _maxpool,
    "route": _route,
    "shortcut": _shortcut,
    "upsample": _upsample,
    "yolo": _yolo,
}


def _grown(section, rows, columns, channels, output_side, *arguments) -> Shape:
    sides = tuple(output_side(side, *arguments) for side in (rows, columns))
    if min(sides) < 1:
        raise section.error(f"[{section.kind}] leaves nothing of its input of {columns}x{rows}")
    return *sides, channels


def _shown(shape: Shape) -> str:
    rows, columns, channels = shape
    return f"{columns}x{rows}x{channels}"


def _checked(cfg: Cfg, net: Section) -> Cfg:
    """Check what concerns all [yolo] layers together."""
    yolos = [layer for layer in cfg.layers if isinstance(layer, Yolo)]
    if not yolos:
        raise net.error("the network has no [yolo] layer, expected one or more")
    width, height = cfg.input_wh
    for yolo in yolos:
        rows, columns, _ = yolo.shape
        if width % columns or height % rows or width // columns != height // rows:
            raise CfgError(
                f"{cfg.file}:{yolo.line}: [yolo] has a grid of {columns}x{rows} cells on an input "
                f"of {width}x{height}, expected square cells that fill it: let width and height be "
                "multiples of the largest stride"
            )
        if yolo.classes != yolos[0].classes:
            raise CfgError(
                f"{cfg.file}:{yolo.line}: [yolo] has classes={yolo.classes}, but that of line "
                f"{yolos[0].line} has classes={yolos[0].classes}, expected equal numbers"
            )
    largest = cfg.yolos[0][0]
    if width % largest or height % largest:
        raise net.error(f"[net] is {width}x{height}, expected multiples of {largest}", "width")
    return cfg


def _with_output_names(cfg: Cfg) -> Cfg:
    """Name each convolution before a [yolo] by its stride; a second one of a stride by `_2`."""
    layers = list(cfg.layers)
    taken: dict[int, int] = {}
    for stride, yolo in cfg.yolos:
        taken[stride] = taken.get(stride, 0) + 1
        name = f"output_{stride}" + (f"_{taken[stride]}" if taken[stride] > 1 else "")
        layers[yolo.inputs[0]] = replace(layers[yolo.inputs[0]], name=name)
    return replace(cfg, layers=tuple(layers))


def _options(layer: Layer, number: int) -> tuple[str, dict]:
    """Give the name and the options of a layer's section."""
    match layer:
        case Convolution():
            usual = layer.padding == layer.size // 2
            return "convolutional", {
                **({"batch_normalize": 1} if layer.batch_normalize else {}),
                "filters": layer.filters,
                "size": layer.size,
                "stride": layer.stride,
                **({"pad": 1} if usual else {"padding": layer.padding}),
                "activation": layer.activation,
            }
        case MaxPool():
            usual = layer.padding == layer.size - 1
            options = {"size": layer.size, "stride": layer.stride}
            return "maxpool", options | ({} if usual else {"padding": layer.padding})
        case Route():
            return "route", {"layers": ",".join(str(source - number) for source in layer.inputs)}
        case Shortcut():
            return "shortcut", {"from": layer.inputs[1] - number, "activation": LINEAR}
        case Upsample():
            return "upsample", {"stride": layer.factor}
        case Yolo():
            return "yolo", {
                "mask": ",".join(map(str, layer.mask)),
                "anchors": ", ".join(f"{w:.9g},{h:.9g}" for w, h in layer.anchors_wh),
                "classes": layer.classes,
                "num": len(layer.anchors_wh),
            }
    raise TypeError(f"no section for {layer}")
