import numpy as np
import pytest
from evaluation_cases import found, picture_of, random_pictures

from yolo3.evaluation.ap import average_precision

BOX = (10, 10, 50, 50)
FAR = (60, 60, 90, 90)


def test_perfect_detections_score_one():
    truths = [picture_of([(*BOX, 0), (*FAR, 1)]), picture_of([(*BOX, 1)])]
    detections = [found([(*BOX, 0, 0.9), (*FAR, 1, 0.4)]), found([(*BOX, 1, 0.8)])]
    result = average_precision(truths, detections, 2, by_size=True)
    assert (result.ap, result.ap50, result.ap75, result.ar) == pytest.approx((1, 1, 1, 1))
    assert result.by_size == pytest.approx({"small": 1.0, "medium": 1.0})


def test_a_better_false_positive_halves_the_precision():
    # ranking: wrong, right -> precision 1/2 at every recall
    result = average_precision(
        [picture_of([(*BOX, 0)])], [found([(*FAR, 0, 0.9), (*BOX, 0, 0.5)])], 1
    )
    assert result.ap50 == pytest.approx(0.5)


def test_a_duplicate_is_a_false_positive():
    # right, duplicate, right of 2 truths -> precision 1 up to recall 0.5, then 2/3
    truths = [picture_of([(*BOX, 0), (*FAR, 0)])]
    detections = [found([(*BOX, 0, 0.9), (10, 10, 50, 49, 0, 0.8), (*FAR, 0, 0.7)])]
    expected = (51 * 1.0 + 50 * 2 / 3) / 101  # COCO's 101 recall points, 0.5 among the first
    assert average_precision(truths, detections, 1).ap50 == pytest.approx(expected)


def test_half_of_the_boxes_found_gives_half_the_recall():
    truths = [picture_of([(*BOX, 0), (*FAR, 0)])]
    result = average_precision(truths, [found([(*BOX, 0, 0.9)])], 1)
    assert result.ar == pytest.approx(0.5)
    assert result.ap50 == pytest.approx(51 / 101)


def test_a_loose_box_counts_at_low_iou_only():
    # 40x40 against 40x28: IoU 0.7, right at 0.50 ... 0.70, half of COCO's thresholds
    result = average_precision(
        [picture_of([(10, 10, 50, 50, 0)])], [found([(10, 10, 50, 38, 0, 0.9)])], 1
    )
    assert (result.ap50, result.ap75, result.ap) == pytest.approx((1.0, 0.0, 0.5))


def test_the_wrong_class_is_no_hit():
    result = average_precision([picture_of([(*BOX, 0)])], [found([(*BOX, 1, 0.9)])], 2)
    assert result.ap50 == 0.0
    assert not result.candidates.hits.any()


def test_a_class_without_truth_is_left_out_of_the_mean():
    result = average_precision(
        [picture_of([(*BOX, 0)])], [found([(*BOX, 0, 0.9), (*FAR, 2, 0.9)])], 3
    )
    assert result.ap50 == pytest.approx(1.0)
    np.testing.assert_array_equal(np.isnan(result.class_ap), [False, True, True])
    np.testing.assert_array_equal(result.truth_counts, [1, 0, 0])


@pytest.mark.parametrize(
    ("truths", "detections"),
    [
        ([], []),
        ([picture_of([])], [found([])]),
        ([picture_of([])], [found([(*BOX, 0, 0.9)])]),
        ([picture_of([(*BOX, 0)])], [found([])]),
    ],
    ids=["no pictures", "nothing", "no truths", "no detections"],
)
def test_nothing_to_find_or_nothing_found_gives_zeros(truths, detections):
    result = average_precision(truths, detections, 2, by_size=True)
    assert (result.ap, result.ap50, result.ap75, result.ar) == (0.0, 0.0, 0.0, 0.0)


def test_the_order_of_pictures_does_not_matter():
    rng = np.random.default_rng(7)
    truths, detections = random_pictures(rng, 40, 3)
    order = rng.permutation(40)
    one = average_precision(truths, detections, 3, by_size=True)
    other = average_precision([truths[i] for i in order], [detections[i] for i in order], 3)
    np.testing.assert_array_equal(one.class_ap, other.class_ap)
    np.testing.assert_array_equal(one.candidates.hits, other.candidates.hits)
    assert one.ar == other.ar
    assert 0.0 < one.ap < one.ap50 < 1.0


def test_the_cheap_form_gives_the_same_ap50():
    truths, detections = random_pictures(np.random.default_rng(8), 30, 3)
    cheap = average_precision(truths, detections, 3, iou_thresholds=(0.5,))
    full = average_precision(truths, detections, 3, by_size=True)
    assert cheap.ap50 == full.ap50
    np.testing.assert_array_equal(cheap.candidates.hits, full.candidates.hits)
    with pytest.raises(ValueError, match=r"expected one of .*got 0\.75"):
        _ = cheap.ap75


def test_ap_agrees_with_its_definition_computed_anew():
    truths, detections = random_pictures(np.random.default_rng(9), 25, 1)
    result = average_precision(truths, detections, 1, iou_thresholds=(0.5,))
    hits = result.candidates.hits
    recall = np.cumsum(hits) / result.candidates.truth_count
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    points = [max(precision[recall >= point], default=0.0) for point in np.linspace(0, 1, 101)]
    assert result.ap50 == pytest.approx(np.mean(points))
    assert (np.diff(result.candidates.scores) < 0).all()


def test_an_unequal_number_of_pictures_is_refused():
    with pytest.raises(ValueError, match="expected detections of 1 pictures, got those of 0"):
        average_precision([picture_of([])], [], 1)


def test_nothing_is_printed(capsys):
    average_precision([picture_of([(*BOX, 0)])], [found([])], 1)
    assert capsys.readouterr().out == ""
