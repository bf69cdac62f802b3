import shutil

import pytest
from git_cases import git, git_commit
from reproduce_cases import changed, record_of

from yolo3.tracking.reproduce.checkout import checked_out
from yolo3.tracking.reproduce.record import ReproduceError
from yolo3.tracking.sources import collect, sha256


@pytest.fixture
def record(alone, tmp_path):
    return record_of(alone[1], tmp_path / "record")


def lay_out(record, project):
    with checked_out(record, project) as tree:
        return {
            file.relative_to(tree).as_posix(): file.read_bytes()
            for file in tree.rglob("*")
            if file.is_file() and file.name != ".git"
        }


def code_of(folder):
    files = [*folder.glob("*.py"), *folder.rglob("yolo3/**/*.py")]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_the_tree_is_what_was_trained_with(alone, clone, record):
    """From a clean clone: commit, diff and new module; the worktree is gone afterwards."""
    found = lay_out(record, clone[0])
    wanted = code_of(alone[0])
    assert {name: found[name] for name in wanted} == wanted
    assert "yolo3/training/own.py" in found and ".env" not in found
    assert len(git(clone[0], "worktree", "list").splitlines()) == 1
    assert not (clone[0] / "yolo3/training/own.py").exists()


def test_the_tree_is_removed_when_something_fails(clone, record):
    with pytest.raises(RuntimeError), checked_out(record, clone[0]) as tree:
        raise RuntimeError
    assert not tree.exists() and len(git(clone[0], "worktree", "list").splitlines()) == 1


def test_no_hook_runs(clone, record, tmp_path):
    folder = tmp_path / "hooked"
    shutil.copytree(clone[0], folder)
    hook = folder / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
    hook.chmod(0o755)
    lay_out(record, folder)
    assert not (tmp_path / "ran").exists()


def test_a_commit_that_only_the_origin_has_is_fetched(clone, record, tmp_path):
    git(tmp_path, "clone", "--quiet", "--depth", "1", clone[0].as_uri(), "shallow")
    shallow = tmp_path / "shallow"
    (shallow / "more.txt").write_text("")
    git(clone[0], "config", "uploadpack.allowAnySHA1InWant", "true")
    lacking = changed(record, source={"diff": "", "untracked": {}})
    first = git(clone[0], "commit-tree", "HEAD^{tree}", "-m", "another")
    found = lay_out(changed(lacking, source={"commit": first}), shallow)
    assert "train.py" in found


@pytest.mark.parametrize("remote", ["", "https://example.org/yolo.git"])
def test_what_is_missing_is_said(record, clone, tmp_path, remote):
    plain = tmp_path / "unpacked"
    shutil.copytree(clone[0], plain, ignore=shutil.ignore_patterns(".git"))
    told = changed(record, source={"remote": remote})
    where = f" of {remote}" if remote else ""
    with pytest.raises(ReproduceError, match=f"run this in a git clone{where}, with git installed"):
        lay_out(told, plain)
    lost = changed(told, source={"commit": "0" * 40})
    with pytest.raises(ReproduceError, match="which this repository has not, nor its origin"):
        lay_out(lost, clone[0])


def test_without_git_it_is_said(record, clone, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ReproduceError, match="git is not installed; run this in a git clone"):
        lay_out(record, clone[0])


def test_a_run_trained_without_git_is_laid_out_from_its_archive(record, alone, tmp_path):
    plain = tmp_path / "unpacked"
    shutil.copytree(alone[0], plain, ignore=shutil.ignore_patterns(".git"))
    source = collect(plain, record.folder / "source")
    found = lay_out(changed(record, source=source.as_dict()), tmp_path)
    wanted = {name: data for name, data in code_of(plain).items() if name.startswith("yolo3")}
    assert {name: found[name] for name in wanted} == wanted
    assert ".env" not in found


def test_a_run_that_tells_no_code_is_refused(record, tmp_path):
    bare = changed(record, source={"commit": None, "archive": "", "missing": "no commit: why"})
    with pytest.raises(ReproduceError, match=r"does not say which code .* \(no commit: why\)"):
        lay_out(bare, tmp_path)


def test_artifacts_that_changed_are_refused(record, clone):
    for name in ("diff.patch", "untracked/yolo3/training/own.py"):
        file = record.folder / "source" / name
        kept = file.read_bytes()
        file.write_bytes(kept + b"\n")
        with pytest.raises(ReproduceError, match=f"{file.name} is missing or not as it was"):
            lay_out(record, clone[0])
        file.write_bytes(kept)


def test_nothing_is_written_outside_the_tree(record, clone, tmp_path):
    outside = changed(record, source={"untracked": {"yolo3/../../x.py": sha256(b"")}})
    with pytest.raises(ReproduceError, match="is no code of the project"):
        lay_out(outside, clone[0])


def test_a_project_inside_a_larger_repository(record, alone, tmp_path):
    outer = tmp_path / "outer"
    shutil.copytree(alone[0], outer / "parts/yolo", ignore=shutil.ignore_patterns(".git", ".env"))
    git(outer, "init", "--quiet")
    git(outer, "add", ".")
    git_commit(outer, "work")
    (outer / "parts/yolo/train.py").write_text("T = 1\n")
    source = collect(outer / "parts/yolo", record.folder / "source")
    found = lay_out(changed(record, source=source.as_dict()), outer / "parts/yolo")
    assert found["train.py"] == b"T = 1\n" and "yolo3/__init__.py" in found
