import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from check_cases import CLASSES, SPEC, labelled

from yolo3.checks.advice import ADVICE
from yolo3.checks.checkup import NOTES, OF_READERS, boxes_per_class, check_up
from yolo3.data.annotations import read_annotations
from yolo3.data.labels.formats import read_labels
from yolo3.data.pictures import FINDINGS, LeftOut
from yolo3.data.splits import split_pictures
from yolo3.network.spec import NetworkSpec, make_spec, read_anchors

PROJECT = Path(__file__).resolve().parents[2]
SHARED = PROJECT.parent / "shared" / "data"
HAT, BARE = (20, 20, 60, 60, 0), (120, 100, 161, 140, 1)


def clean(count, first=0):
    return [labelled(first + n, [HAT, BARE], look=first + n) for n in range(count)]


def counts(checkup):
    """Count what was found, but that these sides are small."""
    found = checkup.findings.counts.items()
    return {kind: count for kind, count in found if count and kind != "pictures_few"}


def test_nothing_is_found_in_clean_data():
    checkup = check_up(clean(10), clean(10, first=10), SPEC)
    assert not checkup.cases and not checkup.deserve_a_look
    assert checkup.lines() == [f"anchors at 416x416: {checkup.fit}"]
    assert checkup.fit.recall == 1


@pytest.mark.parametrize(
    ("train", "val", "kind"),
    [
        ([HAT], [HAT], "classes_absent"),
        ([HAT], [HAT, BARE], "classes_untrained"),
        ([HAT, BARE], [HAT], "classes_unvalidated"),
    ],
)
def test_missing_classes_are_told(train, val, kind):
    sides = [labelled(n, train) for n in range(10)], [labelled("v", val)]
    checkup = check_up(*sides, SPEC)
    assert counts(checkup) == {kind: 1} and checkup.deserve_a_look
    assert checkup.cases[0].message.startswith("class bare: ")


def test_no_validation_pictures_miss_no_class():
    assert not check_up(clean(10), [], SPEC).cases


def test_rare_classes_are_a_note():
    checkup = check_up(clean(9), clean(1, first=9), SPEC)
    assert counts(checkup) == {"classes_rare": 2} and not checkup.deserve_a_look


@pytest.mark.parametrize("pictures, few", [(1, True), (9, True), (10, False)])
def test_few_validation_boxes_are_a_note(pictures, few):
    checkup = check_up(clean(20), clean(pictures, first=20), SPEC)
    assert [case.kind for case in checkup.cases] == ["pictures_few"] * few
    assert not checkup.deserve_a_look
    if few:
        told = f"validation: {2 * pictures} boxes in {pictures} pictures, expected 20 boxes or more"
        assert checkup.cases[0].message == told


def test_anchors_that_do_not_fit_are_told():
    flat = [labelled(n, [(0, 100, 200, 110, 0), (0, 150, 200, 160, 1)]) for n in range(10)]
    checkup = check_up(flat, [], SPEC)
    assert counts(checkup) == {"anchors_unfit": 1}
    assert "best possible recall 0.000" in checkup.cases[0].message


def test_anchors_that_no_scale_owns_do_not_count():
    small = [labelled(n, [(10, 10, 15, 17, 0), (50, 50, 55, 57, 1)]) for n in range(10)]
    coco = NetworkSpec(CLASSES, SPEC.anchors_wh, ((3, 4, 5), (1, 2, 3)), (416, 416))
    assert check_up(small, [], SPEC).fit.recall == 1
    assert check_up(small, [], coco).fit.recall == 0


def test_data_without_boxes_are_checked():
    checkup = check_up([labelled("a")], [labelled("b")], SPEC)
    assert counts(checkup) == {"classes_absent": 2}
    assert checkup.lines()[-1] == "anchors: there is no box to fit"


def test_both_sides_are_looked_at():
    twice = [labelled("x", [HAT, HAT]), labelled("y", [BARE, BARE])]
    checkup = check_up([*clean(10), twice[0]], [twice[1]], SPEC)
    assert checkup.findings.counts["boxes_repeated"] == 2


def test_what_reading_told_already_is_not_new():
    copies = [labelled(n, [HAT, HAT, BARE], digest="same") for n in range(12)]
    checkup = check_up(copies[:11], copies[11:], SPEC)
    assert {"pictures_duplicate", "pictures_shared"} <= set(counts(checkup))
    new = {kind for kind, count in checkup.new_findings.counts.items() if count}
    assert new == {"boxes_repeated", "pictures_few"}


def test_every_kind_is_explained_and_counted():
    sources = (PROJECT / "yolo3/checks" / name for name in ("cases.py", "checkup.py"))
    text = "".join(source.read_text("utf-8") for source in sources)
    kinds = set(re.findall(r'"((?:boxes|pictures|images|classes|anchors)_[a-z_]+)"', text))
    assert kinds | {"boxes_clipped"} == set(ADVICE) and set(ADVICE) <= set(FINDINGS)
    assert not (NOTES | OF_READERS) - set(ADVICE)


def test_what_was_left_out_deserves_a_look_unless_it_has_no_labels():
    broken, unlabelled = LeftOut("missing", "a", "a: gone"), LeftOut("unlabelled", "b", "b: none")
    checkup = check_up(clean(10), [], SPEC, [broken, unlabelled])
    assert checkup.deserve_a_look and counts(checkup) == {"images_left_out": 1}
    assert "1 images cannot be used (left out)" in checkup.lines()
    assert not check_up(clean(10), [], SPEC, [unlabelled]).cases


def test_boxes_are_counted_by_class():
    assert boxes_per_class(clean(3), 3).tolist() == [3, 3, 0]
    assert boxes_per_class([], 2).tolist() == [0, 0]


def test_a_check_loads_no_framework():
    code = (
        "import sys, yolo3.checks.report, yolo3.checks.fix, yolo3.commands.check\n"
        "import yolo3.commands.anchors\n"
        "assert not {'keras', 'tensorflow', 'mlflow', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, timeout=60)


def tiny_spec(class_names):
    anchors = read_anchors(PROJECT / "model_data/yolo_tiny_anchors.txt")
    return make_spec(class_names, anchors, (416, 416))


def checked(pictures, class_names):
    return check_up(*split_pictures(pictures, 0.1, 1), tiny_spec(class_names))


def test_the_sample_is_clean():
    names = ("helmet", "hat", "bare")
    pictures, _ = read_annotations(PROJECT / "voc/list_master.txt", names, PROJECT)
    found = counts(checked(pictures, names))
    assert not set(found) - NOTES - {"boxes_colliding"}
    assert found.get("boxes_colliding", 0) < 0.02 * sum(len(one.class_ids) for one in pictures)


def test_real_photographs_are_told_truly():
    folder = SHARED / "lego-minifigures"
    if not folder.is_dir():
        pytest.skip("../shared/data/lego-minifigures is absent")
    imported = read_labels(folder)
    pictures = imported.pictures
    checkup = checked(pictures, imported.class_names)
    found = counts(checkup)
    assert (found["pictures_duplicate"], found["boxes_clipped"]) == (33, 79)
    assert found["pictures_misnamed"] == sum(
        one.path.read_bytes()[:4] == b"\x89PNG" for one in pictures
    )
    assert {"pictures_shared", "pictures_leaked", "boxes_tiny"}.isdisjoint(found)
    assert found["pictures_alike"] < 10
    assert np.isclose(checkup.fit.recall, 0.9, atol=0.005)
