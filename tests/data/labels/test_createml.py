import json

import pytest
from defects import (
    LABEL_FOLDERS,
    assert_clean_part,
    boxes_of,
    build,
    data_sets,
    quick,
    read_folder,
)
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from yolo3.data.labels.createml import is_createml, read_createml
from yolo3.data.pictures import DataError


def annotation(label="hat", x=25, y=19, width=30, height=22):
    return {
        "label": label,
        "coordinates": {"x": x, "y": y, "width": width, "height": height},
    }


def save(folder, said, *images, name="_annotations.createml.json"):
    folder.mkdir(parents=True, exist_ok=True)
    for image in images or ("a.jpg", "b.jpg"):
        Image.new("RGB", (64, 48)).save(folder / image)
    (folder / name).write_text(json.dumps(said), "utf-8")
    return folder


def test_centres_become_corners_and_empty_lists_are_background(tmp_path):
    said = [
        {"image": "a.jpg", "annotations": [annotation(), annotation("cup", 10.5, 9, 3, 4)]},
        {"image": "b.jpg", "annotations": []},
    ]
    imported = read_folder(save(tmp_path, said), read_createml)
    assert boxes_of(imported) == {
        "a.jpg": [("hat", (10, 8, 40, 30)), ("cup", (9, 7, 12, 11))],
        "b.jpg": [],
    }
    assert imported.class_names == ("cup", "hat")
    assert imported.pictures[0].source == f"{tmp_path}/_annotations.createml.json: image a.jpg"


def test_the_keys_of_apples_page_are_read(tmp_path):
    said = [{"imagefilename": "a.jpg", "annotation": [annotation()]}]
    assert boxes_of(read_folder(save(tmp_path, said, "a.jpg"), read_createml)) == {
        "a.jpg": [("hat", (10, 8, 40, 30))]
    }


def test_each_folder_may_have_its_file_and_is_a_split(tmp_path):
    said = [{"image": "a.jpg", "annotations": [annotation()]}]
    for name in ("train", "valid"):
        save(tmp_path / name, said, "a.jpg")
    assert read_folder(tmp_path, read_createml).splits == ("train", "val")


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        ({"label": "hat"}, "object 2 has no coordinates"),
        (annotation(None), "object 2 has no label"),
        (annotation(True), "object 2 has the label True, expected a text"),
        (annotation(width=None), "object 2 has no width"),
        (annotation(x="left"), "object 2 has x 'left', expected a number"),
        (annotation(x=[1] * 99), "object 2 has x [1, 1, 1"),
        (annotation(x=float("nan")), "object 2 has x nan, expected a number"),
        (annotation(x=10**400), "object 2 has x 1000"),
        (annotation(x=1.5e308, width=1.5e308), "object 2 has numbers that are too large"),
        ({"label": "hat", "coordinates": [1, 2, 3, 4]}, "object 2 has no x"),
        (None, "object 2 has no label"),
    ],
)
def test_a_broken_annotation_leaves_the_whole_image_out(tmp_path, broken, text):
    said = [
        {"image": "a.jpg", "annotations": [annotation(), broken]},
        {"image": "b.jpg", "annotations": [annotation()]},
    ]
    imported = read_folder(save(tmp_path, said), read_createml)
    assert list(boxes_of(imported)) == ["b.jpg"]
    (one,) = imported.left_out
    assert one.kind == "object"
    assert one.reason.startswith(f"{tmp_path}/_annotations.createml.json: image a.jpg: {text}")
    assert len(one.reason) < len(str(tmp_path)) + 200


def test_an_image_that_is_listed_twice_is_left_out(tmp_path):
    said = [{"image": name, "annotations": [annotation()]} for name in ("a.jpg", "b.jpg", "c.jpg")]
    folder = save(tmp_path, [*said, said[0]], "a.jpg", "b.jpg", "c.jpg")
    imported = read_folder(folder, read_createml)
    assert list(boxes_of(imported)) == ["b.jpg", "c.jpg"]
    assert [one.kind for one in imported.left_out] == ["ambiguous", "ambiguous"]


def test_entries_without_an_image_and_images_without_an_entry_are_counted(tmp_path):
    said = [{"image": "a.jpg", "annotations": [annotation()]}, {"image": "c.jpg"}]
    imported = read_folder(save(tmp_path, said), read_createml)
    assert [(one.kind, one.reason.replace(f"{tmp_path}/", "")) for one in imported.left_out] == [
        ("label", "_annotations.createml.json: entry 2: has no image and annotations"),
        ("unlabelled", "b.jpg: in no CreateML file"),
    ]


def test_fractions_stop(tmp_path):
    said = [{"image": "a.jpg", "annotations": [annotation("hat", 0.5, 0.5, 0.25, 0.25)]}]
    with pytest.raises(DataError, match="boxes are fractions of the image's sides"):
        read_folder(save(tmp_path, said), read_createml)


@pytest.mark.parametrize("said", [None, [], {}, [1], [{"image": "a.jpg"}], [{"annotations": []}]])
def test_what_is_no_createml_document(said):
    assert is_createml(said) == 0
    assert is_createml([{"image": "a.jpg", "annotations": []}, {}, 3]) == 1


def write(path, samples):
    said = []
    for sample in samples:
        annotations = []
        for number, (name, (x1, y1, x2, y2)) in enumerate(sample.objects):
            one = annotation(name, (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
            defect = sample.broken(number)
            if defect == "no box":
                del one["coordinates"]
            elif defect == "no name":
                one["label"] = ""
            elif defect == "not a number":
                one["coordinates"]["height"] = "high"
            annotations.append(one)
        said.append({"image": sample.name, "annotations": annotations})
    path.write_text(json.dumps(said), "utf-8")


@quick
@given(data_sets(), st.sampled_from(LABEL_FOLDERS))
def test_the_clean_part_comes_out_exactly(tmp_path_factory, samples, labels):
    folder = build(tmp_path_factory.mktemp("set"), samples, write, ".json", labels)
    assert_clean_part(read_folder(folder, read_createml), samples)
