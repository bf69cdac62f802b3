import json
import zipfile
from pathlib import Path

import pytest
from format_cases import problems_in, save_picture

from yolo3.data.labels.formats import is_labels, read_labels
from yolo3.data.labels.policy import ImportOptions
from yolo3.data.pictures import DataError

THING = (
    "<object><name>hat</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax>"
    "</bndbox></object>"
)
IMAGE = {"id": 1, "file_name": "a.jpg"}
BOX = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 29, 38]}
COCO = {"images": [IMAGE], "annotations": [BOX], "categories": [{"id": 1, "name": "hat"}]}
CREATEML = {"label": "hat", "coordinates": {"x": 15.5, "y": 21, "width": 29, "height": 38}}
LABELME = {"label": "hat", "points": [[1, 2], [30, 40]], "shape_type": "rectangle"}
VIA = {
    "shape_attributes": {"name": "rect", "x": 1, "y": 2, "width": 29, "height": 38},
    "region_attributes": {"class": "hat"},
}
STUDIO = {"x": 1, "y": 2.5, "width": 29, "height": 47.5, "rectanglelabels": ["hat"]}
RESULT = {"type": "rectanglelabels", "value": STUDIO, "original_width": 100, "original_height": 80}
TASK = {"data": {"image": "/data/upload/1/a.jpg"}, "annotations": [{"result": [RESULT]}]}
EXAMPLES = {  # format -> the label file of a.jpg (100x80), with one hat at 1, 2, 30, 40
    "voc": ("a.xml", f"<annotation><filename>a.jpg</filename>{THING}</annotation>"),
    "coco": ("coco.json", json.dumps(COCO)),
    "yolo": ("a.txt", "0 0.155 0.2625 0.29 0.475\n"),
    "cvat": (
        "annotations.xml",
        '<annotations><version>1.1</version><image id="0" name="a.jpg" width="100" height="80">'
        '<box label="hat" xtl="1" ytl="2" xbr="30" ybr="40"/></image></annotations>',
    ),
    "labelme": ("a.json", json.dumps({"imagePath": "a.jpg", "shapes": [LABELME]})),
    "createml": ("ml.json", json.dumps([{"image": "a.jpg", "annotations": [CREATEML]}])),
    "via": ("via.json", json.dumps({"a.jpg1": {"filename": "a.jpg", "regions": [VIA]}})),
    "label-studio": ("studio.json", json.dumps([TASK])),
    "csv": (
        "labels.csv",
        "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,100,80,hat,1,2,30,40\n",
    ),
}


@pytest.fixture
def folder(tmp_path):
    save_picture(tmp_path / "data" / "a.jpg")
    return tmp_path / "data"


def save(folder, format):
    name, text = EXAMPLES[format]
    (folder / name).write_text(text, "utf-8")
    if format == "yolo":
        (folder / "classes.txt").write_text("hat\n")
    return folder / name


@pytest.mark.parametrize("format", EXAMPLES)
def test_each_format_is_found_by_itself_in_a_folder_and_as_a_file(folder, format):
    path = save(folder, format)
    for source in (folder, path) if format != "yolo" else (folder,):
        imported = read_labels(source)
        [picture] = imported.pictures
        assert (imported.format, imported.class_names) == (format, ("hat",))
        assert picture.boxes_xyxy.round(3).tolist() == [[1, 2, 30, 40]]
        assert not imported.left_out


@pytest.mark.parametrize("format", EXAMPLES)
def test_fractions_given_as_pixels_stop_whatever_the_format(folder, format):
    if format in ("yolo", "label-studio"):
        pytest.skip("are fractions")
    path = save(folder, format)
    text = path.read_text()
    numbers = ("15.5", "29", "38", "30", "40", "21") if format == "createml" else ("30", "40")
    numbers = ("29", "38") if format in ("coco", "via") else numbers
    for number in (*numbers, "1", "2"):
        for left, right in (
            ' "',
            '""',
            "><",
            ",,",
            ", ",
            " ,",
            "[,",
            ",]",
            " ]",
            ",\n",
            " }",
            " ]",
        ):
            text = text.replace(
                f"{left}{number}{right}", f"{left}0.{number.replace('.', '')}{right}"
            )
    path.write_text(text)
    with pytest.raises(DataError, match="boxes are fractions of the image's sides"):
        read_labels(folder)


@pytest.mark.parametrize("other", [name for name in EXAMPLES if name != "voc"])
def test_of_two_formats_one_is_taken_and_the_other_named(folder, other):
    save(folder, "voc")
    save(folder, other)
    imported = read_labels(folder)
    assert f"(--format {other}) too" in imported.choice or other == "cvat"
    chosen = read_labels(folder, ImportOptions(format=other))
    assert chosen.format == other and len(chosen.pictures) == 1


def test_the_format_that_describes_more_images_is_taken(folder):
    save(folder, "voc")
    save_picture(folder / "b.jpg", shade=9)
    images = [IMAGE, {"id": 2, "file_name": "b.jpg"}]
    (folder / "coco.json").write_text(json.dumps(COCO | {"images": images}))
    assert read_labels(folder).format == "coco"


def test_a_format_that_is_asked_for_and_not_there_is_refused(folder):
    save(folder, "csv")
    expected = [f"{folder}: holds no COCO, but CSV (--format csv)"]
    options = ImportOptions(format="coco")
    assert problems_in(folder.parent / "x", read_labels, folder, options) == expected


NOT_READ = {
    "results.json": ([{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}], "COCO results"),
    "meta.json": ({"classes": [], "tags": []}, "Supervisely"),
    "a.jpg.json": ({"objects": [], "size": {}, "description": ""}, "Supervisely"),
    "via3.json": ({"project": {}, "metadata": {}, "file": {"1": {}}, "view": {}}, "VIA 3"),
    "x.vott": ({"assets": {}}, "VoTT"),
    "x-asset.json": ({"asset": {}, "regions": []}, "VoTT"),
    "default.json": ({"items": [], "categories": {}, "info": {}}, "Datumaro"),
    "v7.json": ({"item": {}, "annotations": [], "version": "2.0"}, r"Darwin \(V7\)"),
    "bdd.json": ([{"name": "a.jpg", "labels": []}], "Scalabel"),
    "labels.tfrecord": (None, "TFRecord"),
    "export.ndjson": (None, "lines of JSON"),
    "output.manifest": (None, "SageMaker Ground Truth"),
    "train.parquet": (None, "Parquet"),
    "digitStruct.mat": (None, "MATLAB"),
    "kitti.txt": ("Car 0.0 0 -1.5 587 173 614 200 1.6 1.6 3.7 1.0 1.8 46.7 -1.5", "KITTI"),
    "dota.txt": ("1 2 30 2 30 40 1 40 plane 0", "DOTA"),
    "video.xml": ('<annotations><track id="0" label="hat"/></annotations>', "CVAT for video"),
    "via.csv": ("filename,region_shape_attributes,region_attributes\n", "VIA CSV"),
    "table.csv": ("a,b\n1,2\n", "CSV of unknown columns"),
}


@pytest.mark.parametrize("name", NOT_READ)
def test_a_format_that_is_not_read_is_named_with_what_to_do(folder, name):
    content, title = NOT_READ[name]
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text)
    for source in (folder, folder / name):
        if source.suffix == ".txt":
            continue  # an annotation list, to the commands
        with pytest.raises(DataError, match=f"{name}: is {title}.*, which is not read: .+"):
            read_labels(source)


def test_an_archive_is_to_be_unpacked(folder):
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        archive.writestr("a.jpg", b"")
    expected = f"{folder}/images.zip: is an archive, unpack it and give the folder"
    with pytest.raises(DataError, match=expected):
        read_labels(folder / "images.zip")
    with pytest.raises(DataError, match=f"{folder}/images.zip: unpack it first"):
        read_labels(folder)


def test_labels_whose_images_are_still_packed_say_so(folder):
    save(folder, "voc")
    (folder / "a.jpg").rename(folder / "a.zip")
    with pytest.raises(DataError, match=r"a\.zip: unpack it, images may be in it"):
        read_labels(folder)


def test_a_folder_without_labels_is_refused_with_the_formats_that_are_read(folder):
    with pytest.raises(DataError, match="holds no labels of a format that is read .Pascal VOC, C"):
        read_labels(folder)
    with pytest.raises(DataError, match="does not exist"):
        read_labels(folder / "nowhere")


def test_a_broken_file_alone_says_what_is_wrong(folder):
    (folder / "a.json").write_text("{")
    with pytest.raises(DataError, match=r"a\.json: is no label file: line 1 is not JSON"):
        read_labels(folder / "a.json")
    (folder / "a.xml").write_text("<a>")
    with pytest.raises(DataError, match=r"a\.xml: is not well-formed XML"):
        read_labels(folder / "a.xml")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.json", True),
        ("a.XML", True),
        ("data.yaml", True),
        ("a.csv", True),
        ("images.zip", True),
        ("list.txt", False),
        ("list", False),
        ("folder.txt", True),
    ],
)
def test_what_is_imported_and_what_is_a_list(tmp_path, name, expected):
    path = Path(tmp_path / name)
    path.mkdir() if name.startswith("folder") else path.touch()
    assert is_labels(path) is expected


def test_the_folder_of_an_annotation_file_may_be_a_folder_away_from_the_images(folder, monkeypatch):
    (folder / "annotations").mkdir()
    save(folder / "annotations", "coco")
    assert len(read_labels(folder / "annotations").pictures) == 1
    monkeypatch.chdir(folder / "annotations")
    assert len(read_labels(Path("coco.json")).pictures) == 1
    assert len(read_labels(Path(".")).pictures) == 1
