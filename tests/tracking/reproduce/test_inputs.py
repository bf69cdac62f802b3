import shutil

import pytest
from job_cases import PROJECT
from PIL import Image
from reproduce_cases import changed, record_of

from yolo3.data.annotations import read_annotations
from yolo3.data.pictures import DataError
from yolo3.tracking.reproduce import inputs as module
from yolo3.tracking.reproduce.inputs import file_digest, find_inputs
from yolo3.tracking.reproduce.record import ReproduceError


@pytest.fixture
def record(trained, tmp_path):
    return record_of(trained, tmp_path / "record")


@pytest.fixture
def moved(scenes, tmp_path):
    """The pictures and lists of the training, elsewhere; as options of `reproduce`."""
    shutil.copytree(scenes.folder, tmp_path / "moved")
    return tmp_path / "moved", {
        "annotation_path": str(tmp_path / "moved" / scenes.train.name),
        "val_annotation_path": str(tmp_path / "moved" / scenes.val.name),
    }


def test_what_lies_where_it_lay_is_found(record, scenes, base):
    found = find_inputs(record, PROJECT, {})
    assert found.values == {
        "annotation_path": str(scenes.train),
        "val_annotation_path": str(scenes.val),
        "weights_path": str(base),
        "classes_path": str(scenes.folder / "classes.txt"),
        "anchors_path": "model_data/yolo_tiny_anchors.txt",
    }
    assert found.lines[0] == "data: 12 pictures, content and boxes of each as recorded"
    assert found.lines[1] == f"weights: {base}, sha256 {file_digest(base)}, as recorded"


def test_what_moved_is_found_where_it_is_said_to_lie(record, moved):
    found = find_inputs(record, PROJECT, moved[1])
    assert found.values["annotation_path"] == moved[1]["annotation_path"]
    with pytest.raises(ReproduceError, match="annotation_path: nowhere.txt: no such file"):
        find_inputs(record, PROJECT, {"annotation_path": "nowhere.txt"})


def test_what_is_gone_is_told(record, scenes, tmp_path):
    gone = changed(record, inputs={}, parameters={"annotation_path": str(tmp_path / "gone.txt")})
    with pytest.raises(ReproduceError, match="gone.txt is missing; say where .* --annotation-path"):
        find_inputs(gone, PROJECT, {})


def test_the_first_picture_that_differs_is_named(record, moved):
    folder, given = moved
    lines = (folder / "train list.txt").read_text("utf-8").splitlines()
    for line in (lines[2], lines[5]):
        picture = folder / line.split(".jpg")[0]
        with Image.open(f"{picture}.jpg") as image:
            image.rotate(180).save(f"{picture}.jpg")
    with pytest.raises(ReproduceError) as told:
        find_inputs(record, PROJECT, given)
    name = lines[2].split(" ")[0]
    message = str(told.value)
    assert message.startswith(f"{folder}/train list.txt:3: picture {folder}/{name} is not the one")
    assert (
        f"expected sha256 {_recorded(record)[2][0]}, found {file_digest(folder / name)}" in message
    )


def _recorded(record):
    return module._recorded(record, "training")


def test_boxes_that_differ_are_named(record, moved):
    folder, given = moved
    file = folder / "val list.txt"
    file.write_text(file.read_text("utf-8").replace(",2", ",1", 1), "utf-8")
    with pytest.raises(ReproduceError, match="has other boxes or classes than in run"):
        find_inputs(record, PROJECT, given)


@pytest.mark.parametrize("lines", [slice(0, 7), slice(0, 9)])
def test_another_number_of_pictures_is_told(record, moved, scenes, lines):
    every = scenes.every.read_text("utf-8").splitlines(keepends=True)
    (moved[0] / "train list.txt").write_text("".join(every[lines]), "utf-8")
    count = lines.stop
    with pytest.raises(ReproduceError, match=f"lists {count} pictures, run .* had 8; the first"):
        find_inputs(record, PROJECT, moved[1])


def test_a_picture_that_is_missing_or_broken_is_told(record, moved):
    folder, given = moved
    picture = sorted((folder / "JPEGImages").iterdir())[1]
    picture.write_bytes(picture.read_bytes()[:500])
    with pytest.raises(ReproduceError, match="train list.txt:2: picture"):
        find_inputs(record, PROJECT, given)
    assert issubclass(ReproduceError, ValueError) and not issubclass(ReproduceError, DataError)


def test_one_list_that_was_divided_is_put_together_again(record, scenes):
    """Training and validation pictures of one list, recorded apart, in the order of its lines."""
    pictures = record.folder / "pictures"
    every = [
        f"{line.rpartition(' ')[0].split(' /')[0]} list.txt:{number}"
        for number, line in enumerate(
            (pictures / "training.txt").read_text("utf-8").splitlines()
            + (pictures / "validation.txt").read_text("utf-8").splitlines(),
            start=1,
        )
    ]
    (pictures / "training.txt").write_text("\n".join(every[::2]), "utf-8")
    (pictures / "validation.txt").write_text("\n".join(every[1::2]), "utf-8")
    settings = {"annotation_path": str(scenes.every), "val_annotation_path": ""}
    divided = changed(record, inputs={}, parameters=settings)
    found = find_inputs(divided, PROJECT, {})
    assert found.lines[0].startswith("data: 12 pictures, ")
    with pytest.raises(ReproduceError, match="val_annotation_path: run .* had none"):
        find_inputs(divided, PROJECT, {"val_annotation_path": str(scenes.val)})


def test_an_older_record_without_digests_of_boxes_is_checked_by_content(record):
    for name in ("training", "validation"):
        file = record.folder / "pictures" / f"{name}.txt"
        lines = [line.split(" ", 2) for line in file.read_text("utf-8").splitlines()]
        file.write_text("".join(f"{line[0]} {line[2]}\n" for line in lines), "utf-8")
    older = changed(record, inputs={})
    assert find_inputs(older, PROJECT, {}).lines[0] == (
        "data: 12 pictures, content of each as recorded"
    )


def test_pictures_of_the_project_that_no_commit_has_are_linked(
    record, moved, monkeypatch, tmp_path
):
    """A list elsewhere whose pictures lie in the project's folder, beside its code."""
    folder, given = moved
    monkeypatch.setattr(module, "PROJECT_DIR", folder)
    (tmp_path / "lists").mkdir()
    for name in given:
        given[name] = str(shutil.copy(given[name], tmp_path / "lists"))
    tree = tmp_path / "tree"
    shutil.copytree(PROJECT / "model_data", tree / "model_data")
    find_inputs(record, tree, given)
    pictures, _ = read_annotations(
        tmp_path / "lists" / "train list.txt", ("helmet", "hat", "bare"), tree
    )
    assert all(picture.path.is_relative_to(tree) for picture in pictures)


def test_weights_that_changed_are_named(record, tmp_path, base):
    other = tmp_path / "other.keras"
    other.write_bytes(base.read_bytes() + b"\n")
    with pytest.raises(ReproduceError) as told:
        find_inputs(record, PROJECT, {"weights_path": str(other)})
    message = str(told.value)
    assert message.startswith(f"weights_path: {other} has sha256 {file_digest(other)}, and the run")
    assert file_digest(base) in message and "--weights-path" in message
    with pytest.raises(ReproduceError, match="weights_path: .*nowhere.keras is missing"):
        find_inputs(record, PROJECT, {"weights_path": "nowhere.keras"})


def test_weights_of_a_logged_model_are_checked(record, trained, at_trained):
    """The run that `trained` began with another base; its own model stands for such a start."""
    uri = f"runs:/{trained.run_id}/keras-yolo-model"
    started = changed(record, parameters={"weights_path": uri}, weights={"sha256": ""}, inputs={})
    found = find_inputs(started, PROJECT, {})
    assert found.values["weights_path"] == uri
    assert found.lines[1].endswith("the run has none to compare with")
    with pytest.raises(ReproduceError, match=f"{uri} has sha256 "):
        find_inputs(changed(started, weights={"sha256": "0" * 64}), PROJECT, {})


def test_random_weights_need_no_file(alone, tmp_path, clone):
    found = find_inputs(record_of(alone[1], tmp_path / "record"), clone[0], {})
    assert found.values["weights_path"] == "none"
    assert found.lines[1] == "weights: random, from the seed"


def test_classes_and_anchors_are_taken_from_the_run_where_the_files_changed(record, tmp_path):
    changed_files = {
        name: {"given": "x", "path": str(tmp_path / "x"), "sha256": record.inputs[name]["sha256"]}
        for name in ("classes_path", "anchors_path")
    }
    elsewhere = {"classes_path": "my/classes.txt", "anchors_path": "my/anchors.txt"}
    gone = changed(record, parameters=elsewhere, inputs=changed_files)
    found = find_inputs(gone, PROJECT, {})
    assert found.values["classes_path"] == str(record.folder / "inputs/classes.txt")
    (record.folder / "inputs/anchors.txt").write_text("1,1 2,2")
    with pytest.raises(ReproduceError, match="anchors_path: no file is as it was recorded"):
        find_inputs(gone, PROJECT, {})
