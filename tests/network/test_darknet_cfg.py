import re

import pytest
from darknet_cases import ANCHORS, NETWORKS, SHARED, conv, output, plain, text_of

from yolo3.network.darknet.cfg import cfg_text, read_cfg, spec_of
from yolo3.network.darknet.layers import Convolution, MaxPool, Route, Shortcut, Upsample, Yolo
from yolo3.network.darknet.sections import CfgError
from yolo3.network.spec import MASKS


def read(tmp_path, text):
    path = tmp_path / "net.cfg"
    path.write_text(text, "utf-8")
    return read_cfg(path)


def read_layers(tmp_path, *layers, **size):
    return read(tmp_path, text_of(layers, **size))


def without_lines(cfg):
    """Give what a cfg says, whatever the lines that it says it in."""
    return [(type(layer), {**vars(layer), "line": 0}) for layer in cfg.layers]


def test_every_layer_is_read_with_its_shape_and_line(tmp_path):
    layers = [
        conv(stride=2, filters=6),
        ("maxpool", {"size": 2, "stride": 2}),
        plain(filters=6),
        ("upsample", {"stride": 2}),
        ("route", {"layers": "-1,0"}),
        conv(filters=12, size=1),
        ("shortcut", {"from": -2}),
        *output("0,2"),
    ]
    cfg = read_layers(tmp_path, *layers)
    kinds = [Convolution, MaxPool, Convolution, Upsample, Route, Convolution, Shortcut]
    assert [type(layer) for layer in cfg.layers] == [*kinds, Convolution, Yolo]
    shapes = [(8, 16, 6), (4, 8, 6), (4, 8, 6), (8, 16, 6), (8, 16, 12), (8, 16, 12)]
    assert [layer.shape for layer in cfg.layers[:6]] == shapes
    names = ["conv_1", "conv_2", "conv_3", "output_2"]
    assert [layer.name for layer in cfg.convolutions] == names
    assert cfg.layers[4].inputs == (3, 0) and cfg.layers[6].inputs == (5, 4)
    lines = (tmp_path / "net.cfg").read_text().splitlines()
    assert [lines[layer.line - 1] for layer in cfg.layers] == [f"[{kind}]" for kind, _ in layers]
    spec = spec_of(cfg, ("hat", "bare"))
    assert (spec.mask, spec.strides, spec.input_wh) == (((0, 2),), (2,), (32, 16))
    assert spec.anchors_wh == ((4, 6), (10, 8), (15, 20)) and spec.class_names == ("hat", "bare")
    assert spec_of(cfg).class_names == ("class_0", "class_1")


def test_what_darknet_takes_is_taken(tmp_path):
    text = text_of([conv(), *output()])
    other = text.replace("[net]", "\ufeff[network]").replace("[convolutional]", "[ conv ]\r")
    other = other.replace("########", "; a comment").replace("classes = 2", "classes=2 # two")
    assert without_lines(read(tmp_path, other)) == without_lines(read(tmp_path, text))


def test_neutral_and_training_options_change_nothing(tmp_path):
    text = text_of([conv(), ("maxpool", {"size": 2, "stride": 2}), ("upsample", {}), *output()])
    other = text.replace("[convolutional]", "[convolutional]\ngroups=1\ndilation=1\nstopbackward=1")
    other = other.replace("[upsample]", "[upsample]\nscale=1.0\nstride=2")
    other = other.replace("[yolo]", "[yolo]\nscale_x_y = 1\njitter=.3\nignore_thresh=.7\nrandom=1")
    other = other.replace("[net]", "[net]\nbatch=1\nbatch=64\nmomentum=0.9")
    assert without_lines(read(tmp_path, other)) == without_lines(read(tmp_path, text))


@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
def test_what_is_written_is_read_back(tmp_path, layers):
    cfg = read_layers(tmp_path, *layers, *output())
    again = read(tmp_path, cfg_text(cfg))
    assert without_lines(again) == without_lines(cfg)
    assert spec_of(again) == spec_of(cfg)


def test_yolo_layers_with_anchors_of_their_own_get_one_list(tmp_path):
    layers = [conv(stride=2), *output("1,2"), ("route", {"layers": 0}), conv(stride=2)]
    cfg = read_layers(tmp_path, *layers, *output("0,2", anchors="1.5,2, 3,4, 5,6"))
    spec = spec_of(cfg)
    assert spec.anchors_wh == ((1.5, 2), (3, 4), (5, 6), (4, 6), (10, 8), (15, 20))
    assert spec.mask == ((0, 2), (4, 5)) and spec.strides == (4, 2)
    again = spec_of(read(tmp_path, cfg_text(cfg)))
    assert again == spec


def test_mask_defaults_to_all_anchors(tmp_path):
    layers = [plain(filters=21, size=1), ("yolo", {"anchors": ANCHORS, "classes": 2, "num": 3})]
    assert spec_of(read_layers(tmp_path, *layers)).mask == ((0, 1, 2),)


def test_number_of_names_must_be_that_of_the_classes(tmp_path):
    cfg = read_layers(tmp_path, conv(), *output())
    with pytest.raises(CfgError, match=r"net\.cfg:\d+: \[yolo\] has classes=2, got 3 names"):
        spec_of(cfg, ("a", "b", "c"))


YOLO = {"mask": "0", "anchors": ANCHORS, "classes": 2, "num": 3}
ONE = plain(filters=7, size=1)


@pytest.mark.parametrize(
    ("layers", "line", "message"),
    [
        ([("dropout", {})], "[dropout]", r"is not supported, accepted are \[conv.*\[yolo\]"),
        ([("region", {})], "[region]", r"layer \[region\] is not supported"),
        ([conv(activation="mish")], "activation = mish", "expected leaky or linear"),
        ([("conv", {"filters": 3})], "[conv]", "activation=logistic, expected leaky or linear"),
        ([conv(batch_normalize=2)], "batch_normalize = 2", "expected 0 or 1"),
        ([conv(filters=0)], "filters = 0", "expected a whole number from 1"),
        ([conv(filters="a")], "filters = a", "expected a whole number from 1"),
        ([conv(stride="1.5")], "stride = 1.5", "expected a whole number from 1"),
        ([conv(groups=2)], "groups = 2", "not supported, expected 1 or no such line"),
        ([conv(dilation=2)], "dilation = 2", "not supported, expected 1"),
        ([conv(stride_x=2)], "stride_x = 2", "not supported, expected 1"),
        ([conv(dontload=1)], "dontload = 1", "not supported, expected 0"),
        ([conv(colour=1)], "colour = 1", "is not supported, accepted are activation, .*, size, "),
        ([conv(size=40, pad=0)], "[convolutional]", "leaves nothing of its input of 32x16"),
        ([("maxpool", {"size": 40, "padding": 0})], "[maxpool]", "leaves nothing of its input"),
        ([("maxpool", {"size": 5, "padding": 2})], "padding = 2", "expected 0 or size - 1, .* 4"),
        ([("maxpool", {"maxpool_depth": 1})], "maxpool_depth = 1", "not supported, expected 0"),
        ([("route", {"layers": -1})], "layers = -1", "expected a layer before it, it is first"),
        ([conv(), ("route", {"layers": -2})], "layers = -2", "expected -1 to -1 or 0 to 0"),
        ([conv(), ("route", {"layers": 1})], "layers = 1", "expected -1 to -1 or 0 to 0"),
        ([conv(), ("route", {})], "[route]", "has no layers, expected layers=…"),
        ([conv(), ("route", {"layers": "a"})], "layers = a", "expected whole numbers"),
        ([conv(), ("route", {"layers": 0, "groups": 2})], "groups = 2", "not supported"),
        ([conv(), ("route", {"layers": 0, "group_id": 1})], "group_id = 1", "not supported"),
        (
            [conv(), conv(stride=2), ("route", {"layers": "0,1"})],
            "layers = 0,1",
            r"joins layers of 32x16x4, 16x8x4 \(w x h x channels\), expected equal w x h",
        ),
        (
            [conv(), conv(filters=5), ("shortcut", {"from": 0})],
            "from = 0",
            "adds a layer of 32x16x4 to one of 32x16x5 .* expected equal shapes",
        ),
        ([conv(), conv(), ("shortcut", {"from": "0,1"})], "from = 0,1", "2 layers, expected one"),
        (
            [conv(), conv(), ("shortcut", {"from": 0, "activation": "leaky"})],
            "activation = leaky",
            "expected linear",
        ),
        ([conv(), ("upsample", {"stride": -2})], "stride = -2", "expected a whole number from 1"),
        ([conv(), ("upsample", {"scale": 2})], "scale = 2", "not supported, expected 1"),
        ([ONE, ("yolo", YOLO | {"num": 4})], "num = 4", "and 3 anchors, expected as many"),
        ([ONE, ("yolo", YOLO | {"mask": 3})], "mask = 3", "anchor 3 in its mask, expected 0 to 2"),
        ([ONE, ("yolo", YOLO | {"mask": ""})], "mask = ", r"expected \[section\] or key=value"),
        ([ONE, ("yolo", YOLO | {"classes": 0})], "classes = 0", "a whole number from 1"),
        ([ONE, ("yolo", YOLO | {"anchors": "1,2,3"})], "anchors = 1,2,3", "expected positive w,h"),
        ([ONE, ("yolo", YOLO | {"anchors": "1,-2"})], "anchors = 1,-2", "expected positive w,h"),
        ([ONE, ("yolo", YOLO | {"anchors": "1,a"})], "anchors = 1,a", "expected positive w,h"),
        ([ONE, ("yolo", {"mask": 0})], "[yolo]", "has no anchors, expected anchors=…"),
        ([ONE, ("yolo", YOLO | {"scale_x_y": "1.05"})], "scale_x_y = 1.05", "not supported"),
        ([ONE, ("yolo", YOLO | {"new_coords": 1})], "new_coords = 1", "not supported"),
        (
            [conv(filters=7, size=1), ("yolo", YOLO)],
            "[yolo]",
            "before it a linear .* without batch_normalize and with filters=7",
        ),
        ([plain(filters=8), ("yolo", YOLO)], "[yolo]", r"filters=7: 1 anchors in its mask, 5 \+ 2"),
        ([("yolo", YOLO)], "[yolo]", r"expected before it a linear \[convolutional\]"),
        ([ONE, ("yolo", YOLO), conv()], "[convolutional]", r"stands after \[yolo\], expected a \["),
        ([ONE, ("yolo", YOLO), ("route", {"layers": -1})], "layers = -1", r"the \[yolo\] of line"),
        (
            [
                *(ONE, ("yolo", YOLO), ("route", {"layers": 0})),
                *(plain(filters=6, size=1), ("yolo", YOLO | {"classes": 1})),
            ],
            "[yolo]",
            r"has classes=1, but that of line \d+ has classes=2, expected equal numbers",
        ),
        ([conv()], "[net]", r"the network has no \[yolo\] layer, expected one or more"),
        (
            [conv(size=2, pad=0), ONE, ("yolo", YOLO)],
            "[yolo]",
            "grid of 31x15 cells on an input of 32x16, expected square cells that fill it",
        ),
    ],
)
def test_what_is_not_known_is_named_by_file_and_line(tmp_path, layers, line, message):
    with pytest.raises(CfgError, match=message) as caught:
        read_layers(tmp_path, *layers)
    number = re.match(r".*net\.cfg:(\d+): ", str(caught.value))[1]
    assert (tmp_path / "net.cfg").read_text().splitlines()[int(number) - 1] == line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"net\.cfg: has no sections, expected \[net\] and layers"),
        ("# nothing\n\n", r"net\.cfg: has no sections"),
        ("[convolutional]\nfilters=3\n", r"net\.cfg:1: begins with \[convolutional\], expected"),
        ("\nwidth=32\n[net]\n", r"net\.cfg:2: width stands before the first section, expected"),
        (
            "<!DOCTYPE html>\n<html>",
            r"net\.cfg:1: expected \[section\] or .* got '<!DOCTYPE html>'",
        ),
        ("[net]\nwidth 32\n", r"net\.cfg:2: expected \[section\] or key=value, got 'width 32'"),
        ("[net\nwidth=32\n", r"net\.cfg:1: expected \[section\] or key=value, got '\[net'"),
        ("[net]\nheight=32\nchannels=3", r"net\.cfg:1: \[net\] has no width, expected width=…"),
        ("[net]\nheight=32\nwidth=32", r"net\.cfg:1: \[net\] has no channels"),
        ("[net]\nheight=32\nwidth=32\nchannels=1", r"net\.cfg:4: .*channels=1, expected 3 \(RGB"),
        ("[net]\nwidth=32\nwidth=64", r"cfg:3: width=64, but line 2 says width=32, expected one"),
    ],
)
def test_text_that_is_no_cfg_is_named(tmp_path, text, message):
    with pytest.raises(CfgError, match=message):
        read(tmp_path, text)


def test_an_option_twice_is_an_error_where_the_values_differ(tmp_path):
    text = text_of([conv(), *output()])
    same = text.replace("size = 3", "size = 3\nsize = 3")
    assert without_lines(read(tmp_path, same)) == without_lines(read(tmp_path, text))
    with pytest.raises(CfgError, match=r"net\.cfg:13: size=1, but line 12 says size=3, expected"):
        read(tmp_path, text.replace("size = 3", "size = 3\nsize = 1"))


def test_a_file_that_is_no_text_or_missing_is_named(tmp_path):
    with pytest.raises(CfgError, match=r"none\.cfg: cannot read the cfg: No such file"):
        read_cfg(tmp_path / "none.cfg")
    (tmp_path / "net.cfg").write_bytes(b"\0\0\0\0\2\0\0\0")
    with pytest.raises(CfgError, match=r"net\.cfg: is no text, .* \(is it the weights file\?\)"):
        read_cfg(tmp_path / "net.cfg")


def test_strides_that_do_not_divide_the_input_are_told(tmp_path):
    layers = [conv(stride=2), conv(stride=2)]
    with pytest.raises(CfgError, match="grid of 9x4 cells on an input of 34x16"):
        read_layers(tmp_path, *layers, *output(), width=34)
    assert spec_of(read_layers(tmp_path, *layers, *output(), width=36)).grids_hw == ((4, 9),)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the Darknet files in ../shared/data")
@pytest.mark.parametrize(
    ("name", "convolutions", "layers", "strides"),
    [
        ("darknet/yolov3-tiny.cfg", 13, 24, (32, 16)),
        ("darknet/yolov3.cfg", 75, 107, (32, 16, 8)),
        ("aix2022/yolov3-tiny-aix2022.cfg", 11, 22, (32, 16)),
    ],
)
def test_published_files_are_read(name, convolutions, layers, strides):
    cfg = read_cfg(SHARED / name)
    assert (len(cfg.convolutions), len(cfg.layers)) == (convolutions, layers)
    spec = spec_of(cfg)
    assert spec.strides == strides and spec.mask == MASKS[len(spec.anchors_wh)]
