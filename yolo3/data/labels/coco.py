"""COCO JSON: files with `images`, `annotations` and `categories`, near the images.

Boxes are x, y, width, height in pixels from the top left corner. Only boxes are read: masks and
keypoints are not looked at, unless an annotation has an outline and no box.
Source of the format: https://cocodataset.org/#format-data
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yolo3.data.folders import (
    box_around,
    check_names,
    copy_pictures,
    export_names,
    finite_number,
    new_folder,
    write_lines,
)
from yolo3.data.labels.json_files import documents
from yolo3.data.labels.policy import Box, Draft
from yolo3.data.labels.shapes import as_float32, said_size
from yolo3.data.pictures import Picture

PICTURES = "images"
EXPORTED_FILE = "annotations.json"
PARTS = ("images", "annotations", "categories")
Objects = list[tuple[str, Box]]


def is_coco(document: object) -> int:
    """Count the images of a COCO document, 0 for what is none."""
    if not isinstance(document, dict) or not all(
        isinstance(document.get(part), list) for part in PARTS
    ):
        return 0
    return len(document["images"])


def read_coco(draft: Draft) -> None:
    """Read the COCO files below the folder, images in their order.

    Where there are files `instances_*.json`, as COCO's own download has them, only these are read:
    its others describe the same images.

    Categories go by name, in the order of their ids, whatever number these start at; one that only
    groups others, as Roboflow's category 0 does, is no class. Boxes of crowds are left out unless
    `keep_crowd`: one box over many objects teaches a detector of single objects what it must not
    find. Images without annotations are kept.
    """
    names: list[str] = []
    instances = [path for path in draft.files(".json") if path.name.startswith("instances_")]
    for path, document in documents(draft, is_coco, "COCO"):
        if not instances or path in instances:
            names += [name for name in _read_file(draft, path, document) if name not in names]
    draft.class_names = names


def write_coco(pictures: Sequence[Picture], class_names: Sequence[str], folder: Path) -> None:
    """Write annotations.json and images/, which `read_coco` reads back to the same list.

    Copies the pictures. Width and height are those that a viewer shows, as the boxes are; iscrowd
    is 0; category ids count from 1. Raises DataError if the folder holds something, or if a name
    cannot be written.
    """
    check_names(class_names, EXPORTED_FILE)
    names = export_names(pictures)
    new_folder(folder)
    copy_pictures(pictures, names, folder / PICTURES)
    images = [
        {"id": number, "file_name": name.as_posix()}
        | dict(zip(("width", "height"), picture.size_wh, strict=True))
        for number, (picture, name) in enumerate(zip(pictures, names, strict=True), start=1)
    ]
    categories = [
        {"id": number, "name": name, "supercategory": ""}
        for number, name in enumerate(class_names, start=1)
    ]
    document = dict(zip(PARTS, (images, _annotations(pictures), categories), strict=True))
    document = {"info": {}, "licenses": []} | document
    write_lines([json.dumps(document, ensure_ascii=False)], folder / EXPORTED_FILE)


def _annotations(pictures: Sequence[Picture]) -> list[dict]:
    written = []
    for image_id, picture in enumerate(pictures, start=1):
        # float64: a corner is found again exactly, as far as float32 goes
        corners = picture.boxes_xyxy.astype(np.float64)
        boxes_xywh = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        for box, class_id in zip(boxes_xywh.tolist(), picture.class_ids.tolist(), strict=True):
            written.append(
                {
                    "id": len(written) + 1,
                    "image_id": image_id,
                    "category_id": class_id + 1,
                    "bbox": [_brief(value) for value in box],
                    "area": _brief(box[2] * box[3]),
                    "iscrowd": 0,
                    "segmentation": [],
                }
            )
    return written


def _brief(value: float) -> float | int:
    return int(value) if value.is_integer() else value


def _read_file(draft: Draft, path: Path, document: dict) -> list[str]:
    """Add the images of a file; returns its class names."""
    shown = draft.tree.named(path)
    categories = _categories(draft, document["categories"], shown)
    annotations = _by_image(document["annotations"])
    images = [image if isinstance(image, dict) else {} for image in document["images"]]
    count_of = Counter(_key(image.get("id")) for image in images)
    used: set[str] = set()
    for place, image in enumerate(images):
        key = _key(image.get("id"))
        if image.get("id") is None:
            draft.leave_out("label", f"{shown}: images[{place}]", "has no id")
        elif count_of[key] > 1:
            reason = f"has the id {key} of another image"
            draft.leave_out("ambiguous", f"{shown}: images[{place}]", reason)
        else:
            _add_image(draft, path, image, annotations.get(key, []), categories, used)
    for key in (key for key in annotations if key not in count_of):
        for name, _ in annotations[key]:
            draft.note("boxes_orphaned", f"{shown}: {name} has image_id {key}, which no image has")
    return _own_names(draft, document["categories"], categories, used, shown)


def _by_image(annotations: Sequence[object]) -> dict[str, list[tuple[str, object]]]:
    """Give the annotations, each with what to call it, by the id of their image."""
    found: dict[str, list[tuple[str, object]]] = defaultdict(list)
    for place, annotation in enumerate(annotations):
        said = annotation if isinstance(annotation, dict) else {}
        name = f"annotation {said['id']}" if "id" in said else f"annotations[{place}]"
        found[_key(said.get("image_id"))].append((name, annotation))
    return found


def _key(value: object) -> str:
    """Give an id as text: tools write 1, 1.0 and "1" for the same one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int | str) else repr(value)


def _categories(draft: Draft, listed: Sequence[object], shown: str) -> dict[str, str]:
    """Give the names by id, in the order of the ids."""
    names: dict[str, str] = {}
    usable = [one for one in listed if isinstance(one, dict) and "id" in one]
    if len(usable) < len(listed):
        draft.stop("categories have no id", shown)
    for category in sorted(usable, key=lambda one: (_number_or(one["id"]), _key(one["id"]))):
        key, name = _key(category["id"]), str(category.get("name") or "").strip()
        if names.setdefault(key, name) != name:
            draft.stop("categories share an id", f"{shown}: {names[key]!r} and {name!r} have {key}")
    if not names:
        draft.stop("no categories, expected one per class", shown)
    return names


def _number_or(value: object, other: float = float("inf")) -> float:
    try:
        return finite_number(value)
    except ValueError:
        return other


def _own_names(
    draft: Draft,
    listed: Sequence[object],
    categories: dict[str, str],
    used: set[str],
    shown: str,
) -> list[str]:
    """Leave out categories that only group others, as Roboflow's category 0 does."""
    groups = {
        str(one.get("supercategory"))
        for one in listed
        if isinstance(one, dict) and one.get("supercategory") != one.get("name")
    }
    repeated = {name for name in categories.values() if list(categories.values()).count(name) > 1}
    grouping = {
        key for key, name in categories.items() if name in (groups | repeated) and key not in used
    }
    for key in sorted(grouping):
        draft.note("classes_grouping", f"{shown}: category {key} {categories[key]!r} has no box")
    names = [name for key, name in categories.items() if key not in grouping]
    return list(dict.fromkeys(names or categories.values()))


def _add_image(
    draft: Draft,
    path: Path,
    image: dict,
    annotations: Sequence[tuple[str, object]],
    categories: dict[str, str],
    used: set[str],
) -> None:
    """Add an image with its boxes, or leave it out with the first thing that is wrong in it."""
    shown = draft.tree.named(path)
    source = f"{shown}: image {_key(image.get('id'))}"
    name = image.get("file_name")
    if not isinstance(name, str) or not name.strip():
        draft.leave_out("label", source, f"has file_name {name!r}, expected the name of an image")
        return
    objects: Objects = []
    for told, annotation in annotations:
        try:
            box, class_id = _box(draft, annotation, f"{shown}: {told}")
        except ValueError as error:
            draft.leave_out("object", source, f"{told} {error}")
            draft.touched.update(draft.tree.find(name, path)[0])
            return
        if class_id not in categories:
            kind = f"category ids are unknown, expected {', '.join(categories)}"
            draft.stop(kind, f"{shown}: {told} has category_id {class_id}")
        elif box:
            used.add(class_id)
            objects.append((categories[class_id], box))
    draft.add(name, path, source, objects, said_size(image.get("width"), image.get("height")))


def _box(draft: Draft, annotation: object, source: str) -> tuple[Box | None, str]:
    """Read an annotation's box, None for a crowd that is left out, and its category."""
    if not isinstance(annotation, dict):
        raise ValueError("is no object, expected image_id, category_id and bbox")
    if annotation.get("category_id") is None:
        raise ValueError("has no category_id")
    corners, outlined = _corners(annotation)
    category_id = _key(annotation.get("category_id"))
    if _is_crowd(annotation.get("iscrowd")):
        keep = draft.options.keep_crowd
        kind, fate = ("boxes_unmarked", "kept") if keep else ("boxes_crowd", "left out")
        draft.note(kind, f"{source}: a crowd, {fate}")
        if not keep:
            return None, category_id
    if outlined:
        draft.note("boxes_outlined", f"{source}: no bbox, made from the outline")
    return corners, category_id


def _is_crowd(value: object) -> bool:
    """Read iscrowd: 0 or 1, which tools also write as 0.0, false, "0" or null."""
    return str(value).strip().lower() not in ("0", "0.0", "false", "none", "")


def _corners(annotation: dict) -> tuple[Box, bool]:
    """Read x, y, width, height, or the box around the outlines where there is none."""
    bbox, outlines = annotation.get("bbox"), annotation.get("segmentation")
    if not bbox and isinstance(outlines, list) and outlines:
        return as_float32(box_around(_points(outlines))), True
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ValueError(f"has bbox {bbox!r}, expected [x, y, width, height]")
    try:
        x, y, width, height = (finite_number(value) for value in bbox)
    except ValueError as error:
        raise ValueError(f"has bbox {bbox}: {error}") from None
    return as_float32((x, y, x + width, y + height)), False


def _points(outlines: list) -> list[float]:
    points = []
    for outline in outlines:
        if not isinstance(outline, list) or len(outline) % 2 or len(outline) < 6:
            raise ValueError("has an outline that is no list x, y, x, y, … of three points or more")
        points += [finite_number(value) for value in outline]
    return points
