"""Files that commands read and write."""

from collections.abc import Sequence
from pathlib import Path

from yolo3.data.project import find_file


def keep_apart(written: Sequence[Path | None], read: Sequence[Path | None]) -> None:
    """Raise ValueError where a file to write is one that is read, or stands there twice."""
    kept = {find_file(path).resolve() for path in read if path}
    for path in written:
        if path and path.resolve() in kept:
            raise ValueError(f"{path}: is one of the files that are read, name another to write")
        if path:
            kept.add(path.resolve())
