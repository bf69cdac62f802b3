import numpy as np
import pytest

from yolo3.scenes import PRETRAIN, SAMPLE, THEMES, render_scene
from yolo3.scenes.backgrounds import BACKGROUNDS
from yolo3.scenes.figure import build_figure
from yolo3.scenes.headgear import HEADGEAR
from yolo3.scenes.light import random_light
from yolo3.scenes.objects import OBJECTS
from yolo3.scenes.painter import paint
from yolo3.scenes.scene import _Placed, _without_hidden


def _scene(seed, theme=SAMPLE, size_wh=(256, 192)):
    return render_scene(np.random.default_rng(seed), theme, size_wh)


@pytest.fixture(scope="module")
def many():
    return [_scene(seed) for seed in range(60)]


def test_same_seed_gives_same_bytes():
    for theme in (SAMPLE, PRETRAIN):
        one, two = _scene(5, theme), _scene(5, theme)
        assert one.image.tobytes() == two.image.tobytes()
        np.testing.assert_array_equal(one.boxes_xyxy, two.boxes_xyxy)
        np.testing.assert_array_equal(one.class_ids, two.class_ids)


def test_other_seeds_give_other_pictures():
    assert len({_scene(seed).image.tobytes() for seed in range(4)}) == 4


def test_boxes_lie_in_the_picture_and_have_an_area(many):
    for scene in many:
        assert scene.image.mode == "RGB"
        assert scene.boxes_xyxy.shape == (len(scene.class_ids), 4)
        assert scene.boxes_xyxy.dtype == np.float32
        x1, y1, x2, y2 = scene.boxes_xyxy.T
        assert np.all((x1 >= 0) & (y1 >= 0) & (x2 <= 256) & (y2 <= 192))
        assert np.all((x2 - x1 >= 7.5) & (y2 - y1 >= 7.5))


def test_boxes_have_one_decimal(many):
    boxes = np.concatenate([scene.boxes_xyxy for scene in many]).astype(np.float64)
    np.testing.assert_allclose(boxes, boxes.round(1), atol=1e-4)


def test_every_class_appears_about_as_often(many):
    counts = np.bincount(np.concatenate([scene.class_ids for scene in many]), minlength=3)
    assert counts.min() > 0.5 * counts.mean()


def test_some_pictures_are_empty_and_some_hold_several(many):
    held = [len(scene.class_ids) for scene in many]
    assert 0 < held.count(0) < 20
    assert max(held) >= 4


def test_hidden_figures_are_taken_out_until_the_rest_shows():
    """The nearer of two at one spot stays, one in the open too, one past the edge does not."""
    rng = np.random.default_rng(0)
    sprite = paint(build_figure(rng, "bare"), 10.0, random_light(rng), 1.0)
    feet = [(60, 150), (60, 151), (180, 150), (256 + 40, 150)]
    placed = [_Placed(sprite, foot, 0) for foot in feet]
    kept = _without_hidden(placed, (256, 192))
    assert [item.foot_xy for item in kept] == [(60, 151), (180, 150)]


def test_size_is_the_size_asked_for():
    assert _scene(1, size_wh=(123, 77)).image.size == (123, 77)


def test_pretrain_shares_no_class_with_the_sample():
    assert not set(PRETRAIN.class_names) & set(SAMPLE.class_names)
    assert not set(PRETRAIN.head_classes) & {"helmet", "hat", "bare"}


@pytest.mark.parametrize("theme", THEMES.values(), ids=lambda theme: theme.name)
def test_themes_name_what_exists_and_do_not_draw_classes_as_clutter(theme):
    assert set(theme.head_classes) <= set(HEADGEAR)
    assert set(theme.thing_classes) | set(theme.clutter) <= set(OBJECTS)
    assert set(theme.backgrounds) <= set(BACKGROUNDS)
    assert not set(theme.thing_classes) & set(theme.clutter)


@pytest.mark.parametrize("name", sorted(BACKGROUNDS))
@pytest.mark.parametrize("horizon", (0.0, 0.4))
def test_backgrounds_fill_the_picture(name, horizon):
    image = BACKGROUNDS[name](np.random.default_rng(0), (90, 60), horizon)
    assert image.mode == "RGB" and image.size == (90, 60)


def test_pretraining_labels_each_head_once_more_as_part_of_its_whole_figure():
    whole = PRETRAIN.class_names.index("figure")
    heads = range(len(PRETRAIN.head_classes))
    seen = 0
    for number in range(12):
        scene = render_scene(np.random.default_rng([9, number]), PRETRAIN)
        figures = scene.boxes_xyxy[scene.class_ids == whole]
        worn = scene.boxes_xyxy[np.isin(scene.class_ids, heads)]
        assert len(figures) == len(worn)
        for figure, head in zip(figures, worn, strict=True):
            assert (head[:2] >= figure[:2] - 2).all()
            assert (head[2:] <= figure[2:] + 2).all()
            seen += 1
    assert seen


def test_sample_labels_heads_alone():
    assert SAMPLE.whole_class is None
    assert SAMPLE.class_names == SAMPLE.head_classes
