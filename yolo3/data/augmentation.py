"""Random changes to training pictures: place, flip, stretch, recolour, and join four to a mosaic.

One resizing and one colour matrix per picture, both on 8-bit pixels inside Pillow, which releases
Python's lock; the resizing averages where it shrinks, as the letterbox does. Every draw comes
from the generator that is passed in.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from yolo3.data.images import BAR_GREY

_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Sample:
    """Hold a picture with its boxes (N, 4), xyxy in its pixels, and their class ids (N,)."""

    image: Image.Image
    boxes_xyxy: np.ndarray
    class_ids: np.ndarray


@dataclass(frozen=True)
class Augmentation:
    """Say how much to change; the defaults suit some hundred pictures and twenty epochs.

    scale: range of the picture's size against the letterboxed one.
    stretch: largest ratio of a random change of aspect.
    flip: probability of mirroring left to right.
    hue: largest turn in radians; saturation, brightness: largest factor.
    mosaic: probability of joining four pictures.
    visible: a box that keeps less than this part of its area is left out.
    """

    scale: tuple[float, float] = (0.6, 1.5)
    stretch: float = 1.25
    flip: float = 0.5
    hue: float = 0.15
    saturation: float = 1.5
    brightness: float = 1.4
    mosaic: float = 0.0
    visible: float = 0.35

    @property
    def sources(self) -> int:
        """Count the pictures that one output may draw on."""
        return 4 if self.mosaic else 1


def augment(draw_sample, size_wh, settings: Augmentation, rng: np.random.Generator):
    """Make one training picture.

    draw_sample: called with None for the picture itself, then with rng for each further one of a
        mosaic; returns a Sample already scaled to fit size_wh.
    Returns pixels (H, W, 3) uint8, boxes (N, 4) xyxy in pixels, class ids (N,).
    """
    canvas = Image.new("RGB", size_wh, (BAR_GREY,) * 3)
    first = draw_sample(None)
    if rng.random() < settings.mosaic:
        samples = [first] + [draw_sample(rng) for _ in range(3)]
        tiles = _mosaic_tiles(size_wh, rng)
        zoom = 0.75
    else:
        samples, tiles, zoom = [first], [(0, 0, *size_wh)], 1.0
    boxes, class_ids = [], []
    for sample, tile in zip(samples, tiles, strict=True):
        kept_boxes, kept_ids = _paste(canvas, sample, tile, zoom, settings, rng)
        boxes.append(kept_boxes)
        class_ids.append(kept_ids)
    return (
        np.asarray(canvas),
        np.concatenate(boxes).astype(np.float32),
        np.concatenate(class_ids).astype(np.int64),
    )


def _mosaic_tiles(size_wh, rng):
    """Cut the canvas at a random point near its middle into four tiles (x1, y1, x2, y2)."""
    width, height = size_wh
    x = int(width * rng.uniform(0.35, 0.65))
    y = int(height * rng.uniform(0.35, 0.65))
    return [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]


def _paste(canvas, sample, tile, zoom, settings, rng):
    """Resample one picture into its tile; give the boxes that stay visible, in canvas pixels."""
    x1, y1, x2, y2 = tile
    tile_wh = np.array([x2 - x1, y2 - y1])
    scale = zoom * math.exp(rng.uniform(*np.log(settings.scale)))
    stretch = math.exp(rng.uniform(-1, 1) * math.log(settings.stretch) / 2)
    scale_xy = np.array([scale * stretch, scale / stretch])
    placed_wh = np.array(sample.image.size) * scale_xy
    room_wh = tile_wh - placed_wh  # negative where the picture is larger than the tile
    offset_xy = rng.uniform(size=2) * room_wh
    flipped = rng.random() < settings.flip
    colours = _colour_matrix(settings, rng)
    shown, corner_xy = _show(sample.image, scale_xy, offset_xy, tile_wh, flipped)
    if shown is not None:
        canvas.paste(shown.convert("RGB", colours), (x1 + corner_xy[0], y1 + corner_xy[1]))
    boxes = sample.boxes_xyxy.astype(np.float64)
    if flipped:
        boxes = boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [sample.image.width, 0] * 2
    boxes = boxes * np.tile(scale_xy, 2) + np.tile(offset_xy, 2)
    clipped = np.clip(boxes, 0, np.tile(tile_wh, 2))
    keep = _visible(boxes, clipped, settings.visible)
    return clipped[keep] + [x1, y1, x1, y1], sample.class_ids[keep]


def _show(image, scale_xy, offset_xy, tile_wh, flipped):
    """Resize what lies in the tile, in whole pixels of it; None where no pixel does.

    Returns the picture and where its top left corner lies in the tile.
    """
    placed_wh = np.array(image.size) * scale_xy
    low_xy = np.ceil(np.maximum(offset_xy, 0)).astype(int)
    high_xy = np.floor(np.minimum(offset_xy + placed_wh, tile_wh)).astype(int)
    if (high_xy <= low_xy).any():
        return None, low_xy
    source = np.concatenate([low_xy - offset_xy, high_xy - offset_xy]) / np.tile(scale_xy, 2)
    if flipped:
        source[[0, 2]] = image.width - source[[2, 0]]
    box = tuple(np.clip(source, 0, image.size * 2))
    shown = image.resize(tuple(high_xy - low_xy), Image.Resampling.BILINEAR, box=box)
    return shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flipped else shown, low_xy


def _visible(boxes, clipped, part):
    """Tell which boxes keep a part of their area, and a side of 2 pixels at least."""
    sizes = clipped[:, 2:] - clipped[:, :2]
    whole = boxes[:, 2:] - boxes[:, :2]
    return (sizes.min(axis=1, initial=np.inf) >= 2) & (
        sizes.prod(axis=1) >= part * whole.prod(axis=1)
    )


def _colour_matrix(settings, rng):
    """Draw a 3x4 matrix: turn the hue about grey, scale saturation, scale brightness."""
    angle = rng.uniform(-settings.hue, settings.hue)
    saturation = math.exp(rng.uniform(-1, 1) * math.log(settings.saturation))
    brightness = math.exp(rng.uniform(-1, 1) * math.log(settings.brightness))
    axis = np.full(3, 1 / math.sqrt(3))
    cross = np.array(
        [[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]]
    )  # Rodrigues' rotation about the grey axis
    turn = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    grey = np.tile(_LUMA, (3, 1))
    matrix = brightness * (grey + saturation * (np.eye(3) - grey)) @ turn
    return tuple(np.hstack([matrix, np.zeros((3, 1))]).ravel())
