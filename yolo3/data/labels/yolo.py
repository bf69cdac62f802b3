"""YOLO text labels: one .txt per image, a line per box, `class cx cy width height` from 0 to 1.

Labels lie next to their images, or in labels/ where the images lie in images/. The classes come
from a data.yaml (Ultralytics) or a names file (Darknet's obj.names, LabelImg's classes.txt).
"""

from collections.abc import Sequence
from pathlib import Path

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
from yolo3.data.labels.policy import BadLabel, Box, Draft, Labelled
from yolo3.data.labels.tree import Rank
from yolo3.data.labels.yolo_source import (
    DATA_FILES,
    NAMES_FILE,
    find_images,
    keypoint_values,
    open_source,
    read_names,
)
from yolo3.data.pictures import DataError, Picture

LABEL_FORM = "class cx cy width height"
ROUNDING = 1e-6  # of a side: boxes at the edge, written with 6 decimals, reach over it by this
FAR = "numbers are no fractions of the image's sides, from 0 to 1: are these pixels?"


def read_yolo(draft: Draft) -> None:
    """Read YOLO labels of a folder, or of the data.yaml that was named.

    Outlines become the box around them. An image without a label file is left out unless
    `keep_unlabelled`: no file says whether nothing is there or nobody looked.
    """
    source = open_source(draft)
    own = read_names(draft, source)
    wanted = draft.options.class_names
    draft.class_names = own if wanted is None else wanted
    reader = _LabelReader(draft, own, keypoint_values(source))
    images = find_images(draft, source)
    labels = _find_labels(draft, set(images))
    position = {image: place for place, image in enumerate(images)}
    for label, candidates, rank in sorted(labels, key=lambda found: position[found[1][0]]):
        try:
            boxes = reader.read(label)
        except BadLabel as error:
            draft.leave_out(error.kind, draft.tree.named(label), str(error))
            draft.touched.update(candidates)
            continue
        names, corners = [name for name, _ in boxes], [box for _, box in boxes]
        shown = draft.tree.named(label)
        item = Labelled(candidates, rank, shown, names, corners, relative=True, splits=images)
        draft.items.append(item)
    _unlabelled(draft, images)
    draft.items.sort(key=lambda item: position[item.candidates[0]])


def _unlabelled(draft: Draft, images: dict[Path, str]) -> None:
    """Leave out the images without a label file, or keep them as images without objects."""
    named = {path for item in draft.items for path in item.candidates} | draft.touched
    for path in images:
        if path not in named:
            shown = draft.tree.named(path)
            if draft.options.keep_unlabelled:
                draft.note("pictures_background", f"{shown}: no label file")
                draft.items.append(Labelled([path], (0, 0), shown, [], [], splits=images))
            else:
                draft.leave_out("unlabelled", shown, "no label file")


def _find_labels(draft: Draft, images: set[Path]) -> list[tuple[Path, list[Path], Rank]]:
    """Find the label files of images, each with the images that it may label, and their rank."""
    found = []
    every = len(images) == len(draft.tree.images)
    for label in draft.label_files(".txt"):
        if label.name.lower() == NAMES_FILE:
            continue
        candidates, rank = draft.tree.find(label.stem, label, among=images)
        meant, nearest = (candidates, rank) if every else draft.tree.find(label.stem, label)
        if candidates and rank <= nearest:  # else it labels an image that is not asked for
            found.append((label, candidates, rank))
        elif not meant and is_yolo(label, "labels" in str(draft.tree.inside(label).parent).lower()):
            draft.missing(f"{label.stem}.*", draft.tree.named(label))
    return found


def is_yolo(path: Path, may_be_empty: bool) -> bool:
    """Tell whether a text file looks like labels, by its first lines."""
    try:
        lines = numbered_lines(path)[:3]
        fives = all(len([finite_number(field) for field in line.split()]) >= 5 for _, line in lines)
    except ValueError:
        return False
    return fives and (bool(lines) or may_be_empty)


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
        write_lines(_label_lines(picture), folder / "labels" / name.with_suffix(".txt"))
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
        corners = np.array(_corners([float(part) for part in text.split()])) * (size_wh * 2)
        if (np.float32(corners) == box_xyxy).all():
            return text
    return " ".join(repr(value) for value in values)


class _LabelReader:
    """Read label files, with names for the ids that they count by."""

    def __init__(self, draft: Draft, own: Sequence[str], keypoint_values: int | None):
        self.draft = draft
        self.own = own
        self.keypoint_values = keypoint_values

    def read(self, label: Path) -> list[tuple[str, Box]]:
        """Read a label file; raises BadLabel with the first thing that is wrong in it."""
        try:
            lines = numbered_lines(label)
        except DataError as error:
            raise BadLabel(str(error)) from None
        boxes = []
        for number, line in lines:
            try:
                boxes.append(self._box(line.split(), f"{self.draft.tree.named(label)}:{number}"))
            except ValueError as error:
                raise BadLabel(f"line {number}: {error}", "object") from None
        return boxes

    def _box(self, fields: list[str], source: str) -> tuple[str, Box]:
        first, *values = (finite_number(field) for field in fields)
        outlined = len(values) >= 6 and len(values) % 2 == 0
        if self.keypoint_values == len(fields):
            values, outlined = values[:4], False
        if len(values) != 4 and not outlined:
            form = f"expected 5: {LABEL_FORM} (or class x y x y x y … of an outline)"
            raise ValueError(f"has {len(fields)} numbers, {form}")
        if min(values) < -1 or max(values) > 2:
            self.draft.stop(FAR, f"{source} has {max(values, key=abs):g}")
        if outlined:
            self.draft.note("boxes_outlined", f"{source}: an outline")
        corners = box_around(values) if outlined else _corners(values)
        return self._name(first, source), corners

    def _name(self, value: float, source: str) -> str:
        if value.is_integer() and 0 <= value < len(self.own):
            return self.own[int(value)]
        if not value.is_integer() or value < 0:
            raise ValueError(f"has class {value:g}, expected a whole number from 0")
        kind = (
            f"class ids go beyond the {len(self.own)} names, and ids begin at 0, so expected 0 to"
            f" {len(self.own) - 1}"
        )
        self.draft.stop(kind, f"{source} has class {value:g}")
        return self.own[0]


def _corners(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Turn cx, cy, width, height into corners; what is over the edge by rounding is at the edge."""
    cx, cy, width, height = values
    corners = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
    return tuple(min(max(c, 0.0), 1.0) if -ROUNDING < c < 1 + ROUNDING else c for c in corners)
