"""Small Darknet networks, their files, and Darknet's arithmetic written a second time, in loops."""

import struct
from pathlib import Path

import numpy as np

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"

CONV = {"filters": 4, "size": 3, "stride": 1, "pad": 1}
NORMAL = {"batch_normalize": 1, **CONV, "activation": "leaky"}
LINEAR = {**CONV, "activation": "linear"}
ANCHORS = "4,6, 10,8, 15,20"


def conv(**options):
    return "convolutional", NORMAL | options


def plain(**options):
    return "convolutional", LINEAR | options


def output(mask="0,1", classes=2, anchors=ANCHORS):
    """Give an output convolution and its [yolo]."""
    filters = len(mask.split(",")) * (5 + classes)
    return [
        plain(filters=filters, size=1),
        ("yolo", {"mask": mask, "anchors": anchors, "classes": classes, "num": 3}),
    ]


NETWORKS = {
    "normalised and leaky": [conv()],
    "normalised and linear": [conv(activation="linear")],
    "leaky with a bias": [plain(activation="leaky")],
    "linear with a bias": [plain()],
    "stride 2": [conv(stride=2)],
    "stride 2 on an odd side": [conv(size=2, pad=0), conv(stride=2)],
    "1x1 with stride 2": [conv(size=1, stride=2)],
    "size 5 with stride 4": [conv(size=5, stride=4)],
    "even size grows a side": [conv(size=2), conv(size=2, pad=0)],
    "padding in pixels": [conv(pad=0), conv(pad=0, padding=2)],
    "pool 2/2": [plain(), ("maxpool", {"size": 2, "stride": 2})],
    "pool 2/2 on an odd side": [plain(size=2, pad=0), ("maxpool", {"size": 2, "stride": 2})],
    "pool 2/1": [plain(), ("maxpool", {"size": 2, "stride": 1})],
    "pool 5/1": [plain(), ("maxpool", {"size": 5, "stride": 1})],
    "pool 13/1": [plain(), ("maxpool", {"size": 13, "stride": 1})],
    "pool 3/2": [plain(), ("maxpool", {"size": 3, "stride": 2})],
    "pool 3/2 on an odd side": [plain(size=2, pad=0), ("maxpool", {"size": 3, "stride": 2})],
    "pool 4/4": [plain(), ("maxpool", {"size": 4, "stride": 4})],
    "pool of its stride": [plain(), ("maxpool", {"stride": 2})],
    "pool without padding": [
        plain(size=2),
        ("maxpool", {"size": 3, "stride": 2, "padding": 0}),
    ],
    "pool first": [("maxpool", {"size": 2, "stride": 2}), conv()],
    "pool of one with a stride": [plain(), ("maxpool", {"size": 1, "stride": 2})],
    "route to one": [
        conv(),
        conv(),
        ("route", {"layers": "-2"}),
        conv(),
        ("route", {"layers": "-1,1"}),
        conv(),
    ],
    "route to several": [
        conv(),
        conv(filters=3),
        conv(filters=5),
        ("route", {"layers": "-1, 0,-2"}),
        conv(),
    ],
    "shortcut": [conv(), conv(), ("shortcut", {"from": -2, "activation": "linear"}), conv()],
    "shortcut by number": [conv(), conv(), conv(), ("shortcut", {"from": 0}), conv()],
    "spatial pyramid": [
        conv(),
        ("maxpool", {"size": 5, "stride": 1}),
        ("route", {"layers": "-2"}),
        ("maxpool", {"size": 9, "stride": 1}),
        ("route", {"layers": "-1,-3,-4"}),
        conv(size=1),
    ],
    "upsample": [conv(stride=2), ("upsample", {"stride": 2})],
    "upsample by four": [conv(stride=4, size=5), conv(), ("upsample", {"stride": 4})],
    "two scales": [
        conv(stride=2),
        conv(stride=2),
        *output("1,2"),
        ("route", {"layers": "-3"}),
        conv(filters=3, size=1),
        ("upsample", {"stride": 2}),
        ("route", {"layers": "-1,0"}),
        conv(),
    ],
    "fine scale first": [
        conv(stride=2),
        *output("0"),
        ("route", {"layers": "0"}),
        conv(stride=2),
    ],
    "two outputs of one stride": [conv(stride=2), *output("0,1"), ("route", {"layers": "0"})],
}
"""Layers before the last output; the picture is 32x16."""


def text_of(layers, width=32, height=16):
    """Write a cfg, with comments, blank lines and blanks where Darknet takes them."""
    lines = ["[net]", "# Testing", f"width = {width}", f"height={height}", "channels=3", "hue=.1"]
    for kind, options in layers:
        lines += ["", "########", f"[{kind}]", *(f"{k} = {v}" for k, v in options.items())]
    return "\n".join(lines) + "\n"


def write_network(folder, layers, name="net", seed=0, version=(0, 2), size_wh=(32, 16)):
    """Write a cfg and random weights for it; return both paths and the numbers in the file."""
    cfg, weights = folder / f"{name}.cfg", folder / f"{name}.weights"
    cfg.write_text(text_of(layers, *size_wh))
    rng = np.random.default_rng(seed)
    numbers = np.concatenate(
        [row.ravel() for entry in shapes_of(layers) for row in random_rows(rng, *entry)]
    ).astype("<f4")
    weights.write_bytes(header(*version) + numbers.tobytes())
    return cfg, weights, numbers


def header(major=0, minor=2, seen=32013312):
    wide = (major, minor) >= (0, 2)
    return struct.pack("<3iq" if wide else "<3ii", major, minor, 5, seen)


def shapes_of(layers):
    """Give filters, channels, size and batch_normalize of each convolution."""
    found, channels = [], []
    for kind, options in layers:
        before = channels[-1] if channels else 3
        if kind == "convolutional":
            normal = bool(options.get("batch_normalize"))
            found.append((options["filters"], before, options["size"], normal))
            before = options["filters"]
        if kind == "route":
            before = sum(channels[number] for number in numbers_of(options["layers"]))
        channels.append(before)
    return found


def numbers_of(text):
    return [int(word) for word in str(text).split(",")]


def random_rows(rng, filters, channels, size, normal):
    """Draw biases, then scales, means and variances, then the kernel."""
    yield rng.normal(0, 0.3, filters)
    if normal:
        yield rng.uniform(0.5, 1.5, filters)
        yield rng.normal(0, 0.3, filters)
        yield rng.uniform(0.5, 2, filters)
    yield rng.normal(0, 1 / np.sqrt(channels * size**2), (filters, channels, size, size))


def darknet_outputs(layers, numbers, picture):
    """Run a network as Darknet's layers do: what each [yolo] is given, in the order of the cfg.

    picture: (rows, columns, 3).
    """
    found, results, rest = [], [], np.asarray(numbers, np.float64)
    x = np.asarray(picture, np.float64)
    for kind, options in layers:
        if kind == "convolutional":
            x, rest = _convolve(x, options, rest)
        elif kind == "maxpool":
            x = _pool(x, options)
        elif kind == "upsample":
            x = x.repeat(options["stride"], axis=0).repeat(options["stride"], axis=1)
        elif kind == "route":
            x = np.concatenate([results[n] for n in numbers_of(options["layers"])], axis=-1)
        elif kind == "shortcut":
            x = x + results[options["from"]]
        elif kind == "yolo":
            found.append(x)
        results.append(x)
    assert not len(rest)
    return found


def _convolve(x, options, rest):
    filters, size, stride = (options[key] for key in ("filters", "size", "stride"))
    channels = x.shape[2]
    biases, rest = rest[:filters], rest[filters:]
    if options.get("batch_normalize"):
        scales, means, variances = rest[: 3 * filters].reshape(3, filters)
        rest = rest[3 * filters :]
    count = filters * channels * size * size
    kernel, rest = rest[:count].reshape(filters, channels, size, size), rest[count:]
    pad = size // 2 if options.get("pad") else options.get("padding", 0)
    x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    x = _over_windows(x, size, stride, lambda part: np.einsum("hwc,fchw->f", part, kernel))
    if options.get("batch_normalize"):
        x = (x - means) / (np.sqrt(variances) + 1e-6) * scales
    x = x + biases
    return (np.where(x > 0, x, 0.1 * x) if options["activation"] == "leaky" else x), rest


def _pool(x, options):
    """Begin padding / 2 before the picture, and take what lies in it."""
    stride = options["stride"]
    size = options.get("size", stride)
    padding = options.get("padding", size - 1)
    near = padding // 2
    far = padding - near
    x = np.pad(x, ((near, far), (near, far), (0, 0)), constant_values=-np.inf)
    return _over_windows(x, size, stride, lambda part: part.max(axis=(0, 1)))


def _over_windows(x, size, stride, function):
    rows, columns = ((side - size) // stride + 1 for side in x.shape[:2])
    return np.array(
        [
            [
                function(x[r * stride : r * stride + size, c * stride : c * stride + size])
                for c in range(columns)
            ]
            for r in range(rows)
        ]
    )


def picture_of(width, height, seed=3):
    return np.random.default_rng(seed).random((height, width, 3), np.float32)


def relative_difference(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()
