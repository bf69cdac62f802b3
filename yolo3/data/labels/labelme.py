"""labelme JSON: a file for each image, with its shapes.

Corners are pixels of the image as a viewer shows it: labelme applies EXIF before it draws. A file
without `shape_type` holds polygons, as all did at first.
Source of the format: https://github.com/wkentaro/labelme, _label_file.py and _utils/shape.py
"""

import math

from yolo3.data.folders import box_around
from yolo3.data.labels.json_files import documents
from yolo3.data.labels.policy import Draft
from yolo3.data.labels.shapes import (
    Shape,
    add_image,
    around_ellipse,
    class_name,
    field,
    outline,
    said_size,
)

POINTS = ("point", "points")
OUTLINES = ("polygon", "line", "linestrip", "mask", "oriented_rectangle", "rotation")


def is_labelme(document: object) -> int:
    """Count the images of a labelme document: 1, or 0 for what is none."""
    if not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
        return 0
    return int("imagePath" in document or "imageData" in document)


def read_labelme(draft: Draft) -> None:
    """Read the labelme files of a folder and its sub-folders.

    The image is the one that `imagePath` names or the one of the file's name; where these are two,
    `policy` chooses.
    """
    for path, document in documents(draft, is_labelme, "labelme"):
        named, source = document.get("imagePath"), draft.tree.named(path)
        image = named if isinstance(named, str) and named else path.stem
        said_wh = said_size(document.get("imageWidth"), document.get("imageHeight"))
        shapes = document["shapes"]
        add_image(draft, image, path, source, shapes, _shape, said_wh, own_name=True)
    draft.leave_out_unlabelled("no JSON file")


def _shape(item: object) -> Shape | None:
    points = field(item, "points")
    kind = item.get("shape_type") or "polygon"
    if kind in POINTS:
        return None
    name, corners = class_name(field(item, "label")), outline(points)
    if kind == "rectangle":
        return Shape(name, box_around(corners))
    if kind == "circle":  # its centre and a point of its edge
        cx, cy, x, y = corners[:4]
        radius = math.hypot(x - cx, y - cy)
        return Shape(name, around_ellipse(cx, cy, radius, radius), outlined=True)
    if kind not in OUTLINES:
        raise ValueError(f"has the shape_type {kind!r}, expected rectangle, {', '.join(OUTLINES)}")
    return Shape(name, box_around(corners), outlined=True)
