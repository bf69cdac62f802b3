import os

import pytest
from format_cases import link, save_picture

from yolo3.data.labels.tree import ANYWHERE, MIRRORED, SAME, FileTree, parts_of


def make(root, *names):
    """Make empty files; the tree opens none."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return FileTree(root)


def found(tree, name, label, **options):
    paths, (rank, _) = tree.find(name, tree.root / label, **options)
    return [path.relative_to(tree.root).as_posix() for path in paths], rank


@pytest.mark.parametrize(
    ("name", "label", "there", "expected", "rank"),
    [
        ("a.jpg", "x/a.xml", ["x/a.jpg", "y/a.jpg"], ["x/a.jpg"], SAME),
        ("A.JPG", "x/a.xml", ["x/a.jpg"], ["x/a.jpg"], SAME),
        ("A.JPG", "x/a.xml", ["x/a.JPG", "x/A.JPG"], ["x/A.JPG"], SAME),
        ("A", "x/a.xml", ["x/a.JPG", "x/A.JPG"], ["x/A.JPG"], SAME),
        ("a", "x/a.xml", ["x/a.jpg", "x/a.b.jpg"], ["x/a.jpg"], SAME),
        ("a.b", "x/a.b.xml", ["x/a.jpg", "x/a.b.jpg"], ["x/a.b.jpg"], SAME),
        ("a", "x/a.xml", ["x/a.jpg", "x/a.png"], ["x/a.jpg", "x/a.png"], SAME),
        ("a.png", "x/a.xml", ["x/a.jpg", "x/a.png"], ["x/a.png"], SAME),
        ("a.png", "x/a.xml", ["x/a.jpg"], [], ANYWHERE),
        ("a.jpg", "Annotations/a.xml", ["JPEGImages/a.jpg"], ["JPEGImages/a.jpg"], MIRRORED),
        ("a.jpg", "labels/s/a.xml", ["img/s/a.jpg", "img/t/a.jpg"], ["img/s/a.jpg"], MIRRORED),
        ("a.jpg", "s/labels/a.xml", ["s/Images/a.jpg", "t/Images/a.jpg"], ["s/Images/a.jpg"], 2),
        ("a.jpg", "labels/a.xml", ["a.jpg", "x/y/a.jpg"], ["a.jpg"], MIRRORED),
        ("a.jpg", "a.xml", ["x/a.jpg"], ["x/a.jpg"], MIRRORED),
        ("a.jpg", "labels/a.xml", ["x/y/z/a.jpg"], ["x/y/z/a.jpg"], ANYWHERE),
        ("a.jpg", "q/a.xml", ["x/y/a.jpg", "u/v/a.jpg"], ["u/v/a.jpg", "x/y/a.jpg"], ANYWHERE),
        ("y/a.jpg", "q/a.xml", ["x/y/a.jpg", "u/v/a.jpg"], ["x/y/a.jpg"], ANYWHERE),
        ("C:\\me\\y\\a.jpg", "q/a.xml", ["x/y/a.jpg", "u/v/a.jpg"], ["x/y/a.jpg"], ANYWHERE),
        ("x/a.jpg", "y/a.xml", ["x/a.jpg", "y/a.jpg"], ["x/a.jpg"], MIRRORED),
        ("gone/a.jpg", "y/a.xml", ["x/a.jpg"], ["x/a.jpg"], MIRRORED),
        ("v/a.jpg", "y/a.xml", ["x/a.jpg", "v/b.jpg"], [], ANYWHERE),
        ("a", "labels/a.xml", ["masks/a.png", "Images/a.jpg"], ["Images/a.jpg"], MIRRORED),
        ("a", "train/labels/a.txt", ["test/images/a.jpg"], [], ANYWHERE),
        ("a", "train/a.txt", ["Test/a.jpg", "x/a.jpg"], ["x/a.jpg"], MIRRORED),
        ("", "a.xml", ["a.jpg"], [], ANYWHERE),
        ("..", "a.xml", ["a.jpg"], [], ANYWHERE),
        ("/", "a.xml", ["a.jpg"], [], ANYWHERE),
    ],
)
def test_the_image_that_a_name_means(tmp_path, name, label, there, expected, rank):
    assert found(make(tmp_path, *there), name, label) == (expected, rank)


def test_a_hint_decides_between_folders_of_one_rank(tmp_path):
    tree = make(tmp_path, "train2017/a.jpg", "val2017/a.jpg", "images/a.jpg")
    assert found(tree, "a.jpg", "labels/a.xml", hints=["val2017"])[0] == ["val2017/a.jpg"]
    assert found(tree, "a.jpg", "labels/a.xml")[0] == ["images/a.jpg"]


def test_images_may_be_limited(tmp_path):
    tree = make(tmp_path, "x/a.jpg", "y/a.jpg")
    assert found(tree, "a", "x/a.txt", among={tree.root / "y/a.jpg"})[0] == ["y/a.jpg"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("/etc/a.jpg", ["etc", "a.jpg"]),
        ("..\\..\\a.jpg", ["a.jpg"]),
        ("C:\\x\\a.jpg", ["x", "a.jpg"]),
        ("\\\\server\\share\\a.jpg", ["a.jpg"]),
        ("./x/../y/a.jpg", ["y", "a.jpg"]),
        ("", []),
    ],
)
def test_paths_of_other_systems_are_split(name, parts):
    assert parts_of(name) == parts


def test_hidden_files_are_passed_over(tmp_path):
    tree = make(tmp_path, ".x/a.jpg", "._a.jpg", "__MACOSX/a.jpg", "b.jpg")
    assert [path.name for path in tree.files] == ["b.jpg"]


def test_a_file_is_named_as_the_person_would(tmp_path, monkeypatch):
    make(tmp_path, "data/x/a.jpg", "images/b.jpg")
    monkeypatch.chdir(tmp_path)
    tree = FileTree(tmp_path.joinpath("data").relative_to(tmp_path), images=tmp_path / "images")
    assert tree.named(tmp_path / "data/x/a.jpg") == "data/x/a.jpg"
    assert tree.named(tree.images[0]) == str(tmp_path / "images/b.jpg")
    assert [tree.inside(path).as_posix() for path in (*tree.files, *tree.images)] == [
        "x/a.jpg",
        "b.jpg",
    ]


def test_images_may_lie_in_another_folder(tmp_path):
    make(tmp_path, "labels/s/a.xml", "labels/a.jpg", "photos/s/a.jpg", "photos/t/a.jpg")
    tree = FileTree(tmp_path / "labels", images=tmp_path / "photos")
    paths, (rank, _) = tree.find("a.jpg", tmp_path / "labels/s/a.xml")
    assert (paths, rank) == ([tmp_path / "photos/s/a.jpg"], SAME)
    assert tree.holds(tmp_path / "photos/x") and not tree.holds(tmp_path / "photos/../x")


def test_links_inside_the_folder_are_followed_and_show_nothing_twice(tmp_path):
    make(tmp_path, "real/a.jpg", "real/b.jpg")
    link(tmp_path / "also.jpg", tmp_path / "real" / "a.jpg")
    link(tmp_path / "again", tmp_path / "real")
    tree = FileTree(tmp_path)
    assert [tree.inside(path).as_posix() for path in tree.files] == ["real/a.jpg", "real/b.jpg"]
    assert not tree.outside


def test_links_that_lead_outside_are_followed_only_when_asked(tmp_path):
    save_picture(tmp_path / "mine" / "deep" / "a.jpg")
    root = tmp_path / "data"
    make(root, "b.jpg")
    link(root / "folder", tmp_path / "mine")
    link(root / "c.jpg", tmp_path / "mine" / "deep" / "a.jpg")
    tree = FileTree(root)
    assert tree.outside == {root / "folder", root / "c.jpg"}
    assert [path.name for path in tree.files] == ["b.jpg", "c.jpg"]
    tree = FileTree(root, follow_links=True)
    assert [path.name for path in tree.files] == ["b.jpg", "c.jpg"]  # a.jpg again
    (root / "c.jpg").unlink()
    tree = FileTree(root, follow_links=True)
    assert [tree.inside(path).as_posix() for path in tree.files] == ["b.jpg", "folder/deep/a.jpg"]
    assert not tree.outside


def test_a_folder_that_is_a_link_itself_holds_its_files(tmp_path):
    make(tmp_path / "real", "a.jpg")
    link(tmp_path / "linked", tmp_path / "real")
    tree = FileTree(tmp_path / "linked")
    assert tree.files == [tmp_path / "linked" / "a.jpg"] and not tree.outside


@pytest.mark.parametrize("follow", [True, False])
def test_links_in_a_circle_end(tmp_path, follow):
    root = tmp_path / "data"
    make(root, "x/a.jpg", "y/b.jpg")
    link(root / "x" / "up", root)
    link(root / "x" / "side", root / "y")
    link(root / "y" / "side", root / "x")
    link(root / "x" / "self", root / "x" / "self")
    link(root / "x" / "out", tmp_path)
    link(root / "dead.jpg", root / "gone")
    tree = FileTree(root, follow_links=follow)
    names = {tree.inside(path).as_posix() for path in tree.images}
    assert names == {"x/a.jpg", "y/b.jpg", "dead.jpg"}


def test_images_around_the_folder_are_counted_by_their_folder(tmp_path, monkeypatch):
    make(tmp_path, "set/a.xml", "Images/a.jpg", "Images/b.jpg", "other/deep/c.PNG", "x/y/z/u/d.jpg")
    monkeypatch.chdir(tmp_path)
    tree = FileTree(tmp_path / "set")
    names = ["a.jpg", "b.*", "C:\\x\\c.png", "d.jpg", "e.jpg"]
    here = str(tmp_path)
    assert tree.elsewhere(names) == {f"{here}/Images": 2, f"{here}/other/deep": 1}
    assert FileTree(tmp_path / "set").elsewhere(["nowhere.jpg"]) == {}
    shown = FileTree(tmp_path.joinpath("set").relative_to(tmp_path))
    assert shown.elsewhere(["a.jpg"]) == {"Images": 1}


def test_a_folder_that_cannot_be_opened_is_passed_over(tmp_path):
    make(tmp_path, "x/a.jpg", "b.jpg")
    if os.geteuid() == 0:
        pytest.skip("root opens every folder")
    (tmp_path / "x").chmod(0)
    assert [path.name for path in FileTree(tmp_path).files] == ["b.jpg"]
    (tmp_path / "x").chmod(0o700)
