import numpy as np
from numpy.testing import assert_allclose

from yolo3.network.boxes import iou_wh, iou_xyxy


def test_iou_of_boxes_by_hand():
    a = np.array([[0, 0, 10, 10], [5, 5, 15, 15]], float)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [2, 2, 4, 7]], float)
    expected = [[1, 50 / 150, 0, 10 / 100], [25 / 175, 50 / 150, 25 / 175, 0]]
    assert_allclose(iou_xyxy(a, b), expected, atol=1e-12)


def test_iou_counts_pixels_of_a_grid():
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 12, (2, 20, 2, 2))
    boxes = np.concatenate([corners.min(2), corners.max(2)], axis=-1)  # (2, 20, 4)

    def paint(box):
        canvas = np.zeros((12, 12), bool)
        canvas[box[1] : box[3], box[0] : box[2]] = True
        return canvas

    found = iou_xyxy(boxes[0].astype(float), boxes[1].astype(float))
    for i, a in enumerate(map(paint, boxes[0])):
        for j, b in enumerate(map(paint, boxes[1])):
            assert_allclose(found[i, j], (a & b).sum() / max(1, (a | b).sum()))


def test_iou_of_empty_and_inverted_boxes_is_zero_and_no_boxes_give_no_rows():
    a = np.array([[3, 3, 3, 3], [9, 9, 1, 1], [0, 0, 0, 5]], float)
    assert_allclose(iou_xyxy(a, a), np.zeros((3, 3)))
    assert iou_xyxy(np.zeros((0, 4)), a).shape == (0, 3)
    assert iou_xyxy(a, np.zeros((0, 4))).shape == (3, 0)


def test_iou_of_sizes_by_hand():
    sizes = np.array([[10, 20], [0, 0]], float)
    anchors = np.array([[10, 20], [20, 10], [5, 5]], float)
    assert_allclose(iou_wh(sizes, anchors), [[1, 100 / 300, 25 / 200], [0, 0, 0]], atol=1e-12)
