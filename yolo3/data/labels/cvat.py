"""CVAT for images 1.1: one XML file with the shapes of all images, in pixels.

Frames that nobody has annotated yet look like frames without objects, and are read as such.
Source of the format: https://docs.cvat.ai/docs/manual/advanced/xml_format
"""

import math
from xml.etree.ElementTree import Element

from yolo3.data.folders import box_around
from yolo3.data.labels.policy import BadLabel, Draft
from yolo3.data.labels.shapes import (
    Shape,
    add_image,
    around_ellipse,
    around_rotated,
    class_name,
    field,
    numbers,
    outline,
    said_size,
)
from yolo3.data.labels.voc import parse_xml

BOX = ("xtl", "ytl", "xbr", "ybr")
CUBOID = [f"{xy}{corner}{n}" for n in "12" for corner in ("tl", "bl", "tr", "br") for xy in "xy"]
READ = ("box", "polygon", "polyline", "ellipse", "mask", "cuboid")  # all others have no area


def is_cvat(root: Element) -> int:
    """Count the images of a CVAT for images document, 0 for what is none."""
    return len(root.findall("image[@name]")) if root.tag == "annotations" else 0


def is_cvat_video(root: Element) -> int:
    """Count the tracks of a CVAT for video document, which is not read, 0 for what is none."""
    return len(root.findall("track")) if root.tag == "annotations" else 0


def read_cvat(draft: Draft) -> None:
    """Read the CVAT files of a folder and its sub-folders, images in their order."""
    for path in draft.label_files(".xml"):
        shown = draft.tree.named(path)
        try:
            root = parse_xml(path)
        except BadLabel as error:
            draft.leave_out_label(error.kind, path, str(error))
            continue
        if not is_cvat(root):
            draft.note("labels_foreign", f"{shown}: is no CVAT for images file")
            continue
        for number, image in enumerate(root.findall("image"), start=1):
            name = image.get("name")
            if name:
                said_wh = said_size(image.get("width"), image.get("height"))
                add_image(draft, name, path, f"{shown}: image {name}", image, _shape, said_wh)
            else:
                draft.leave_out("label", f"{shown}: image {number}", "has no name")
    draft.leave_out_unlabelled("in no CVAT file")


def _shape(element: Element) -> Shape | None:
    if element.tag not in READ:
        return None
    said = element.attrib
    name = class_name(field(said, "label"))
    radians = math.radians(numbers(said, "rotation")[0]) if "rotation" in said else 0.0
    if element.tag == "box":
        x1, y1, x2, y2 = box = tuple(numbers(said, *BOX))
        centre = (x1 + x2) / 2, (y1 + y2) / 2
        return Shape(name, around_rotated(box, radians, centre), outlined=radians != 0)
    if element.tag == "ellipse":
        ellipse = numbers(said, "cx", "cy", "rx", "ry")
        return Shape(name, around_ellipse(*ellipse, radians), outlined=True)
    if element.tag == "mask":
        left, top, width, height = numbers(said, "left", "top", "width", "height")
        return Shape(name, (left, top, left + width, top + height), outlined=True)
    if element.tag == "cuboid":
        return Shape(name, box_around(numbers(said, *CUBOID)), outlined=True)
    points = [point.split(",") for point in field(said, "points").split(";")]
    return Shape(name, box_around(outline(points)), outlined=True)
