import numpy as np
import pytest

from yolo3.scenes.figure import build_figure
from yolo3.scenes.headgear import HEADGEAR
from yolo3.scenes.light import random_light
from yolo3.scenes.objects import OBJECTS, build_object
from yolo3.scenes.painter import paint


def _sprite(parts, scale=1.0):
    return paint(parts, 12.0, random_light(np.random.default_rng(0)), scale)


@pytest.mark.parametrize("name", sorted(HEADGEAR))
def test_box_of_a_figure_is_that_of_its_mask(name):
    for seed in range(2):
        sprite = _sprite(build_figure(np.random.default_rng(seed), name))
        alpha = np.asarray(sprite.image.getchannel("A"))
        rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
        drawn = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        np.testing.assert_allclose(sprite.box_xyxy, drawn, atol=1.0)


@pytest.mark.parametrize("name", sorted(HEADGEAR))
def test_figures_stand_on_their_feet_and_head_is_on_top(name):
    sprite = _sprite(build_figure(np.random.default_rng(1), name))
    assert 90 < sprite.box_xyxy[3] - sprite.box_xyxy[1] < 165
    assert abs(sprite.box_xyxy[3] + sprite.offset_xy[1]) < 12
    head_middle = (sprite.head_xyxy[1] + sprite.head_xyxy[3]) / 2
    assert head_middle < (sprite.box_xyxy[1] + sprite.box_xyxy[3]) / 2


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_things_are_drawn_and_have_no_head(name):
    sprite = _sprite(build_object(np.random.default_rng(2), name))
    assert sprite.head_xyxy is None
    assert np.asarray(sprite.image.getchannel("A")).any()
    assert np.asarray(sprite.shadow).any()


def test_scale_scales():
    small, large = (
        _sprite(build_figure(np.random.default_rng(3), "hat"), scale) for scale in (1.0, 3.0)
    )
    ratio = (large.box_xyxy[3] - large.box_xyxy[1]) / (small.box_xyxy[3] - small.box_xyxy[1])
    assert ratio == pytest.approx(3.0, rel=0.05)
