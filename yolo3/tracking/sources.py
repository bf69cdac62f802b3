"""The code that a run was trained with: its commit, and what the working tree has changed since.

Recorded is code of the project alone, by the patterns of CODE. All else that git sees changed or
untracked (pictures, lists, .env, notes) is counted and named, and never read.
"""

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

CODE = (
    "*.py",
    "yolo3/**/*.py",
    "MLproject",
    "conda.yaml",
    "requirements.txt",
    "pyproject.toml",
)
"""What may be recorded, seen from the project's folder; of untracked *.py beside train.py, those
that the training loaded."""

MARK = "yolo3/__init__.py"  # what git must track for a folder to be the project
MOST_BYTES = 1 << 20  # of an untracked file
MOST_BYTES_IN_ALL = 8 << 20  # of the diff, and of the untracked files together
NAMED = 20  # files left out that are named; the rest are counted

REMOTE = re.compile(r"(https?|ssh|git)://|[\w.-]+@[\w.-]+:")
DIFF = "diff.patch"
UNTRACKED = "untracked"
ARCHIVE = "sources.zip"


class GitError(ValueError):
    """Say what git could not do."""


@dataclass
class Source:
    """Describe the code of a run.

    commit: None where there is no git, and `missing` says why.
    folder: the project's place in the repository, '' at its top.
    untracked: path in the project -> SHA-256; `diff` and `archive` are the SHA-256 of these files.
    left_out: path -> why it was not recorded, at most NAMED of them.
    """

    commit: str | None = None
    missing: str = ""
    remote: str = ""
    folder: str = ""
    dirty: bool = False
    diff: str = ""
    untracked: dict[str, str] = field(default_factory=dict)
    archive: str = ""
    left_out: dict[str, str] = field(default_factory=dict)
    left_out_count: int = 0

    def as_dict(self) -> dict:
        """Write it as plain values."""
        return asdict(self)

    def leave_out(self, paths: Iterable[str], why: str) -> None:
        """Count files that are not recorded, and name the first."""
        for path in paths:
            self.left_out_count += 1
            if len(self.left_out) < NAMED:
                self.left_out[path] = why


def git(folder: Path, *words: str) -> bytes:
    """Run git in a folder and give what it prints; GitError tells its own last line."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_DIR")}
    for name in ("GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"):  # set inside a git hook
        kept.pop(name, None)
    changed = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    command = ["git", "-c", "core.hooksPath=/dev/null", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, env=kept | changed, capture_output=True, check=False)
    except FileNotFoundError:
        raise GitError("git is not installed") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise GitError(said[-1].removeprefix("fatal: ").removeprefix("error: "))
    return done.stdout


def collect(project: Path, folder: Path) -> Source:
    """Write what makes up for a working tree that is not clean into a folder, and describe it all.

    Without git, `sources.zip` holds the code itself.
    """
    try:
        return _collect_from_git(project, folder)
    except GitError as error:
        source = Source(missing=f"no commit: {error}")
        _collect_archive(source, project, folder)
        return source


def _collect_from_git(project, folder):
    git(project, "ls-files", "--error-unmatch", MARK)
    source = Source(commit=git(project, "rev-parse", "HEAD").decode().strip())
    source.remote = _remote(project)
    source.folder = git(project, "rev-parse", "--show-prefix").decode().strip().rstrip("/")
    _collect_diff(source, project, folder)
    _collect_untracked(source, project, folder)
    return source


def is_code(path: str) -> bool:
    """Tell whether a path in the project may be recorded and laid out again."""
    parts = PurePosixPath(path).parts
    return ".." not in parts and any(_matches(PurePosixPath(path), pattern) for pattern in CODE)


def _matches(path, pattern):
    wanted = PurePosixPath(pattern)
    if "**" in wanted.parts:
        return path.parts[0] == wanted.parts[0] and path.match(wanted.name)
    return len(path.parts) == len(wanted.parts) and path.match(pattern)


def _remote(project):
    """Give the address of the repository, without the name and password that it may hold."""
    try:
        address = git(project, "remote", "get-url", "origin").decode().strip()
    except GitError:
        return ""
    if not REMOTE.match(address):  # a folder of this machine
        return ""
    return re.sub(r"//[^/@]*@", "//", address).split("?")[0]


def _paths(output):
    return [os.fsdecode(name) for name in output.split(b"\0") if name]


def _collect_diff(source, project, folder):
    every = _paths(git(project, "diff", "HEAD", "--name-only", "--relative", "-z"))
    code = [path for path in every if is_code(path)]
    source.dirty = bool(every)
    source.leave_out(set(every) - set(code), "changed, and no code of the project")
    if not code:
        return
    plain = ("--binary", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color")
    prefixes = ("--no-renames", "--src-prefix=a/", "--dst-prefix=b/")
    literal = [f":(literal){path}" for path in code]
    patch = git(project, "diff", "HEAD", "--relative", *plain, *prefixes, "--", *literal)
    if len(patch) > MOST_BYTES_IN_ALL:
        source.leave_out(code, f"the diff has more than {MOST_BYTES_IN_ALL >> 20} MiB")
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DIFF).write_bytes(patch)
    source.diff = sha256(patch)


def _collect_untracked(source, project, folder):
    every = _paths(git(project, "ls-files", "--others", "--exclude-standard", "-z"))
    code = [path for path in every if is_code(path)]
    source.leave_out(sorted(set(every) - set(code)), "untracked, and no code of the project")
    room = MOST_BYTES_IN_ALL
    for path, why in _without_strangers(project, code):
        size = 0 if why else (project / path).stat().st_size
        if why or size > min(MOST_BYTES, room):
            source.leave_out([path], why or f"larger than {MOST_BYTES >> 20} MiB, or no room left")
            continue
        room -= size
        data = (project / path).read_bytes()
        target = folder / UNTRACKED / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        source.untracked[path] = sha256(data)
        source.dirty = True


def _collect_archive(source, project, folder):
    if not (project / "MLproject").is_file():
        source.missing += "; no sources either: the project is installed, not a folder"
        return
    found = {path for pattern in CODE for path in project.glob(pattern) if path.is_file()}
    names = sorted(path.relative_to(project).as_posix() for path in found)
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / ARCHIVE, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, why in _without_strangers(project, names):
            if why:
                source.leave_out([name], why)
            else:  # the same files give the same bytes
                entry = zipfile.ZipInfo(name)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, (project / name).read_bytes())
    source.archive = sha256((folder / ARCHIVE).read_bytes())


def _without_strangers(project, paths):
    """Pair each path with why it is not to be read, '' where it is."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    loaded = {Path(file).resolve() for file in files if file}
    for path in paths:
        file = project / path
        if not file.resolve().is_relative_to(project.resolve()) or file.is_symlink():
            yield path, "a link"
        elif "/" not in path and file.suffix == ".py" and file.resolve() not in loaded:
            yield path, "not loaded by the training"
        elif not os.access(file, os.R_OK):
            yield path, "cannot be read"
        else:
            yield path, ""


def sha256(data: bytes) -> str:
    """Digest bytes."""
    return hashlib.sha256(data).hexdigest()
