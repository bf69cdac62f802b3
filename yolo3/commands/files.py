"""Files that commands read and write."""

from collections.abc import Sequence
from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parents[2]


def find_file(path: Path) -> Path:
    """Seek a file from where the user is, then in the project, so that defaults work anywhere."""
    return PROJECT_DIR / path if not path.exists() and (PROJECT_DIR / path).exists() else path


def keep_apart(written: Sequence[Path | None], read: Sequence[Path | None]) -> None:
    """Raise ValueError where a file to write is one that is read, or stands there twice."""
    kept = {find_file(path).resolve() for path in read if path}
    for path in written:
        if path and path.resolve() in kept:
            raise ValueError(f"{path}: is one of the files that are read, name another to write")
        if path:
            kept.add(path.resolve())
