import json
import math

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

from yolo3.data.labels.via import is_via, is_via3, read_via
from yolo3.data.pictures import DataError


def region(shape=None, **attributes):
    rect = {"name": "rect", "x": 10, "y": 8, "width": 30, "height": 22}
    return {"shape_attributes": shape or rect, "region_attributes": attributes}


def entry(*regions, filename="a.jpg"):
    return {"filename": filename, "size": 1234, "regions": list(regions), "file_attributes": {}}


def export(*entries):
    return {f"{one['filename']}{one['size']}": one for one in entries}


def project(*entries):
    definitions = {"region": {"class": {"type": "text", "default_value": ""}}, "file": {}}
    return {
        "_via_settings": {"ui": {}, "core": {}, "project": {"name": "p"}},
        "_via_img_metadata": export(*entries),
        "_via_attributes": definitions,
        "_via_data_format_version": "2.0.10",
        "_via_image_id_list": ["a.jpg1234"],
    }


def save(folder, said, *images, name="via.json"):
    for image in images or ("a.jpg",):
        Image.new("RGB", (64, 48)).save(folder / image)
    (folder / name).write_text(json.dumps(said), "utf-8")
    return folder


@pytest.mark.parametrize("form", [export, project])
def test_a_project_and_an_export_give_boxes_around_all_shapes_with_area(tmp_path, form):
    xs, ys = {"all_points_x": [1, 30, 8]}, {"all_points_y": [2, 4, 40]}
    said = form(
        entry(
            region(type="cup"),
            region({"name": "circle", "cx": 20, "cy": 20, "r": 5}, type="cup"),
            region({"name": "ellipse", "cx": 20, "cy": 20, "rx": 8, "ry": 4}, type="cup"),
            region(
                {"name": "ellipse", "cx": 20, "cy": 20, "rx": 8, "ry": 4, "theta": math.pi / 2},
                type="cup",
            ),
            region({"name": "polygon", **xs, **ys}, type="leaf"),
            region({"name": "polyline", **xs, **ys}, type="leaf"),
            region({"name": "point", "cx": 3, "cy": 4}, type="eye"),
        ),
        entry(filename="b.jpg"),
    )
    imported = read_folder(save(tmp_path, said, "a.jpg", "b.jpg"), read_via)
    assert boxes_of(imported) == {
        "a.jpg": [
            ("cup", (10, 8, 40, 30)),
            ("cup", (15, 15, 25, 25)),
            ("cup", (12, 16, 28, 24)),
            ("cup", (16, 12, 24, 28)),
            ("leaf", (1, 2, 30, 40)),
            ("leaf", (1, 2, 30, 40)),
        ],
        "b.jpg": [],
    }
    assert imported.findings.counts["boxes_outlined"] == 5
    assert imported.findings.counts["shapes_ignored"] == 1


def test_the_first_version_numbers_regions(tmp_path):
    said = export(entry() | {"regions": {"0": region(kind="cup"), "1": region(kind="hat")}})
    assert [name for name, _ in boxes_of(read_folder(save(tmp_path, said), read_via))["a.jpg"]] == [
        "cup",
        "hat",
    ]


@pytest.mark.parametrize(
    "attributes",
    [
        {"anything": "cup"},
        {"anything": "cup", "color": ""},
        {"color": "red", "Class": "cup", "name": "my cup"},
        {"color": "red", "label": "cup"},
        {"anything": {"cup": True, "hat": False}},
    ],
)
def test_the_class_is_the_one_attribute_or_the_one_with_a_usual_name(tmp_path, attributes):
    said = export(entry(region(**attributes)))
    assert read_folder(save(tmp_path, said), read_via).class_names == ("cup",)


@pytest.mark.parametrize(
    "attributes", [{"color": "red", "size": "big"}, {"name": "my cup", "type": "cup"}]
)
def test_several_attributes_stop_and_are_named(tmp_path, attributes):
    save(tmp_path, export(entry(region(**attributes))))
    with pytest.raises(DataError) as caught:
        read_folder(tmp_path, read_via, class_names=("red", "big"))
    (problem,) = caught.value.problems
    assert problem == (
        "regions have several attributes, call the one with the class `class` (1): "
        + ", ".join(attributes)
    )


def test_the_attribute_is_the_same_in_all_files(tmp_path):
    save(tmp_path, export(entry(region(color="red", **{"class": "cup"}))))
    save(tmp_path, export(entry(region(color="red"), filename="b.jpg")), "b.jpg", name="b.json")
    imported = read_folder(tmp_path, read_via)
    assert list(boxes_of(imported)) == ["a.jpg"] and imported.class_names == ("cup",)
    assert imported.left_out[0].reason == f"{tmp_path}/b.json: image b.jpg: object 1 has no class"


def test_regions_without_attributes_take_the_one_class_that_is_named(tmp_path):
    save(tmp_path, export(entry(region())))
    with pytest.raises(DataError, match="regions have no attribute with their class"):
        read_folder(tmp_path, read_via)
    imported = read_folder(tmp_path, read_via, class_names=("balloon",))
    assert boxes_of(imported) == {"a.jpg": [("balloon", (10, 8, 40, 30))]}


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (region(type=""), "object 2 has the label '', expected a text"),
        (region(), "object 2 has no type"),
        (region(type={"cup": True, "hat": True}), "object 2 has 2 classes, expected one"),
        (region({"name": "rect", "x": 1, "y": 2, "width": 3}, type="a"), "object 2 has no height"),
        (
            region({"name": "cube"}, type="a"),
            "object 2 has the shape 'cube', expected rect, circle, ellipse or polygon",
        ),
        (
            region({"name": "polygon", "all_points_x": [1], "all_points_y": []}, type="a"),
            "object 2 has all_points_x and all_points_y of different lengths",
        ),
        (
            region({"name": "polygon", "all_points_x": [1], "all_points_y": [1]}, type="a"),
            "object 2 has points [(1, 1)], expected two or more",
        ),
        ({"region_attributes": {"type": "a"}}, "object 2 has no shape_attributes"),
        ("x", "object 2 has no shape_attributes"),
    ],
)
def test_a_broken_region_leaves_the_whole_image_out(tmp_path, broken, text):
    said = export(entry(region(type="cup"), broken), entry(region(type="cup"), filename="b.jpg"))
    imported = read_folder(save(tmp_path, said, "a.jpg", "b.jpg"), read_via)
    assert list(boxes_of(imported)) == ["b.jpg"]
    (one,) = imported.left_out
    assert (one.kind, one.reason) == ("object", f"{tmp_path}/via.json: image a.jpg: {text}")


def test_entries_without_regions_and_images_without_an_entry_are_counted(tmp_path):
    said = export(entry(region(type="cup"))) | {"key": {"filename": "b.jpg"}}
    imported = read_folder(save(tmp_path, said, "a.jpg", "b.jpg"), read_via)
    assert [(one.kind, one.reason.replace(f"{tmp_path}/", "")) for one in imported.left_out] == [
        ("label", "via.json: key: has no filename and regions"),
        ("unlabelled", "b.jpg: in no VIA file"),
    ]


@pytest.mark.parametrize("said", [None, [], {}, {"a": 1}, {"a": {"filename": "a.jpg"}}])
def test_what_is_no_via_document(said):
    assert is_via(said) == is_via3(said) == 0
    assert is_via(project(entry(), entry(filename="b.jpg"))) == 2


def test_a_project_of_the_third_version_is_recognised():
    said = {
        "project": {"pid": "__VIA_PROJECT_ID__", "data_format_version": "3.1.1"},
        "attribute": {"1": {"aname": "class", "type": 4}},
        "file": {"1": {"fid": "1", "fname": "a.jpg", "type": 2}},
        "view": {"1": {"fid_list": ["1"]}},
        "metadata": {"1_x": {"vid": "1", "z": [], "xy": [2, 10, 8, 30, 22], "av": {"1": "cup"}}},
    }
    assert is_via3(said) == 1 and is_via(said) == 0


def write(path, samples):
    entries = []
    for sample in samples:
        regions = []
        for number, (name, (x1, y1, x2, y2)) in enumerate(sample.objects):
            box = {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
            defect = sample.broken(number)
            if defect == "no box":
                del box["width"], box["height"]
            elif defect == "not a number":
                box["x"] = "1_0"
            regions.append(region(box, **({} if defect == "no name" else {"class": name})))
        entries.append(entry(*regions, filename=sample.name))
    path.write_text(json.dumps(project(*entries)), "utf-8")


@quick
@given(data_sets(), st.sampled_from(LABEL_FOLDERS))
def test_the_clean_part_comes_out_exactly(tmp_path_factory, samples, labels):
    folder = build(tmp_path_factory.mktemp("set"), samples, write, ".json", labels)
    assert_clean_part(read_folder(folder, read_via), samples)
