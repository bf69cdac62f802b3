import json

import pytest
from format_cases import (
    CLASSES,
    assert_list_survives,
    link,
    make_list,
    problems_in,
    save_picture,
    save_turned,
)
from pycocotools.coco import COCO

from yolo3.data.coco import read_coco, write_coco
from yolo3.data.pictures import DataError

ONE_IMAGE = [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}]
HAT = [{"id": 1, "name": "hat"}]


def box(bbox=(10, 20, 30, 40), image_id=1, category_id=1, **more):
    return {"image_id": image_id, "category_id": category_id, "bbox": list(bbox), **more}


def save_json(path, images=ONE_IMAGE, annotations=(), categories=HAT, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = {"images": images, "annotations": list(annotations), "categories": categories}
    path.write_text(json.dumps(parts | more), "utf-8")
    return path


def problems_of(path, *args, **options):
    return problems_in(path.parent, read_coco, path, *args, **options)


def test_a_file_gives_pictures_classes_and_findings(tmp_path):
    for shade, name in enumerate(("a.jpg", "sub/b.jpg", "c.jpg")):
        save_picture(tmp_path / name, shade=shade)
    images = [{"id": 70, "file_name": "sub/b.jpg"}, {"id": "x", "file_name": "c.jpg"}]
    images.append({"id": 3, "file_name": "a.jpg", "width": 100, "height": 80})
    categories = [{"id": 90, "name": "hat "}, {"id": 7, "name": "bare"}, {"id": 8, "name": "none"}]
    boxes = [
        box((1.5, 2.25, 10, 20), 70, 90, id=1, iscrowd=0),
        box((0, 0, 200, 9), 70, 7, id=2),
        box((1, 1, 5, 5), 70, 7, id=3, iscrowd=1),
        box((5, 5, 0, 5), 3, 7, id=4),
    ]
    path = save_json(tmp_path / "some.json", images, boxes, categories)
    pictures, class_names, findings = read_coco(path)
    assert class_names == ("bare", "none", "hat")
    assert [picture.path.name for picture in pictures] == ["b.jpg", "c.jpg", "a.jpg"]
    assert pictures[0].boxes_xyxy.tolist() == [[1.5, 2.25, 11.5, 22.25], [0, 0, 100, 9]]
    assert pictures[0].class_ids.tolist() == [2, 0]
    assert pictures[0].source == f"{path}: image 70"
    assert [len(picture.boxes_xyxy) for picture in pictures] == [2, 0, 0]
    counts = findings.counts
    assert counts["boxes_crowd"] == counts["boxes_clipped"] == counts["boxes_degenerate"] == 1
    assert sum(counts.values()) == 3


def test_a_box_of_any_size_is_clipped(tmp_path):
    save_picture(tmp_path / "a.jpg")
    path = save_json(tmp_path / "a.json", annotations=[box((10, 20, 1e300, 1e308))])
    assert read_coco(path)[0][0].boxes_xyxy.tolist() == [[10, 20, 100, 80]]


def test_boxes_of_crowds_are_left_out_or_kept_without_their_mark(tmp_path):
    save_picture(tmp_path / "a.jpg")
    path = save_json(tmp_path / "a.json", annotations=[box(iscrowd=1, id=5), box((1, 1, 3, 3))])
    (picture,), _, findings = read_coco(path)
    assert picture.boxes_xyxy.tolist() == [[1, 1, 4, 4]]
    assert f"  {path}: annotation 5: a crowd, left out" in findings.lines()
    (picture,), _, findings = read_coco(path, keep_crowd=True)
    assert len(picture.boxes_xyxy) == 2
    assert (findings.counts["boxes_unmarked"], findings.counts["boxes_crowd"]) == (1, 0)


def test_given_class_names_give_the_ids_and_others_are_problems(tmp_path):
    save_picture(tmp_path / "a.jpg")
    categories = [{"id": 0, "name": "hat"}, {"id": 1, "name": "bare"}, {"id": 2, "name": "cup"}]
    boxes = [box(category_id=0), box(category_id=1), box(category_id=2, iscrowd=1)]
    path = save_json(tmp_path / "a.json", annotations=boxes, categories=categories)
    (picture,), class_names, _ = read_coco(path, None, ("bare", "helmet", "hat"))
    assert class_names == ("bare", "helmet", "hat")
    assert picture.class_ids.tolist() == [2, 0]
    assert problems_of(path, None, ("hat", "helmet")) == [
        "a.json: category 1 'bare' is unknown, expected hat, helmet"
    ]


def test_a_category_that_only_groups_others_is_no_class(tmp_path):
    save_picture(tmp_path / "a.jpg")
    categories = [
        {"id": 0, "name": "heads", "supercategory": "none"},
        {"id": 1, "name": "hat", "supercategory": "heads"},
        {"id": 2, "name": "cup", "supercategory": "cup"},
    ]
    path = save_json(tmp_path / "a.json", annotations=[box()], categories=categories)
    pictures, class_names, findings = read_coco(path)
    assert class_names == ("hat", "cup")
    assert pictures[0].class_ids.tolist() == [0]
    assert findings.counts["classes_grouping"] == 1
    boxes = [box(), box(category_id=0)]
    save_json(path, annotations=boxes, categories=categories)
    assert read_coco(path)[1] == ("heads", "hat", "cup")


@pytest.mark.parametrize(
    "json_place, place",
    [
        ("a.json", "a.jpg"),
        ("result.json", "images/a.jpg"),
        ("labels.json", "data/a.jpg"),
        ("annotations/instances_train2017.json", "train2017/a.jpg"),
        ("annotations/instances_train2017.json", "images/train2017/a.jpg"),
        ("annotations/instances_default.json", "images/a.jpg"),
        ("Annotations/all.json", "a.jpg"),
    ],
)
def test_the_picture_is_found_where_tools_put_it(tmp_path, json_place, place):
    path = save_picture(tmp_path / place)
    save_json(tmp_path / json_place)
    assert read_coco(tmp_path / json_place)[0][0].path == path


@pytest.mark.parametrize("name", ["a.jpg", "sub\\a.jpg", "pictures/a.jpg", "./sub/../a.jpg"])
def test_a_folder_of_pictures_may_be_given(tmp_path, name):
    place = "sub/a.jpg" if name.startswith("sub") else "a.jpg"
    path = save_picture(tmp_path / "pictures" / place)
    save_json(tmp_path / "far" / "a.json", [{"id": 1, "file_name": name}])
    assert read_coco(tmp_path / "far" / "a.json", tmp_path / "pictures")[0][0].path == path


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "sub/../../secret.jpg", "..\\secret.jpg", "/secret.jpg", "C:\\s.jpg"]
)
@pytest.mark.parametrize("given", [True, False])
def test_a_file_name_never_leads_outside(tmp_path, name, given):
    save_picture(tmp_path / "secret.jpg")
    path = save_json(tmp_path / "coco" / "a.json", [{"id": 1, "file_name": name}])
    images = path.parent if given else None
    assert problems_of(path, images) == [
        f"a.json: image 1: picture {name!r} leads outside the folder, which is refused"
    ]


def test_a_link_never_leads_outside(tmp_path):
    save_picture(tmp_path / "secret.jpg")
    path = save_json(tmp_path / "coco" / "a.json")
    link(tmp_path / "coco" / "a.jpg", tmp_path / "secret.jpg")
    assert problems_of(path) == [
        "a.json: image 1: picture a.jpg is a link that leads outside the folder: refused"
    ]


def test_an_outline_without_a_box_gives_the_box_around_it(tmp_path):
    save_picture(tmp_path / "a.jpg")
    outline = [[10, 20, 30, 25, 20, 40], [5, 30, 6, 31, 7, 30]]
    boxes = [box([], segmentation=outline), box((1, 1, 2, 2), segmentation=outline)]
    (picture,), _, findings = read_coco(save_json(tmp_path / "a.json", annotations=boxes))
    assert picture.boxes_xyxy.tolist() == [[5, 20, 30, 40], [1, 1, 3, 3]]
    assert findings.counts["boxes_outlined"] == 1


def test_a_size_that_is_not_the_pictures_is_told(tmp_path):
    save_turned(tmp_path / "a.jpg")
    findings = read_coco(save_json(tmp_path / "a.json"))[2]
    assert findings.lines()[1].endswith(
        "says 100x80, the picture is 80x100, was it labelled before it was turned?"
    )


def test_all_problems_are_told_at_once_in_the_order_of_the_images(tmp_path):
    save_picture(tmp_path / "a.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    images = [
        {"id": 1, "file_name": "a.jpg"},
        {"id": 2, "file_name": "missing.jpg"},
        {"id": 3},
        {"id": 4, "file_name": "broken.jpg"},
        {"id": 5, "file_name": "a.jpg"},
    ]
    boxes = [
        "text",
        box(image_id=9, id=11),
        box(image_id=[1], id=12),
        box(category_id=7, id=13),
        box((1, 2, 3), id=14),
        box((1, 2, "x", 4), id=15),
        box((1, 2, float("nan"), 4), id=16),
        box([], segmentation={"counts": [], "size": []}, id=17),
        box([], segmentation=[[1, 2, 3]], id=18),
    ]
    path = save_json(tmp_path / "a.json", images, boxes)
    expected = [
        "a.json: annotations[0] is no object, expected image_id, category_id and bbox",
        "a.json: annotation 11 has image_id 9, which no image has",
        "a.json: annotation 12 has image_id [1], which no image has",
        "a.json: annotation 13 has category_id 7, expected one of 1",
        "a.json: annotation 14 has bbox [1, 2, 3], expected [x, y, width, height]",
        "a.json: annotation 15 has bbox [1, 2, 'x', 4]: 'x' is not a finite number",
        "a.json: annotation 16 has bbox [1, 2, nan, 4]: nan is not a finite number",
        "a.json: annotation 17 has bbox [], expected [x, y, width, height]",
        "a.json: annotation 18 has an outline that is no list x, y, x, y, … of three points",
        "a.json: image 2: picture 'missing.jpg' is missing, sought in ",
        "a.json: image 3: has file_name None, expected the name of a picture",
        "a.json: image 4: picture broken.jpg is not a picture",
        "a.json: image 5: picture a.jpg is already listed at a.json: image 1",
    ]
    problems = problems_of(path)
    assert len(problems) == len(expected)
    for problem, start in zip(problems, expected, strict=True):
        assert problem.startswith(start)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"a\.json:1: is not JSON"),
        ('{"images": [],\n"annotations"', r"a\.json:2: is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "holds no object with images, annotations, categories, is it a result file"),
        ("{}", "has no list 'images'"),
        ('{"images": {}, "annotations": [], "categories": []}', "has no list 'images'"),
        ('{"images": [{}], "annotations": [], "categories": []}', r"images\[0\] has no id"),
        (
            '{"images": [{"id": 1}, {"id": 1}], "annotations": [], "categories": []}',
            r"images\[1\] has the id 1 of images\[0\]",
        ),
        ('{"images": [], "annotations": [], "categories": [{"id": "x"}]}', r"categories\[0\] has"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "class '' cannot stand"),
        ('{"images": [], "annotations": [], "categories": []}', "has no categories"),
        (
            '{"images": [], "annotations": [], "categories":'
            ' [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}',
            "class 'a' stands twice",
        ),
    ],
)
def test_a_file_that_is_no_coco_stops(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_coco(tmp_path / "a.json")


def test_a_file_that_is_no_text_stops(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError, match="is not JSON in UTF-8"):
        read_coco(tmp_path / "a.json")
    with pytest.raises(DataError, match="cannot be read"):
        read_coco(tmp_path / "nowhere.json")


def test_a_list_survives_the_way_through_coco(tmp_path):
    pictures = make_list(tmp_path / "mine")
    write_coco(pictures, CLASSES, tmp_path / "coco")
    path = tmp_path / "coco" / "annotations.json"
    assert_list_survives(pictures, lambda: read_coco(path), tmp_path)


def test_pycocotools_reads_what_is_written(tmp_path, capsys):
    pictures = make_list(tmp_path / "mine")
    write_coco(pictures, CLASSES, tmp_path / "coco")
    coco = COCO(tmp_path / "coco" / "annotations.json")
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    turned = next(picture for picture in pictures if picture.path.name == "turned.jpg")
    image = coco.loadImgs(pictures.index(turned) + 1)[0]
    assert (image["width"], image["height"]) == turned.size_wh
    boxes = coco.loadAnns(coco.getAnnIds(image["id"]))
    assert len(boxes) == len(turned.boxes_xyxy) > 0
    assert all(box["iscrowd"] == 0 and box["area"] > 0 for box in boxes)


def test_an_export_never_overwrites(tmp_path):
    pictures = make_list(tmp_path / "mine")
    with pytest.raises(DataError, match="is not empty"):
        write_coco(pictures, CLASSES, tmp_path / "mine")
