import json

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

from yolo3.data.labels.labelme import is_labelme, read_labelme


def shape(label="hat", points=((10, 8), (40, 30)), shape_type="rectangle", **more):
    flags = {"group_id": None, "description": "", "flags": {}, "mask": None}
    return {"label": label, "points": points, "shape_type": shape_type} | flags | more


def document(shapes=(), **more):
    size = {"imageHeight": 48, "imageWidth": 64}
    said = {"version": "5.7.0", "flags": {}, "shapes": list(shapes), "imagePath": "a.jpg"}
    return said | {"imageData": None} | size | more


def save(folder, said, name="a.json", image="a.jpg", size=(64, 48)):
    path = folder / image
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)
    (folder / name).write_text(json.dumps(said), "utf-8")
    return folder


def test_a_file_gives_rectangles_and_boxes_around_other_shapes(tmp_path):
    shapes = [
        shape(),
        shape(points=[[40, 30], [10, 8]]),
        shape("round", [[20, 20], [23, 24]], "circle"),
        shape("leaf", [[1, 2], [30, 4], [8, 40]], "polygon"),
        shape("leaf", [[1, 2], [30, 4]], "line"),
        shape("leaf", [[1, 2], [30, 4], [3, 9]], "linestrip"),
        shape("leaf", [[5, 6], [9, 11]], "mask", mask="iVBORw0KGgo="),
        shape("leaf", [[10, 0], [20, 10], [10, 20], [0, 10]], "oriented_rectangle"),
        shape("eye", [[3, 3]], "point"),
    ]
    imported = read_folder(save(tmp_path, document(shapes)), read_labelme)
    assert boxes_of(imported)["a.jpg"] == [
        ("hat", (10, 8, 40, 30)),
        ("hat", (10, 8, 40, 30)),
        ("round", (15, 15, 25, 25)),
        ("leaf", (1, 2, 30, 40)),
        ("leaf", (1, 2, 30, 4)),
        ("leaf", (1, 2, 30, 9)),
        ("leaf", (5, 6, 9, 11)),
        ("leaf", (0, 0, 20, 20)),
    ]
    assert imported.findings.counts["boxes_outlined"] == 6
    assert imported.findings.counts["shapes_ignored"] == 1
    assert imported.pictures[0].source == f"{tmp_path}/a.json"


def test_first_versions_hold_polygons_without_a_type_and_no_size(tmp_path):
    polygon = {"label": "hat", "line_color": None, "points": [[1, 2], [30, 4], [8, 40]]}
    said = {"shapes": [polygon], "imagePath": "a.jpg", "imageData": None, "lineColor": [0, 255, 0]}
    assert boxes_of(read_folder(save(tmp_path, said), read_labelme)) == {
        "a.jpg": [("hat", (1, 2, 30, 40))]
    }


@pytest.mark.parametrize(
    ("image_path", "image"),
    [
        ("..\\images\\a.jpg", "a.jpg"),
        ("C:\\Users\\me\\a.jpg", "a.jpg"),
        ("../raw/old name.jpg", "a.png"),
        (None, "a.png"),
        ("a.png", "a.JPG"),
        ("sub/b.jpg", "sub/b.jpg"),
    ],
)
def test_the_image_is_the_one_named_or_the_one_of_the_same_name(tmp_path, image_path, image):
    folder = save(tmp_path, document([shape()], imagePath=image_path), image=image)
    (picture,) = read_folder(folder, read_labelme).pictures
    assert picture.path == tmp_path / image


@pytest.mark.parametrize(
    ("sizes", "found"),
    [
        ({"a.jpg": (64, 48), "b.jpg": (10, 10)}, ["a.jpg"]),
        ({"a.jpg": (10, 10), "b.jpg": (64, 48)}, ["b.jpg"]),
        ({"a.jpg": (64, 48), "b.jpg": (64, 48)}, []),
    ],
)
def test_of_two_images_the_one_of_the_size_that_is_said_is_taken(tmp_path, sizes, found):
    save(tmp_path, document([shape()]), "b.json")
    save(tmp_path, document([shape()], imagePath="c.jpg"), "c.json", "c.jpg")
    for name, size in sizes.items():
        Image.new("RGB", size).save(tmp_path / name)
    imported = read_folder(tmp_path, read_labelme)
    assert list(boxes_of(imported)) == [*found, "c.jpg"]
    assert imported.findings.counts["pictures_chosen"] == len(found)


def test_the_image_that_no_other_file_describes_is_taken(tmp_path):
    for name in ("a", "b"):
        save(tmp_path, document([shape()]), f"{name}.json", f"{name}.jpg")
    assert list(boxes_of(read_folder(tmp_path, read_labelme))) == ["a.jpg", "b.jpg"]


def test_images_without_shapes_are_background_and_those_without_a_file_unlabelled(tmp_path):
    save(tmp_path, document([shape()]))
    save(tmp_path, document([], imagePath="b.jpg"), "b.json", "b.jpg")
    Image.new("RGB", (9, 9)).save(tmp_path / "c.jpg")
    (tmp_path / "settings.json").write_text("[1, 2]")
    imported = read_folder(tmp_path, read_labelme)
    assert boxes_of(imported)["b.jpg"] == []
    assert [(one.kind, one.name) for one in imported.left_out] == [
        ("unlabelled", f"{tmp_path}/c.jpg")
    ]
    assert imported.findings.counts["labels_foreign"] == 1


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (shape(label=None), "object 2 has no label"),
        (shape(label=" "), "object 2 has the label ' ', expected a text"),
        (shape(label=["a"]), "object 2 has the label ['a'], expected a text"),
        (shape(points=None), "object 2 has no points"),
        (shape(points=[[1, 2]]), "object 2 has points [[1, 2]], expected two or more"),
        (shape(points=[[1, 2], [3]]), "object 2 has the point [3], expected x and y"),
        (shape(points=[[1, "x"], [3, 4]]), "object 2 has points 'x', expected a number"),
        (shape(points=[[1, 1e999], [3, 4]]), "object 2 has points inf, expected a number"),
        (shape(shape_type="star"), "object 2 has the shape_type 'star', expected rectangle"),
        (shape(points=[[1e308, 1], [-1e308, 4]], shape_type="circle"), "object 2 has numbers that"),
        ("x", "object 2 has no points"),
    ],
)
def test_a_broken_shape_leaves_the_whole_image_out(tmp_path, broken, text):
    save(tmp_path, document([shape(), broken]))
    save(tmp_path, document([shape()], imagePath="b.jpg"), "b.json", "b.jpg")
    imported = read_folder(tmp_path, read_labelme)
    assert list(boxes_of(imported)) == ["b.jpg"]
    (one,) = imported.left_out
    assert one.kind == "object" and one.reason.startswith(f"{tmp_path}/a.json: {text}")


@pytest.mark.parametrize("said", [None, [], {}, {"shapes": []}, {"shapes": 1, "imagePath": "a"}])
def test_what_is_no_labelme_document(said):
    assert is_labelme(said) == 0
    assert is_labelme(document()) == 1


def write(path, samples):
    (sample,) = samples
    shapes = []
    for number, (name, (x1, y1, x2, y2)) in enumerate(sample.objects):
        defect = sample.broken(number)
        end = ["x", y2] if defect == "not a number" else [x2, y2]
        points = [[x1, y1]] if defect == "no box" else [[x1, y1], end]
        shapes.append(shape(None if defect == "no name" else name, points))
    width, height = sample.size_wh
    said = document(shapes, imagePath=sample.name, imageWidth=width, imageHeight=height)
    path.write_text(json.dumps(said), "utf-8")


@quick
@given(data_sets(), st.sampled_from(LABEL_FOLDERS))
def test_the_clean_part_comes_out_exactly(tmp_path_factory, samples, labels):
    folder = build(tmp_path_factory.mktemp("set"), samples, write, ".json", labels, single=True)
    assert_clean_part(read_folder(folder, read_labelme), samples)
