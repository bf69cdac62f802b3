"""Label Studio JSON: a list of tasks with their annotations, as JSON or as JSON-MIN.

Numbers are percentages of the image's sides. A rectangle turns around its top left corner, an
ellipse around its centre, which its x and y are. Predictions are not read.
Source of the format: https://labelstud.io/guide/task_format, https://labelstud.io/guide/export,
https://labelstud.io/templates/image_bbox, and EllipseRegion in the source of the editor
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Sequence
from urllib.parse import unquote

from yolo3.data.annotations import PICTURE_SUFFIXES
from yolo3.data.folders import box_around
from yolo3.data.labels.json_files import documents
from yolo3.data.labels.policy import BadLabel, Box, Draft
from yolo3.data.labels.shapes import (
    Shape,
    add_image,
    around_ellipse,
    around_rotated,
    class_name,
    leave_out_image,
    numbers,
    outline,
    said_size,
)
from yolo3.data.pictures import UNLABELLED

MASKS = ("brush", "bitmask", "magicwand", "vector")
PLACE = ("x", "y", "width", "height", "radiusX", "radiusY", "rotation", "points", "rle")
_UPLOADED = re.compile("^[0-9a-f]{8}-(?=.)")  # put before the name of an uploaded file


def is_label_studio(document: object) -> int:
    """Count the tasks with an image in a Label Studio document, 0 for what is none."""
    return sum(_task(item) is not None for item in document) if isinstance(document, list) else 0


def read_label_studio(draft: Draft) -> None:
    """Read the Label Studio files of a folder and its sub-folders, images in their order.

    A task without an annotation, or with cancelled ones only, is an image without labels. Several
    annotations of an image must agree, unless one is marked as ground truth.
    """
    for path, document in documents(draft, is_label_studio, "Label Studio"):
        shown = draft.tree.named(path)
        tasks: dict[str, list[object]] = defaultdict(list)
        for number, item in enumerate(document, start=1):
            task = _task(item)
            if task:
                tasks[task[0]] += task[1]
            else:
                draft.leave_out("label", f"{shown}: task {number}", "has no image and annotations")
        for url, annotations in tasks.items():
            names = _names(url)
            image = next((name for name in names if draft.tree.find(name, path)[0]), names[1])
            source = f"{shown}: image {image}"
            try:
                results = _results(annotations)
            except BadLabel as error:
                leave_out_image(draft, error.kind, image, path, source, str(error))
                continue
            said_wh = next(filter(None, map(_said_wh, results)), None)
            add_image(draft, image, path, source, results, _shape, said_wh, relative=True)
    draft.leave_out_unlabelled("in no Label Studio file")


def _task(item: object) -> tuple[str, list] | None:
    """Give the image of a task and its annotations, None for what is no task with an image."""
    if not isinstance(item, dict):
        return None
    data, annotations = item.get("data"), item.get("annotations", item.get("completions"))
    if not isinstance(data, dict) or not isinstance(annotations, list):
        if not {"annotation_id", "lead_time"} <= item.keys():
            return None
        lists = [value for value in item.values() if isinstance(value, list)]  # JSON-MIN
        results = [{"value": one} for listed in lists for one in listed if isinstance(one, dict)]
        data, annotations = item, [{"result": results}] if item["annotation_id"] else []
    texts = [value for value in (data.get("image"), *data.values()) if isinstance(value, str)]
    named = [text for text in texts if _names(text)[1].lower().endswith(tuple(PICTURE_SUFFIXES))]
    image = next(iter(named), data.get("image"))  # whose name may have no ending
    usable = isinstance(image, str) and image and not image.startswith("data:")
    return (image, annotations) if usable else None


def _names(url: str) -> list[str]:
    """Give what an image may be called here: as it stands, unquoted, and as it was uploaded."""
    bare = unquote(url.partition("?d=")[2] or url.partition("?")[0])
    folder, slash, name = bare.rpartition("/")
    return [url, bare, folder + slash + _UPLOADED.sub("", name)]


def _results(annotations: Sequence[object]) -> list[object]:
    """Choose the annotation of an image that counts; raises BadLabel."""
    done = [
        annotation
        for annotation in annotations
        if isinstance(annotation, dict)
        and not (annotation.get("was_cancelled") or annotation.get("skipped"))
    ]
    if not done:
        raise BadLabel("has no annotation that was not cancelled", UNLABELLED)
    truth = [annotation for annotation in done if annotation.get("ground_truth")]
    results = [annotation.get("result") for annotation in (truth if len(truth) == 1 else done)]
    if not all(isinstance(result, list) for result in results):
        raise BadLabel("has an annotation without result", "object")
    if len({str(sorted(map(_value_of, result))) for result in results}) > 1:
        text = f"has {len(results)} annotations that differ, mark one as ground truth"
        raise BadLabel(text, "ambiguous")
    return _without_twins(results[0])


def _value_of(result: object) -> str:
    return json.dumps(result.get("value") if isinstance(result, dict) else result, sort_keys=True)


def _without_twins(results: list[object]) -> list[object]:
    """Leave out shapes without label whose label another result holds, as <Labels> writes them."""
    labelled = [_place(result) for result in results if _labels_key(result)]
    return [one for one in results if _labels_key(one) or _place(one) not in labelled]


def _value(result: object) -> dict:
    value = result.get("value") if isinstance(result, dict) else None
    return value if isinstance(value, dict) else {}


def _labels_key(result: object) -> str:
    return next((key for key in _value(result) if key.endswith("labels")), "")


def _place(result: object) -> dict:
    return {key: value for key, value in _value(result).items() if key in PLACE}


def _said_wh(result: object) -> tuple[int, int] | None:
    """Read the image's size, which JSON-MIN keeps in the value."""
    said = {**_value(result), **(result if isinstance(result, dict) else {})}
    return said_size(said.get("original_width"), said.get("original_height"))


def _kind(result: object) -> str:
    """Give rectangle, ellipse, polygon, keypoint, brush …; '' for what is no shape."""
    key, value = _labels_key(result), _value(result)
    if not key and not isinstance(result, dict):
        raise ValueError("is no object")
    kind = (key or str(result.get("type", ""))).lower().removesuffix("labels")
    shapes = {"points": "polygon", "radiusX": "ellipse", "rle": "brush", "height": "rectangle"}
    return kind or next((shape for field, shape in shapes.items() if field in value), "")


def _shape(result: object) -> Shape | None:
    kind, value = _kind(result), _value(result)
    if kind in MASKS:
        raise ValueError(f"is a {kind} mask, which is not read: export COCO")
    if kind not in ("rectangle", "ellipse", "polygon"):
        return None
    labels = value.get(_labels_key(result))
    if not labels:
        raise ValueError("has no label")
    if not isinstance(labels, list) or len(labels) != 1:
        raise ValueError("has several labels, expected one")
    if result.get("image_rotation"):
        raise ValueError("was drawn on the image turned in Label Studio, which is not read")
    name, sides = class_name(labels[0]), _said_wh(result)
    degrees = numbers(value, "rotation")[0] if value.get("rotation") else 0.0
    if degrees and not sides:
        raise ValueError("is rotated and has no original_width and original_height")
    sides = sides or (1, 1)
    box = _around(kind, value, math.radians(degrees), sides[0] / 100, sides[1] / 100)
    fractions = tuple(number / side for number, side in zip(box, sides * 2, strict=True))
    return Shape(name, fractions, outlined=kind != "rectangle" or degrees != 0)


def _around(kind: str, value: dict, radians: float, x_scale: float, y_scale: float) -> Box:
    if kind == "polygon":
        points = outline(value.get("points"))
        scales = (x_scale, y_scale) * (len(points) // 2)
        return box_around([number * scale for number, scale in zip(points, scales, strict=True)])
    across = ("radiusX", "radiusY") if kind == "ellipse" else ("width", "height")
    x, width = (number * x_scale for number in numbers(value, "x", across[0]))
    y, height = (number * y_scale for number in numbers(value, "y", across[1]))
    if kind == "ellipse":
        return around_ellipse(x, y, width, height, radians)
    return around_rotated((x, y, x + width, y + height), radians, (x, y))
