from xml.etree import ElementTree

import pytest
from PIL import Image

from yolo3.scenes import PRETRAIN, SAMPLE, write_dataset

COUNT, SEED = 20, 3


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes") / "voc"
    summary = write_dataset(folder, COUNT, SEED, workers=1, progress=False)
    return folder, summary


def _lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def _files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_writes_all_pictures_lists_and_classes(written):
    folder, summary = written
    names = [f"{number:06d}" for number in range(1, COUNT + 1)]
    assert sorted(p.stem for p in (folder / "JPEGImages").iterdir()) == names
    assert sorted(p.stem for p in (folder / "Annotations").iterdir()) == names
    sets = folder / "ImageSets" / "Main"
    assert _lines(sets / "trainval.txt") == names
    assert _lines(sets / "val.txt") == ["000010", "000020"]
    assert sorted(_lines(sets / "train.txt") + _lines(sets / "val.txt")) == names
    assert _lines(folder / "classes.txt") == list(SAMPLE.class_names)
    assert summary.pictures == COUNT
    assert summary.boxes == sum(
        len(line.split()) - 1 for line in _lines(folder / "list_master.txt")
    )
    assert summary.boxes == sum(summary.boxes_per_class.values())


def test_xml_says_what_the_list_says(written):
    folder, _ = written
    for line in _lines(folder / "list_master.txt"):
        path, *boxes = line.split()
        root = ElementTree.parse(folder / "Annotations" / f"{path[11:17]}.xml").getroot()
        width, height = (int(root.findtext(f"size/{side}")) for side in ("width", "height"))
        with Image.open(folder / path) as image:
            assert image.size == (width, height)
        assert root.findtext("filename") == path.split("/")[1]
        listed = [
            (*map(float, b.split(",")[:4]), SAMPLE.class_names[int(b.split(",")[4])]) for b in boxes
        ]
        found = [
            (*(float(o.findtext(f"bndbox/{k}")) for k in ("xmin", "ymin", "xmax", "ymax")),
             o.findtext("name"))
            for o in root.findall("object")
        ]  # fmt: skip
        assert found == listed
        assert all(0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height for x1, y1, x2, y2, _ in found)


def test_number_of_pictures_does_not_change_a_picture(written, tmp_path):
    write_dataset(tmp_path / "few", 3, SEED, workers=1, progress=False)
    whole, few = _files(written[0]), _files(tmp_path / "few")
    for number in (1, 2, 3):
        for name in (f"JPEGImages/{number:06d}.jpg", f"Annotations/{number:06d}.xml"):
            assert few[name] == whole[name]


def test_number_of_workers_changes_nothing(written, tmp_path):
    write_dataset(tmp_path / "two", COUNT, SEED, workers=2, progress=False)
    assert _files(tmp_path / "two") == _files(written[0])


def test_other_seed_gives_other_pictures(written, tmp_path):
    write_dataset(tmp_path / "other", 1, SEED + 1, theme=PRETRAIN, workers=1, progress=False)
    name = "JPEGImages/000001.jpg"
    assert (tmp_path / "other" / name).read_bytes() != (written[0] / name).read_bytes()
    assert _lines(tmp_path / "other" / "classes.txt") == list(PRETRAIN.class_names)


def test_refuses_a_folder_that_holds_something(tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(ValueError, match="not empty"):
        write_dataset(tmp_path, 1, SEED, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_refuses_a_file_and_a_count_of_none(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="got a file"):
        write_dataset(tmp_path / "file", 1, SEED, progress=False)
    with pytest.raises(ValueError, match="at least 1"):
        write_dataset(tmp_path / "none", 0, SEED, progress=False)
