import numpy as np
import pytest
from check_cases import CLASSES, SPEC, labelled

from yolo3.checks.cases import agreement, leaked_pictures, picture_cases, repeated_pictures
from yolo3.data.images import Stored
from yolo3.data.pictures import Changed
from yolo3.network.spec import make_spec

HAT, BARE = (20, 20, 60, 60, 0), (120, 100, 161, 140, 1)


def kinds(cases):
    return [case.kind for case in cases]


def test_a_clean_picture_has_no_cases():
    assert picture_cases(labelled("a", [HAT, BARE]), SPEC) == []
    assert picture_cases(labelled("a"), SPEC) == []


def test_clipped_and_left_out_boxes_keep_their_message_and_corners():
    gone = Changed("boxes_outside", (900.0, 0.0, 950.0, 50.0), "list:a: box 2, wholly outside")
    [case] = picture_cases(labelled("a", [HAT], changed=(gone,)), SPEC)
    assert (case.kind, case.message, case.boxes_xyxy) == (gone.kind, gone.message, (gone.box_xyxy,))


def test_one_thing_boxed_twice_is_found_once():
    near = (20, 20, 61, 60, 0)
    [case] = picture_cases(labelled("a", [HAT, BARE, near]), SPEC)
    assert case.kind == "boxes_repeated"
    assert case.message == "list:a: box 20,20,61,60 (hat) repeats box 20,20,60,60"
    assert case.boxes_xyxy == ((20, 20, 61, 60),)


def test_one_thing_of_two_classes_is_found():
    [case] = picture_cases(labelled("a", [HAT, (*HAT[:4], 1)]), SPEC)
    assert case.kind == "boxes_conflicting"
    assert case.message == "list:a: box 20,20,60,60 is bare, and hat at 20,20,60,60"


def test_overlapping_things_are_no_repetition():
    assert picture_cases(labelled("a", [HAT, (20, 20, 60, 84, 0)]), SPEC) == []


def test_thousands_of_boxes_are_compared_in_parts():
    corners = np.random.default_rng(0).uniform(0, 190, (700, 2))
    rows = np.column_stack([corners, corners + 9, np.zeros(700)]).astype(np.float32)
    rows[650] = rows[3]
    found = [c for c in picture_cases(labelled("a", rows), SPEC) if c.kind == "boxes_repeated"]
    assert tuple(rows[650, :4].tolist()) in [case.boxes_xyxy[0] for case in found]


@pytest.mark.parametrize(("width", "tiny"), [(1.9, True), (2.1, False)])
def test_boxes_are_tiny_by_their_size_in_the_network(width, tiny):
    found = picture_cases(
        labelled("a", [(50, 50, 50 + width, 90, 0)]), SPEC
    )  # twice as large there
    assert kinds(found) == ["boxes_tiny"] * tiny
    assert not tiny or found[0].message.endswith("is 3.8 by 80.0 pixels at 416x416")


def test_a_larger_input_makes_no_box_tiny():
    larger = make_spec(CLASSES, SPEC.anchors_wh, (832, 832))
    assert picture_cases(labelled("a", [(50, 50, 51.9, 90, 0)]), larger) == []


def test_boxes_of_one_cell_and_anchor_collide():
    one, two = (20, 20, 60, 60, 0), (24, 24, 62, 62, 1)  # centres 40 and 43: one cell of 16 pixels
    [case] = picture_cases(labelled("a", [one, two]), SPEC)
    assert case.kind == "boxes_colliding"
    assert case.message == (
        "list:a: box 20,20,60,60 shares cell and anchor with 24,24,62,62, which is learnt instead"
    )
    other_cell, other_anchor = (56, 20, 96, 60, 1), (4, 4, 76, 76, 1)
    assert picture_cases(labelled("a", [one, other_cell, other_anchor]), SPEC) == []


def test_a_repeated_box_is_not_told_to_collide_as_well():
    assert kinds(picture_cases(labelled("a", [HAT, HAT, HAT]), SPEC)) == ["boxes_repeated"] * 2


@pytest.mark.parametrize(
    ("name", "real", "misnamed"),
    [
        ("a.jpg", "PNG", True),
        ("a.JPEG", "PNG", True),
        ("a.png", "JPEG", True),
        ("a.jfif", "JPEG", False),
        ("a.JPG", "JPEG", False),
        ("a.bmp", "DIB", False),
        ("a.data", "PNG", False),
        ("a.jpg", "", False),
    ],
)
def test_names_that_lie_are_found(tmp_path, name, real, misnamed):
    picture = labelled("a", path=tmp_path / name, stored=Stored(real, 1))
    assert kinds(picture_cases(picture, SPEC)) == ["pictures_misnamed"] * misnamed


def test_exif_orientation_is_a_note():
    [case] = picture_cases(labelled("a", [HAT], stored=Stored("JPEG", 6)), SPEC)
    assert case.kind == "pictures_turned"
    assert case.message == "list:a: has EXIF orientation 6, read as 208x208"


@pytest.mark.parametrize(
    ("orientation", "corners", "kind"),
    [
        (6, (150.0, 10.0, 190.0, 90.0), "pictures_unturned"),  # fits 200x100, not 100x200
        (6, (150.0, 10.0, 190.0, 150.0), "pictures_turned"),  # fits neither
        (6, (-5.0, 10.0, 90.0, 90.0), "pictures_turned"),
        (3, (150.0, 10.0, 190.0, 90.0), "pictures_turned"),
    ],
)
def test_boxes_drawn_on_the_unturned_picture_are_suspected(orientation, corners, kind):
    changed = (Changed("boxes_outside", corners, "list:a: box 1"),)
    stored = Stored("JPEG", orientation)
    picture = labelled("a", size_wh=(100, 200), changed=changed, stored=stored)
    assert kinds(picture_cases(picture, SPEC)) == ["boxes_outside", kind]


def test_repeated_content_tells_how_far_the_boxes_agree():
    first = labelled("a", [HAT, BARE], digest="x")
    same = labelled("b", [BARE, HAT], digest="x")
    near = labelled("c", [(20, 20, 60, 55, 0), BARE], digest="x")
    less = labelled("d", [HAT], digest="x")
    cases = repeated_pictures([first, same, near, less, labelled("e", [HAT])])
    assert kinds(cases) == ["pictures_duplicate"] * 3 + ["pictures_relabelled"]
    told = [case.message.partition(", ")[2] for case in cases]
    assert told[:3] == [
        "with the same boxes",
        "with boxes that agree to an IoU of 0.88",
        "with other boxes",
    ]
    assert told[3] == "and its boxes contradict it (1 and 2 boxes)"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([], [], 1),
        ([HAT], [], 0),
        ([HAT], [(*HAT[:4], 1)], 0),
        ([HAT, BARE], [BARE, HAT], 1),
        ([HAT, HAT], [HAT, BARE], 0),
        ([HAT], [(20, 20, 60, 40, 0)], 0.5),
    ],
)
def test_agreement(one, other, expected):
    pair = labelled("a", one), labelled("b", other)
    assert agreement(*pair) == pytest.approx(expected)
    assert agreement(*pair[::-1]) == pytest.approx(expected)


def test_pictures_that_look_alike_are_found_beside_copies():
    pictures = [labelled("a", look=1), labelled("b", look=2), labelled("c", look=1)]
    [case] = repeated_pictures(pictures)
    assert (case.kind, case.pictures) == ("pictures_alike", (pictures[2], pictures[0]))
    copy = labelled("d", digest="a", look=1)
    assert kinds(repeated_pictures([pictures[0], copy])) == ["pictures_duplicate"]


def test_leaks_are_found_to_the_byte_and_nearly():
    train = [labelled("a", look=1), labelled("b", look=2)]
    val = [labelled("c", look=3), labelled("d", digest="b", look=2), labelled("e", look=1)]
    cases = leaked_pictures(train, val)
    assert kinds(cases) == ["pictures_shared", "pictures_leaked"]
    assert [case.pictures for case in cases] == [(val[1], train[1]), (val[2], train[0])]
    assert leaked_pictures(train, []) == leaked_pictures([], val) == []
