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

from yolo3.data.labels.label_studio import is_label_studio, read_label_studio

SIZE_WH = (80, 40)
BOX = {"x": 12.5, "y": 25, "width": 25, "height": 50, "rotation": 0}  # 10, 10, 30, 30
UPLOAD = "/data/upload/1/0a1b2c3d-a.jpg"


def result(value=None, type="rectanglelabels", names=("cup",), **more):
    labelled = (BOX if value is None else value) | ({} if names is None else {type: list(names)})
    said = {"original_width": 80, "original_height": 40, "image_rotation": 0, "id": "x1"}
    return said | {"type": type, "value": labelled, "from_name": "label"} | more


def task(*annotations, image=UPLOAD, number=1):
    meta = {"predictions": [{"result": [result()]}], "meta": {}, "total_annotations": 1}
    return {"id": number, "data": {"image": image}, "annotations": list(annotations)} | meta


def annotation(*results, **more):
    said = {"id": 7, "completed_by": 1, "was_cancelled": False, "ground_truth": False}
    return said | {"result": list(results), "lead_time": 4.2} | more


def save(folder, said, *images):
    for image in images or ("a.jpg",):
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE_WH).save(folder / image)
    (folder / "project-1.json").write_text(json.dumps(said), "utf-8")
    return folder


def imported_boxes(folder, said, *images):
    return boxes_of(read_folder(save(folder, said, *images), read_label_studio))


def test_percentages_become_pixels_and_outlines_the_box_around_them(tmp_path):
    ellipse = {"x": 50, "y": 50, "radiusX": 10, "radiusY": 10}
    results = [
        result(),
        result(BOX | {"x": 50, "rotation": 90}),  # around its top left corner, which is 40, 10
        result(ellipse, "ellipselabels"),
        result(ellipse | {"rotation": 90}, "ellipselabels"),
        result({"points": [[10, 10], [20, 50], [5, 30]]}, "polygonlabels", ["leaf"]),
        result({"x": 5, "y": 5, "width": 0.7}, "keypointlabels"),
        result({"choices": ["indoors"]}, "choices", None),
        {"type": "relation", "from_id": "x1", "to_id": "x2", "direction": "right"},
    ]
    imported = read_folder(save(tmp_path, [task(annotation(*results))]), read_label_studio)
    assert boxes_of(imported) == {
        "a.jpg": [
            ("cup", (10, 10, 30, 30)),
            ("cup", (20, 10, 40, 30)),
            ("cup", (32, 16, 48, 24)),
            ("cup", (36, 12, 44, 28)),
            ("leaf", (4, 4, 16, 20)),
        ]
    }
    assert imported.findings.counts["boxes_outlined"] == 4
    assert imported.findings.counts["shapes_ignored"] == 3
    assert imported.pictures[0].source == f"{tmp_path}/project-1.json: image /data/upload/1/a.jpg"


def test_json_min_holds_the_same_without_annotations(tmp_path):
    size = {"original_width": 80, "original_height": 40}
    box = BOX | {"rectanglelabels": ["cup"]} | size
    record = {"image": UPLOAD, "id": 1, "label": [box], "note": ["a", "b"], "annotator": 1}
    record |= {"annotation_id": 7, "created_at": "2026", "updated_at": "2026", "lead_time": 4.2}
    empty = {key: value for key, value in record.items() if key != "label"} | {"image": "b.jpg"}
    none = empty | {"annotation_id": None, "image": "c.jpg"}
    imported = read_folder(
        save(tmp_path, [record, empty, none], "a.jpg", "b.jpg", "c.jpg"), read_label_studio
    )
    assert boxes_of(imported) == {"a.jpg": [("cup", (10, 10, 30, 30))], "b.jpg": []}
    assert [one.kind for one in imported.left_out] == ["unlabelled"]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (UPLOAD, "a.jpg"),
        (UPLOAD, "images/0a1b2c3d-a.jpg"),
        ("/data/upload/1/0a1b2c3d-my%20cup%20%231.jpg", "my cup #1.jpg"),
        ("/data/local-files/?d=photos/a.jpg", "photos/a.jpg"),
        ("/data/local-files/?d=deep%5Cphotos%2Fa%20b.jpg", "a b.jpg"),
        ("https://example.org/bucket/a.jpg?X-Amz-Date=20260101&x=/b.png", "a.jpg"),
        ("s3://bucket/photos/a.jpg", "photos/a.jpg"),
        ("100%25.jpg", "100%25.jpg"),
        ("https://example.org/photos/a", "a.jpg"),
    ],
)
def test_the_image_is_found_by_the_end_of_its_url(tmp_path, url, place):
    said = [task(annotation(result()), image=url)]
    (picture,) = read_folder(save(tmp_path, said, place), read_label_studio).pictures
    assert picture.path == tmp_path / place


def test_another_field_may_hold_the_image(tmp_path):
    said = task(annotation(result())) | {"data": {"text": "cup", "picture": "a.jpg"}}
    assert imported_boxes(tmp_path, [said]) == {"a.jpg": [("cup", (10, 10, 30, 30))]}


def test_labels_beside_plain_rectangles_belong_to_them(tmp_path):
    results = [
        result(type="rectangle", names=None),
        result(type="labels"),
        result(BOX | {"choices": ["hot"]}, "choices", None),
    ]
    assert imported_boxes(tmp_path, [task(annotation(*results))]) == {
        "a.jpg": [("cup", (10, 10, 30, 30))]
    }


@pytest.mark.parametrize("cancelled", [[], [annotation(result(), was_cancelled=True)]])
def test_tasks_without_annotation_are_unlabelled_and_empty_ones_background(tmp_path, cancelled):
    said = [
        task(annotation(result())),
        task(annotation(), image="b.jpg"),
        task(*cancelled, image="c.jpg"),
    ]
    imported = read_folder(save(tmp_path, said, "a.jpg", "b.jpg", "c.jpg"), read_label_studio)
    assert boxes_of(imported)["b.jpg"] == []
    assert [(one.kind, one.name) for one in imported.left_out] == [
        ("unlabelled", f"{tmp_path}/project-1.json: image c.jpg")
    ]


@pytest.mark.parametrize(
    ("annotations", "count"),
    [
        ([annotation(result(), result(names=["hat"])), annotation(result())], None),
        ([annotation(result()), annotation(result(BOX | {"x": 1}))], None),
        ([annotation(result()), annotation(result(), id=8)], 1),
        ([annotation(result()), annotation(result(), result(names=["hat"]), ground_truth=True)], 2),
        ([annotation(result(), was_cancelled=True), annotation(result())], 1),
    ],
)
def test_several_annotations_must_agree_or_one_is_the_truth(tmp_path, annotations, count):
    said = [task(*annotations), task(annotation(result()), image="b.jpg")]
    imported = read_folder(save(tmp_path, said, "a.jpg", "b.jpg"), read_label_studio)
    if count is None:
        assert [one.kind for one in imported.left_out] == ["ambiguous"]
    else:
        assert len(boxes_of(imported)["a.jpg"]) == count


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (result(names=["cup", "hat"]), "object 2 has several labels, expected one"),
        (result(names=[]), "object 2 has no label"),
        (result(BOX | {"x": 1}, names=None), "object 2 has no label"),
        (result({"x": 1, "y": 2, "height": 3}), "object 2 has no width"),
        (result(BOX | {"x": "left"}), "object 2 has x 'left', expected a number"),
        (result({"points": [[1, 2]]}, "polygonlabels"), "object 2 has points [[1, 2]], expected"),
        (result(image_rotation=90), "object 2 was drawn on the image turned in Label Studio"),
        (
            result(BOX | {"rotation": 5}, original_width=None),
            "object 2 is rotated and has no original_width and original_height",
        ),
        (
            result({"format": "rle", "rle": [0, 1, 2]}, "brushlabels"),
            "object 2 is a brush mask, which is not read: export COCO",
        ),
        (None, "object 2 is no object"),
    ],
)
def test_a_broken_region_leaves_the_whole_image_out(tmp_path, broken, text):
    said = [task(annotation(result(), broken)), task(annotation(result()), image="b.jpg")]
    imported = read_folder(save(tmp_path, said, "a.jpg", "b.jpg"), read_label_studio)
    assert list(boxes_of(imported)) == ["b.jpg"]
    (one,) = imported.left_out
    assert one.kind == "object"
    assert one.reason.startswith(f"{tmp_path}/project-1.json: image /data/upload/1/a.jpg: {text}")


def test_tasks_without_an_image_are_counted(tmp_path):
    said = [task(annotation(result())), task(annotation(), image="data:image/png;base64,a.png")]
    imported = read_folder(save(tmp_path, said), read_label_studio)
    assert [one.reason for one in imported.left_out] == [
        f"{tmp_path}/project-1.json: task 2: has no image and annotations"
    ]


@pytest.mark.parametrize(
    "said", [None, {}, [], [1], [{"data": {"text": "hello"}, "annotations": []}], [{"data": 1}]]
)
def test_what_is_no_label_studio_document(said):
    assert is_label_studio(said) == 0
    assert is_label_studio([task(), {}]) == 1


def write(path, samples):
    tasks = []
    for sample in samples:
        width, height = sample.size_wh
        results = []
        for number, (name, (x1, y1, x2, y2)) in enumerate(sample.objects):
            box = {"x": x1 / width * 100, "y": y1 / height * 100, "rotation": 0}
            box |= {"width": (x2 - x1) / width * 100, "height": (y2 - y1) / height * 100}
            defect = sample.broken(number)
            if defect == "no box":
                del box["width"], box["height"]
            elif defect == "not a number":
                box["y"] = None
            names = None if defect == "no name" else [name]
            size = {"original_width": width, "original_height": height}
            results.append(result(box, names=names, **size))
        tasks.append(task(annotation(*results), image=f"/data/upload/1/0a1b2c3d-{sample.name}"))
    path.write_text(json.dumps(tasks), "utf-8")


@quick
@given(data_sets(), st.sampled_from(LABEL_FOLDERS))
def test_the_clean_part_comes_out_exactly(tmp_path_factory, samples, labels):
    folder = build(tmp_path_factory.mktemp("set"), samples, write, ".json", labels)
    assert_clean_part(read_folder(folder, read_label_studio), samples)
