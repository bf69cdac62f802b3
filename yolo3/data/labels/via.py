"""VIA JSON (VGG Image Annotator 1 and 2): a project, or an export of its annotations.

Each image has regions; a region has a shape in pixels and attributes, one of which is its class.
Source of the format: https://gitlab.com/vgg/via, via-2.x.y/CodeDoc.md and via.js
"""

from collections.abc import Sequence
from functools import partial

from yolo3.data.folders import box_around
from yolo3.data.labels.json_files import documents
from yolo3.data.labels.policy import Draft
from yolo3.data.labels.shapes import (
    Shape,
    add_image,
    around_ellipse,
    class_name,
    field,
    numbers,
    outline,
)

PROJECT = "_via_img_metadata"
USUAL = ("label", "name", "type")  # of the attribute with the class, after "class"


def is_via(document: object) -> int:
    """Count the images of a VIA 1 or 2 document, 0 for what is none."""
    return sum(_regions(entry) is not None for entry in _entries(document).values())


def is_via3(document: object) -> int:
    """Count the files of a VIA 3 project, which is not read, 0 for what is none."""
    if not isinstance(document, dict) or not {"metadata", "file", "view"} <= document.keys():
        return 0
    return len(document["file"]) if isinstance(document["file"], dict) else 0


def read_via(draft: Draft) -> None:
    """Read the VIA files of a folder and its sub-folders, images in their order.

    The class is the one region attribute in use, or the one that has a usual name; which it is
    must be the same for all files. Without attributes it is the one class of `class_names`.
    """
    read = list(documents(draft, is_via, "VIA"))
    only = draft.options.class_names[0] if len(draft.options.class_names or ()) == 1 else ""
    attribute = _class_attribute(draft, [document for _, document in read], only)
    if attribute is None:
        return
    read_shape = partial(_shape, attribute=attribute, only=only)
    for path, document in read:
        shown = draft.tree.named(path)
        for key, entry in _entries(document).items():
            regions = _regions(entry)
            if regions is None:
                draft.leave_out("label", f"{shown}: {key}", "has no filename and regions")
                continue
            image = entry["filename"]
            source = f"{shown}: image {image}"
            add_image(draft, image, path, source, regions, read_shape)
    draft.leave_out_unlabelled("in no VIA file")


def _entries(document: object) -> dict:
    listed = document.get(PROJECT, document) if isinstance(document, dict) else None
    return listed if isinstance(listed, dict) else {}


def _regions(entry: object) -> list | None:
    """Give the regions of an image, which VIA 1 numbers, None for what is no image."""
    if not isinstance(entry, dict) or not isinstance(entry.get("filename"), str):
        return None
    regions = entry.get("regions")
    regions = list(regions.values()) if isinstance(regions, dict) else regions
    return regions if isinstance(regions, list) else None


def _class_attribute(draft: Draft, read: Sequence[object], only: str) -> str | None:
    """Find the attribute with the class, '' for none where there is one class; None stops."""
    entries = [entry for document in read for entry in _entries(document).values()]
    regions = [region for entry in entries for region in _regions(entry) or ()]
    used: dict[str, None] = {}
    for region in regions:
        attributes = region.get("region_attributes") if isinstance(region, dict) else None
        if isinstance(attributes, dict):
            used |= {key: None for key, value in attributes.items() if value not in ("", None, {})}
    usual = [name for name in used if name.casefold() in USUAL]
    for names in (list(used), [name for name in used if name.casefold() == "class"], usual):
        if len(names) == 1:
            return names[0]
    if used:
        kind = "regions have several attributes, call the one with the class `class`"
        draft.stop(kind, ", ".join(used))
        return None
    if regions and not only:
        kind = "regions have no attribute with their class, add one, or name one class"
        draft.stop(kind, str(draft.tree.shown))
        return None
    return ""


def _shape(item: object, attribute: str, only: str) -> Shape | None:
    shape = field(item, "shape_attributes")
    kind = field(shape, "name")
    if kind == "point":
        return None
    attributes = item.get("region_attributes")
    name = _class_of(field(attributes, attribute)) if attribute else only
    if kind == "rect":
        x, y, width, height = numbers(shape, "x", "y", "width", "height")
        return Shape(name, (x, y, x + width, y + height))
    if kind == "circle":
        cx, cy, r = numbers(shape, "cx", "cy", "r")
        return Shape(name, around_ellipse(cx, cy, r, r), outlined=True)
    if kind == "ellipse":
        turned = numbers(shape, "theta") if "theta" in shape else [0.0]
        ellipse = numbers(shape, "cx", "cy", "rx", "ry")
        return Shape(name, around_ellipse(*ellipse, *turned), outlined=True)
    if kind not in ("polygon", "polyline"):
        raise ValueError(f"has the shape {kind!r}, expected rect, circle, ellipse or polygon")
    xs, ys = field(shape, "all_points_x"), field(shape, "all_points_y")
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
        raise ValueError("has all_points_x and all_points_y of different lengths")
    points = outline(list(zip(xs, ys, strict=True)))
    return Shape(name, box_around(points), outlined=True)


def _class_of(value: object) -> str:
    """Read the class in an attribute's value: a text, or the one checkbox that is set."""
    if isinstance(value, dict):
        chosen = [name for name, is_set in value.items() if is_set]
        if len(chosen) != 1:
            raise ValueError(f"has {len(chosen)} classes, expected one")
        return class_name(chosen[0])
    return class_name(value)
