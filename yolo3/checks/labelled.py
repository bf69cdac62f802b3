"""Labelled images of each class, for a person to see whether boxes and names are right."""

from collections.abc import Sequence
from html import escape

import numpy as np

from yolo3.checks.checkup import Checkup
from yolo3.checks.page import heading
from yolo3.checks.shots import THUMBNAIL_WIDTH, Shots, figure
from yolo3.data.pictures import Picture

IMAGES_PER_CLASS = 12
MOST_BYTES = 2_400_000
_MOST_CLASSES = 100
_TYPICAL_BYTES = 19_000  # of an embedded photograph at full width; measured
_BYTES_OF_BOXES = 600  # of what lies on an image and below it; measured
_NARROWEST = 96  # pixels of an embedded image
_NAMED = 200  # pixels: there is no place for names on and below narrower ones
_COLUMNS = (240, 160)  # CSS pixels, of wide and of narrower images: 4 and 6 in a row
_GOLDEN = (5**0.5 - 1) / 2


def images_by_class(pictures: Sequence[Picture], class_count: int) -> list[list[Picture]]:
    """Give the images that hold a box of each class; copies count once."""
    holding: list[list[Picture]] = [[] for _ in range(class_count)]
    for picture in {picture.digest: picture for picture in pictures}.values():
        for class_id in np.unique(picture.class_ids):
            holding[class_id].append(picture)
    return holding


def choose_images(holding: Sequence[Sequence[Picture]], most: int) -> list[list[Picture]]:
    """Choose up to `most` images of each class, spread over the data, and so are the first of them.

    Images that stand for no other class yet come first; rare classes choose first. Multiples of the
    golden ratio spread evenly, however many are taken.
    """
    chosen: list[list[Picture]] = [[] for _ in holding]
    taken: set[str] = set()
    for class_id in sorted(range(len(holding)), key=lambda class_id: len(holding[class_id])):
        images = holding[class_id]
        order = np.argsort(np.arange(len(images)) * _GOLDEN % 1, kind="stable")
        spread = sorted((images[n] for n in order), key=lambda picture: picture.digest in taken)
        chosen[class_id] = spread[:most]
        taken |= {picture.digest for picture in chosen[class_id]}
    return chosen


def labelled_images(checkup: Checkup) -> str:
    """Show images of each class with its boxes marked; "" where there is no box or no file."""
    names = checkup.spec.class_names
    holding = images_by_class(checkup.pictures, len(names))
    chosen = choose_images(holding, IMAGES_PER_CLASS)
    order = sorted(range(len(names)), key=lambda class_id: -len(holding[class_id]))
    shown = {class_id: chosen[class_id] for class_id in order[:_MOST_CLASSES] if chosen[class_id]}
    width = _width(shown)
    figures = _figures(shown, Shots(names, MOST_BYTES, "labelled", width), width >= _NAMED)
    if not any(figures.values()):
        return ""
    column = next((column for column in _COLUMNS if column <= width), width)
    sections = "".join(
        f"<section class='class'><h3>{escape(names[class_id])} <span class='soft'>{len(drawn)} of"
        f" {len(holding[class_id]):,} images</span></h3><div class='grid'"
        f" style='--column: {column}px'>{''.join(drawn)}</div></section>"
        for class_id, drawn in figures.items()
    )
    fits = all(len(drawn) == len(shown[class_id]) for class_id, drawn in figures.items())
    which = "each class" if len(names) <= _MOST_CLASSES else f"the {_MOST_CLASSES} largest classes"
    return (
        f"{heading('labelled', 'Labelled images')}<p class='soft'>Up to {IMAGES_PER_CLASS} images"
        f" of {which}{'' if fits else ', as many as this page holds'}, spread over training and"
        " validation. Boxes of the class are orange, the others blue.</p>"
        f"{sections}"
    )


def _width(shown: dict[int, list[Picture]]) -> int:
    """Choose how wide to embed images, so that about all of them fit."""
    count = sum(map(len, shown.values()))
    distinct = len({picture.digest for images in shown.values() for picture in images})
    share = max(0, MOST_BYTES - _BYTES_OF_BOXES * count) / max(1, distinct * _TYPICAL_BYTES)
    return int(np.clip(THUMBNAIL_WIDTH * share**0.6, _NARROWEST, THUMBNAIL_WIDTH))


def _figures(shown: dict[int, list[Picture]], shots: Shots, named: bool) -> dict[int, list[str]]:
    """Draw the first image of each class, then the second, so that each class gets as many."""
    figures: dict[int, list[str]] = {class_id: [] for class_id in shown}
    for turn in range(IMAGES_PER_CLASS):
        for class_id, images in shown.items():
            for picture in images[turn : turn + 1]:
                marked = picture.boxes_xyxy[picture.class_ids == class_id].tolist()
                drawn = shots.draw(picture, marked, labels=named)
                figures[class_id] += [figure(drawn, picture.path, named)] if drawn else []
    return figures
