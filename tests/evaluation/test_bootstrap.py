import numpy as np
import pytest
from evaluation_cases import found, picture_of, random_pictures

from yolo3.evaluation import bootstrap
from yolo3.evaluation.ap import average_precision
from yolo3.evaluation.bootstrap import (
    draw,
    interval,
    mean_over_classes,
    resampled_ap50,
    resampled_medians,
)

BOX = (10, 10, 50, 50)
FAR = (60, 60, 90, 90)


def whole(truths, detections, class_count):
    """Give AP50 per class of the pictures as they are."""
    return resampled_ap50(truths, detections, class_count, np.ones((1, len(truths)), int))[0]


def cases():
    """Give pictures and detections of many kinds: ties, absent classes, boxes without area."""
    for seed, count, classes in ((1, 1, 1), (2, 7, 2), (3, 40, 3), (4, 25, 12), (5, 90, 1)):
        yield random_pictures(np.random.default_rng(seed), count, classes), classes
    truths, detections = random_pictures(np.random.default_rng(6), 30, 2)
    for detection in detections:
        detection.scores[:] = np.round(detection.scores, 1)  # many equal ones
    yield (truths, detections), 2
    yield (truths, detections), 5
    yield (truths, [found([])] * 30), 2
    yield ([picture_of([])] * 30, detections), 2


@pytest.mark.parametrize("case", list(cases()))
def test_the_pictures_as_they_are_give_cocos_ap50(case):
    (truths, detections), classes = case
    coco = average_precision(truths, detections, classes)
    ours = whole(truths, detections, classes)
    np.testing.assert_allclose(ours, coco.class_ap_at(0.5), rtol=0, atol=1e-12)
    assert mean_over_classes(ours[None])[0] == pytest.approx(coco.ap50, abs=1e-12)


def test_a_resample_is_cocos_ap50_of_repeated_pictures():
    truths, detections = random_pictures(np.random.default_rng(7), 30, 3)
    counts = draw(30, 8, seed=1)
    ours = resampled_ap50(truths, detections, 3, counts)
    for row, own in zip(counts, ours, strict=True):
        drawn = np.repeat(np.arange(30), row)
        coco = average_precision([truths[i] for i in drawn], [detections[i] for i in drawn], 3)
        np.testing.assert_allclose(own, coco.class_ap_at(0.5), rtol=0, atol=1e-12)


def test_resamples_are_drawn_alike_for_one_seed():
    counts = draw(20, 50, seed=3)
    assert counts.shape == (50, 20) and (counts.sum(axis=1) == 20).all()
    assert (counts == draw(20, 50, seed=3)).all() and (counts != draw(20, 50, seed=4)).any()
    with pytest.raises(ValueError, match="at least one picture and one resample, got 0 and 5"):
        draw(0, 5, seed=1)


def test_little_memory_gives_the_same(monkeypatch):
    truths, detections = random_pictures(np.random.default_rng(8), 20, 2)
    counts = draw(20, 31, seed=1)
    expected = resampled_ap50(truths, detections, 2, counts)
    monkeypatch.setattr(bootstrap, "_MOST_NUMBERS", 300)
    np.testing.assert_array_equal(resampled_ap50(truths, detections, 2, counts), expected)


def test_a_class_that_a_resample_did_not_draw_is_left_out_of_its_mean():
    truths = [picture_of([(*BOX, 0)]), picture_of([(*BOX, 1)])]
    detections = [found([(*BOX, 0, 0.9)]), found([])]
    ours = resampled_ap50(truths, detections, 3, np.array([[2, 0], [0, 2], [1, 1]]))
    np.testing.assert_allclose(ours, [[1, np.nan, np.nan], [np.nan, 0, np.nan], [1, 0, np.nan]])
    np.testing.assert_allclose(mean_over_classes(ours), [1.0, 0.0, 0.5])


def test_nothing_true_gives_zeros():
    truths, detections = [picture_of([])] * 2, [found([(*BOX, 0, 0.9)])] * 2
    ours = resampled_ap50(truths, detections, 1, draw(2, 5, seed=1))
    assert np.isnan(ours).all()
    assert mean_over_classes(ours).tolist() == [0.0] * 5
    assert interval(ours[:, 0], 0.95) == (0.0, 0.0)
    assert resampled_ap50([], [], 0, np.ones((4, 0), int)).shape == (4, 0)


def half_found(rng, share, count=200):
    """Give pictures of one box each, of which a share is found and nothing else is."""
    hits = rng.random(count) < share
    truths = [picture_of([(*BOX, 0)])] * count
    return truths, hits, [found([(*BOX, 0, 0.9)] if hit else []) for hit in hits]


def test_the_interval_is_as_wide_as_theory_says():
    # AP50 is the share that was found, which varies as a binomial
    truths, hits, detections = half_found(np.random.default_rng(9), 0.6)
    samples = mean_over_classes(resampled_ap50(truths, detections, 1, draw(200, 2000, seed=1)))
    error = np.sqrt(hits.mean() * (1 - hits.mean()) / 200)
    low, high = interval(samples, 0.95)
    assert low == pytest.approx(hits.mean() - 1.96 * error, abs=0.02)
    assert high == pytest.approx(hits.mean() + 1.96 * error, abs=0.02)
    assert interval(samples, 0.99)[0] < low < high < interval(samples, 0.99)[1]


def test_pairing_makes_a_small_loss_certain():
    truths, _, detections = half_found(np.random.default_rng(10), 0.7)
    poorer = [found([]) if index % 12 == 0 else own for index, own in enumerate(detections)]
    counts = draw(200, 1000, seed=1)
    a, b = (
        mean_over_classes(resampled_ap50(truths, own, 1, counts)) for own in (detections, poorer)
    )
    other = mean_over_classes(resampled_ap50(truths, poorer, 1, draw(200, 1000, seed=2)))
    assert interval(b - a, 0.95)[1] < 0 < interval(other - a, 0.95)[1]
    assert interval(a - a, 0.95) == (0.0, 0.0)


def test_medians_are_those_of_the_drawn_pictures():
    values = np.array([1.0, 10.0, 100.0])
    medians = resampled_medians(values, np.array([[1, 1, 1], [0, 0, 3], [2, 1, 0]]))
    assert medians.tolist() == [10.0, 100.0, 1.0]
