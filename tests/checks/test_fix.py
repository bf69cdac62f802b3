from check_cases import labelled

from yolo3.checks.fix import fix
from yolo3.data.pictures import Changed

HAT, BARE = (20, 20, 60, 60, 0), (120, 100, 161, 140, 1)


def test_what_is_clean_stays_as_it_is():
    pictures = [labelled("a", [HAT, BARE]), labelled("b"), labelled("c", [BARE, HAT])]
    fixed = fix(pictures)
    assert [one.source for one in fixed.pictures] == ["list:a", "list:b", "list:c"]
    for given, kept in zip(pictures, fixed.pictures, strict=True):
        assert kept.boxes_xyxy.tolist() == given.boxes_xyxy.tolist()
        assert kept.class_ids.tolist() == given.class_ids.tolist()
    assert fixed.line() == (
        "3 pictures; 0 boxes clipped, 0 left out, 0 repeated ones removed,"
        " 0 repeated pictures removed, 0 unusable images left out"
    )


def test_equal_boxes_are_removed_and_near_ones_kept():
    near, other_class = (20, 20, 60, 60.5, 0), (*HAT[:4], 1)
    fixed = fix([labelled("a", [BARE, HAT, near, other_class, HAT, BARE])])
    [picture] = fixed.pictures
    assert picture.boxes_xyxy.tolist() == [list(row[:4]) for row in (BARE, HAT, near, other_class)]
    assert picture.class_ids.tolist() == [1, 0, 0, 1]
    assert fixed.boxes_repeated == 2


def test_copies_with_the_same_boxes_are_removed():
    copies = [
        labelled("a", [HAT, BARE], digest="x"),
        labelled("b", [BARE, HAT, HAT], digest="x"),  # the same boxes, once one is removed
        labelled("c", [HAT], digest="x"),
        labelled("d", [HAT, BARE], digest="y"),
        labelled("e", digest="z"),
        labelled("f", digest="z"),
    ]
    fixed = fix(copies)
    assert [one.source for one in fixed.pictures] == ["list:a", "list:c", "list:d", "list:e"]
    assert (fixed.pictures_repeated, fixed.boxes_repeated) == (2, 1)


def test_what_reading_mended_is_counted():
    corners = (0.0, 0.0, 1.0, 1.0)
    kinds = ("boxes_clipped", "boxes_outside", "boxes_degenerate", "boxes_clipped")
    changed = tuple(Changed(kind, corners, "") for kind in kinds)
    fixed = fix([labelled("a", [HAT], changed=changed)])
    assert (fixed.boxes_clipped, fixed.boxes_left_out) == (2, 2)


def test_nothing_is_cleaned_to_nothing():
    assert fix([]).pictures == ()
