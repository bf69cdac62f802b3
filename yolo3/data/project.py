"""Where the project's own files lie: the second place in which paths are sought."""

from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parents[2]


def find_file(path: Path | str) -> Path:
    """Seek a file from where the user is, then in the project, so that defaults work anywhere."""
    here = Path(path)
    return PROJECT_DIR / here if not here.exists() and (PROJECT_DIR / here).exists() else here
