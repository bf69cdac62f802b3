"""SHA-256 of each file of a folder, as `sha256sum` writes and checks them."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SUMS_FILE = "SHA256SUMS"
LOADED = ("data", "code")
"""The folders of a model that loading it reads. MLflow has commands that rewrite other files."""


def write_sums(folder: Path) -> None:
    """Record the checksum of each file in a folder."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    names = sorted(file.relative_to(folder).as_posix() for file in files)
    lines = [f"{_sha256(folder / name)}  {name}\n" for name in names if name != SUMS_FILE]
    (folder / SUMS_FILE).write_text("".join(lines), "utf-8", newline="\n")


def check_sums(folder: Path, parts: tuple[str, ...] = LOADED) -> None:
    """Compare the recorded files that are, or lie in, one of the parts with their checksums.

    Raises ValueError that names the first file that is missing or differs. A folder without
    checksums passes: models had none before.
    """
    if not (folder / SUMS_FILE).exists():
        return
    text = (folder / SUMS_FILE).read_text("utf-8", errors="replace")
    recorded = {}
    for number, line in enumerate(text.split("\n")[:-1], 1):
        digest, separator, name = line.partition("  ")
        if not separator:
            raise ValueError(f"{SUMS_FILE}:{number}: expected a checksum, two spaces and a name")
        if name.partition("/")[0] in parts:
            recorded[name] = digest
    if missing := [name for name in recorded if not (folder / name).is_file()]:
        raise ValueError(f"{missing[0]} is missing")
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter's lock
        digests = pool.map(_sha256, [folder / name for name in recorded])
        for name, digest in zip(recorded, digests, strict=True):
            if digest != recorded[name]:
                raise ValueError(f"{name} differs from its checksum in {SUMS_FILE}")


def _sha256(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
