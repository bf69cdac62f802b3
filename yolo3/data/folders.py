"""Folders of pictures and labels: list them, read numbers and lines, and write new ones."""

import io
import math
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image
from tqdm import tqdm

from yolo3.data.annotations import PICTURE_SUFFIXES
from yolo3.data.pictures import DataError, Picture

_UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")  # XML and UTF-8 have no place
_ELSEWHERE_SPECIAL = re.compile(r'[\\:*?"<>|]')  # separators and wildcards of some systems


def pictures_below(folder: Path) -> list[Path]:
    """List the files that end like pictures in a folder and its sub-folders, sorted."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURE_SUFFIXES and not is_hidden(path, folder)
        if not path.is_dir()
    )


def is_hidden(path: Path, below: Path) -> bool:
    """Tell whether a part of the path starts with a dot, as what a Mac adds to archives does."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(below).parts)


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    """Read the lines of a text file that are not blank, stripped, with their numbers from 1.

    Raises DataError for a file that cannot be read or is not UTF-8.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8 text, save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def new_folder(path: Path) -> Path:
    """Make the folder that an export goes to; raises DataError if something is there."""
    if path.is_dir() and any(path.iterdir()):
        raise DataError(f"{path}: is not empty, give a new folder or remove what is in it")
    if path.exists() and not path.is_dir():
        raise DataError(f"{path}: is a file, expected a new folder")
    path.mkdir(parents=True, exist_ok=True)
    return path


def export_names(pictures: Sequence[Picture]) -> list[PurePosixPath]:
    """Name each picture for an export: its path below the folder that all of them share.

    No two names differ by their ending or by capitals alone, since labels go by the name without
    its ending; all end like pictures, and none holds what another system cannot. Raises DataError
    for a path that no text file can hold.
    """
    if not pictures:
        raise DataError("there are no pictures to write")
    unfit = [str(picture.path) for picture in pictures if _UNWRITABLE.search(str(picture.path))]
    if unfit:
        raise DataError(*(f"picture {name!r} has control characters, rename it" for name in unfit))
    shared = os.path.commonpath([picture.path.parent for picture in pictures])
    taken: set[str] = set()
    return [
        _free_name(_plain_name(picture.path, picture.path.relative_to(shared)), taken)
        for picture in pictures
    ]


def copy_pictures(
    pictures: Sequence[Picture], names: Sequence[PurePosixPath], folder: Path
) -> None:
    """Copy the picture files byte for byte, EXIF and all, into `folder` under their new names."""
    pairs = zip(pictures, names, strict=True)
    for picture, name in tqdm(
        pairs, "copying pictures", len(pictures), leave=False, delay=2, disable=None
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture.path, folder / name)


def write_lines(lines: Sequence[str], path: Path) -> None:
    """Write lines of text, UTF-8, and the folders above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def finite_number(value: object) -> float:
    """Read a finite number from a text or from JSON; raises ValueError for all else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is not a number")
    try:
        number = float(value.replace("_", "?") if isinstance(value, str) else value)
    except (ValueError, OverflowError):  # Python reads 1_0 as ten, others do not
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number


def box_around(points: Sequence[float]) -> tuple[float, float, float, float]:
    """Give the box x1, y1, x2, y2 around an outline x, y, x, y, …"""
    return min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])


def check_names(class_names: Sequence[str], source: object) -> None:
    """Raise DataError unless a classes file can hold the names: one per line, each once."""
    problems = [
        f"{source}: class {name!r} {_NAME_FORM}"
        for name in class_names
        if not _fits_in_a_line(name)
    ]
    repeated = {name for name in class_names if list(class_names).count(name) > 1}
    problems += [f"{source}: class {name!r} stands twice, merge them" for name in sorted(repeated)]
    if problems:
        raise DataError(*problems)


_NAME_FORM = "cannot stand in a classes file (empty, # at its start, or a line break), rename it"


def _fits_in_a_line(name: str) -> bool:
    return name == name.strip() != "" and name[0] != "#" and not _UNWRITABLE.search(name)


def _plain_name(path: Path, below: Path) -> PurePosixPath:
    parts = [_ELSEWHERE_SPECIAL.sub("_", part).strip(" .") or "_" for part in below.parts]
    name = PurePosixPath(*parts)
    if name.suffix.lower() in PICTURE_SUFFIXES:
        return name
    return name.with_name(name.name + _suffix_of(path))


def _suffix_of(path: Path) -> str:
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        return {"JPEG": ".jpg", "JPEG2000": ".jp2"}.get(image.format, f".{image.format.lower()}")


def _free_name(name: PurePosixPath, taken: set[str]) -> PurePosixPath:
    """Tell names apart that would share a label file: a.png beside a.jpg becomes a_png.png."""
    free = name
    number = 1
    while free.with_suffix("").as_posix().casefold() in taken:
        end = "" if number == 1 else f"_{number}"
        free = name.with_name(f"{name.stem}_{name.suffix[1:]}{end}{name.suffix}")
        number += 1
    taken.add(free.with_suffix("").as_posix().casefold())
    return free
