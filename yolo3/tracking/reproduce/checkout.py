"""The code of a run, laid out in a temporary folder: a worktree of its commit, or its archive."""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from yolo3.data.project import PROJECT_DIR
from yolo3.tracking.provenance import SOURCE
from yolo3.tracking.reproduce.record import Record, ReproduceError
from yolo3.tracking.sources import (
    ARCHIVE,
    DIFF,
    MARK,
    UNTRACKED,
    GitError,
    git,
    is_code,
    sha256,
)


@contextmanager
def checked_out(record: Record, project: Path = PROJECT_DIR) -> Iterator[Path]:
    """Lay out the code that a run was trained with; gives the project's folder in it.

    The repository around `project` must hold the commit. What the tree had changed is applied.
    All of it is removed afterwards, whatever happened.
    Raises ReproduceError that says what is missing.
    """
    with tempfile.TemporaryDirectory(prefix="reproduce-") as temporary:
        tree = Path(temporary).resolve() / "tree"
        if not record.commit:
            yield _unpacked(record, tree)
            return
        _find_commit(record, project)
        git(project, "worktree", "add", "--quiet", "--detach", str(tree), record.commit)
        try:
            place = record.source.get("folder")
            if place is None:  # an older run: as the project lies in its repository today
                place = git(project, "rev-parse", "--show-prefix").decode().strip().rstrip("/")
            _apply(record, tree, place)
            yield tree / place
        finally:
            git(project, "worktree", "remove", "--force", str(tree))


def _find_commit(record, project):
    """Make sure that the repository has the commit, fetching it from its origin if need be."""
    told = record.source.get("remote")
    where = f" of {told}" if told else ""
    try:
        git(project, "ls-files", "--error-unmatch", MARK)
    except GitError as error:
        raise ReproduceError(
            f"run {record.run_id} was trained at commit {record.commit}, and git cannot give it: "
            f"{error}; run this in a git clone{where}, with git installed"
        ) from error
    try:
        git(project, "cat-file", "-e", f"{record.commit}^{{commit}}")
    except GitError:
        try:
            git(project, "fetch", "--quiet", "--no-tags", "origin", record.commit)
        except GitError as error:
            raise ReproduceError(
                f"run {record.run_id} was trained at commit {record.commit}, which this repository "
                f"has not, nor its origin ({error}); fetch the commit from a clone{where} that has "
                "it"
            ) from error


def _apply(record, tree, place):
    """Change the commit's tree to what the run was trained with; `place` is the project's in it."""
    recorded = record.folder / SOURCE
    if record.source.get("diff"):
        patch = _verified(recorded / DIFF, record.source["diff"])
        try:
            # from the top, since git leaves out silently what lies outside the folder it runs in
            git(tree, "apply", "--whitespace=nowarn", f"--directory={place}", str(patch))
        except GitError as error:
            raise ReproduceError(f"the recorded {SOURCE}/{DIFF} does not apply: {error}") from error
    for name, digest in record.source.get("untracked", {}).items():
        if not is_code(name):
            raise ReproduceError(f"{SOURCE}/source.json: {name!r} is no code of the project")
        data = _verified(recorded / UNTRACKED / name, digest).read_bytes()
        (tree / place / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / place / name).write_bytes(data)


def _unpacked(record, tree):
    """Lay out the sources of a run that was trained without git."""
    if not record.source.get("archive"):
        reason = record.source.get("missing") or "it has no tag mlflow.source.git.commit"
        raise ReproduceError(
            f"run {record.run_id} does not say which code it was trained with ({reason}); "
            "trainings that can be repeated run in a git clone of the project"
        )
    file = _verified(record.folder / SOURCE / ARCHIVE, record.source["archive"])
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if not is_code(name):
                raise ReproduceError(f"{SOURCE}/{ARCHIVE}: {name!r} is no code of the project")
        archive.extractall(tree)
    return tree


def _verified(file, digest):
    if not file.is_file() or sha256(file.read_bytes()) != digest:
        raise ReproduceError(
            f"the run's artifact {SOURCE}/{file.name} is missing or not as it was recorded "
            f"(sha256 {digest})"
        )
    return file
