import math

import keras
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
from numpy.testing import assert_allclose

from yolo3.network.grid import encode
from yolo3.network.loss import COMPONENTS, IGNORE_THRESHOLD, WEIGHTS, ciou_xyxy, yolo_loss
from yolo3.network.spec import make_spec

TINY = make_spec(("hat", "helmet"), TINY_ANCHORS, (96, 64))
FULL = make_spec(("hat", "helmet"), FULL_ANCHORS, (64, 96))


def batch_of(boxes_of_pictures, spec, padding=12):
    """Encode boxes of several pictures: targets, truths and class ids drawn by the boxes."""
    encoded, truths = [], np.zeros((len(boxes_of_pictures), padding, 4), np.float32)
    for row, boxes in enumerate(boxes_of_pictures):
        encoded.append(encode(boxes, np.arange(len(boxes)) % 2, spec))
        truths[row, : len(boxes)] = boxes
    return [np.stack(scale) for scale in zip(*encoded, strict=True)], truths


def random_raw(rng, batch, spec, spread=1.5):
    return [
        rng.normal(0, spread, (batch, *hw, len(owned) * 7)).astype(np.float32)
        for hw, owned in zip(spec.grids_hw, spec.mask, strict=True)
    ]


def components(raw, targets, truths, spec):
    return {name: float(value) for name, value in yolo_loss(raw, targets, truths, spec).items()}


def gradients(raw, targets, truths, spec):
    """Give the gradient of the whole loss by the raw outputs, on whichever backend runs."""

    def total(*raw_outputs):
        return sum(yolo_loss(list(raw_outputs), targets, truths, spec).values())

    return gradient_of(total, raw)


def gradient_of(function, arrays):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        variables = [tf.Variable(array) for array in arrays]
        with tf.GradientTape() as tape:
            value = function(*[variable.value() for variable in variables])
        return [gradient.numpy() for gradient in tape.gradient(value, variables)]
    if keras.backend.backend() == "jax":
        import jax

        found = jax.grad(function, argnums=tuple(range(len(arrays))))(*arrays)
        return [np.asarray(gradient) for gradient in found]
    pytest.skip("gradients are taken on TensorFlow and JAX only")


# The same loss a second time, in plain Python, one candidate after the other.


def plain_iou(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / both if both > 0 else 0.0


def plain_ciou(a, b):
    iou = plain_iou(a, b)
    across = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    apart = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
    angles = [math.atan((box[2] - box[0]) / (box[3] - box[1])) for box in (a, b)]
    shape = 4 / math.pi**2 * (angles[0] - angles[1]) ** 2
    alpha = shape / (1 - iou + shape) if shape else 0.0
    return iou - math.hypot(*apart) ** 2 / math.hypot(*across) ** 2 - alpha * shape


def plain_cross_entropy(target, logit):
    chance = min(max(sigmoid(float(logit)), 1e-300), 1 - 1e-16)
    return -math.log(chance) if target else -math.log(1 - chance)


def plain_loss(raw, boxes_of_pictures, spec):
    sums, boxes_count = dict.fromkeys(COMPONENTS, 0.0), 0
    for picture, boxes in enumerate(boxes_of_pictures):
        targets = encode(boxes, np.arange(len(boxes)) % 2, spec)
        for scale, row, column, slot in cells(spec):
            numbers = numbers_at(raw, spec, picture, scale, row, column, slot)
            found = decoded_box(numbers, spec, scale, row, column, slot)
            target = targets[scale][row, column, slot]
            if target[4]:
                boxes_count += 1
                x1, y1, x2, y2 = true = target[:4].astype(float)
                small = 2 - (x2 - x1) * (y2 - y1) / (spec.input_wh[0] * spec.input_wh[1])
                sums["box_loss"] += small * (1 - plain_ciou(found, true))
                sums["objectness_loss"] += plain_cross_entropy(1, numbers[4])
                for wanted, logit in zip(target[5:], numbers[5:], strict=True):
                    sums["class_loss"] += plain_cross_entropy(wanted, logit)
            elif all(plain_iou(found, box) < IGNORE_THRESHOLD for box in boxes.astype(float)):
                sums["objectness_loss"] += plain_cross_entropy(0, numbers[4])
    return {name: WEIGHTS[name] * value / max(1, boxes_count) for name, value in sums.items()}


@pytest.mark.parametrize("spec", [TINY, FULL], ids=["tiny", "full"])
def test_loss_is_what_a_loop_over_the_candidates_gives(spec):
    rng = np.random.default_rng(0)
    boxes = [random_boxes(rng, count, spec.input_wh) for count in (4, 0, 9)]
    raw = random_raw(rng, 3, spec)
    found = components(raw, *batch_of(boxes, spec), spec)
    expected = plain_loss(raw, boxes, spec)
    assert set(found) == set(COMPONENTS)
    for name in COMPONENTS:
        assert found[name] == pytest.approx(expected[name], rel=1e-4), name


def test_loop_agrees_also_where_candidates_are_ignored():
    spec, rng = TINY, np.random.default_rng(1)
    raw = random_raw(rng, 1, spec, spread=0.2)
    boxes = np.array(
        [decoded_box(numbers_at(raw, spec, 0, *cell), spec, *cell) for cell in cells(spec)]
    )[[4, 30, 55, 71]].astype(np.float32)
    found = components(raw, *batch_of([boxes], spec), spec)
    expected = plain_loss(raw, [boxes], spec)
    assert found["objectness_loss"] == pytest.approx(expected["objectness_loss"], rel=1e-4)


def test_candidate_that_nearly_holds_a_box_is_no_negative_and_one_below_the_threshold_is():
    # One slot over from the owner of a box lies a candidate; its width is made to give an IoU.
    spec = TINY
    box = np.array([[8.0, 8.0, 24.0, 24.0]], np.float32)
    targets, truths = batch_of([box], spec)
    ((row, column, owner),) = np.argwhere(targets[1][0, ..., 4])
    slot = (owner + 1) % 3
    anchor_w, anchor_h = spec.scale_anchors_wh(1)[slot]

    def objectness_loss(iou):
        raw = [np.stack([scale]) for scale in raw_of([target[0] for target in targets], spec)]
        split = raw[1].reshape(1, 4, 6, 3, 7)
        within = np.array([16 / 16 - column, 16 / 16 - row]).clip(1e-6, 1 - 1e-6)
        split[0, row, column, slot, :2] = np.log(within / (1 - within))
        split[0, row, column, slot, 2:4] = math.log(16 * iou / anchor_w), math.log(16 / anchor_h)
        split[0, row, column, slot, 4] = 5.0
        return components(raw, targets, truths, spec)["objectness_loss"]

    assert objectness_loss(IGNORE_THRESHOLD + 0.02) == pytest.approx(0, abs=1e-4)
    assert objectness_loss(IGNORE_THRESHOLD - 0.02) == pytest.approx(5.0, abs=0.1)


@pytest.mark.parametrize("spec", [TINY, FULL], ids=["tiny", "full"])
def test_perfect_answer_costs_next_to_nothing_and_a_random_one_much(spec):
    rng = np.random.default_rng(2)
    boxes = [random_boxes(rng, 3, spec.input_wh) for _ in range(2)]
    targets, truths = batch_of(boxes, spec)
    perfect = [
        np.stack(scale)
        for scale in zip(
            *(raw_of([target[row] for target in targets], spec) for row in range(2)), strict=True
        )
    ]
    assert sum(components(perfect, targets, truths, spec).values()) < 1e-3
    assert sum(components(random_raw(rng, 2, spec), targets, truths, spec).values()) > 5


def test_no_component_depends_on_the_batch_size():
    rng = np.random.default_rng(3)
    boxes = [random_boxes(rng, count, TINY.input_wh) for count in (2, 5)]
    raw = random_raw(rng, 2, TINY)
    once = components(raw, *batch_of(boxes, TINY), TINY)
    thrice = components([np.tile(r, (3, 1, 1, 1)) for r in raw], *batch_of(boxes * 3, TINY), TINY)
    assert once == pytest.approx(thrice, rel=1e-5)


def test_padding_of_the_truths_changes_nothing():
    rng = np.random.default_rng(4)
    boxes, raw = [random_boxes(rng, 3, TINY.input_wh)], random_raw(rng, 1, TINY)
    short = components(raw, *batch_of(boxes, TINY, padding=3), TINY)
    assert short == components(raw, *batch_of(boxes, TINY, padding=50), TINY)


def degenerate_cases():
    rng = np.random.default_rng(5)
    point = np.array([[16, 16, 16, 16]], np.float32)
    line = np.array([[16, 16, 40, 16], [0, 0, 0, 64]], np.float32)
    whole = np.array([[0, 0, 96, 64]], np.float32)
    one = random_boxes(rng, 1, TINY.input_wh)
    return {
        "no boxes": np.zeros((0, 4), np.float32),
        "a point": point,
        "lines": line,
        "the whole picture": whole,
        "the same box twice": np.concatenate([one, one]),
        "far outside": one + 1000,
    }


@pytest.mark.parametrize("scale_of_logits", [0.0, 1.0, 100.0, 1e4])
@pytest.mark.parametrize("case", degenerate_cases())
def test_value_and_gradient_are_finite(case, scale_of_logits):
    boxes = degenerate_cases()[case]
    targets, truths = batch_of([boxes], TINY)
    raw = random_raw(np.random.default_rng(6), 1, TINY, spread=1)
    extreme = [np.sign(array) * np.float32(scale_of_logits) for array in raw]
    values = components(extreme, targets, truths, TINY)
    assert all(math.isfinite(value) and value >= 0 for value in values.values()), values
    for gradient in gradients(extreme, targets, truths, TINY):
        assert np.isfinite(gradient).all()


def test_gradient_is_finite_where_the_answer_is_right():
    boxes = random_boxes(np.random.default_rng(7), 3, TINY.input_wh)
    targets, truths = batch_of([boxes], TINY)
    raw = [scale[None] for scale in raw_of([target[0] for target in targets], TINY)]
    for gradient in gradients(raw, targets, truths, TINY):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() < 5  # IoU has a kink there, no pole


def test_picture_without_boxes_costs_by_its_false_finds_only():
    targets, truths = batch_of([np.zeros((0, 4), np.float32)], TINY)
    raw = [np.zeros((1, *hw, 21), np.float32) for hw in TINY.grids_hw]
    found = components(raw, targets, truths, TINY)
    assert found["box_loss"] == found["class_loss"] == 0
    assert found["objectness_loss"] == pytest.approx(3 * (6 + 24) * math.log(2), rel=1e-5)


def test_a_step_against_the_gradient_lowers_the_loss():
    rng = np.random.default_rng(8)
    raw = random_raw(rng, 2, TINY)
    batch = batch_of([random_boxes(rng, 3, TINY.input_wh) for _ in range(2)], TINY)
    before = sum(components(raw, *batch, TINY).values())
    stepped = [a - 0.01 * g for a, g in zip(raw, gradients(raw, *batch, TINY), strict=True)]
    assert sum(components(stepped, *batch, TINY).values()) < before


def ciou(a, b):
    return ops.convert_to_numpy(ciou_of(np.array(a, np.float32), np.array(b, np.float32)))


def ciou_of(a, b):
    """Compare arrays of boxes (..., 4)."""
    return ciou_xyxy(ops.unstack(a, 4, axis=-1), ops.unstack(b, 4, axis=-1))


def test_ciou_by_hand():
    assert ciou([0, 0, 10, 10], [0, 0, 10, 10]) == pytest.approx(1)
    # apart: no overlap, centres 20 apart, hull 30 x 10
    assert ciou([0, 0, 10, 10], [20, 0, 30, 10]) == pytest.approx(-400 / 1000)
    # same centre, 20x10 in 20x20: IoU 1/2; v = 4/pi^2 (atan 2 - atan 1)^2, alpha = v / (1/2 + v)
    v = 4 / math.pi**2 * (math.atan(2) - math.atan(1)) ** 2
    expected = 0.5 - v * v / (0.5 + v)
    assert ciou([0, 5, 20, 15], [0, 0, 20, 20]) == pytest.approx(expected, rel=1e-5)


def test_ciou_is_symmetric_and_never_above_one():
    rng = np.random.default_rng(9)
    a, b = random_boxes(rng, 200, (96, 64)), random_boxes(rng, 200, (96, 64))
    assert_allclose(ciou(a, b), ciou(b, a), atol=1e-5)
    assert (ciou(a, b) < 1).all()
    assert (ciou(a, b) > -2).all()
    for x, y, value in zip(a.astype(float), b.astype(float), ciou(a, b), strict=True):
        assert value == pytest.approx(plain_ciou(x, y), abs=1e-4)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([3, 3, 20, 20], [3, 3, 20, 20]),
        ([3, 3, 3, 3], [3, 3, 3, 3]),
        ([3, 3, 3, 20], [3, 3, 20, 3]),
        ([0, 0, 0, 0], [5, 5, 9, 9]),
        ([0, 0, 1e6, 1e6], [5, 5, 5, 5]),
    ],
)
def test_gradient_of_ciou_is_finite(a, b):
    boxes = [np.array(box, np.float32) for box in (a, b)]
    assert np.isfinite(ciou(a, b))
    for gradient in gradient_of(ciou_of, boxes):
        assert np.isfinite(gradient).all()
