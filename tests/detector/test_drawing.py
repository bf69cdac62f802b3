import numpy as np
import pytest
from evaluation_cases import found
from PIL import Image

from yolo3.detector.drawing import class_colour, draw_comparison, draw_detections, label


def test_the_box_is_drawn_in_the_colour_of_its_class_and_the_original_kept():
    image = Image.new("RGB", (200, 100), "white")
    drawn = draw_detections(image, found([(20, 40, 120, 90, 1, 0.9)]), ("helmet", "hat"))
    colour = Image.new("RGB", (1, 1), class_colour(1)).getpixel((0, 0))
    assert drawn.getpixel((120, 70)) == colour
    assert drawn.getpixel((70, 70)) == (255, 255, 255)
    assert image.getcolors() == [(200 * 100, (255, 255, 255))]


def test_true_boxes_are_dashed():
    image = Image.new("RGB", (200, 200), "grey")
    drawn = draw_comparison(image, found([]), np.array([[20.0, 20, 180, 180]]), ("hat",))
    assert {drawn.getpixel((x, 20)) for x in range(30, 170)} == {(255, 255, 255), (11, 110, 31)}


@pytest.mark.parametrize("size_wh", [(1, 1), (3, 700), (900, 2), (2000, 1500)])
def test_any_size_of_picture_and_box_at_the_edge(size_wh):
    width, height = size_wh
    boxes = [(0, 0, width, height, 0, 0.9), (width, height, width, height, 1, 0.5)]
    drawn = draw_detections(Image.new("RGB", size_wh), found(boxes), ("helmet", "hat"))
    assert drawn.size == size_wh


def test_other_modes_become_rgb():
    assert draw_detections(Image.new("L", (9, 9)), found([]), ()).mode == "RGB"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("hat", "hat 0.88"), ("Mütze", "Mutze 0.88"), ("帽子", "class 3 0.88"), ("шx", "?x 0.88")],
)
def test_labels_hold_only_letters_that_the_font_has(name, expected):
    assert label(name, 3, 0.876) == expected


def test_more_classes_than_colours_share_them():
    rows = [(5 * k, 5, 5 * k + 20, 60, k, 0.5) for k in range(30)]
    names = [f"class {k}" for k in range(30)]
    assert draw_detections(Image.new("RGB", (200, 90)), found(rows), names).size == (200, 90)
