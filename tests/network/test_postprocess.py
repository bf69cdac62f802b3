import numpy as np
import pytest

from yolo3.network.boxes import iou_xyxy
from yolo3.network.postprocess import MAX_CANDIDATES, Thresholds, select


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


def test_the_better_of_two_overlapping_boxes_stays():
    found = select(
        boxes((0, 0, 10, 10), (1, 0, 11, 10), (50, 50, 60, 60)),
        np.array([[0.6], [0.9], [0.3]], np.float32),
        0.25,
        0.45,
        100,
    )
    assert found.boxes_xyxy.tolist() == [[1, 0, 11, 10], [50, 50, 60, 60]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.3])
    assert found.class_ids.tolist() == [0, 0]


def test_types_are_the_same_with_and_without_detections():
    for threshold in (0.1, 1.0):
        found = select(boxes((0, 0, 1, 1)), np.array([[0.5, 0.2]]), threshold, 0.5, 10)
        assert found.boxes_xyxy.dtype == np.float32 and found.boxes_xyxy.shape == (len(found), 4)
        assert found.scores.dtype == np.float32 and found.class_ids.dtype == np.int64
    assert len(found) == 0
    assert len(select(np.zeros((0, 4)), np.zeros((0, 3)), 0.0, 0.5, 10)) == 0


def test_classes_do_not_suppress_each_other_and_a_box_may_have_two():
    found = select(
        boxes((0, 0, 10, 10), (0, 0, 10, 10)), np.array([[0.8, 0.4], [0.3, 0.5]]), 0.25, 0.45, 9
    )
    assert found.class_ids.tolist() == [0, 1]
    assert found.scores.tolist() == pytest.approx([0.8, 0.5])


def test_overlap_counts_only_above_the_threshold():
    pair = boxes((0, 0, 10, 10), (5, 0, 15, 10))  # IoU is exactly 1/3
    scores = np.array([[0.9], [0.8]])
    assert len(select(pair, scores, 0.1, 0.34, 9)) == 2
    assert len(select(pair, scores, 0.1, 0.33, 9)) == 1
    assert len(select(np.repeat(pair[:1], 2, axis=0), scores, 0.1, 1.0, 9)) == 2


def test_a_suppressed_box_suppresses_nothing():
    chain = boxes((0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10))
    found = select(chain, np.array([[0.9], [0.8], [0.7]]), 0.1, 0.4, 9)
    assert found.boxes_xyxy[:, 0].tolist() == [0, 8]


def test_equal_scores_keep_the_order_of_the_candidates():
    apart = boxes(*((20 * i, 0, 20 * i + 5, 5) for i in range(50)))
    found = select(apart, np.full((50, 2), 0.5), 0.5, 0.5, 70)
    assert found.boxes_xyxy[:, 0].tolist() == [20 * (i // 2) for i in range(70)]
    assert found.class_ids.tolist() == [0, 1] * 35


def test_ties_at_the_limit_of_candidates_keep_the_first():
    count = MAX_CANDIDATES + 500
    apart = boxes(*((20 * i, 0, 20 * i + 5, 5) for i in range(count)))
    scores = np.full((count, 1), 0.5)
    scores[-1] = 0.6
    found = select(apart, scores, 0.0, 0.5, MAX_CANDIDATES)
    assert len(found) == MAX_CANDIDATES
    assert found.boxes_xyxy[:3, 0].tolist() == [20 * (count - 1), 0, 20]


def test_what_is_not_finite_is_left_out():
    nan, inf = float("nan"), float("inf")
    found = select(
        boxes((nan, 0, 1, 1), (0, 0, inf, 1), (0, 0, 1, 1), (2, 2, 3, 3)),
        np.array([[0.9], [0.9], [nan], [0.4]]),
        0.0,
        0.5,
        10,
    )
    assert found.boxes_xyxy.tolist() == [[2, 2, 3, 3]]


def test_it_agrees_with_a_plain_loop():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, (300, 2))
    crowd = np.concatenate([corners, corners + rng.uniform(5, 40, (300, 2))], 1).astype(np.float32)
    scores = rng.uniform(0, 1, (300, 2)).astype(np.float32)
    expected = [pair for c in (0, 1) for pair in plain_loop(crowd, scores[:, c], c)]
    expected.sort(key=lambda pair: -pair[0])
    found = select(crowd, scores, 0.3, 0.45, 1000)
    assert list(zip(found.scores.tolist(), found.class_ids.tolist(), strict=True)) == expected


def plain_loop(crowd, scores, class_id):
    kept = []
    for i in np.argsort(-scores):
        if scores[i] >= 0.3 and all(iou(crowd[i], crowd[j]) <= 0.45 for j in kept):
            kept.append(i)
    return [(float(scores[i]), class_id) for i in kept]


def iou(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"score_threshold": 2}, "score_threshold must be a number from 0 to 1, got 2"),
        ({"score_threshold": float("nan")}, "score_threshold"),
        ({"iou_threshold": -0.1}, "iou_threshold"),
        ({"iou_threshold": "0.5"}, "iou_threshold"),
        ({"max_detections": 0}, "max_detections must be a whole number from 1 to 1000, got 0"),
        ({"max_detections": 2.5}, "max_detections"),
        ({"max_detections": 1001}, "max_detections"),
        ({"max_detections": True}, "max_detections"),
    ],
)
def test_thresholds_out_of_range_are_errors(changed, message):
    with pytest.raises(ValueError, match=message):
        Thresholds(**changed)
    with pytest.raises(ValueError, match=message):
        given = {"score_threshold": 0.5, "iou_threshold": 0.5, "max_detections": 5} | changed
        select(np.zeros((0, 4)), np.zeros((0, 1)), **given)


@pytest.mark.parametrize("count", [3, 64, 65, 300])
def test_blocks_change_nothing(count):
    rng = np.random.default_rng(count)
    corners = rng.uniform(0, 60, (count, 2))
    crowd = np.concatenate([corners, corners + rng.uniform(1, 30, (count, 2))], axis=1)
    crowd = crowd.astype(np.float32)
    scores = rng.uniform(0, 1, (count, 2)).round(2)  # some are equal
    for iou_threshold, most in ((0.0, 1000), (0.3, 1000), (0.7, 1000), (0.7, 20), (1.0, 1000)):
        pairs = [(-score, n, c) for (n, c), score in np.ndenumerate(scores) if score >= 0.1]
        kept = []
        for _, number, class_id in sorted(pairs):
            mine = crowd[number : number + 1]
            rivals = [n for n, c in kept if c == class_id]
            if not (iou_xyxy(mine, crowd[rivals]) > iou_threshold).any():
                kept.append((number, class_id))
        found = select(crowd, scores, 0.1, iou_threshold, most)
        assert found.class_ids.tolist() == [class_id for _, class_id in kept[:most]]
        np.testing.assert_array_equal(
            found.boxes_xyxy, crowd[[number for number, _ in kept[:most]]]
        )
