"""YOLO text labels: one .txt per picture, a line per box, `class cx cy width height` from 0 to 1.

Labels lie beside their pictures, or in labels/ where the pictures lie in images/. The classes come
from a data.yaml (Ultralytics) or a names file (Darknet's obj.names, LabelImg's classes.txt).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from yolo3.data.folders import (
    box_around,
    check_names,
    copy_pictures,
    export_names,
    finite_number,
    new_folder,
    numbered_lines,
    write_lines,
)
from yolo3.data.images import ImageError, image_size
from yolo3.data.pictures import DataError, Entry, Findings, Picture, Problems, check_entries
from yolo3.data.yolo_source import (
    DATA_FILES,
    find_labels,
    find_orphans,
    find_pictures,
    keypoint_values,
    label_in_labels,
    open_source,
    read_names,
)

LABEL_FORM = "class cx cy width height"
ROUNDING = 1e-6  # of a side: boxes at the edge, written with 6 decimals, reach over it by this


class _Box(NamedTuple):
    class_id: int
    corners: tuple[float, float, float, float]  # parts of the picture, from 0 to 1
    outlined: bool


def read_yolo(
    source: Path,
    names: Path | None = None,
    class_names: Sequence[str] | None = None,
    split: str | None = None,
    keep_unlabelled: bool = False,
) -> tuple[list[Picture], tuple[str, ...], Findings]:
    """Read and check YOLO labels and their pictures, from a folder or a data.yaml.

    `names` is a file of class names; None takes data.yaml's or the folder's own. `class_names`
    None takes those names; otherwise class ids go by name, and other names are problems. `split`
    takes the pictures of one entry of data.yaml, or without a data.yaml of SPLIT.txt. Outlines
    become the box around them. A picture without label file is left out unless `keep_unlabelled`:
    no file says whether nothing is there or nobody looked. No path in a file leads outside the
    folder. Raises DataError with all problems at once.
    """
    asked = open_source(source)
    own = read_names(asked, names, class_names)
    wanted = own if class_names is None else tuple(class_names)
    problems = Problems()
    found: list[tuple[str, str]] = []
    pictures = find_pictures(asked, split, problems, found)
    label_of = find_labels(asked, pictures, problems)
    kind = "pictures_background" if keep_unlabelled else "pictures_unlabelled"
    found += [(kind, f"{asked.told(p)}: no label file") for p in pictures if p not in label_of]
    if not label_of and not keep_unlabelled:
        problems.add(-1, f"{source}: no picture has a label file, beside it or in labels/")
    if split is None and not asked.config:
        found += find_orphans(asked, label_of)
    reader = _LabelReader(own, wanted, keypoint_values(asked))
    entries = []
    for order, path in enumerate(pictures):
        label = label_of.get(path)
        source_text = asked.told(label or path)
        if label is not None or keep_unlabelled:
            entries.append(_entry(path, label, source_text, order, reader, problems, found))
    checked, findings = check_entries(entries, problems)
    return checked, wanted, findings + Findings(tuple(found))


def write_yolo(pictures: Sequence[Picture], class_names: Sequence[str], folder: Path) -> None:
    """Write images/, labels/, train.txt and data.yaml, which `read_yolo` reads back the same.

    Copies the pictures. Boxes are parts of the picture as a viewer shows it, with as many digits
    as bring back the same float32 pixels; a picture without boxes gets an empty label file.
    train.txt keeps the order. Raises DataError if the folder holds something, or if a name cannot
    be written.
    """
    check_names(class_names, DATA_FILES[0])
    names = export_names(pictures)
    new_folder(folder)
    copy_pictures(pictures, names, folder / "images")
    for picture, name in zip(pictures, names, strict=True):
        write_lines(_label_lines(picture), label_in_labels(folder / "images" / name, folder))
    write_lines([f"./images/{name}" for name in names], folder / "train.txt")
    classes = yaml.safe_dump(
        {"names": dict(enumerate(class_names))}, allow_unicode=True, sort_keys=False, width=1000
    )
    places = ["train: train.txt", "val:  # pictures to validate on: a folder or a list"]
    write_lines([*places, classes.strip()], folder / DATA_FILES[0])


def _label_lines(picture: Picture) -> list[str]:
    boxes = zip(picture.boxes_xyxy, picture.class_ids.tolist(), strict=True)
    return [f"{class_id} {_label_text(box, picture.size_wh)}" for box, class_id in boxes]


def _label_text(box_xyxy: np.ndarray, size_wh: tuple[int, int]) -> str:
    """Write cx, cy, width and height with the fewest digits that read back to the same corners."""
    x1, y1, x2, y2 = box_xyxy.astype(np.float64) / (size_wh * 2)
    values = [float(value) for value in ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)]
    texts = (" ".join(f"{value:.{digits}f}" for value in values) for digits in (6, 9, 12, 15))
    for text in texts:
        corners = _scaled(_corners([float(part) for part in text.split()]), size_wh)
        if (np.float32(corners) == box_xyxy).all():
            return text
    return " ".join(repr(value) for value in values)


class _LabelReader:
    """Read label files with their own class names into the ids that are wanted."""

    def __init__(self, own: Sequence[str], wanted: Sequence[str], keypoint_values: int | None):
        self.own = own
        self.wanted = wanted
        self.keypoint_values = keypoint_values

    def read(self, label: Path, source: str) -> list[_Box]:
        """Read a label file; raises DataError with all that is wrong in it, told of `source`."""
        boxes = []
        problems = []
        for number, line in numbered_lines(label):
            try:
                boxes.append(self._box(line.split()))
            except ValueError as error:
                problems.append(f"{source}:{number}: {error}")
        if problems:
            raise DataError(*problems)
        return boxes

    def _box(self, fields: list[str]) -> _Box:
        first, *values = (finite_number(field) for field in fields)
        outlined = len(values) >= 6 and len(values) % 2 == 0
        if self.keypoint_values == len(fields):
            values, outlined = values[:4], False
        if len(values) != 4 and not outlined:
            form = f"expected 5: {LABEL_FORM} (or class x y x y x y … of an outline)"
            raise ValueError(f"has {len(fields)} numbers, {form}")
        if min(values) < -1 or max(values) > 2:
            raise ValueError(
                f"has {max(values, key=abs):g}, expected parts of the picture's width and height,"
                " from 0 to 1: are these pixels?"
            )
        corners = box_around(values) if outlined else _corners(values)
        return _Box(self._class_id(first), corners, outlined)

    def _class_id(self, value: float) -> int:
        if not value.is_integer() or not 0 <= value < len(self.own):
            raise ValueError(
                f"has class {value:g}, but {len(self.own)} classes are named, and ids begin at 0,"
                f" so expected 0 to {len(self.own) - 1}"
            )
        name = self.own[int(value)]
        if name not in self.wanted:
            raise ValueError(f"class {name!r} is unknown, expected {', '.join(self.wanted)}")
        return self.wanted.index(name)


def _corners(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Turn cx, cy, width, height into corners; what is over the edge by rounding is at the edge."""
    cx, cy, width, height = values
    corners = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
    return tuple(min(max(c, 0.0), 1.0) if -ROUNDING < c < 1 + ROUNDING else c for c in corners)


def _scaled(
    corners: Sequence[float], size_wh: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Turn parts of the picture into pixels, rounded as a list keeps them."""
    pixels = (corner * side for corner, side in zip(corners, size_wh * 2, strict=True))
    return tuple(float(np.float32(pixel)) for pixel in pixels)


def _entry(
    path: Path,
    label: Path | None,
    source: str,
    order: int,
    reader: _LabelReader,
    problems: Problems,
    found: list[tuple[str, str]],
) -> Entry:
    """Read a picture's labels in its pixels; what is no picture is told when it is checked."""
    try:
        boxes = [] if label is None else reader.read(label, source)
        size_wh = image_size(path)
    except DataError as error:
        for text in error.problems:
            problems.add(order, text)
        return Entry(path, [], [], source, order)
    except (ImageError, OSError):
        return Entry(path, [], [], source, order)
    found += [("boxes_outlined", f"{source}: an outline") for box in boxes if box.outlined]
    corners = [_scaled(box.corners, size_wh) for box in boxes]
    return Entry(path, corners, [box.class_id for box in boxes], source, order)
