"""Annotation lists, one picture per line: `path x1,y1,x2,y2,class x1,y1,x2,y2,class …`.

Coordinates are pixels of the picture as a viewer shows it, class ids count from 0. A path with
spaces may stand in quotes ('…' or "…"); blank lines and lines that begin with # are skipped.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yolo3.data.pictures import (
    DataError,
    Entry,
    Findings,
    LeftOut,
    Picture,
    check_entries,
    raise_if_any,
)

_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
_OTHERS = (".png", ".gif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".jp2", ".avif", ".heic")
_NETPBM = (".ppm", ".pgm", ".pbm", ".pnm")
PICTURE_SUFFIXES = frozenset(_JPEG + _OTHERS + _NETPBM)
BOX_FORM = "x1,y1,x2,y2,class"


def read_classes(path: Path) -> tuple[str, ...]:
    """Read class names, one per line; blank lines and # comments are skipped.

    Raises DataError for a name that stands twice, and for a file without names.
    """
    if path.suffix.lower() in (".yaml", ".yml", ".data", ".json", ".xml"):
        raise DataError(f"{path}: is no classes file, expected a text file with a name per line")
    line_of: dict[str, int] = {}
    problems = []
    for number, name in _lines_of(path, "classes file"):
        if name in line_of:
            text = f"{path}:{number}: class {name!r} is already in line {line_of[name]}"
            problems.append(f"{text}, expected each name once")
        line_of.setdefault(name, number)
    if problems:
        raise DataError(*problems)
    if not line_of:
        raise DataError(f"{path}: has no class names, expected one per line")
    return tuple(line_of)


def read_annotations(
    path: Path,
    class_names: Sequence[str],
    project_dir: Path,
    left_out: list[LeftOut] | None = None,
) -> tuple[list[Picture], Findings]:
    """Read and check an annotation list and every picture that it names.

    Relative paths are resolved against the list's folder, then `project_dir`.
    left_out: where it is given, what cannot be used is added to it, whole images.
    Raises DataError otherwise, with all problems at once, each with file and line.
    """
    shown = _shown(path, project_dir)
    folders = list(dict.fromkeys(Path(os.path.abspath(f)) for f in (path.parent, project_dir)))
    problems: list[LeftOut] = []
    entries = []
    lines = _lines_of(path, "annotation list")
    if not lines:
        raise DataError(f"{shown}: lists no pictures, expected lines of `path {BOX_FORM} …`")
    _refuse_other_formats(lines[0][1], shown)
    for number, line in lines:
        try:
            entries.append(_entry(line, f"{shown}:{number}", number, len(class_names), folders))
        except DataError as error:
            source = f"{shown}:{number}"
            problems += [
                LeftOut("line", source, f"{source}: {text}", number) for text in error.problems
            ]
    pictures, unusable, findings = check_entries(entries)
    if left_out is None:
        raise_if_any(problems + unusable)
    else:
        left_out += problems + unusable
    return pictures, findings


def _refuse_other_formats(first: str, shown: str) -> None:
    """Raise DataError, once instead of for each line, for what no list begins with."""
    if first.startswith(("<?xml", "<annotation")):
        kind = "XML"
    elif first in ("{", "[") or first.startswith(('{"', "[{")):
        kind = "JSON"
    else:
        return
    raise DataError(
        f"{shown}: is {kind}, expected an annotation list: `python -m yolo3 annotations"
        " FOLDER_OR_FILE` makes one"
    )


def write_annotations(
    pictures: Sequence[Picture], path: Path, relative_to: Path | None = None
) -> None:
    """Write an annotation list that `read_annotations` reads back to the same boxes.

    Paths inside `relative_to` (the list's folder if None) are written relative to it, others
    absolute. Raises DataError for a path that does not fit in a line.
    """
    base = Path(os.path.abspath(path.parent if relative_to is None else relative_to))
    lines = [
        " ".join([_written_path(picture.path, base), *_written_boxes(picture)])
        for picture in pictures
    ]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _lines_of(path: Path, what: str) -> list[tuple[int, str]]:
    """Read the lines that say something, stripped, with their numbers from 1."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: the {what} does not exist") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}:{line}: the {what} is not UTF-8 text, save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"{path}: the {what} cannot be read ({error.strerror})") from None
    stripped = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
    return [(number, line) for number, line in stripped if line and not line.startswith("#")]


def _shown(path: Path, project_dir: Path) -> str:
    absolute, base = (Path(os.path.abspath(p)) for p in (path, project_dir))
    return absolute.relative_to(base).as_posix() if absolute.is_relative_to(base) else str(path)


def _entry(line: str, source: str, order: int, classes: int, folders: list[Path]) -> Entry:
    """Read one line; raises DataError with all that is wrong in it."""
    name, fields = _split(line)
    problems = []
    boxes = []
    class_ids = []
    for number, text in enumerate(fields, start=1):
        try:
            box, class_id = _box(text, classes)
            boxes.append(box)
            class_ids.append(class_id)
        except ValueError as error:
            problems.append(f"box {number} {error}")
    places = [folder / name for folder in folders]  # an absolute name stays as it is
    found = next((place for place in places if os.path.isfile(place)), None)
    if found is None:
        problems.append(_missing(name, folders))
    if problems:
        raise DataError(*problems)
    return Entry(Path(os.path.abspath(found)), boxes, class_ids, source, order)


def _missing(name: str, folders: list[Path]) -> str:
    if any(os.path.exists(folder / name) for folder in folders):
        return f"picture {name} is not a file"
    if Path(name).is_absolute():
        return f"picture {name} is missing"
    return f"picture {name} is missing, sought in {' and in '.join(map(str, folders))}"


def _split(line: str) -> tuple[str, list[str]]:
    """Split a line into the path and the texts of its boxes.

    In quotes, the path is what the quotes hold. Otherwise it ends with the last field that ends
    like a picture's file name, or else before the trailing fields that hold commas.
    """
    quote = line[0]
    if quote in "'\"":
        end = line.rindex(quote)
        if end < 2:
            raise DataError(f"the path begins with {quote} and does not end with it")
        return line[1:end], line[end + 1 :].split()
    fields = line.split()
    named = [n for n, text in enumerate(fields) if Path(text).suffix.lower() in PICTURE_SUFFIXES]
    count = len(fields) - 1 - named[-1] if named else _trailing_boxes(fields)
    if count == len(fields):
        raise DataError(f"has no path before the boxes, expected `path {BOX_FORM} …`")
    return line.rsplit(maxsplit=count)[0] if count else line, fields[len(fields) - count :]


def _trailing_boxes(fields: list[str]) -> int:
    others = [n for n, text in enumerate(fields) if "," not in text]
    return len(fields) - 1 - others[-1] if others else len(fields)


def _box(text: str, classes: int) -> tuple[tuple[float, float, float, float], int]:
    parts = text.split(",")
    if len(parts) != 5:
        numbers = "number" if len(parts) == 1 else "numbers"
        raise ValueError(f"has {len(parts)} {numbers}, expected 5: {BOX_FORM}, got {text!r}")
    *corners, class_id = (_number(part) for part in parts)
    if not class_id.is_integer():
        raise ValueError(f"has class {parts[4]}, expected a whole number")
    if not 0 <= class_id < classes:
        raise ValueError(
            f"has class {int(class_id)}, which the classes file has not: it names {classes}, and"
            f" ids begin at 0, so expected 0 to {classes - 1}"
        )
    return tuple(corners), int(class_id)


def _number(text: str) -> float:
    try:
        value = float(text.replace("_", "?"))  # Python reads 1_0 as ten
    except ValueError:
        raise ValueError(f"has {text!r}, expected a number") from None
    if not math.isfinite(value):
        raise ValueError(f"has {text!r}, expected a finite number")
    return value


def _written_path(path: Path, base: Path) -> str:
    name = path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)
    if "\n" in name or "\r" in name:
        raise DataError(f"picture {name!r} has a line break in its path, rename it")
    plain = name == name.strip() and name[0] not in "#'\"" and len(name.split()) == 1
    if plain and _split_or_none(name) == (name, []):
        return name
    quote = "'" if '"' in name else '"'
    return f"{quote}{name}{quote}"


def _split_or_none(name: str) -> tuple[str, list[str]] | None:
    try:
        return _split(name)
    except DataError:
        return None


def _written_boxes(picture: Picture) -> list[str]:
    return [
        ",".join([*(_shortest(value) for value in box), str(int(class_id))])
        for box, class_id in zip(picture.boxes_xyxy, picture.class_ids, strict=True)
    ]


def _shortest(value: np.float32) -> str:
    return np.format_float_positional(value, unique=True, trim="-")
