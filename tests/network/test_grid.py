import numpy as np
import pytest
from keras import ops
from network_cases import (
    FULL_ANCHORS,
    TINY_ANCHORS,
    cells,
    decoded_box,
    numbers_at,
    random_boxes,
    raw_of,
    sigmoid,
)
from numpy.testing import assert_allclose, assert_array_equal

from yolo3.network.grid import decode, encode
from yolo3.network.spec import NetworkSpec, make_spec

CLASSES = ("hat", "helmet", "bare")
SPECS = {
    "tiny": make_spec(CLASSES, TINY_ANCHORS, (64, 64)),
    "tiny wide": make_spec(CLASSES, TINY_ANCHORS, (96, 64)),
    "full tall": make_spec(CLASSES, FULL_ANCHORS, (64, 96)),
}
CONVERTED = NetworkSpec(
    CLASSES, TINY_ANCHORS, ((5,), (2, 3, 4), (3, 2)), (48, 32), strides=(16, 8, 8)
)
"""Scales with one to three anchors, two of one stride, anchors with two owners and with none."""


@pytest.fixture(params=SPECS.values(), ids=SPECS)
def spec(request):
    return request.param


def decoded(raw_outputs, spec):
    boxes_xyxy, scores = decode(raw_outputs, spec)
    return ops.convert_to_numpy(boxes_xyxy), ops.convert_to_numpy(scores)


def owners(targets):
    """List scale, row, column, slot of each cell that holds a box."""
    return [
        (scale, *map(int, place))
        for scale, target in enumerate(targets)
        for place in np.argwhere(target[..., 4])
    ]


def test_decoding_what_encoding_wrote_gives_the_boxes_back(spec):
    rng = np.random.default_rng(0)
    for _ in range(20):
        boxes = random_boxes(rng, 1, spec.input_wh)
        class_id = int(rng.integers(3))
        raw = raw_of(encode(boxes, np.array([class_id]), spec), spec)
        found, scores = decoded([array[None] for array in raw], spec)
        best = scores[0].max(axis=1).argmax()
        assert_allclose(found[0, best], boxes[0], atol=1e-3)
        assert_allclose(scores[0, best], np.eye(3)[class_id], atol=1e-6)
        assert (scores[0] > 0.5).sum() == 1


def test_many_boxes_of_a_batch_come_back_each_in_its_own_picture(spec):
    rng = np.random.default_rng(1)
    truths = [random_boxes(rng, count, spec.input_wh) for count in (3, 0, 5)]
    targets = [encode(boxes, np.zeros(len(boxes), int), spec) for boxes in truths]
    raw = [np.stack(scale) for scale in zip(*(raw_of(t, spec) for t in targets), strict=True)]
    found, scores = decoded(raw, spec)
    for picture, boxes in enumerate(truths):
        kept = found[picture][scores[picture, :, 0] > 0.5]
        assert len(kept) == len(owners(targets[picture]))
        for box in kept:
            assert np.abs(boxes - box).max(axis=1).min() < 1e-3


def test_decoding_matches_a_loop_over_the_candidates(spec):
    rng = np.random.default_rng(2)
    raw = [
        rng.normal(0, 2, (2, *hw, len(owned) * 8)).astype(np.float32)
        for hw, owned in zip(spec.grids_hw, spec.mask, strict=True)
    ]
    found, scores = decoded(raw, spec)
    for picture in range(2):
        for candidate, cell in enumerate(cells(spec)):
            numbers = numbers_at(raw, spec, picture, *cell)
            expected = decoded_box(numbers, spec, *cell)
            assert_allclose(found[picture, candidate], expected, rtol=1e-4, atol=1e-3)
            expected = [sigmoid(numbers[4]) * sigmoid(number) for number in numbers[5:]]
            assert_allclose(scores[picture, candidate], expected, rtol=1e-4, atol=1e-7)
    assert found.shape[1] == scores.shape[1] == candidate + 1


def test_every_anchor_gets_the_boxes_of_its_size_at_one_place(spec):
    for anchor, (width, height) in enumerate(spec.anchors_wh):
        centre = np.array(spec.input_wh) / 2
        half = np.array([width, height]) / 2
        box = np.concatenate([centre - half, centre + half])[None].astype(np.float32)
        ((scale, row, column, slot),) = owners(encode(box, np.array([0]), spec))
        assert spec.mask[scale][slot] == anchor
        assert (row, column) == tuple(side // 2 for side in spec.grids_hw[scale])


def test_anchor_of_two_scales_is_used_once_and_one_of_none_never():
    spec = NetworkSpec(CLASSES, TINY_ANCHORS, ((3, 4, 5), (1, 2, 3)), (64, 64))
    for anchor, (width, height) in enumerate(TINY_ANCHORS):
        targets = encode(np.array([[0, 0, width, height]]), np.array([0]), spec)
        ((scale, _, _, slot),) = owners(targets)
        assert spec.mask[scale][slot] == (anchor or 1)
        assert scale == (0 if anchor >= 3 else 1)


def test_a_converted_network_encodes_and_decodes_on_its_own_strides():
    rng = np.random.default_rng(6)
    targets = encode(np.zeros((0, 4)), np.zeros(0, int), CONVERTED)
    assert [target.shape for target in targets] == [(2, 3, 1, 8), (4, 6, 3, 8), (4, 6, 2, 8)]
    for _ in range(20):
        boxes = random_boxes(rng, 1, CONVERTED.input_wh)
        targets = encode(boxes, np.array([1]), CONVERTED)
        ((scale, *_),) = owners(targets)
        assert scale < 2  # anchors 2 and 3 are the coarser owner's
        found, scores = decoded([array[None] for array in raw_of(targets, CONVERTED)], CONVERTED)
        best = scores[0].max(axis=1).argmax()
        assert_allclose(found[0, best], boxes[0], atol=1e-3)
        assert_allclose(scores[0, best], [0, 1, 0], atol=1e-6)


def test_target_holds_the_box_in_pixels_one_for_objectness_and_the_class(spec):
    box = np.array([[10, 12, 30.5, 40.25]], np.float32)
    targets = encode(box, np.array([2]), spec)
    ((scale, row, column, slot),) = owners(targets)
    assert_array_equal(targets[scale][row, column, slot], [10, 12, 30.5, 40.25, 1, 0, 0, 1])
    stride = spec.strides[scale]
    assert (row, column) == (int(26.125 // stride), int(20.25 // stride))
    assert sum(np.count_nonzero(target) for target in targets) == 6
    assert all(target.dtype == np.float32 for target in targets)


@pytest.mark.parametrize("count", [0, 1])
def test_shapes_are_the_same_with_and_without_boxes(spec, count):
    targets = encode(np.zeros((count, 4), np.float32) + [1, 1, 9, 9], np.zeros(count, int), spec)
    expected = [(*hw, 3, 8) for hw in spec.grids_hw]
    assert [target.shape for target in targets] == expected
    assert sum(target[..., 4].sum() for target in targets) == count


def test_box_whose_centre_is_on_the_far_edge_stays_in_the_last_cell(spec):
    width, height = spec.input_wh
    box = np.array([[width, height, width, height]], np.float32) + [-3, -3, 3, 3]
    ((scale, row, column, _),) = owners(encode(box, np.array([1]), spec))
    assert (row + 1, column + 1) == spec.grids_hw[scale]


def test_box_on_the_near_edge_stays_in_the_first_cell(spec):
    ((_, row, column, _),) = owners(encode(np.array([[0, 0, 0.5, 0.5]]), np.array([1]), spec))
    assert (row, column) == (0, 0)


def test_of_two_boxes_in_one_cell_the_later_gives_the_box_and_both_their_class(spec):
    boxes = np.array([[20, 20, 30, 30], [20.5, 20, 30.5, 30]], np.float32)
    targets = encode(boxes, np.array([0, 2]), spec)
    ((scale, row, column, slot),) = owners(targets)
    assert_array_equal(targets[scale][row, column, slot], [20.5, 20, 30.5, 30, 1, 1, 0, 1])


def test_two_boxes_of_different_shape_in_one_cell_both_stay(spec):
    (w1, h1), (w2, h2) = spec.anchors_wh[0], spec.anchors_wh[-1]
    centre = np.array([40.0, 40.0])
    boxes = [np.concatenate([centre - s, centre + s]) for s in ([w1 / 2, h1 / 2], [w2 / 2, h2 / 2])]
    targets = encode(np.array(boxes, np.float32), np.array([0, 1]), spec)
    assert len(owners(targets)) == 2


def test_no_raw_number_decodes_to_anything_that_is_not_finite(spec):
    for value in (1e4, -1e4, 0.0):
        shapes = [(1, *hw, len(m) * 8) for hw, m in zip(spec.grids_hw, spec.mask, strict=True)]
        found, scores = decoded([np.full(shape, value, np.float32) for shape in shapes], spec)
        assert np.isfinite(found).all()
        assert ((scores >= 0) & (scores <= 1)).all()
