"""Where the project's own files lie: the second place in which paths are sought."""

import os
from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parents[2]


def find_file(path: Path | str) -> Path:
    """Seek a file from where the user is, then in the project, so that defaults work anywhere."""
    here, there = Path(path), PROJECT_DIR / path
    return there if not os.path.exists(here) and os.path.exists(there) else here
