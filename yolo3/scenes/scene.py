"""Compose a scene: figures, things and clutter on a background, with clean boxes."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from yolo3.scenes.backgrounds import paint_background
from yolo3.scenes.colours import pick
from yolo3.scenes.figure import build_figure
from yolo3.scenes.light import finished, random_light
from yolo3.scenes.objects import build_object
from yolo3.scenes.painter import Sprite, paint

MIN_VISIBLE = 0.42  # of a labelled thing; what shows less is taken out of the scene
MIN_HEAD_VISIBLE = 0.72  # the class is worn on the head
MIN_SIDE = 12.0  # pixels
FIGURE_UNITS, THING_UNITS = 108.0, 96.0  # as tall as the drawn share of the picture
SIZES_WH = ((480, 360), (360, 480), (512, 384), (384, 512), (416, 416), (480, 320), (320, 480),
            (400, 300), (320, 320), (560, 400), (400, 560), (640, 420), (512, 288))  # fmt: skip
EMPTY_SHARE = 0.08


@dataclass(frozen=True)
class Scene:
    """Hold a picture and what is in it."""

    image: Image.Image  # RGB
    boxes_xyxy: np.ndarray  # (N, 4) float32, pixels, one decimal
    class_ids: np.ndarray  # (N,) int64


@dataclass(frozen=True)
class _Placed:
    sprite: Sprite
    foot_xy: tuple[int, int]
    class_id: int  # -1 for clutter


def render_scene(rng, theme, size_wh=None):
    """Render a scene of a theme; the same state of rng gives the same bytes."""
    size = pick(rng, SIZES_WH) if size_wh is None else tuple(size_wh)
    light, pitch = random_light(rng), rng.uniform(4, 26)
    horizon = 0.0 if rng.random() < 0.35 else rng.uniform(0.2, 0.55)
    image = paint_background(rng, pick(rng, theme.backgrounds), size, horizon)
    placed = _labelled(rng, theme, size, horizon, pitch, light)
    placed += _clutter(rng, theme, size, horizon, pitch, light)
    placed.sort(key=lambda item: item.foot_xy[1])
    clean = _without_hidden(placed, size)
    for item in clean:
        _drop_shadow(image, item, light)
        image.paste(item.sprite.image, _corner(item), item.sprite.image)
    boxes, ids = _labels(clean, theme, size)
    return Scene(
        image=finished(image, rng),
        boxes_xyxy=np.round(np.array(boxes, np.float64).reshape(-1, 4), 1).astype(np.float32),
        class_ids=np.array(ids, np.int64),
    )


def _labels(placed, theme, size_wh):
    """Return boxes and class ids: a head with what it wears, a thing, and figures as a whole."""
    labelled = [item for item in placed if item.class_id >= 0]
    boxes = [_box(item, size_wh) for item in labelled]
    ids = [item.class_id for item in labelled]
    if theme.whole_class:
        figures = [item for item in labelled if item.sprite.head_xyxy is not None]
        boxes += [_clipped(item, item.sprite.box_xyxy, size_wh) for item in figures]
        ids += [len(theme.class_names) - 1] * len(figures)
    return boxes, ids


def _labelled(rng, theme, size_wh, horizon, pitch, light):
    if rng.random() < EMPTY_SHARE:
        return []
    shares = [arrangement[0] for arrangement in theme.arrangements]
    _, (least, most), (low, high) = theme.arrangements[int(rng.choice(len(shares), p=shares))]
    height = np.exp(rng.uniform(np.log(low), np.log(high)))
    count = int(rng.integers(least, most + 1))
    gather = rng.uniform(0.45, 1.6)
    middle = rng.uniform(0.2, 0.8) if count > 1 else rng.uniform(0.12, 0.88)
    items = []
    for index in range(count):
        class_id = int(rng.integers(len(theme.drawn_classes)))
        share = max(height * rng.uniform(0.85, 1.15), 26.0 / size_wh[1])
        step = (index - (count - 1) / 2) * gather * 0.62 * height * size_wh[1] / size_wh[0]
        x = middle + step + rng.normal(0, 0.03)
        foot = (x, _foot_share(rng, share, horizon, size_wh))
        items.append(_place(rng, theme, class_id, share, foot, size_wh, pitch, light))
    return items


def _foot_share(rng, height, horizon, size_wh):
    """Draw how far down a figure stands, on the ground and mostly inside the picture."""
    low = max(horizon + 0.03, min(1.02 * height, 0.95))
    if rng.random() < 0.1:
        return rng.uniform(max(low, 0.95), 1.0 + 0.3 * height)  # the lower edge cuts the legs
    return rng.uniform(min(low, 0.96), 0.985)


def _place(rng, theme, class_id, share, foot, size_wh, pitch, light):
    name = theme.class_names[class_id]
    if name in theme.head_classes:
        parts, units = build_figure(rng, name), FIGURE_UNITS
    else:
        parts, units = build_object(rng, name), THING_UNITS
    sprite = paint(parts, pitch, light, share * size_wh[1] / units)
    return _Placed(sprite, (int(foot[0] * size_wh[0]), int(foot[1] * size_wh[1])), class_id)


def _clutter(rng, theme, size_wh, horizon, pitch, light):
    count = int(rng.integers(0, 6)) if rng.random() < 0.65 else 0
    unit = np.exp(rng.uniform(np.log(0.08), np.log(0.4)))
    items = []
    for _ in range(count):
        parts = build_object(rng, pick(rng, theme.clutter))
        share = unit * rng.uniform(0.6, 1.3)
        sprite = paint(parts, pitch, light, share * size_wh[1] / THING_UNITS)
        foot = (rng.uniform(-0.02, 1.02), rng.uniform(max(horizon + 0.03, 0.2), 1.04))
        items.append(_Placed(sprite, (int(foot[0] * size_wh[0]), int(foot[1] * size_wh[1])), -1))
    return items


def _corner(item):
    x, y = item.sprite.offset_xy
    return item.foot_xy[0] + x, item.foot_xy[1] + y


def _without_hidden(placed, size_wh):
    """Take out what shows too little, one by one, the most hidden first."""
    kept = list(placed)
    while True:
        scores = [(_shown(kept, index, size_wh), index) for index in range(len(kept))]
        worst, index = min(scores, default=(1.0, -1))
        if worst >= 1.0:
            return kept
        del kept[index]


def _shown(placed, index, size_wh):
    """Return how far what is seen of an item reaches what a label asks for (1: far enough)."""
    item = placed[index]
    if item.class_id < 0:
        return 1.0
    solid = np.asarray(item.sprite.image.getchannel("A")) > 127
    seen = solid & _in_picture(item, solid.shape, size_wh)
    for other in placed[index + 1 :]:
        _cut(seen, _corner(item), other)
    box = _box(item, size_wh)
    if min(box[2] - box[0], box[3] - box[1]) < MIN_SIDE:
        return 0.0
    reached = seen.sum() / max(solid.sum(), 1) / MIN_VISIBLE
    if item.sprite.head_xyxy is not None:
        x1, y1, x2, y2 = (max(0, round(edge)) for edge in item.sprite.head_xyxy)
        window = np.s_[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
        reached = min(reached, seen[window].sum() / max(solid[window].sum(), 1) / MIN_HEAD_VISIBLE)
    return min(1.0, float(reached))


def _in_picture(item, shape, size_wh):
    x, y = _corner(item)
    columns, rows = np.arange(shape[1]) + x, np.arange(shape[0]) + y
    inside_x, inside_y = (columns >= 0) & (columns < size_wh[0]), (rows >= 0) & (rows < size_wh[1])
    return inside_y[:, None] & inside_x[None, :]


def _cut(seen, corner, other):
    """Clear in seen what another item, nearer to the viewer, covers."""
    x, y = _corner(other)
    dx, dy = x - corner[0], y - corner[1]
    width, height = other.sprite.image.size
    x1, y1 = max(dx, 0), max(dy, 0)
    x2, y2 = min(dx + width, seen.shape[1]), min(dy + height, seen.shape[0])
    if x1 >= x2 or y1 >= y2:
        return
    cover = np.asarray(other.sprite.image.getchannel("A"))[y1 - dy : y2 - dy, x1 - dx : x2 - dx]
    seen[y1:y2, x1:x2] &= cover <= 127


def _box(item, size_wh):
    """Return the tight box of what the item's class names: a figure's head, or all of a thing."""
    return _clipped(item, item.sprite.head_xyxy or item.sprite.box_xyxy, size_wh)


def _clipped(item, box_xyxy, size_wh):
    """Move a box of the item's sprite to the picture, hidden parts included, and clip it."""
    x, y = _corner(item)
    x1, y1, x2, y2 = box_xyxy
    width, height = size_wh
    return (min(max(x1 + x, 0.0), width), min(max(y1 + y, 0.0), height),
            min(max(x2 + x, 0.0), width), min(max(y2 + y, 0.0), height))  # fmt: skip


def _drop_shadow(image, item, light):
    x, y = item.sprite.shadow_offset_xy
    corner = (item.foot_xy[0] + x, item.foot_xy[1] + y)
    strength = light.shadow
    image.paste((12, 12, 18), corner, item.sprite.shadow.point(lambda value: int(value * strength)))
