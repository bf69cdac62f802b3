import json

import pytest
from defects import (
    CLASSES as DEFECT_CLASSES,
)
from defects import LABEL_FOLDERS, assert_clean_part, build, data_sets, quick
from format_cases import (
    CLASSES,
    assert_list_survives,
    left_out_of,
    link,
    make_list,
    problems_in,
    save_picture,
)
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO

from yolo3.data.labels.coco import write_coco
from yolo3.data.labels.formats import read_labels
from yolo3.data.labels.policy import LEADS_OUTSIDE, ImportOptions
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


def read_coco(path, **options):
    return read_labels(path, ImportOptions(format="coco", **options))


def problems_of(path, **options):
    return problems_in(path.parent, read_coco, path, **options)


def save_clean(folder, count=3):
    """Save images a.jpg, b.jpg, …; returns their entries."""
    names = [f"{chr(97 + number)}.jpg" for number in range(count)]
    for shade, name in enumerate(names):
        save_picture(folder / name, shade=shade)
    return [{"id": number, "file_name": name} for number, name in enumerate(names, start=1)]


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
    imported = read_coco(path)
    pictures = imported.pictures
    assert imported.class_names == ("bare", "none", "hat")
    assert [picture.path.name for picture in pictures] == ["b.jpg", "c.jpg", "a.jpg"]
    assert pictures[0].boxes_xyxy.tolist() == [[1.5, 2.25, 11.5, 22.25], [0, 0, 100, 9]]
    assert pictures[0].class_ids.tolist() == [2, 0]
    assert pictures[0].source == f"{path}: image 70"
    assert [len(picture.boxes_xyxy) for picture in pictures] == [2, 0, 0]
    counts = imported.findings.counts
    assert counts["boxes_crowd"] == counts["boxes_clipped"] == counts["boxes_degenerate"] == 1
    assert sum(counts.values()) == 3


def test_a_box_of_any_size_is_clipped(tmp_path):
    save_picture(tmp_path / "a.jpg")
    path = save_json(tmp_path / "a.json", annotations=[box((10, 20, 1e300, 1e308))])
    assert read_coco(path).pictures[0].boxes_xyxy.tolist() == [[10, 20, 100, 80]]


def test_boxes_of_crowds_are_left_out_or_kept_without_their_mark(tmp_path):
    save_picture(tmp_path / "a.jpg")
    path = save_json(tmp_path / "a.json", annotations=[box(iscrowd=1, id=5), box((1, 1, 3, 3))])
    imported = read_coco(path)
    assert imported.pictures[0].boxes_xyxy.tolist() == [[1, 1, 4, 4]]
    assert f"  {path}: annotation 5: a crowd, left out" in imported.findings.lines()
    imported = read_coco(path, keep_crowd=True)
    assert len(imported.pictures[0].boxes_xyxy) == 2
    assert [kind for kind, _ in imported.findings.found] == ["boxes_unmarked"]


@pytest.mark.parametrize("mark", [0, 0.0, False, "0", None])
def test_a_box_that_is_no_crowd_is_kept_however_that_is_written(tmp_path, mark):
    save_picture(tmp_path / "a.jpg")
    imported = read_coco(save_json(tmp_path / "a.json", annotations=[box(iscrowd=mark)]))
    assert len(imported.pictures[0].boxes_xyxy) == 1 and not imported.findings.found


@pytest.mark.parametrize("written", [1, 1.0, "1"])
def test_ids_may_be_written_in_different_types(tmp_path, written):
    save_picture(tmp_path / "a.jpg")
    boxes = [box(image_id=written, category_id=written)]
    assert len(read_coco(save_json(tmp_path / "a.json", annotations=boxes)).pictures[0].class_ids)


def test_given_class_names_give_the_ids_and_others_stop(tmp_path):
    save_picture(tmp_path / "a.jpg")
    categories = [{"id": 0, "name": "hat"}, {"id": 1, "name": "bare"}, {"id": 2, "name": "cup"}]
    boxes = [box(category_id=0), box(category_id=1), box(category_id=2, iscrowd=1)]
    path = save_json(tmp_path / "a.json", annotations=boxes, categories=categories)
    imported = read_coco(path, class_names=("bare", "helmet", "hat"))
    assert imported.class_names == ("bare", "helmet", "hat")
    assert imported.pictures[0].class_ids.tolist() == [2, 0]
    assert problems_of(path, class_names=("hat", "helmet")) == [
        "names of classes are unknown, expected hat, helmet (1): a.json: image 1: class 'bare'"
    ]


def test_a_category_that_only_groups_others_is_no_class(tmp_path):
    save_picture(tmp_path / "a.jpg")
    categories = [
        {"id": 0, "name": "heads", "supercategory": "none"},
        {"id": 1, "name": "hat", "supercategory": "heads"},
        {"id": 2, "name": "cup", "supercategory": "cup"},
    ]
    path = save_json(tmp_path / "a.json", annotations=[box()], categories=categories)
    imported = read_coco(path)
    assert imported.class_names == ("hat", "cup")
    assert imported.pictures[0].class_ids.tolist() == [0]
    assert imported.findings.counts["classes_grouping"] == 1
    boxes = [box(), box(category_id=0)]
    save_json(path, annotations=boxes, categories=categories)
    assert read_coco(path).class_names == ("heads", "hat", "cup")


def test_a_group_may_have_the_name_of_its_class(tmp_path):
    save_picture(tmp_path / "a.jpg")
    categories = [
        {"id": 0, "name": "hat", "supercategory": "none"},
        {"id": 1, "name": "hat", "supercategory": "hat"},
    ]
    path = save_json(tmp_path / "a.json", annotations=[box()], categories=categories)
    imported = read_coco(path)
    assert imported.class_names == ("hat",) and len(imported.pictures[0].class_ids) == 1


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
    assert read_coco(tmp_path / json_place).pictures[0].path == path
    assert read_coco(tmp_path).pictures[0].path == path


def test_a_folder_of_splits_is_read_with_its_splits(tmp_path):
    for shade, split in enumerate(("train", "valid", "test")):
        save_picture(tmp_path / split / f"{split}.jpg", shade=shade)
        images = [{"id": 1, "file_name": f"{split}.jpg"}]
        save_json(tmp_path / split / "_annotations.coco.json", images, [box()])
    imported = read_coco(tmp_path)
    assert dict(zip(imported.splits, [p.path.stem for p in imported.pictures], strict=True)) == {
        "train": "train",
        "val": "valid",
        "test": "test",
    }
    assert [picture.path.stem for picture in imported.of_split("val")] == ["valid"]


def test_the_name_of_a_file_may_say_its_split(tmp_path):
    for shade, split in enumerate(("train", "val")):
        save_picture(tmp_path / "images" / f"{shade}.jpg", shade=shade)
        save_json(tmp_path / f"{split}.json", [{"id": 1, "file_name": f"{shade}.jpg"}], [box()])
    assert read_coco(tmp_path).splits == ("train", "val")


def test_of_files_as_coco_gives_them_those_of_instances_are_read(tmp_path):
    save_picture(tmp_path / "train2017" / "a.jpg")
    save_picture(tmp_path / "val2017" / "a.jpg", shade=9)
    for name in ("instances_train2017", "instances_val2017", "person_keypoints_val2017"):
        save_json(tmp_path / "annotations" / f"{name}.json", annotations=[box()])
    imported = read_coco(tmp_path)
    assert [p.path.parent.name for p in imported.pictures] == ["train2017", "val2017"]
    assert imported.splits == ("train", "val") and not imported.left_out


@pytest.mark.parametrize("name", ["a.jpg", "sub\\a.jpg", "pictures/a.jpg", "./sub/../a.jpg"])
def test_a_folder_of_images_may_be_given(tmp_path, name):
    place = "sub/a.jpg" if name.startswith("sub") else "a.jpg"
    path = save_picture(tmp_path / "pictures" / place)
    save_picture(tmp_path / "far" / "a.jpg", shade=9)
    far = save_json(tmp_path / "far" / "a.json", [{"id": 1, "file_name": name}])
    for source in (far, far.parent):
        assert read_coco(source, images=tmp_path / "pictures").pictures[0].path == path


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "sub/../../secret.jpg", "..\\secret.jpg", "/secret.jpg", "C:\\s.jpg"]
)
@pytest.mark.parametrize("given", [True, False])
def test_a_file_name_never_leads_outside(tmp_path, name, given):
    save_picture(tmp_path / "secret.jpg")
    images = [*save_clean(tmp_path / "coco"), {"id": 9, "file_name": name}]
    path = save_json(tmp_path / "coco" / "a.json", images)
    imported = read_coco(path, images=path.parent if given else None)
    assert left_out_of(imported, path.parent) == [
        ("missing", f"a.json: image 9: image {name} is missing")
    ]


def test_a_link_leads_outside_only_if_it_is_followed(tmp_path):
    save_picture(tmp_path / "secret.jpg", shade=9)
    images = [*save_clean(tmp_path / "coco"), {"id": 9, "file_name": "link.jpg"}]
    path = save_json(tmp_path / "coco" / "a.json", images)
    link(tmp_path / "coco" / "link.jpg", tmp_path / "secret.jpg")
    expected = [("outside", f"a.json: image 9: image link.jpg {LEADS_OUTSIDE}")]
    assert left_out_of(read_coco(path), path.parent) == expected
    assert len(read_coco(path, follow_links=True).pictures) == 4


def test_an_outline_without_a_box_gives_the_box_around_it(tmp_path):
    save_picture(tmp_path / "a.jpg")
    outline = [[10, 20, 30, 25, 20, 40], [5, 30, 6, 31, 7, 30]]
    boxes = [box([], segmentation=outline), box((1, 1, 2, 2), segmentation=outline)]
    imported = read_coco(save_json(tmp_path / "a.json", annotations=boxes))
    assert imported.pictures[0].boxes_xyxy.tolist() == [[5, 20, 30, 40], [1, 1, 3, 3]]
    assert imported.findings.counts["boxes_outlined"] == 1


def test_a_size_that_is_not_the_pictures_is_reported(tmp_path):
    save_picture(tmp_path / "a.jpg", size=(50, 50))
    findings = read_coco(save_json(tmp_path / "a.json")).findings
    assert findings.lines()[1].endswith("says 100x80, the picture is 50x50")


BROKEN = {  # an annotation of the first image -> what is said of it
    (1, 2, 3): "has bbox [1, 2, 3], expected [x, y, width, height]",
    (1, 2, "x", 4): "has bbox [1, 2, 'x', 4]: 'x' is not a finite number",
    (1, 2, float("nan"), 4): "has bbox [1, 2, nan, 4]: nan is not a finite number",
    (): "has bbox [], expected [x, y, width, height]",
    "outline": "has an outline that is no list x, y, x, y, … of three points or more",
}


@pytest.mark.parametrize("bbox", BROKEN)
def test_a_broken_object_leaves_its_whole_image_out(tmp_path, bbox):
    outline = {"segmentation": [[1, 2, 3]]} if bbox == "outline" else {}
    boxes = [box(id=11), box(() if outline else bbox, id=13, **outline), box(image_id=2)]
    path = save_json(tmp_path / "a.json", save_clean(tmp_path), boxes)
    imported = read_coco(path)
    assert left_out_of(imported, tmp_path) == [
        ("object", f"a.json: image 1: annotation 13 {BROKEN[bbox]}")
    ]
    assert [len(picture.boxes_xyxy) for picture in imported.pictures] == [1, 0]
    assert imported.lines()[-1] == "imported 2 of 3 images, 1 left out"


def test_broken_images_are_left_out(tmp_path):
    images = save_clean(tmp_path, 5)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    images += [{"id": 7, "file_name": "gone.jpg"}, {"id": 8}, {"id": 9, "file_name": "broken.jpg"}]
    boxes = [box(image_id=99, id=11), box(image_id=[1], id=12), "text"]
    imported = read_coco(save_json(tmp_path / "a.json", images, boxes))
    told = left_out_of(imported, tmp_path)
    assert told[:2] == [
        ("missing", "a.json: image 7: image gone.jpg is missing"),
        ("label", "a.json: image 8: has file_name None, expected the name of an image"),
    ]
    assert told[2][0] == "unreadable" and "broken.jpg is not a picture" in told[2][1]
    assert [text.replace(f"{tmp_path}/", "") for _, text in imported.findings.found] == [
        "a.json: annotation 11 has image_id 99, which no image has",
        "a.json: annotation 12 has image_id [1], which no image has",
        "a.json: annotations[2] has image_id None, which no image has",
    ]


def test_an_image_that_is_listed_twice_is_left_out(tmp_path):
    images = [*save_clean(tmp_path, 4), {"id": 9, "file_name": "a.jpg"}]
    told = left_out_of(read_coco(save_json(tmp_path / "a.json", images)), tmp_path)
    assert told == [
        ("ambiguous", "a.json: image 1: a.jpg is labelled by a.json: image 9 too"),
        ("ambiguous", "a.json: image 9: a.jpg is labelled by a.json: image 1 too"),
    ]


def test_images_of_one_id_or_of_none_are_left_out(tmp_path):
    images = save_clean(tmp_path, 6)
    images[4]["id"] = images[3]["id"]
    del images[5]["id"]
    boxes = [box(image_id=images[3]["id"]), box(image_id=1)]
    path = save_json(tmp_path / "a.json", [*images, {"id": 20, "file_name": "a2.jpg"}, "x"], boxes)
    save_picture(tmp_path / "a2.jpg", shade=9)
    imported = read_coco(path)
    assert [len(picture.boxes_xyxy) for picture in imported.pictures] == [1, 0, 0, 0]
    assert left_out_of(imported, tmp_path) == [
        ("ambiguous", "a.json: images[3]: has the id 4 of another image"),
        ("ambiguous", "a.json: images[4]: has the id 4 of another image"),
        ("label", "a.json: images[5]: has no id"),
        ("label", "a.json: images[7]: has no id"),
    ]
    assert not imported.findings.found


def test_an_unknown_category_stops(tmp_path):
    save_picture(tmp_path / "a.jpg")
    path = save_json(tmp_path / "a.json", annotations=[box(category_id=7, id=3)])
    assert problems_of(path) == [
        "category ids are unknown, expected 1 (1): a.json: annotation 3 has category_id 7"
    ]


def test_fractions_given_as_pixels_stop(tmp_path):
    save_picture(tmp_path / "a.jpg")
    path = save_json(tmp_path / "a.json", annotations=[box((0.1, 0.1, 0.5, 0.25))])
    [problem] = problems_of(path)
    assert problem.startswith("boxes are fractions of the image's sides, expected pixels (1): a")


def test_a_file_of_something_else_in_the_folder_is_passed_over(tmp_path):
    path = save_json(tmp_path / "a.json", save_clean(tmp_path), [box()])
    (tmp_path / "package.json").write_text('{"name": "x"}')
    imported = read_coco(tmp_path)
    assert len(imported.pictures) == 3
    assert [kind for kind, _ in imported.findings.found] == ["labels_foreign"]
    path.with_name("cut.json").write_text(path.read_text()[:-30])
    told = left_out_of(read_coco(tmp_path), tmp_path)
    assert [kind for kind, _ in told] == ["label"] and told[0][1].startswith("cut.json: line 1 is")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"a\.json: is no label file: line 1 is not JSON"),
        ('{"images": [],\n"annotations"', "line 2 is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('[{"image_id": 1, "bbox": [1, 2, 3, 4]}]', "is COCO results, which is not read: give"),
        ("[]", "holds no COCO"),
        ("{}", "holds no COCO"),
        ('{"images": {}, "annotations": [], "categories": []}', "holds no COCO"),
        ('{"images": [{}], "annotations": [], "categories": []}', "no categories, expected one"),
        ('{"images": [{}], "annotations": [], "categories": [{"name": "x"}]}', "have no id"),
        (
            '{"images": [{}], "annotations": [], "categories":'
            ' [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
            "categories share an id .* 'a' and 'b' have 1",
        ),
        ('{"images": [{}], "annotations": [], "categories": [{"id": 1}]}', "class '' cannot stand"),
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
    with pytest.raises(DataError, match="does not exist"):
        read_coco(tmp_path / "nowhere.json")


def test_a_list_survives_the_way_through_coco(tmp_path):
    pictures = make_list(tmp_path / "mine")
    write_coco(pictures, CLASSES, tmp_path / "coco")
    path = tmp_path / "coco" / "annotations.json"
    assert_list_survives(pictures, read_coco(path), tmp_path)


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


def write(path, samples):
    images, boxes = [], []
    for image_id, sample in enumerate(samples, start=7):
        sides = dict(zip(("width", "height"), sample.size_wh, strict=True))
        images.append({"id": image_id, "file_name": sample.name} | sides)
        for number, (name, (x1, y1, x2, y2)) in enumerate(sample.objects):
            one = box((x1, y1, x2 - x1, y2 - y1), image_id, DEFECT_CLASSES.index(name))
            defect = sample.broken(number)
            if defect in ("no box", "no name"):
                del one["bbox" if defect == "no box" else "category_id"]
            elif defect:
                one["bbox"][2] = "x"
            boxes.append(one)
    categories = [{"id": number, "name": name} for number, name in enumerate(DEFECT_CLASSES)]
    save_json(path, images, boxes, categories)


@quick
@given(data_sets(), st.sampled_from(LABEL_FOLDERS))
def test_the_clean_part_comes_out_exactly(tmp_path_factory, samples, labels):
    folder = build(tmp_path_factory.mktemp("set"), samples, write, ".json", labels)
    assert_clean_part(read_coco(folder), samples)
