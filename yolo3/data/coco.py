"""COCO JSON: one file with `images`, `annotations` and `categories`, beside the pictures.

Boxes are x, y, width, height in pixels from the top left corner. Only boxes are read: masks and
keypoints are not looked at, unless an annotation has an outline and no box.
Source of the format: https://cocodataset.org/#format-data
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yolo3.data.folders import (
    DataFolder,
    box_around,
    check_names,
    copy_pictures,
    export_names,
    finite_number,
    new_folder,
    write_lines,
)
from yolo3.data.pictures import DataError, Entry, Findings, Picture, Problems, check_entries

PICTURES = "images"
EXPORTED_FILE = "annotations.json"
PARTS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class _Box:
    category_id: int
    box_xyxy: tuple[float, float, float, float]
    crowd: bool
    outlined: bool
    source: str  # "instances.json: annotation 17"


def read_coco(
    json_path: Path,
    images_folder: Path | None = None,
    class_names: Sequence[str] | None = None,
    keep_crowd: bool = False,
) -> tuple[list[Picture], tuple[str, ...], Findings]:
    """Read and check a COCO file and the pictures that it names, in its order.

    Pictures are sought in `images_folder`, or if that is None beside the file and where the usual
    tools put them, and never outside. `class_names` None takes the categories in the order of
    their ids, whatever number these start at; otherwise ids go by name, and other names are
    problems. Boxes of crowds are left out unless `keep_crowd`: one box over many objects teaches
    a detector of single objects what it must not find. Pictures without annotations are kept.
    Raises DataError with all problems at once.
    """
    document = _parsed(json_path)
    problems = Problems()
    categories = _categories(document["categories"], json_path)
    boxes = _boxes(document, json_path, categories, problems)
    found: list[tuple[str, str]] = []
    names = tuple(class_names or _own_names(document, categories, boxes, json_path, found))
    _find_unknown(categories, boxes, keep_crowd, names, json_path, problems)
    id_of = {category: names.index(name) for category, name in categories.items() if name in names}
    data, places = _where(json_path, images_folder)
    entries = []
    for order, image in enumerate(document["images"]):
        kept = _chosen(boxes.get(image["id"], []), keep_crowd, found)
        source = f"{json_path}: image {image['id']}"
        try:
            path = _picture(image, data, places)
        except DataError as error:
            problems.add(order, f"{source}: {error}")
            continue
        known = [box for box in kept if box.category_id in id_of]
        corners = [box.box_xyxy for box in known]
        class_ids = [id_of[box.category_id] for box in known]
        entries.append(Entry(path, corners, class_ids, source, order, _said_wh(image)))
    pictures, findings = check_entries(entries, problems)
    return pictures, names, findings + Findings(tuple(found))


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


def _parsed(path: Path) -> dict:
    """Read the file; raises DataError unless its three parts are lists of objects with ids."""
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: is not JSON ({error.msg})") from None
    except (ValueError, RecursionError):  # no UTF-8, or numbers or nesting that nothing needs
        raise DataError(f"{path}: is not JSON in UTF-8") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if not isinstance(document, dict):
        raise DataError(f"{path}: holds no object with {', '.join(PARTS)}, is it a result file?")
    problems = [text for part in PARTS for text in _form_problems(document, part)]
    if problems:
        raise DataError(*(f"{path}: {text}" for text in problems))
    return document


def _form_problems(document: dict, part: str) -> list[str]:
    listed = document.get(part)
    if not isinstance(listed, list):
        return [f"has no list {part!r}, expected {', '.join(PARTS)}"]
    if part == "annotations":  # each of these is told by itself
        return []
    problems = []
    place_of: dict[object, int] = {}
    for place, item in enumerate(listed):
        kinds = int if part == "categories" else (int, str)
        if not isinstance(item, dict) or not isinstance(item.get("id"), kinds):
            problems.append(f"{part}[{place}] has no id, expected a whole number")
        elif place_of.setdefault(item["id"], place) != place:
            problems.append(
                f"{part}[{place}] has the id {item['id']} of {part}[{place_of[item['id']]}]"
            )
    return problems


def _categories(listed: list[dict], path: Path) -> dict[int, str]:
    """Give the names by id, in the order of the ids."""
    by_id = sorted(listed, key=lambda category: category["id"])
    names = {category["id"]: str(category.get("name", "")).strip() for category in by_id}
    check_names(list(names.values()), path)
    return names


def _own_names(
    document: dict,
    categories: dict[int, str],
    boxes: dict[object, list[_Box]],
    path: Path,
    found: list[tuple[str, str]],
) -> list[str]:
    """Leave out names that only group others, as Roboflow's category 0 does."""
    groups = {
        str(category.get("supercategory"))
        for category in document["categories"]
        if category.get("supercategory") != category.get("name")
    }
    used = {box.category_id for listed in boxes.values() for box in listed}
    grouping = {number for number, name in categories.items() if name in groups} - used
    found += [
        ("classes_grouping", f"{path}: category {number} {categories[number]!r} has no box")
        for number in sorted(grouping)
    ]
    names = [name for number, name in categories.items() if number not in grouping]
    if not names:
        raise DataError(f"{path}: has no categories, expected one per class")
    return names


def _find_unknown(
    categories: dict[int, str],
    boxes: dict[object, list[_Box]],
    keep_crowd: bool,
    names: Sequence[str],
    path: Path,
    problems: Problems,
) -> None:
    kept = (box for listed in boxes.values() for box in listed if keep_crowd or not box.crowd)
    for number in sorted({box.category_id for box in kept}):
        if categories[number] not in names:
            text = f"category {number} {categories[number]!r} is unknown"
            problems.add(-1, f"{path}: {text}, expected {', '.join(names)}")


def _boxes(
    document: dict, path: Path, categories: dict[int, str], problems: Problems
) -> dict[object, list[_Box]]:
    """Give the boxes by image id; adds to `problems` what is no box of a known image."""
    order_of = {image["id"]: order for order, image in enumerate(document["images"])}
    boxes: dict[object, list[_Box]] = {}
    for place, annotation in enumerate(document["annotations"]):
        try:
            image_id, box = _box(annotation, place, path, order_of, categories)
        except ValueError as error:
            image_id = annotation.get("image_id") if isinstance(annotation, dict) else None
            order = order_of.get(image_id, -1) if isinstance(image_id, int | str) else -1
            problems.add(order, f"{path}: {_told(annotation, place)} {error}")
            continue
        boxes.setdefault(image_id, []).append(box)
    return boxes


def _told(annotation: object, place: int) -> str:
    known = isinstance(annotation, dict) and "id" in annotation
    return f"annotation {annotation['id']}" if known else f"annotations[{place}]"


def _box(
    annotation: object, place: int, path: Path, order_of: dict, categories: dict[int, str]
) -> tuple[object, _Box]:
    if not isinstance(annotation, dict):
        raise ValueError("is no object, expected image_id, category_id and bbox")
    image_id, category_id = annotation.get("image_id"), annotation.get("category_id")
    if not isinstance(image_id, int | str) or image_id not in order_of:
        raise ValueError(f"has image_id {image_id!r}, which no image has")
    if not isinstance(category_id, int) or category_id not in categories:
        expected = ", ".join(map(str, categories))
        raise ValueError(f"has category_id {category_id!r}, expected one of {expected}")
    corners, outlined = _corners(annotation)
    crowd = str(annotation.get("iscrowd", 0)) not in ("0", "False", "None", "")
    source = f"{path}: {_told(annotation, place)}"
    return image_id, _Box(category_id, corners, crowd, outlined, source)


def _corners(annotation: dict) -> tuple[tuple[float, float, float, float], bool]:
    """Read x, y, width, height, or the box around the outlines where there is none."""
    bbox, outlines = annotation.get("bbox"), annotation.get("segmentation")
    if not bbox and isinstance(outlines, list) and outlines:
        return _as_float32(box_around(_points(outlines))), True
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ValueError(f"has bbox {bbox!r}, expected [x, y, width, height]")
    try:
        x, y, width, height = (finite_number(value) for value in bbox)
    except ValueError as error:
        raise ValueError(f"has bbox {bbox}: {error}") from None
    return _as_float32((x, y, x + width, y + height)), False


def _points(outlines: list) -> list[float]:
    points = []
    for outline in outlines:
        if not isinstance(outline, list) or len(outline) % 2 or len(outline) < 6:
            raise ValueError("has an outline that is no list x, y, x, y, … of three points or more")
        points += [finite_number(value) for value in outline]
    return points


def _as_float32(corners: Sequence[float]) -> tuple[float, float, float, float]:
    """Round as a list keeps corners, so that x + width is the edge it was made from."""
    with np.errstate(over="ignore"):  # what is too large is clipped to the picture
        return tuple(np.asarray(corners, np.float64).astype(np.float32).tolist())


def _chosen(boxes: list[_Box], keep_crowd: bool, found: list[tuple[str, str]]) -> list[_Box]:
    kind, fate = ("boxes_unmarked", "kept") if keep_crowd else ("boxes_crowd", "left out")
    found += [(kind, f"{box.source}: a crowd, {fate}") for box in boxes if box.crowd]
    kept = [box for box in boxes if keep_crowd or not box.crowd]
    found += [
        ("boxes_outlined", f"{box.source}: no bbox, made from the outline")
        for box in kept
        if box.outlined
    ]
    return kept


def _said_wh(image: dict) -> tuple[int, int] | None:
    try:
        width, height = (int(finite_number(image.get(side))) for side in ("width", "height"))
    except ValueError:
        return None
    return (width, height) if width > 0 and height > 0 else None


def _where(json_path: Path, images_folder: Path | None) -> tuple[DataFolder, list[Path]]:
    """Give the folder that pictures must lie in, and where in it they are sought, in order.

    Without `images_folder` that is the file's own folder, or the one above where the file lies in
    one called annotations: there images/, data/, and a folder called as the end of the file's
    name, as train2017/ for instances_train2017.json.
    """
    if images_folder is not None:
        data = DataFolder(images_folder)
        return data, [data.root]
    own = Path(os.path.abspath(json_path)).parent
    data = DataFolder(own.parent if own.name.lower() == "annotations" else own)
    end = json_path.stem.rpartition("_")[2]
    below = [data.root / PICTURES / end, data.root / end, data.root / PICTURES, data.root / "data"]
    return data, list(dict.fromkeys([own, *below, data.root]))


def _picture(image: dict, data: DataFolder, places: list[Path]) -> Path:
    name = image.get("file_name")
    if not isinstance(name, str) or not name.strip():
        raise DataError(f"has file_name {name!r}, expected the name of a picture")
    try:
        path = data.seek(name, places)
    except DataError as error:
        raise DataError(f"picture {error}") from None
    if path is None:
        sought = " and in ".join(str(place) for place in places if place.is_dir())
        raise DataError(f"picture {name!r} is missing, sought in {sought}; say where with --images")
    return path
