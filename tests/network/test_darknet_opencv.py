"""Raw outputs against OpenCV's own reader of Darknet's files, both ways."""

import keras
import numpy as np
import pytest
from darknet_cases import (
    NETWORKS,
    SHARED,
    conv,
    output,
    picture_of,
    relative_difference,
    write_network,
)
from network_cases import OWN_SPECS, PUBLISHED_MASK

from yolo3.data.annotations import read_classes
from yolo3.data.project import PROJECT_DIR
from yolo3.network.darknet.build import build_from_cfg
from yolo3.network.darknet.cfg import cfg_text, read_cfg, spec_of
from yolo3.network.darknet.graph import describe_network
from yolo3.network.darknet.weights import read_darknet_weights, write_darknet_weights
from yolo3.network.model import build_network
from yolo3.network.spec import make_spec, read_anchors
from yolo3.network.weights import fill
from yolo3.tracking.download import cache_folder
from yolo3.tracking.weights import start_from

cv2 = pytest.importorskip(
    "cv2", reason="needs opencv-python-headless below 5, which reads Darknet's files"
)
pytestmark = pytest.mark.skipif(
    not hasattr(cv2.dnn, "readNetFromDarknet"), reason="OpenCV 5 reads no Darknet files"
)

CLOSE = 1e-4  # of the largest number


def opencv_outputs(cfg_path, weights_path, picture):
    """Give what OpenCV computes for each [yolo] layer, coarse first: (rows, columns, numbers)."""
    network = cv2.dnn.readNetFromDarknet(str(cfg_path), str(weights_path))
    network.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    network.setInput(np.ascontiguousarray(picture.transpose(2, 0, 1)[None]))
    names = [f"conv_{yolo.inputs[0]}" for _, yolo in read_cfg(cfg_path).yolos]
    return [raw[0].transpose(1, 2, 0) for raw in network.forward(names)]


def keras_outputs(network, picture):
    return [np.asarray(raw[0]) for raw in keras.tree.flatten(network(picture[None]))]


def converted(cfg_path, weights_path):
    cfg = read_cfg(cfg_path)
    network = build_from_cfg(cfg)
    report = fill(network, read_darknet_weights(weights_path, cfg), weights_path.name)
    assert not report.left and not report.skipped
    return network, cfg


def write_back(network, spec, folder):
    """Write a network as Darknet's files; give their paths."""
    folder.mkdir()
    described = describe_network(network, spec)
    (folder / "back.cfg").write_text(cfg_text(described))
    write_darknet_weights(folder / "back.weights", described, network)
    return folder / "back.cfg", folder / "back.weights"


def assert_agree(network, paths, picture):
    found, expected = keras_outputs(network, picture), opencv_outputs(*paths, picture)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and np.abs(b).max() > 0.01
        assert relative_difference(a, b) < CLOSE


@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
def test_each_kind_of_layer_agrees_both_ways(layers, tmp_path):
    *paths, _ = write_network(tmp_path, [*layers, *output()])
    network, cfg = converted(*paths)
    assert_agree(network, paths, picture_of(32, 16))
    back = write_back(network, spec_of(cfg), tmp_path / "back")
    assert_agree(network, back, picture_of(32, 16))


@pytest.mark.parametrize("name", OWN_SPECS)
def test_own_networks_agree_both_ways(name, request, tmp_path):
    network, spec = request.getfixturevalue(name), OWN_SPECS[name]
    paths = write_back(network, spec, tmp_path / "out")
    picture = picture_of(96, 64)
    assert_agree(network, paths, picture)
    again, cfg = converted(*paths)
    assert spec_of(cfg, spec.class_names) == spec
    for a, b in zip(keras_outputs(again, picture), keras_outputs(network, picture), strict=True):
        assert relative_difference(a, b) < 1e-6


def pyramid(filters):
    """Give YOLOv3-SPP's neck: poolings of three sizes beside what they pool."""
    return [
        conv(filters=filters, size=1),
        *(("maxpool", {"stride": 1, "size": 5}), ("route", {"layers": "-2"})),
        *(("maxpool", {"stride": 1, "size": 9}), ("route", {"layers": "-4"})),
        ("maxpool", {"stride": 1, "size": 13}),
        ("route", {"layers": "-1,-3,-5,-6"}),
        conv(filters=filters, size=1),
        conv(filters=2 * filters),
    ]


def residuals(filters, count):
    block = [
        conv(filters=filters // 2, size=1),
        conv(filters=filters),
        ("shortcut", {"from": -3, "activation": "linear"}),
    ]
    return [conv(filters=filters, stride=2), *(block * count)]


def spatial_pyramid_network():
    """YOLOv3-SPP with an eighth of its filters."""
    body = [conv(filters=4)]
    for filters, count in ((8, 1), (16, 2), (32, 8), (64, 8), (128, 4)):
        body += residuals(filters, count)
    neck = [conv(filters=64, size=1), conv(filters=128), *pyramid(64)]
    neck += [conv(filters=64, size=1), conv(filters=128)]
    layers = [*body, *neck, *output("6,7,8", 3, NINE)]
    for filters, mask, skip in ((32, "3,4,5", 61), (16, "0,1,2", 36)):
        layers += [
            ("route", {"layers": -4}),
            conv(filters=filters, size=1),
            ("upsample", {"stride": 2}),
            ("route", {"layers": f"-1,{skip}"}),
        ]
        layers += [conv(filters=filters, size=1), conv(filters=2 * filters)] * 3
        layers += output(mask, 3, NINE)
    return layers


NINE = "10,13, 16,30, 33,23, 30,61, 62,45, 59,119, 116,90, 156,198, 373,326"


def test_spatial_pyramid_network_agrees_both_ways(tmp_path):
    layers = [(kind, with_nine(options)) for kind, options in spatial_pyramid_network()]
    *paths, _ = write_network(tmp_path, layers, size_wh=(64, 96))
    network, cfg = converted(*paths)
    spec = spec_of(cfg)
    assert spec.strides == (32, 16, 8) and spec.mask == ((6, 7, 8), (3, 4, 5), (0, 1, 2))
    assert len(cfg.layers) == 114  # as yolov3-spp.cfg
    assert_agree(network, paths, picture_of(64, 96))
    assert_agree(network, write_back(network, spec, tmp_path / "back"), picture_of(64, 96))


def with_nine(options):
    return options | {"num": 9} if "anchors" in options else options


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the Darknet files in ../shared/data")
def test_a_trained_network_agrees_both_ways(tmp_path):
    folder = SHARED / "aix2022"
    paths = [folder / f"yolov3-tiny-aix2022.{suffix}" for suffix in ("cfg", "weights")]
    network, cfg = converted(*paths)
    assert_agree(network, paths, picture_of(320, 320))
    back = write_back(network, spec_of(cfg), tmp_path / "back")
    assert_agree(network, back, picture_of(320, 320))
    assert back[1].read_bytes()[20:] == paths[1].read_bytes()[20:]


OFFICIAL = cache_folder() / "yolov3-tiny.weights"


@pytest.mark.skipif(not OFFICIAL.exists(), reason="needs `python -m yolo3 weights yolov3-tiny`")
def test_the_official_weights_agree_both_ways(tmp_path):
    names = read_classes(PROJECT_DIR / "model_data/coco_classes.txt")
    spec = make_spec(
        names, read_anchors(PROJECT_DIR / "model_data/yolo_tiny_anchors.txt"), (416, 416)
    )
    network = build_network(spec)
    start = start_from(network, spec, "yolov3-tiny")
    assert start.spec.mask == PUBLISHED_MASK and not start.notes
    back = write_back(network, start.spec, tmp_path / "back")
    assert_agree(network, back, picture_of(416, 416))
    assert back[1].read_bytes()[20:] == OFFICIAL.read_bytes()[20:]
