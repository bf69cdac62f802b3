from dataclasses import replace

import numpy as np
import pytest
from evaluation_cases import found, picture_of

from yolo3.evaluation.comparison import BETTER, HOLDS, TOLD, WORSE, Measured, Rule, compare
from yolo3.evaluation.evaluate import Evaluation

RULE = Rule(0.01, 0.05, min_boxes=20, latency_factor=1.5, floor=0.1, resamples=500, seed=1)
NAMES = ("hat", "helmet", "bare")
PLACES = ((5, 5, 25, 25), (35, 5, 55, 25), (65, 5, 85, 25))  # of each class in each picture


def measured(missed=(), pictures=40, names=NAMES, classes=3, milliseconds=(40.0,) * 8, boxes=None):
    """Give what a detector found: a box of each class in each picture, but (picture, class)s.

    boxes: (picture, class)s that are there at all, if not each.
    """
    missed = set(missed)
    truths, detections = [], []
    for number in range(pictures):
        own = [
            (*PLACES[class_id], class_id)
            for class_id in range(classes)
            if boxes is None or (number, class_id) in boxes
        ]
        truths.append(picture_of(own, f"{number}.jpg"))
        kept = [row for row in own if (number, row[4]) not in missed]
        detections.append(found([(*row, 0.9 - 0.01 * (number % 7)) for row in kept]))
    evaluation = Evaluation(tuple(names), tuple(truths), tuple(detections))
    return Measured(evaluation, np.array(milliseconds))


def verdicts(comparison):
    return {line.name: line.verdict for line in comparison.lines}


def every(step, class_id, first=0):
    """Miss a class in every so many pictures."""
    return [(number, class_id) for number in range(first, 40, step)]


def test_equals_pass():
    missed = [*every(3, 0), *every(4, 1)]
    comparison = compare(measured(missed), measured(missed), RULE)
    assert comparison.passed and comparison.reason == "not worse where it matters"
    expected = {"AP50": HOLDS, "hat": HOLDS, "helmet": HOLDS, "bare": HOLDS, "AP": TOLD}
    assert verdicts(comparison) == expected | {"latency": HOLDS}
    for line in comparison.lines[:-2]:
        assert (line.change.value, line.change.span) == (0.0, (0.0, 0.0))


def test_the_numbers_are_cocos_to_the_bit():
    champion, challenger = measured(every(3, 0)), measured(every(5, 1))
    comparison = compare(challenger, champion, RULE)
    ap50, *classes = comparison.lines[:4]
    for side, own in (("champion", champion), ("challenger", challenger)):
        average = own.evaluation.average_precision
        assert getattr(ap50, side).value == average.ap50
        assert [getattr(c, side).value for c in classes] == average.class_ap_at(0.5).tolist()
        low, high = getattr(ap50, side).span
        assert low < average.ap50 < high
    assert ap50.change.value == ap50.challenger.value - ap50.champion.value
    assert ap50.boxes == 120 and [line.boxes for line in classes] == [40] * 3


def test_the_better_one_passes():
    comparison = compare(measured(every(9, 1)), measured([*every(2, 0), *every(2, 1)]), RULE)
    assert comparison.passed
    assert verdicts(comparison)["AP50"] == verdicts(comparison)["hat"] == BETTER


def test_a_worse_one_is_refused_with_reasons():
    comparison = compare(measured(every(2, 0)), measured(), RULE)
    assert not comparison.passed
    assert [line.name for line in comparison.worse] == ["AP50", "hat"]
    assert "AP50 lost 0.1" in comparison.reason and "at most 0.01 is tolerated" in comparison.reason
    assert "hat lost 0.49" in comparison.reason and "at most 0.05" in comparison.reason


def test_one_class_that_loses_refuses_a_better_mean():
    comparison = compare(measured(every(4, 2)), measured([*every(2, 0), *every(2, 1)]), RULE)
    assert verdicts(comparison)["AP50"] == BETTER
    assert [line.name for line in comparison.worse] == ["bare"]
    assert not comparison.passed


def test_a_loss_that_is_tolerated_passes_unless_it_is_certain():
    champion, loose = measured(), replace(RULE, tolerance=0.2, class_tolerance=0.3)
    little = compare(measured([(3, 0), (20, 0)]), champion, loose)
    assert little.passed and little.lines[1].why == "within what is tolerated"
    certain = compare(measured(every(4, 0)), champion, loose)
    assert [line.name for line in certain.worse] == ["AP50", "hat"]
    assert "beyond chance" in certain.lines[1].why
    assert -0.3 < certain.lines[1].change.value < certain.lines[1].change.span[1] < 0


def test_the_tolerance_itself_is_tolerated():
    # 4 of 40 missed of one class of one
    one = {"names": ("hat",), "classes": 1}
    challenger, champion = measured([(n, 0) for n in (1, 9, 17, 25)], **one), measured(**one)
    lost = -compare(challenger, champion, RULE).lines[0].change.value
    for tolerance, worse in ((lost, False), (lost - 0.001, True)):
        rule = replace(RULE, tolerance=tolerance, class_tolerance=tolerance)
        lines = compare(challenger, champion, rule).lines
        assert ("is tolerated" in lines[0].why) == worse
        assert ("is tolerated" in lines[1].why) == worse


def test_a_class_with_few_boxes_is_told_and_neither_judged_nor_in_the_judged_mean():
    boxes = {(n, c) for n in range(40) for c in (0, 1)} | {(n, 2) for n in range(6)}
    missed = [(n, 2) for n in range(6)]
    comparison = compare(measured(missed, boxes=boxes), measured(boxes=boxes), RULE)
    assert comparison.passed
    mean, all_classes, *_, bare, _, _ = comparison.lines
    assert mean.name == "AP50 of the 2 classes with enough boxes" and mean.change.value == 0
    assert all_classes.name == "AP50 of all 3 classes" and all_classes.verdict == TOLD
    assert all_classes.change.value == pytest.approx(-1 / 3, abs=0.01)
    assert (bare.verdict, bare.why) == (TOLD, "only 6 boxes in 6 pictures")
    assert not compare(measured(missed, boxes=boxes), measured(boxes=boxes), few_boxes()).passed


def few_boxes():
    return replace(RULE, min_boxes=6)


def test_many_boxes_in_few_pictures_are_few():
    comparison = compare(measured(pictures=4), measured(pictures=4), replace(RULE, min_boxes=3))
    assert verdicts(comparison)["hat"] == TOLD
    assert comparison.lines[1].why == "only 4 boxes in 4 pictures"


def test_where_no_class_has_enough_the_mean_of_all_is_judged():
    rule = replace(RULE, min_boxes=100)
    comparison = compare(measured(every(2, 0)), measured(), rule)
    assert [line.name for line in comparison.worse] == ["AP50"]
    assert verdicts(comparison)["hat"] == TOLD


def test_intervals_of_classes_hold_together():
    comparison = compare(measured(every(3, 0)), measured(every(4, 0)), RULE)
    assert comparison.class_confidence == pytest.approx(1 - 0.05 / 3)
    one = {"names": ("hat",), "classes": 1}
    alone = compare(measured(every(3, 0), **one), measured(every(4, 0), **one), RULE)
    assert alone.class_confidence == pytest.approx(0.95)
    low, high = comparison.lines[1].change.span
    inner_low, inner_high = alone.lines[1].change.span
    assert low < inner_low < inner_high < high


def test_a_class_without_boxes_is_named():
    boxes = {(n, c) for n in range(40) for c in (0, 1)}
    comparison = compare(measured(boxes=boxes), measured(boxes=boxes), RULE)
    assert comparison.absent == ("bare",) and "bare" not in verdicts(comparison)
    assert comparison.lines[0].name == "AP50" and comparison.passed


@pytest.mark.parametrize("which", ["challenger", "champion", "both"])
def test_who_finds_nothing_has_zeros(which):
    nothing = [(n, c) for n in range(40) for c in range(3)]
    new = measured(nothing if which != "champion" else ())
    old = measured(nothing if which != "challenger" else ())
    comparison = compare(new, old, RULE)
    assert comparison.passed == (which != "challenger")
    change = comparison.lines[0].change
    expected = {"challenger": -1.0, "champion": 1.0, "both": 0.0}[which]
    assert (change.value, *change.span) == pytest.approx((expected,) * 3)


def test_without_any_true_box_there_is_no_nan():
    comparison = compare(measured(boxes=()), measured(boxes=()), RULE)
    assert comparison.absent == NAMES and [line.name for line in comparison.lines] == [
        "AP50",
        "AP",
        "latency",
    ]
    assert comparison.lines[0].challenger.value == 0.0
    assert comparison.lines[0].challenger.span == (0.0, 0.0)


@pytest.mark.parametrize(
    ("milliseconds", "verdict"),
    [(70.0, WORSE), (60.0, HOLDS), (50.0, HOLDS), (39.0, BETTER)],
)
def test_latency_has_a_factor(milliseconds, verdict):
    comparison = compare(measured(milliseconds=(milliseconds,) * 8), measured(), RULE)
    line = comparison.lines[-1]
    assert line.verdict == verdict and comparison.passed == (verdict != WORSE)
    assert line.change.value == pytest.approx(milliseconds / 40)
    assert line.change.span == pytest.approx((milliseconds / 40,) * 2)
    assert (line.challenger.value, line.champion.value) == (milliseconds, 40.0)


def test_the_interval_of_the_latency_is_over_pictures():
    times = (40.0, 42.0, 60.0, 38.0, 41.0, 90.0, 44.0, 39.0)
    line = compare(measured(milliseconds=times), measured(), RULE).lines[-1]
    assert line.change.value == pytest.approx(41.5 / 40)
    assert 0.9 < line.change.span[0] < line.change.value < line.change.span[1] < 2.3


def test_a_first_champion_needs_the_floor():
    nothing = [(n, c) for n in range(40) for c in range(3)]
    for missed, passed in ((nothing, False), (every(2, 0), True)):
        comparison = compare(measured(missed), None, RULE)
        assert comparison.passed == passed
        assert all(line.champion is line.change is None for line in comparison.lines)
        assert {line.verdict for line in comparison.lines[1:]} == {TOLD}
    assert "which reaches the 0.1 that a first champion needs" in comparison.reason
    assert "a first champion needs 0.1" in compare(measured(nothing), None, RULE).reason


def test_a_class_may_be_called_judged():
    boxes = {(n, c) for n in range(40) for c in (0, 1)} | {(0, 2)}
    own = measured(names=("judged", "b", "c"), boxes=boxes)
    keys = [line.key for line in compare(own, own, RULE).lines]
    assert len(set(keys)) == len(keys)
    assert {"AP50", "AP50.judged", "AP50_judged", "AP50_b"} < set(keys)


def test_many_reasons_are_cut():
    comparison = compare(
        measured([(n, c) for n in range(40) for c in range(3)], milliseconds=(90.0,) * 8),
        measured(),
        RULE,
    )
    assert len(comparison.worse) == 5 and comparison.reason.endswith("; and 1 more")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_limit_that_nothing_reaches_is_refused(value):
    with pytest.raises(ValueError, match="tolerance must be a finite number, got (nan|inf)"):
        replace(RULE, tolerance=value)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="expected classes"):
        compare(measured(), measured(names=("hat", "bare", "helmet")), RULE)
    with pytest.raises(ValueError, match="the same pictures"):
        compare(measured(), measured(pictures=39), RULE)
    with pytest.raises(ValueError, match="times of the same pictures"):
        compare(measured(), measured(milliseconds=(40.0,)), RULE)
