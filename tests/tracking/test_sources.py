import os
import shutil
import sys
import types
import zipfile

import pytest
from git_cases import git, git_commit

from yolo3.tracking import sources
from yolo3.tracking.sources import ARCHIVE, DIFF, UNTRACKED, collect, is_code, sha256

SECRET = "hunter2"
PROJECT_FILES = {
    "MLproject": "name: x\n",
    "train.py": "import yolo3\n",
    "yolo3/__init__.py": "",
    "yolo3/data/loader.py": "A = 1\n",
    "README.md": "words\n",
    ".env": "TOKEN=none\n",
    "voc/list.txt": "a.jpg\n",
}


def lay_out(folder, files=PROJECT_FILES):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture
def project(tmp_path):
    """A small project in a repository, all of it committed."""
    folder = tmp_path / "my project"
    lay_out(folder)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git_commit(folder, "work")
    return folder


@pytest.fixture
def kept(tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    return folder


def files_in(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_clean_tree_is_its_commit(project, kept):
    found = collect(project, kept)
    assert found.commit == git(project, "rev-parse", "HEAD")
    assert not found.dirty and not found.missing and not found.left_out_count
    assert files_in(kept) == []


def test_changed_and_new_code_is_recorded(project, kept):
    lay_out(project, {"yolo3/data/loader.py": "A = 2\n", "yolo3/new/own.py": "B = 1\n"})
    (project / "train.py").unlink()
    found = collect(project, kept)
    assert found.dirty and files_in(kept) == [DIFF, f"{UNTRACKED}/yolo3/new/own.py"]
    patch = (kept / DIFF).read_bytes()
    assert found.diff == sha256(patch) and b"+A = 2" in patch and b"deleted file" in patch
    assert found.untracked == {"yolo3/new/own.py": sha256(b"B = 1\n")}
    git(project, "stash", "--quiet")
    git(project, "apply", str(kept / DIFF))
    assert (project / "yolo3/data/loader.py").read_text() == "A = 2\n"
    assert not (project / "train.py").exists()


def test_what_is_staged_counts_as_changed(project, kept):
    lay_out(project, {"yolo3/staged.py": "C = 1\n"})
    git(project, "add", "yolo3/staged.py")
    assert collect(project, kept).dirty
    assert b"+C = 1" in (kept / DIFF).read_bytes()


def test_no_secret_is_ever_recorded(project, kept, tmp_path):
    """Neither of a tracked file that is changed, nor of one that git does not know."""
    (tmp_path / "key.txt").write_text(SECRET)
    planted = (
        *(".env", "README.md", "voc/list.txt", "notes.txt", "yolo3/.env", "yolo3/keys.json"),
        *("secrets.py", "voc/tool.py", "model_data/key.txt", "requirements.txt.bak"),
    )
    lay_out(project, dict.fromkeys(planted, SECRET))
    (project / "yolo3/linked.py").symlink_to(tmp_path / "key.txt")
    found = collect(project, kept)
    assert found.dirty and files_in(kept) == []
    assert set(found.left_out) == {*planted, "yolo3/linked.py"}
    assert found.left_out["yolo3/linked.py"] == "a link"
    assert found.left_out["secrets.py"] == "not loaded by the training"
    assert SECRET not in str(found.as_dict())


def test_ignored_files_do_not_count(project, kept):
    lay_out(project, {".gitignore": "logs/\n", "logs/x.py": "", "yolo3/logs/y.py": ""})
    found = collect(project, kept)
    assert list(found.left_out) == [".gitignore"] and not found.dirty


def test_a_module_beside_train_py_is_recorded_if_it_was_loaded(project, kept, monkeypatch):
    lay_out(project, {"losses.py": "L = 1\n"})
    module = types.ModuleType("losses")
    module.__file__ = str(project / "losses.py")
    monkeypatch.setitem(sys.modules, "losses", module)
    assert list(collect(project, kept).untracked) == ["losses.py"]


def test_large_files_are_left_out_and_counted(project, kept, monkeypatch):
    monkeypatch.setattr(sources, "MOST_BYTES", 100)
    monkeypatch.setattr(sources, "MOST_BYTES_IN_ALL", 150)
    lay_out(
        project,
        {f"yolo3/{name}.py": name * size for name, size in zip("abc", (101, 90, 70), strict=True)},
    )
    found = collect(project, kept)
    assert list(found.untracked) == ["yolo3/b.py"]
    assert set(found.left_out) == {"yolo3/a.py", "yolo3/c.py"}
    lay_out(project, {"train.py": "#" * 200})
    (kept / DIFF).unlink(missing_ok=True)
    found = collect(project, kept)
    assert "the diff has more than" in found.left_out["train.py"] and not found.diff
    assert not (kept / DIFF).exists()


def test_many_files_left_out_are_counted_and_the_first_named(project, kept):
    lay_out(project, {f"pictures/{number:03}.jpg": "" for number in range(50)})
    found = collect(project, kept)
    assert (found.left_out_count, len(found.left_out)) == (50, sources.NAMED)


def test_a_project_inside_a_larger_repository(project, kept, tmp_path):
    outer = tmp_path / "outer"
    shutil.copytree(project, outer / "parts/yolo", ignore=shutil.ignore_patterns(".git"))
    lay_out(outer, {"other.py": "X = 1\n"})
    git(outer, "init", "--quiet")
    git(outer, "add", ".")
    git_commit(outer, "work")
    lay_out(outer, {"other.py": SECRET, "more.py": SECRET, "parts/yolo/train.py": "T = 2\n"})
    found = collect(outer / "parts/yolo", kept)
    assert found.folder == "parts/yolo" and found.dirty and not found.left_out_count
    patch = (kept / DIFF).read_text()
    assert "a/train.py" in patch and SECRET not in patch


def test_the_remote_is_told_without_its_password(project, kept):
    address = "https://me:hunter2@example.org/me/yolo.git?token=hunter2"
    git(project, "remote", "add", "origin", address)
    assert collect(project, kept).remote == "https://example.org/me/yolo.git"
    git(project, "remote", "set-url", "origin", "git@example.org:me/yolo.git")
    assert collect(project, kept).remote == "git@example.org:me/yolo.git"
    git(project, "remote", "set-url", "origin", "/home/me/yolo")
    assert collect(project, kept).remote == ""


def test_settings_of_git_do_not_change_the_diff(project, kept):
    lay_out(project, {"train.py": "T = 2\n"})
    collect(project, kept)
    plain = (kept / DIFF).read_bytes()
    for name, value in (("diff.noprefix", "true"), ("color.ui", "always"), ("diff.external", "x")):
        git(project, "config", name, value)
    collect(project, kept)
    assert (kept / DIFF).read_bytes() == plain


def test_without_git_the_sources_are_kept(project, kept, tmp_path):
    """Also where only the folder around it is a repository, which does not track the project."""
    shutil.rmtree(project / ".git")
    git(tmp_path, "init", "--quiet")
    lay_out(project, {".env": SECRET, "secrets.py": SECRET})
    found = collect(project, kept)
    assert found.commit is None and found.missing.startswith("no commit: ")
    with zipfile.ZipFile(kept / ARCHIVE) as archive:
        assert set(archive.namelist()) == {"MLproject", "yolo3/__init__.py", "yolo3/data/loader.py"}
    os.utime(project / "MLproject", (1e9, 1e9))
    assert collect(project, kept).archive == found.archive == sha256((kept / ARCHIVE).read_bytes())


def test_without_a_git_program_it_is_said(project, kept, monkeypatch):
    monkeypatch.setenv("PATH", "")
    found = collect(project, kept)
    assert found.missing == "no commit: git is not installed" and found.archive


def test_an_installed_package_has_no_sources(tmp_path, kept):
    lay_out(tmp_path / "site", {"yolo3/__init__.py": "", "others.py": SECRET})
    found = collect(tmp_path / "site", kept)
    assert "is installed, not a folder" in found.missing and files_in(kept) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("train.py", True),
        ("yolo3/a.py", True),
        ("yolo3/a/b/c.py", True),
        ("MLproject", True),
        ("voc/a.py", False),
        ("yolo3/a.json", False),
        ("yolo3/../../a.py", False),
        ("../a.py", False),
        ("/etc/a.py", False),
        ("other/MLproject", False),
    ],
)
def test_code_is_told_from_all_else(path, expected):
    assert is_code(path) is expected
