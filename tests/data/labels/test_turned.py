"""Boxes that were drawn on images as they are stored, before EXIF turned them."""

import json

import numpy as np
import pytest
from format_cases import save_picture
from PIL import ExifTags, Image, ImageOps

from yolo3.data.labels.formats import read_labels
from yolo3.data.labels.policy import ImportOptions

BOX = (10, 20, 30, 45)  # in an image as it is stored
ORIENTATIONS = range(2, 9)
SWAPPING = (5, 6, 7, 8)


def save_oriented(path, orientation, size=(100, 80)):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return save_picture(path, size, exif=exif, format="JPEG")


def box_as_shown(orientation, size=(100, 80)):
    """Let Pillow turn an image with the box painted in it, and look where it is."""
    image = Image.new("L", size)
    image.paste(255, BOX)
    image.getexif()[ExifTags.Base.Orientation] = orientation
    return list(ImageOps.exif_transpose(image).getbbox())


def save_voc(folder, size_wh, box=BOX):
    corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    inside = "".join(f"<{tag}>{value}</{tag}>" for tag, value in corners)
    size = "<size><width>{}</width><height>{}</height></size>".format(*size_wh)
    thing = f"<object><name>hat</name><bndbox>{inside}</bndbox></object>"
    (folder / "a.xml").write_text(f"<a>{size}{thing}</a>")


def save_coco(folder, size_wh):
    x1, y1, x2, y2 = BOX
    image = {"id": 1, "file_name": "a.jpg", "width": size_wh[0], "height": size_wh[1]}
    box = {"image_id": 1, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
    parts = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "hat"}]}
    (folder / "a.json").write_text(json.dumps(parts))


def save_yolo(folder, size_wh):
    fractions = np.array(BOX) / (size_wh * 2)
    x1, y1, x2, y2 = fractions
    numbers = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
    (folder / "a.txt").write_text(" ".join(["0", *map(repr, map(float, numbers))]))
    (folder / "classes.txt").write_text("hat\n")


def read(folder, **options):
    imported = read_labels(folder, ImportOptions(**options))
    [picture] = imported.pictures
    return np.round(picture.boxes_xyxy, 3).tolist(), imported.findings.counts["boxes_turned"]


@pytest.mark.parametrize("orientation", SWAPPING)
@pytest.mark.parametrize("save", [save_voc, save_coco])
def test_the_size_that_labels_give_shows_it(tmp_path, save, orientation):
    save_oriented(tmp_path / "a.jpg", orientation)
    save(tmp_path, (100, 80))
    assert read(tmp_path) == ([box_as_shown(orientation)], 1)


@pytest.mark.parametrize("orientation", SWAPPING)
@pytest.mark.parametrize("save", [save_voc, save_coco])
def test_the_size_as_it_is_shown_leaves_boxes_as_they_are(tmp_path, save, orientation):
    save_oriented(tmp_path / "a.jpg", orientation)
    save(tmp_path, (80, 100))
    assert read(tmp_path) == ([list(BOX)], 0)


@pytest.mark.parametrize("orientation", [1, 2, 3, 4])
@pytest.mark.parametrize("save", [save_voc, save_coco])
def test_nothing_shows_it_where_the_sides_stay(tmp_path, save, orientation):
    save_oriented(tmp_path / "a.jpg", orientation)
    save(tmp_path, (100, 80))
    assert read(tmp_path) == ([list(BOX)], 0)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("save", [save_voc, save_coco])
def test_nothing_shows_it_where_the_image_is_square(tmp_path, save, orientation):
    save_oriented(tmp_path / "a.jpg", orientation, (100, 100))
    save(tmp_path, (100, 100))
    assert read(tmp_path) == ([list(BOX)], 0)


@pytest.mark.parametrize("size", [(100, 80), (100, 100)])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("save", [save_voc, save_coco, save_yolo])
def test_the_option_turns_them_whatever_is_shown(tmp_path, save, orientation, size):
    save_oriented(tmp_path / "a.jpg", orientation, size)
    save(tmp_path, size)
    boxes, turned = read(tmp_path, labelled_unrotated=True)
    assert (boxes, turned) == ([box_as_shown(orientation, size)], 1)


def test_the_option_leaves_images_without_orientation_as_they_are(tmp_path):
    save_oriented(tmp_path / "a.jpg", 1)
    save_yolo(tmp_path, (100, 80))
    assert read(tmp_path, labelled_unrotated=True) == ([list(BOX)], 0)


def test_boxes_that_fit_only_the_image_as_it_is_shown_are_not_turned(tmp_path):
    save_oriented(tmp_path / "a.jpg", 6)
    save_voc(tmp_path, (100, 80), (10, 50, 40, 95))
    assert read(tmp_path) == ([[10, 50, 40, 95]], 0)


def test_boxes_of_an_image_that_is_not_turned_are_clipped_as_ever(tmp_path):
    save_oriented(tmp_path / "a.jpg", 6)
    save_voc(tmp_path, (100, 80), (-5, 20, 30, 45))
    assert read(tmp_path) == ([[35, 0, 60, 30]], 1)
