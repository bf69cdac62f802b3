"""List the licence of every package that the lock pins, as the packages themselves say.

    python -m benchmarks.licences > docs/licences.md

Run it in an environment that holds the lock's packages. What another system alone installs is named
without a licence.
"""

import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

LOCK = Path(__file__).parents[1] / "requirements.txt"
LONGEST = 60  # characters; longer ones are whole texts of licences
WORDS = {"Permission is hereby granted, free of charge": "MIT", "Apache License": "Apache-2.0"}
HEAD = """# Licences of what this project installs

The project itself is under the MIT licence. Each pin of `requirements.txt` with the licence that
its package names; `python -m benchmarks.licences` writes this page. None of them is GPL or AGPL.

| package | version | licence |
| --- | --- | --- |
"""


def licence_of(package: metadata.PackageMetadata) -> str:
    """Read a package's licence: its SPDX expression, or what classifiers, field or file say."""
    if expression := package.get("License-Expression"):
        return expression
    named = [
        classifier.rpartition(" :: ")[2]
        for classifier in package.get_all("Classifier") or []
        if classifier.startswith("License :: ") and not classifier.endswith("OSI Approved")
    ]
    if named:
        return ", ".join(dict.fromkeys(named))
    text = (package.get("License") or "").strip()
    if 0 < len(text) <= LONGEST and "\n" not in text:
        return text
    return _of_file(package["Name"])


def _of_file(name):
    """Know a package's licence by the words of its licence file."""
    for file in metadata.files(name) or []:
        if "dist-info" in str(file) and "licen" in str(file).lower():
            text = " ".join(file.read_text().split())
            for words, licence in WORDS.items():
                if words in text:
                    return f"{licence} (by its file)"
    return "not said"


def rows() -> list[tuple[str, str, str]]:
    """Give name, pinned version and licence of every package of the lock."""
    found = []
    for line in LOCK.read_text("utf-8").splitlines():
        pin = Requirement(line)
        version = str(pin.specifier).removeprefix("==")
        try:
            licence = licence_of(metadata.metadata(pin.name))
        except metadata.PackageNotFoundError:
            licence = f"not installed here ({pin.marker})"
        found.append((pin.name, version, licence))
    return found


if __name__ == "__main__":
    sys.stdout.write(HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows()))
