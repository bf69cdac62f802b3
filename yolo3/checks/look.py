"""What a check always shows: labelled images, where boxes lie, an augmented batch."""

from html import escape
from pathlib import Path

import numpy as np

from yolo3.checks.checkup import Checkup
from yolo3.checks.labelled import labelled_images
from yolo3.checks.page import heading
from yolo3.checks.shots import Shots, figure
from yolo3.data.augmentation import Augmentation
from yolo3.data.pictures import DataError
from yolo3.data.samples import Samples

BATCH_IMAGES = 12
_BATCH_BYTES = 500_000
_MOST_MAPS = 8  # classes that have a map of their own
_CELLS = (5, 24)  # of a map's side, for few and for many boxes
_SHADES = 8


def look(checkup: Checkup, seed: int) -> str:
    """Show the data before any finding; `seed` is the training's."""
    return "\n".join([labelled_images(checkup), _centres(checkup), _batch(checkup, seed)])


def _centres(checkup: Checkup) -> str:
    """Map where the boxes' centres lie in their images, for all classes and for each of a few."""
    pictures = [picture for picture in checkup.pictures if len(picture.boxes_xyxy)]
    if not pictures:
        return ""
    centres = np.concatenate(
        [
            (picture.boxes_xyxy[:, :2] + picture.boxes_xyxy[:, 2:]) / 2 / picture.size_wh
            for picture in pictures
        ]
    )
    class_ids = np.concatenate([picture.class_ids for picture in pictures])
    ratio = np.median([picture.size_wh[0] / picture.size_wh[1] for picture in pictures])
    maps = [("all boxes", centres)]
    present = np.unique(class_ids).tolist()
    if 1 < len(present) <= _MOST_MAPS:
        names = checkup.spec.class_names
        maps += [(names[class_id], centres[class_ids == class_id]) for class_id in present]
    drawn = "".join(_map(name, own) for name, own in maps)
    return (
        f"{heading('centres', 'Where boxes lie')}<p class='soft'>Centres of the boxes, all images"
        " stretched to one frame; the stronger the colour, the more. Centres that pile up in a"
        " corner or on a line hint at wrong coordinates.</p><div class='grid' style='--column:"
        f" 190px; --ratio: {np.clip(ratio, 0.5, 2):.3f}'>{drawn}</div>"
    )


def _map(name: str, centres_xy: np.ndarray) -> str:
    """Draw a heat map of centres (N, 2), in parts of the image."""
    cells = int(np.clip(np.sqrt(len(centres_xy)) / 1.5, *_CELLS))
    x, y = centres_xy.T
    counts = np.histogram2d(y, x, bins=cells, range=((0, 1), (0, 1)))[0]  # (rows, columns)
    shades = np.ceil(_SHADES * np.sqrt(counts / counts.max()))
    paths = ""
    for shade in np.unique(shades[shades > 0]):
        squares = "".join(f"M{x} {y}h1v1h-1z" for y, x in np.argwhere(shades == shade))
        paths += f"<path fill-opacity='{shade / _SHADES:g}' d='{squares}'/>"
    return (
        f"<figure><svg class='map' viewBox='0 0 {cells} {cells}' preserveAspectRatio='none'"
        f" shape-rendering='crispEdges' role='img'>{paths}</svg><figcaption>{escape(name)}:"
        f" {len(centres_xy):,}</figcaption></figure>"
    )


def _batch(checkup: Checkup, seed: int) -> str:
    """Show the first images of a training's first epoch; "" where one of them is gone."""
    width, height = checkup.spec.input_wh
    samples = Samples(
        checkup.train,
        (width, height),
        min(BATCH_IMAGES, len(checkup.train)),
        augmentation=Augmentation(),
        seed=seed,
    )
    try:
        pixels, labels = samples.labelled(epoch=0, index=0)
    except DataError:
        return ""
    shots = Shots(checkup.spec.class_names, _BATCH_BYTES)
    drawn = [shots.draw_sample(image, *own) for image, own in zip(pixels, labels, strict=True)]
    named = zip(drawn, map(Path, samples.names(0, 0)), strict=True)
    figures = "".join(figure(image, path) for image, path in named if image)
    return (
        f"{heading('batch', 'An augmented batch')}<p class='soft'>Training images as the network"
        f" sees them: letterboxed to {width}x{height} pixels, then scaled, stretched, mirrored and"
        f" recoloured at random (seed {seed}). The boxes move with them; one that lies mostly"
        " outside is left out.</p><div class='grid'"
        f" style='--column: 240px; --ratio: {width} / {height}'>{figures}</div>"
    )
