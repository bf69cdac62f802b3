import contextlib
import copy
import json

import pytest
from defects import quick, read_folder
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from yolo3.data.labels.createml import is_createml, read_createml
from yolo3.data.labels.json_files import documents, parse_json
from yolo3.data.labels.label_studio import is_label_studio, read_label_studio
from yolo3.data.labels.labelme import is_labelme, read_labelme
from yolo3.data.labels.policy import BadLabel, Draft, ImportOptions
from yolo3.data.labels.tree import FileTree
from yolo3.data.labels.via import is_via, is_via3, read_via
from yolo3.data.pictures import DataError

RECTANGLE = {"x": 12, "y": 25, "width": 25, "height": 50, "rotation": 5, "rectanglelabels": ["a"]}
ELLIPSE = {"x": 12, "y": 25, "radiusX": 25, "radiusY": 50, "ellipselabels": ["a"]}
RESULTS = [
    {"type": "rectanglelabels", "value": RECTANGLE, "original_width": 9, "original_height": 9},
    {"type": "ellipselabels", "value": ELLIPSE},
]
RECT = {"name": "rect", "x": 1, "y": 2, "width": 5, "height": 6}
TURNED = {"name": "ellipse", "cx": 5, "cy": 5, "rx": 3, "ry": 2, "theta": 1}
POLYGON = {"name": "polygon", "all_points_x": [1, 5, 8], "all_points_y": [1, 5, 8]}
REGIONS = [
    {"shape_attributes": shape, "region_attributes": {"class": "a"}}
    for shape in (RECT, TURNED, POLYGON)
]
SHAPES = [
    {"label": "a", "points": [[1, 2], [3, 4]], "shape_type": kind}
    for kind in ("rectangle", "circle", "polygon", "point")
]
COORDINATES = {"x": 5, "y": 5, "width": 4, "height": 4}
FORMATS = {  # each with a small document of its own
    "labelme": (
        is_labelme,
        read_labelme,
        {"shapes": SHAPES, "imagePath": "a.png", "imageWidth": 9, "imageHeight": 9},
    ),
    "createml": (
        is_createml,
        read_createml,
        [{"image": "a.png", "annotations": [{"label": "a", "coordinates": COORDINATES}]}],
    ),
    "via": (
        is_via,
        read_via,
        {"_via_img_metadata": {"a.png9": {"filename": "a.png", "size": 9, "regions": REGIONS}}},
    ),
    "label studio": (
        is_label_studio,
        read_label_studio,
        [{"data": {"image": "a.png"}, "annotations": [{"id": 1, "result": RESULTS}]}],
    ),
}
KEYS = st.sampled_from(["image", "annotations", "shapes", "regions", "filename", "data", "label"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def places_in(value, place=()):
    """List the way to everything in a document."""
    items = dict(enumerate(value)) if isinstance(value, list) else value
    inner = [
        deeper
        for key, item in (items.items() if isinstance(items, dict) else ())
        for deeper in places_in(item, (*place, key))
    ]
    return [place, *inner]


def with_change(document, place, value):
    if not place:
        return value
    changed = copy.deepcopy(document)
    holder = changed
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    return changed


@quick
@given(ANYTHING)
def test_recognition_takes_anything(value):
    for is_one in (is_labelme, is_createml, is_via, is_via3, is_label_studio):
        assert is_one(value) >= 0


@pytest.mark.parametrize("name", FORMATS)
def test_a_document_is_of_its_own_format_only(name):
    document = FORMATS[name][2]
    assert [other for other, (is_one, _, _) in FORMATS.items() if is_one(document)] == [name]


@pytest.mark.parametrize("name", FORMATS)
@quick
@given(data=st.data())
def test_a_change_anywhere_gives_a_result_or_a_sentence(tmp_path_factory, name, data):
    folder = tmp_path_factory.mktemp("set")
    Image.new("RGB", (9, 9)).save(folder / "a.png")
    _, read, document = FORMATS[name]
    place = data.draw(st.sampled_from(places_in(document)))
    changed = with_change(document, place, data.draw(ANYTHING))
    (folder / "a.json").write_text(json.dumps(changed), "utf-8")
    with contextlib.suppress(DataError):
        assert len(read_folder(folder, read).pictures) == 1


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'{\n"a": 1,\n}', "line 3 is not JSON"),
        (b"", "line 1 is not JSON"),
        ('{"a": "ö"}'.encode("latin-1"), "is not JSON in UTF-8"),
        (b"[" * 100_000, "is not JSON in UTF-8"),
        (b"1" * 10_000, "is not JSON in UTF-8"),
    ],
)
def test_what_is_no_json_is_named(tmp_path, content, text):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(BadLabel, match=text):
        parse_json(tmp_path / "a.json")


def test_a_byte_order_mark_is_passed_over_and_a_folder_cannot_be_read(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}', "utf-8-sig")
    assert parse_json(tmp_path / "a.json") == {"a": 1}
    with pytest.raises(BadLabel, match="cannot be read"):
        parse_json(tmp_path)


def test_files_are_sorted_by_format(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(FORMATS["createml"][2]))
    (tmp_path / "b.json").write_text("[]")
    (tmp_path / "c.json").write_text("[")
    draft = Draft(FileTree(tmp_path), ImportOptions())
    assert [path.name for path, _ in documents(draft, is_createml, "CreateML")] == ["a.json"]
    assert draft.found == [("labels_foreign", f"{tmp_path}/b.json: is no CreateML file")]
    assert [(one.kind, one.name) for one in draft.left_out] == [("label", f"{tmp_path}/c.json")]
