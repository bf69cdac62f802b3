"""Shapes of annotation tools as boxes: what the readers of those tools share.

A reader gives the shapes of an image as they stand, and a function that makes a `Shape` of one.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from yolo3.data.folders import box_around, finite_number
from yolo3.data.labels.policy import Box, Draft

T = TypeVar("T")
_MOST = 80  # characters of a value that a message shows


class Shape(NamedTuple):
    """A named box; `outlined` if it is the bounding box of another shape."""

    name: str
    box: Box
    outlined: bool = False


def add_image(
    draft: Draft,
    image: str,
    label: Path,
    source: str,
    items: Iterable[T],
    read: Callable[[T], Shape | None],
    said_wh: tuple[int, int] | None = None,
    relative: bool = False,
    own_name: bool = False,
) -> None:
    """Add an image with its shapes, or leave it out with the first that is broken.

    read: gives None for a shape without area, and raises ValueError for a broken one.
    own_name: see `Draft.add`.
    """
    shapes: list[Shape | None] = []
    for number, item in enumerate(items, start=1):
        try:
            shapes.append(_finite(read(item)))
        except ValueError as error:
            leave_out_image(draft, "object", image, label, source, f"object {number} {error}")
            return
    for shape in shapes:
        if shape is None:
            draft.note("shapes_ignored", f"{source}: a shape without area")
        elif shape.outlined:
            draft.note("boxes_outlined", f"{source}: {shape.name}, made from the outline")
    objects = [
        (shape.name, shape.box if relative else as_float32(shape.box)) for shape in shapes if shape
    ]
    draft.add(image, label, source, objects, said_wh, relative, own_name=own_name)


def leave_out_image(
    draft: Draft, kind: str, image: str, label: Path, source: str, reason: str
) -> None:
    """Leave out an image that a label file names."""
    draft.leave_out(kind, source, reason)
    draft.touched.update(draft.tree.find_either(image, label)[0])


def _finite(shape: Shape | None) -> Shape | None:
    if shape and not all(map(math.isfinite, shape.box)):
        raise ValueError("has numbers that are too large")
    return shape


def as_float32(box: Box) -> Box:
    """Round as a list keeps corners, so that x + width is the edge it was made from."""
    with np.errstate(over="ignore"):  # what is too large is clipped to the image
        return tuple(np.asarray(box, np.float64).astype(np.float32).tolist())


def field(item: object, key: str) -> object:
    """Give a field of a JSON object or XML element; raises ValueError where there is none."""
    if not isinstance(item, Mapping) or item.get(key) is None:
        raise ValueError(f"has no {key}")
    return item[key]


def class_name(value: object) -> str:
    """Read the name of a class; raises ValueError for what is no text."""
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise ValueError(f"has the label {_brief(value)}, expected a text")
    return str(value).strip()


def numbers(item: object, *keys: str) -> list[float]:
    """Read the numbers in some fields; raises ValueError."""
    return [_number(field(item, key), key) for key in keys]


def outline(points: object) -> list[float]:
    """Read x, y, x, y, … from pairs, two or more; raises ValueError."""
    if not isinstance(points, list) or len(points) < 2:
        raise ValueError(f"has points {_brief(points)}, expected two or more")
    for point in points:
        if not isinstance(point, list | tuple) or len(point) != 2:
            raise ValueError(f"has the point {_brief(point)}, expected x and y")
    return [_number(value, "points") for point in points for value in point]


def said_size(width: object, height: object) -> tuple[int, int] | None:
    """Read an image's size as a label file gives it, None where that is no size."""
    try:
        size_wh = int(finite_number(width)), int(finite_number(height))
    except ValueError:
        return None
    return size_wh if min(size_wh) > 0 else None


def around_rotated(box: Box, radians: float, centre: tuple[float, float]) -> Box:
    """Give the box around a box that is turned clockwise around a point."""
    if not radians:
        return box
    cos, sin = math.cos(radians), math.sin(radians)
    turned: list[float] = []
    for x in (box[0] - centre[0], box[2] - centre[0]):
        for y in (box[1] - centre[1], box[3] - centre[1]):
            turned += (centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos)
    return box_around(turned)


def around_ellipse(cx: float, cy: float, rx: float, ry: float, radians: float = 0.0) -> Box:
    """Give the box around an ellipse that is turned around its centre."""
    cos, sin = math.cos(radians), math.sin(radians)
    half_w, half_h = math.hypot(rx * cos, ry * sin), math.hypot(rx * sin, ry * cos)
    return cx - half_w, cy - half_h, cx + half_w, cy + half_h


def _number(value: object, key: str) -> float:
    try:
        return finite_number(value)
    except ValueError:
        raise ValueError(f"has {key} {_brief(value)}, expected a number") from None


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MOST else f"{text[:_MOST]}…"
