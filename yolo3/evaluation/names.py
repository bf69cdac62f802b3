"""Names that other programs take: MLflow's metric names, file names, short picture names."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_MOST_CHARACTERS = 80


def metric_names(class_names: Sequence[str]) -> list[str]:
    """Return one distinct name per class of the characters that MLflow takes everywhere.

    Accents are dropped, other characters become `_`; names that would be the same, or empty, get
    the class id. Letters of either case count as the same, as they do in some databases.
    """
    plain = [plain_name(name) for name in class_names]
    times = Counter(name.casefold() for name in plain)
    return [
        name if name and times[name.casefold()] == 1 else f"{name or 'class'}.{class_id}"
        for class_id, name in enumerate(plain)
    ]


def plain_name(name: str) -> str:
    """Return a name in ASCII letters, digits, space, `_` and `-`; '' where nothing remains."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    safe = re.sub(r"[^A-Za-z0-9 _-]+", "_", ascii_name).strip(" _")
    return safe[:_MOST_CHARACTERS].strip()


def short_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Return each path's last part, with as many folders as tell it from the others."""
    names = [path.name for path in paths]
    deepest = max((len(path.parts) for path in paths), default=1)
    for depth in range(2, deepest):  # never the root
        times = Counter(names)
        if len(times) == len(names):
            break
        names = [
            "/".join(path.parts[1:][-depth:]) if times[name] > 1 else name
            for path, name in zip(paths, names, strict=True)
        ]
    return tuple(names)
