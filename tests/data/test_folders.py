from pathlib import Path

import numpy as np
import pytest
from format_cases import NAMES, link, make_list, save_picture

from yolo3.data.folders import (
    DataFolder,
    check_names,
    copy_pictures,
    export_names,
    finite_number,
    new_folder,
)
from yolo3.data.pictures import DataError, Picture


def picture_at(path):
    return Picture(path, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), (1, 1), "", "")


@pytest.fixture
def folder(tmp_path):
    save_picture(tmp_path / "secret.jpg")
    save_picture(tmp_path / "data" / "obj" / "a.jpg")
    return DataFolder(tmp_path / "data")


@pytest.mark.parametrize(
    "name", ["obj/a.jpg", "obj\\a.jpg", "./obj/a.jpg", "obj/../obj/a.jpg", "data/obj/a.jpg"]
)
def test_a_name_is_found_inside(folder, name):
    assert folder.seek(name, [folder.root]) == folder.root / "obj" / "a.jpg"


def test_the_places_are_tried_in_order_and_an_absolute_path_inside_is_one(folder):
    save_picture(folder.root / "a.jpg")
    assert folder.seek("a.jpg", [folder.root / "obj", folder.root]).parent.name == "obj"
    path = folder.root / "a.jpg"
    assert folder.seek(str(path), [folder.root / "obj"]) == path
    assert folder.seek("b.jpg", [folder.root / "obj", folder.root]) is None


@pytest.mark.parametrize(
    "name",
    ["../secret.jpg", "..\\secret.jpg", "obj/../../secret.jpg", "/etc/hostname", "C:\\s.jpg", "C:s"]
    + ["\\\\server\\share\\s.jpg", "//server/s.jpg", "../data2/a.jpg", "data/../../secret.jpg"],
)
def test_a_name_never_leads_outside(folder, name):
    with pytest.raises(DataError, match="leads outside the folder, which is refused"):
        folder.seek(name, [folder.root])


def test_links_may_lead_around_inside_but_not_out(folder, tmp_path):
    link(folder.root / "good.jpg", folder.root / "obj" / "a.jpg")
    link(folder.root / "bad.jpg", tmp_path / "secret.jpg")
    link(folder.root / "way", tmp_path)
    assert folder.seek("good.jpg", [folder.root]).name == "good.jpg"
    for name in ("bad.jpg", "way/secret.jpg"):
        with pytest.raises(DataError, match="is a link that leads outside the folder: refused"):
            folder.seek(name, [folder.root])


def test_a_folder_that_is_a_link_itself_holds_its_files(folder, tmp_path):
    link(tmp_path / "linked", folder.root)
    linked = DataFolder(tmp_path / "linked")
    assert linked.seek("obj/a.jpg", [linked.root]) == tmp_path / "linked" / "obj" / "a.jpg"


def test_pictures_are_listed_without_what_a_mac_adds(folder):
    for name in ("._a.jpg", "__MACOSX/a.jpg", ".cache/a.jpg", "b.PNG", "notes.txt"):
        save_picture(folder.root / name, format="PNG")
    (folder.root / "folder.jpg").mkdir()
    names = [
        path.relative_to(folder.root).as_posix() for path in folder.pictures_below(folder.root)
    ]
    assert names == ["b.PNG", "obj/a.jpg"]


def test_names_for_an_export_are_unlike_and_hold_nothing_special(tmp_path):
    pictures = make_list(tmp_path)
    names = export_names(pictures)
    told = dict(zip(NAMES, map(str, names), strict=True))
    assert told["a.jpg"] == "a.jpg" and told["a.png"] == "a_png.png"
    assert told["deep er/a.jpg"] == "deep er/a.jpg"
    assert told["back\\slash: c.jpg"] == "back_slash_ c.jpg"
    assert told["no ending"] == "no ending.jpg"
    assert told[".hidden.jpg"] == "hidden.jpg"
    assert len({name.with_suffix("").as_posix().lower() for name in names}) == len(NAMES)
    copy_pictures(pictures, names, tmp_path / "copies")
    for picture, name in zip(pictures, names, strict=True):
        assert (tmp_path / "copies" / name).read_bytes() == picture.path.read_bytes()


def test_one_picture_keeps_its_name_alone():
    assert [str(name) for name in export_names([picture_at(Path("/x/y/a.jpg"))])] == ["a.jpg"]


@pytest.mark.parametrize("name", ["a\nb.jpg", "a\x01.jpg", "a\udcff.jpg"])
def test_a_path_that_no_text_holds_stops(name):
    with pytest.raises(DataError, match="has control characters, rename it"):
        export_names([picture_at(Path("/x") / name)])


def test_nothing_to_write_stops():
    with pytest.raises(DataError, match="there are no pictures to write"):
        export_names([])


def test_an_export_needs_a_new_folder(tmp_path):
    assert new_folder(tmp_path / "a" / "b").is_dir()
    assert new_folder(tmp_path / "a" / "b").is_dir()
    with pytest.raises(DataError, match="is not empty"):
        new_folder(tmp_path / "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file"):
        new_folder(tmp_path / "file")


@pytest.mark.parametrize("name", ["", " hat", "#1", "a\nb", "a\x00"])
def test_class_names_must_fit_in_a_line(name):
    with pytest.raises(DataError, match="cannot stand in a classes file"):
        check_names(["hat", name], "somewhere")


def test_class_names_must_be_unlike():
    check_names(["hat", "Hat"], "somewhere")
    with pytest.raises(DataError, match="somewhere: class 'hat' stands twice"):
        check_names(["hat", "bare", "hat"], "somewhere")


def test_numbers_are_finite():
    assert [finite_number(value) for value in ("1e-2", 3, 2.5, " 4 ")] == [0.01, 3, 2.5, 4]
    for value in ("1_0", "nan", "x", "", float("inf"), True, None, [1], 10**400):
        with pytest.raises(ValueError, match="number"):
            finite_number(value)
