from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

import pytest
from defects import (
    LABEL_FOLDERS,
    assert_clean_part,
    boxes_of,
    build,
    data_sets,
    quick,
    read_folder,
)
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from yolo3.data.labels.cvat import CUBOID, is_cvat, is_cvat_video, read_cvat

META = "<version>1.1</version><meta><task><id>4</id><size>2</size></task></meta>"
BOX = '<box label="cup" xtl="10.00" ytl="8.00" xbr="40.00" ybr="30.00" occluded="0" z_order="0">'
GOOD = f'{BOX}<attribute name="hot">true</attribute></box>'


def image(inside="", name="a.jpg"):
    return f'<image id="0" name="{name}" width="64" height="48">{inside}</image>'


def save(folder, inside, *names):
    for name in names or ("a.jpg",):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48)).save(path)
    text = f'<?xml version="1.0" encoding="utf-8"?><annotations>{META}{inside}</annotations>'
    (folder / "annotations.xml").write_text(text, "utf-8")
    return folder


def test_a_task_gives_boxes_and_boxes_around_other_shapes(tmp_path):
    cuboid = " ".join(f'{name}="{5 + place}"' for place, name in enumerate(CUBOID))
    shapes = [
        GOOD,
        '<box label="cup" xtl="10" ytl="10" xbr="30" ybr="20" rotation="90.00"/>',
        '<polygon label="leaf" points="1.00,2.00;30.00,4.00;8.00,40.00"/>',
        '<polyline label="leaf" points="1,2;30,4"/>',
        '<ellipse label="cup" cx="20" cy="20" rx="8" ry="4"/>',
        '<ellipse label="cup" cx="20" cy="20" rx="8" ry="4" rotation="90"/>',
        '<mask label="leaf" rle="0, 6" left="5" top="6" width="3" height="2"/>',
        f'<cuboid label="cup" {cuboid}/>',
        '<points label="eye" points="3,3;4,4"/>',
        '<tag label="sharp" source="manual"/>',
        '<skeleton label="man"><points label="head" points="3,3"/></skeleton>',
    ]
    images = image("".join(shapes)) + image(name="b.jpg")
    imported = read_folder(save(tmp_path, images, "a.jpg", "b.jpg"), read_cvat)
    assert boxes_of(imported) == {
        "a.jpg": [
            ("cup", (10, 8, 40, 30)),
            ("cup", (15, 5, 25, 25)),
            ("leaf", (1, 2, 30, 40)),
            ("leaf", (1, 2, 30, 4)),
            ("cup", (12, 16, 28, 24)),
            ("cup", (16, 12, 24, 28)),
            ("leaf", (5, 6, 8, 8)),
            ("cup", (5, 6, 19, 20)),
        ],
        "b.jpg": [],
    }
    assert imported.findings.counts["boxes_outlined"] == 7
    assert imported.findings.counts["shapes_ignored"] == 3
    assert imported.pictures[0].source == f"{tmp_path}/annotations.xml: image a.jpg"


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("sub/a.jpg", "sub/a.jpg"),
        ("frame_000003", "frame_000003.png"),
        ("/home/django/share/a.jpg", "default/a.jpg"),
    ],
)
def test_images_may_have_folders_and_frames_no_ending(tmp_path, name, place):
    imported = read_folder(save(tmp_path, image(GOOD, name), place), read_cvat)
    assert imported.pictures[0].path == tmp_path / "images" / place


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        ('<box xtl="1" ytl="2" xbr="3" ybr="4"/>', "has no label"),
        ('<box label="" xtl="1" ytl="2" xbr="3" ybr="4"/>', "has the label '', expected a text"),
        ('<box label="cup" xtl="1" ytl="2" xbr="3"/>', "has no ybr"),
        ('<box label="cup" xtl="1,5" ytl="2" xbr="3" ybr="4"/>', "has xtl '1,5', expected a num"),
        ('<polygon label="cup"/>', "has no points"),
        ('<polygon label="cup" points="1,2;3"/>', "has the point ['3'], expected x and y"),
        ('<polygon label="cup" points="1,2"/>', "has points [['1', '2']], expected two or more"),
        ('<ellipse label="cup" cx="1" cy="2" rx="3"/>', "has no ry"),
    ],
)
def test_a_broken_shape_leaves_the_whole_image_out(tmp_path, broken, text):
    images = image(GOOD + broken) + image(GOOD, "b.jpg")
    imported = read_folder(save(tmp_path, images, "a.jpg", "b.jpg"), read_cvat)
    assert list(boxes_of(imported)) == ["b.jpg"]
    (one,) = imported.left_out
    assert one.kind == "object"
    assert one.reason.startswith(f"{tmp_path}/annotations.xml: image a.jpg: object 2 {text}")


def test_other_files_and_images_that_none_names_are_counted(tmp_path):
    folder = save(tmp_path, image(GOOD) + image(GOOD, name=""), "a.jpg", "b.jpg")
    (folder / "pom.xml").write_text("<project/>")
    imported = read_folder(folder, read_cvat)
    assert imported.findings.counts["labels_foreign"] == 1
    assert [(one.kind, one.reason.replace(f"{tmp_path}/", "")) for one in imported.left_out] == [
        ("label", "annotations.xml: image 2: has no name"),
        ("unlabelled", "images/b.jpg: in no CVAT file"),
    ]


def test_video_and_other_documents_are_told_apart():
    video = fromstring(f"<annotations>{META}<track id='0' label='cup'/></annotations>")
    voc = fromstring("<annotations><filename>a.jpg</filename><object/></annotations>")
    images = fromstring(f"<annotations>{META}{image()}{image()}</annotations>")
    assert [is_cvat(root) for root in (video, voc, images)] == [0, 0, 2]
    assert [is_cvat_video(root) for root in (video, voc, images)] == [1, 0, 0]


def write(path, samples):
    root = Element("annotations")
    for sample in samples:
        width, height = map(str, sample.size_wh)
        parent = SubElement(root, "image", name=sample.name, width=width, height=height)
        for number, (name, box) in enumerate(sample.objects):
            corners = dict(zip(("xtl", "ytl", "xbr", "ybr"), map(str, box), strict=True))
            said = {"label": name} | corners
            defect = sample.broken(number)
            if defect == "no box":
                del said["xtl"], said["ybr"]
            elif defect == "no name":
                del said["label"]
            elif defect == "not a number":
                said["ytl"] = "NaN"
            SubElement(parent, "box", said)
    path.write_bytes(tostring(root, "utf-8"))


@quick
@given(data_sets(), st.sampled_from(LABEL_FOLDERS))
def test_the_clean_part_comes_out_exactly(tmp_path_factory, samples, labels):
    folder = build(tmp_path_factory.mktemp("set"), samples, write, ".xml", labels)
    assert_clean_part(read_folder(folder, read_cvat), samples)
