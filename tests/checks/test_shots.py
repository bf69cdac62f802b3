import re

import numpy as np
import pytest
from check_cases import SIDE, SPEC, labelled, on_disk

from yolo3.checks.shots import Shots
from yolo3.data.pictures import Changed

HAT, BARE = (20, 20, 60, 60, 0), (120, 100, 161, 140, 1)


def test_no_more_bytes_are_drawn_than_allowed(tmp_path):
    shots = Shots(SPEC.class_names, 30_000)
    drawn = [shots.draw(on_disk(tmp_path, n, [HAT], seed=n)) for n in range(20)]
    assert drawn[0] and not drawn[-1]
    assert sum(map(len, drawn)) <= 30_000


def test_an_image_is_embedded_once(tmp_path):
    shots = Shots(SPEC.class_names, 10**6, "x")
    picture = on_disk(tmp_path, "a", [HAT, BARE])
    first, second = shots.draw(picture, [HAT[:4]]), shots.draw(picture, [BARE[:4]])
    assert '<image id="x0"' in first and '<use href="#x0"/>' in second
    assert len(second) < len(first) / 2 and "base64" not in second


def test_boxes_of_a_class_tell_its_name(tmp_path):
    picture = on_disk(tmp_path, "a", [HAT, BARE, (5, 150, 45, 190, 0)])
    plain, named = (
        Shots(SPEC.class_names, 10**6).draw(picture, labels=labels) for labels in (False, True)
    )
    hats = 'd="M20 20H60V60H20ZM5 150H45V190H5Z"'
    assert f'class="other" {hats}><title>hat</title>' in plain and "<text" not in plain
    assert re.findall(r">(\w+)</text>", named) == ["bare", "hat", "hat"]


def test_names_do_not_cover_each_other_nor_leave_the_image():
    rows = [(x, y, x + 30, y + 30, 1) for x in (0, 4, 190) for y in (0, 3, 170)]
    boxes = np.array(rows, np.float32)
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    drawn = Shots(("hat", "a long name"), 10**6).draw_sample(pixels, boxes[:, :4], np.ones(9, int))
    written = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" font-size="([\d.]+)"', drawn)
    places = np.array(written, float)
    assert 3 <= len(places) < 9
    width = 0.6 * places[0, 2] * len("a long name")
    for x, y, height in places:
        assert 0 <= x <= SIDE - width + 0.1 and 0.8 * height <= y <= SIDE
        others = places[(places != (x, y, height)).any(axis=1)]
        assert ((np.abs(others[:, 0] - x) > width) | (np.abs(others[:, 1] - y) > height)).all()


def test_an_image_that_is_gone_is_not_drawn():
    assert Shots(SPEC.class_names, 10**6).draw(labelled("gone", [HAT])) == ""


def test_a_box_past_the_edge_is_shown_whole(tmp_path):
    changed = Changed("boxes_clipped", (150.0, 10.0, 250.0, 60.0), "list:a: box 1")
    drawn = Shots(SPEC.class_names, 10**6).draw(
        on_disk(tmp_path, "a", [(150, 10, SIDE, 60, 0)], changed=(changed,)), [changed.box_xyxy]
    )
    left, _, width, _ = map(float, re.search(r'viewBox="([^"]+)"', drawn)[1].split())
    assert left <= 0 and left + width >= 250
    assert 'class="mark" d="M150 10H250V60H150Z"' in drawn


@pytest.mark.parametrize(
    "box", [(50.0, 50.0, 50.0, 90.0), (90.0, 60.0, 40.0, 60.0), (-1e9, -1e9, 1e9, 1e9)]
)
def test_odd_boxes_are_drawn(tmp_path, box):
    drawn = Shots(SPEC.class_names, 10**6).draw(on_disk(tmp_path, "a"), [box])
    width, height = map(float, re.search(r'viewBox="([^"]+)"', drawn)[1].split()[2:])
    assert 0 < width < 3 * SIDE and 0 < height < 3 * SIDE and "nan" not in drawn


def test_small_boxes_get_a_ring(tmp_path):
    shots = Shots(SPEC.class_names, 10**6)
    assert "<circle" in shots.draw(on_disk(tmp_path, "a"), [(50.0, 50.0, 52.0, 52.0)])
    assert "<circle" not in shots.draw(on_disk(tmp_path, "a"), [(50.0, 50.0, 120.0, 120.0)])
