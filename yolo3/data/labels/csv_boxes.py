"""CSV files with a row for each box: of the TensorFlow tutorials and Roboflow, or Open Images.

The first give pixels and the name of a file, Open Images fractions and an ImageID without ending.
Columns go by their names; they are separated by commas, semicolons or tabs. A row with an image
and nothing else is an image without objects.
Source of the formats: https://roboflow.com/formats/tensorflow-object-detection-csv,
https://storage.googleapis.com/openimages/web/download_v7.html
"""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from yolo3.data.labels.policy import BadLabel, Draft
from yolo3.data.labels.shapes import Shape, add_image, class_name, numbers, said_size

CORNERS = ("xmin", "ymin", "xmax", "ymax")
COLUMNS = {  # what a column holds -> what it is called, in small letters
    "image": ("filename", "file_name", "image", "image_name", "image_path", "path", "imageid"),
    "class": ("class", "label", "class_name", "name", "labelname"),
    **{name: (name,) for name in (*CORNERS, "width", "height", "confidence", "isgroupof")},
}
NEEDED = ("image", "class", *CORNERS)
DESCRIPTIONS = "class-descriptions"  # in the name of the file with the names of Open Images' labels


class _Row(NamedTuple):
    where: str  # "labels.csv:17"
    said: Mapping[str, str]  # by the keys of COLUMNS
    problem: str = ""


def is_csv(path: Path) -> int:
    """Count the images of a CSV file with boxes, 0 for what is none."""
    try:
        rows, _ = _read(path, "")
    except BadLabel:
        return 0
    return len({row.said["image"] for row in rows if not row.problem})


def other_csv(path: Path) -> tuple[str, str]:
    """Name a CSV file without boxes, and say what to do instead."""
    try:
        header = _lines(path)[0][1]
    except (BadLabel, IndexError):
        header = ""
    if "region_shape_attributes" in header:
        return "VIA CSV", "export JSON there"
    return "CSV of unknown columns", f"expected a header filename,class,{','.join(CORNERS)}"


def read_csv(draft: Draft) -> None:
    """Read the CSV files of a folder and its sub-folders, images in the order of their rows.

    A row that is broken leaves its image out, and where it names none, the images of the rows next
    to it. Rows of Open Images with Confidence 0 deny an object; boxes of groups are left out unless
    `keep_crowd`.
    """
    paths = list(draft.label_files(".csv"))
    described = [path for path in paths if DESCRIPTIONS in path.name.lower()]
    names = dict(row for path in described for row in _descriptions(path))
    for path in paths:
        if path in described:
            continue
        shown = draft.tree.named(path)
        try:
            rows, relative = _read(path, shown)
        except BadLabel as error:
            draft.leave_out_label(error.kind, path, str(error))
            continue
        if not rows:
            draft.note("labels_foreign", f"{shown}: is {other_csv(path)[0]}")
        for image, own in _by_image(draft, path, rows).items():
            said_wh = said_size(own[0].said.get("width"), own[0].said.get("height"))
            boxes = [row for row in own if _is_box(draft, row)]
            source, read = f"{shown}: image {image}", partial(_shape, names=names)
            add_image(draft, image, path, source, boxes, read, said_wh, relative)
    draft.leave_out_unlabelled("in no CSV file")


def _lines(path: Path) -> list[tuple[int, str]]:
    """Read the lines that are not blank, with their numbers; raises BadLabel."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise BadLabel("is not UTF-8 text, save it as UTF-8") from None
    except OSError as error:
        raise BadLabel(f"cannot be read ({error.strerror})") from None
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def _fields(line: str, separator: str) -> list[str]:
    """Split a line; each stands for itself, so that a quote left open spoils no other."""
    try:
        fields = next(csv.reader([line.rstrip("\r")], delimiter=separator, strict=True), [])
    except csv.Error:
        return []
    return [field.strip() for field in fields]


def _read(path: Path, shown: str) -> tuple[list[_Row], bool]:
    """Read the rows, and whether they give fractions; no rows of what has other columns."""
    lines = _lines(path)
    for separator in ",;\t":
        header = [name.lower() for name in _fields(lines[0][1], separator)] if lines else []
        places = {
            key: header.index(name)
            for key, names in COLUMNS.items()
            for name in names[::-1]
            if name in header
        }
        if set(NEEDED) <= places.keys():
            break
    else:
        return [], False
    rows = []
    for number, line in lines[1:]:
        fields = _fields(line, separator)
        said = {key: fields[place] for key, place in places.items() if place < len(fields)}
        complete = len(fields) == len(header) and said["image"]
        problem = "" if complete else f"has {len(fields)} fields, expected {len(header)}"
        rows.append(_Row(f"{shown}:{number}", {"image": "", **said}, problem))
    return rows, "imageid" in header


def _by_image(draft: Draft, path: Path, rows: Sequence[_Row]) -> dict[str, list[_Row]]:
    """Give each image its rows; a broken row that names no image goes to those next to it."""
    known = {row.said["image"] for row in rows if not row.problem}
    by_image: dict[str, list[_Row]] = defaultdict(list)
    for place, row in enumerate(rows):
        image = row.said["image"]
        if not row.problem or image in known or draft.tree.find(image, path)[0]:
            by_image[image].append(row)
            continue
        near = (*rows[max(place - 1, 0) : place], *rows[place + 1 : place + 2])
        for image in {one.said["image"] for one in near if one.said["image"] in known}:
            by_image[image].append(row)
    return by_image


def _is_box(draft: Draft, row: _Row) -> bool:
    said = row.said
    if row.problem:
        return True
    if not any(said[key] for key in ("class", *CORNERS)) or said.get("confidence") in ("0", "0.0"):
        return False
    if said.get("isgroupof", "").lower() not in ("1", "true"):
        return True
    keep = draft.options.keep_crowd
    kind, fate = ("boxes_unmarked", "kept") if keep else ("boxes_crowd", "left out")
    draft.note(kind, f"{row.where}: a group, {fate}")
    return keep


def _shape(row: _Row, names: Mapping[str, str]) -> Shape:
    if row.problem:
        raise ValueError(f"({row.where}) {row.problem}")
    try:
        name = class_name(row.said["class"])
        return Shape(names.get(name, name), tuple(numbers(row.said, *CORNERS)))
    except ValueError as error:
        raise ValueError(f"({row.where}) {error}") from None


def _descriptions(path: Path) -> Iterator[tuple[str, str]]:
    """Give the labels of Open Images with their names, none of a file that cannot be read."""
    try:
        lines = _lines(path)
    except BadLabel:
        return
    for _, line in lines:
        fields = _fields(line, ",")
        if len(fields) == 2 and all(fields):
            yield fields[0], fields[1]
