from pathlib import Path

import numpy as np
import pytest
from format_cases import NAMES, make_list, save_picture

from yolo3.data.folders import (
    check_names,
    copy_pictures,
    export_names,
    finite_number,
    new_folder,
    pictures_below,
)
from yolo3.data.pictures import DataError, Picture


def picture_at(path):
    return Picture(path, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), (1, 1), "", "")


def test_pictures_are_listed_without_what_a_mac_adds(tmp_path):
    save_picture(tmp_path / "obj" / "a.jpg")
    for name in ("._a.jpg", "__MACOSX/a.jpg", ".cache/a.jpg", "b.PNG", "notes.txt"):
        save_picture(tmp_path / name, format="PNG")
    (tmp_path / "folder.jpg").mkdir()
    names = [path.relative_to(tmp_path).as_posix() for path in pictures_below(tmp_path)]
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
