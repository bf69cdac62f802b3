import re

import numpy as np
import pytest
from check_cases import SPEC, labelled, on_disk

from yolo3.checks.checkup import check_up
from yolo3.checks.look import BATCH_IMAGES, look
from yolo3.data.augmentation import Augmentation
from yolo3.data.batches import Batches
from yolo3.network.spec import make_spec

HAT, BARE = (20, 20, 60, 60, 0), (120, 100, 161, 140, 1)


def section(text, name):
    return text.split(f"<h2 id='{name}'>")[1].split("<h2")[0]


def corner(column, row, class_id=0):
    """A box whose centre lies in a cell of a grid of five."""
    x, y = 208 * (column + 0.5) / 5, 208 * (row + 0.5) / 5
    return (x - 5, y - 5, x + 5, y + 5, class_id)


def test_the_batch_is_what_a_training_draws(tmp_path):
    train = [on_disk(tmp_path, n, [HAT, BARE], seed=n) for n in range(20)]
    shown = section(look(check_up(train, [], SPEC), seed=3), "batch")
    assert "416x416" in shown and "seed 3" in shown
    options = {"augmentation": Augmentation(), "seed": 3}
    _, labels = Batches(train, (416, 416), None, 16, **options).labelled(0, 0)
    figures = shown.split("<figure")[1:]
    assert len(figures) == BATCH_IMAGES
    for drawn, (boxes_xyxy, class_ids) in zip(figures, labels, strict=False):
        paths = re.findall(r'class="other" d="(.*?)"><title>(\w+)</title>', drawn)
        expected = [
            ("M{0:.6g} {1:.6g}H{2:.6g}V{3:.6g}H{0:.6g}Z".format(*box), SPEC.class_names[class_id])
            for box, class_id in zip(boxes_xyxy.tolist(), class_ids, strict=True)
        ]
        assert paths == expected
    assert set(re.findall(r">(\w+)</text>", shown)) == {"hat", "bare"}


def test_few_training_images_are_shown_once_each(tmp_path):
    train = [on_disk(tmp_path, n, [HAT], seed=n) for n in range(3)]
    assert section(look(check_up(train, [], SPEC), 1), "batch").count("<figure") == 3


def test_a_batch_of_images_that_are_gone_is_left_out(tmp_path):
    train = [on_disk(tmp_path, "a", [HAT]), labelled("gone", [HAT])]
    assert "id='batch'" not in look(check_up(train, [], SPEC), 1)


def test_centres_are_mapped_where_they_lie():
    train = [labelled(n, [corner(4, 0)]) for n in range(8)] + [labelled("x", [corner(1, 3)])]
    shown = section(look(check_up(train, [], SPEC), 1), "centres")
    assert shown.count("<figure>") == 1 and "all boxes: 9" in shown
    squares = dict(re.findall(r"fill-opacity='([\d.]+)' d='(.*?)'", shown))
    assert squares == {"1": "M4 0h1v1h-1z", "0.375": "M1 3h1v1h-1z"}


@pytest.mark.parametrize(("classes", "maps"), [(1, 1), (2, 3), (8, 9), (9, 1)])
def test_a_few_classes_have_maps_of_their_own(classes, maps):
    spec = make_spec([f"class {n}" for n in range(10)], SPEC.anchors_wh, (416, 416))
    train = [labelled(n, [corner(2, 2, n)]) for n in range(classes)]
    shown = section(look(check_up(train, [], spec), 1), "centres")
    assert shown.count("<figure>") == maps


def test_many_centres_get_a_finer_map():
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.uniform(0, 100, (900, 2)), np.full((900, 2), 200)], axis=1)
    train = [labelled("a", np.column_stack([boxes, np.zeros(900)]))]
    assert "viewBox='0 0 20 20'" in look(check_up(train, [], SPEC), 1)
