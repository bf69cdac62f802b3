import csv

import pytest
from defects import (
    KIND_OF,
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

from yolo3.data.labels.csv_boxes import is_csv, other_csv, read_csv
from yolo3.data.pictures import DataError

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax"
A, B = "a.jpg,64,48,cup,10,8,40,30", "b.jpg,64,48,hat,1,2,3,4"
OPEN_HEADER = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,"
    "IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
)


def save(folder, *lines, images=("a.jpg", "b.jpg"), name="_annotations.csv", encoding="utf-8"):
    folder.mkdir(parents=True, exist_ok=True)
    for image in images:
        Image.new("RGB", (64, 48)).save(folder / image)
    (folder / name).write_text("\n".join(lines) + "\n", encoding)
    return folder


def opened(label="/m/02jvh9", confidence=1, group=0, image="a"):
    return f"{image},xclick,{label},{confidence},0.25,0.5,0.125,0.75,0,0,{group},0,0"


def reasons(imported, folder):
    return [one.reason.replace(f"{folder}/", "") for one in imported.left_out]


def test_a_row_is_a_box_and_rows_of_an_image_belong_together(tmp_path):
    folder = save(tmp_path, HEADER, A, B, "a.jpg,64,48,hat,0,0,5.5,6")
    imported = read_folder(folder, read_csv)
    assert boxes_of(imported) == {
        "a.jpg": [("cup", (10, 8, 40, 30)), ("hat", (0, 0, 5.5, 6))],
        "b.jpg": [("hat", (1, 2, 3, 4))],
    }
    assert imported.pictures[0].source == f"{tmp_path}/_annotations.csv: image a.jpg"
    assert is_csv(folder / "_annotations.csv") == 2


@pytest.mark.parametrize(
    ("lines", "encoding"),
    [
        (("xmin;ymin;xmax;ymax;class;filename", "10;8;40;30;cup;a.jpg"), "utf-8"),
        (("Image\tLabel\tXMin\tYMin\tXMax\tYMax", "a.jpg\tcup\t10\t8\t40\t30"), "utf-8"),
        (('"filename","class","xmin","ymin","xmax","ymax"', '"a.jpg","cup",10,8,40,30'), "utf-8"),
        ((f"{HEADER}\r", f"{A}\r", "\r"), "utf-8-sig"),
        ((f",{HEADER},", f"0,{A},"), "utf-8"),
        (("image_path,class,xmin,ymin,xmax,ymax", "C:\\data\\a.jpg,cup,10,8,40,30"), "utf-8"),
    ],
)
def test_columns_go_by_name_and_separators_by_the_header(tmp_path, lines, encoding):
    folder = save(tmp_path, *lines, images=["a.jpg"], encoding=encoding)
    assert boxes_of(read_folder(folder, read_csv)) == {"a.jpg": [("cup", (10, 8, 40, 30))]}


def test_a_row_with_an_image_and_no_box_is_background(tmp_path):
    imported = read_folder(save(tmp_path, HEADER, A, "b.jpg,64,48,,,,,"), read_csv)
    assert boxes_of(imported)["b.jpg"] == []


def test_each_folder_may_have_its_file_and_is_a_split(tmp_path):
    for name in ("train", "valid"):
        save(tmp_path / name, HEADER, A, images=["a.jpg"])
    assert read_folder(tmp_path, read_csv).splits == ("train", "val")


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("a.jpg,64,48,cup,10,8,40,x", "has ymax 'x', expected a number"),
        ("a.jpg,64,48,cup,10,8,40,", "has ymax '', expected a number"),
        ("a.jpg,64,48,,10,8,40,30", "has the label '', expected a text"),
        ("a.jpg,64,48,cup,10", "has 5 fields, expected 8"),
        ("a.jpg,64,48,cup,10,8,40,30,9", "has 9 fields, expected 8"),
    ],
)
def test_a_broken_row_leaves_its_whole_image_out(tmp_path, row, text):
    imported = read_folder(save(tmp_path, HEADER, A, B, row), read_csv)
    assert list(boxes_of(imported)) == ["b.jpg"]
    start = "_annotations.csv: image a.jpg: object 2 (_annotations.csv:4)"
    assert reasons(imported, tmp_path) == [f"{start} {text}"]


@pytest.mark.parametrize("row", ["b.j", '"b.jpg,64,48,hat,5,5,9,9', ",64,48,hat,5,5,9,9"])
def test_a_broken_row_without_image_leaves_out_those_next_to_it(tmp_path, row):
    names = [f"{letter}.jpg" for letter in "abcd"]
    rows = [f"{name},64,48,hat,1,2,3,4" for name in names]
    folder = save(tmp_path, HEADER, *rows[:2], row, *rows[2:], images=names)
    imported = read_folder(folder, read_csv)
    assert list(boxes_of(imported)) == ["a.jpg", "d.jpg"]
    assert all("_annotations.csv:4" in reason for reason in reasons(imported, tmp_path))


def test_fractions_where_pixels_are_expected_stop(tmp_path):
    with pytest.raises(DataError, match="boxes are fractions of the image's sides"):
        read_folder(save(tmp_path, HEADER, "a.jpg,64,48,cup,0.1,0.2,0.3,0.4"), read_csv)


def test_open_images_gives_fractions_names_and_groups(tmp_path):
    rows = [OPEN_HEADER, opened(), opened(confidence=0), opened("/m/04yx4", group=1)]
    folder = save(tmp_path, *rows, images=["a.jpg"], name="train-annotations-bbox.csv")
    box = (16, 6, 32, 36)
    imported = read_folder(folder, read_csv)
    assert boxes_of(imported) == {"a.jpg": [("/m/02jvh9", box)]}
    assert imported.findings.counts["boxes_crowd"] == 1
    (folder / "class-descriptions-boxable.csv").write_text('/m/02jvh9,"Cup, big"\n/m/04yx4,Man\n')
    imported = read_folder(folder, read_csv, keep_crowd=True)
    assert boxes_of(imported) == {"a.jpg": [("Cup, big", box), ("Man", box)]}
    assert imported.findings.counts["boxes_unmarked"] == 1
    assert imported.findings.counts["labels_foreign"] == 0


def test_other_files_are_named_or_left_out(tmp_path):
    folder = save(tmp_path, HEADER, A, B)
    via = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes"
    (folder / "via.csv").write_text(f"{via},region_attributes\na.jpg,9,{{}},0,0,{{}},{{}}\n")
    (folder / "results.csv").write_text("epoch,loss\n1,2\n")
    (folder / "empty.csv").write_text("")
    (folder / "latin.csv").write_bytes("filename,größe\n".encode("latin-1"))
    imported = read_folder(folder, read_csv)
    assert reasons(imported, tmp_path) == ["latin.csv: is not UTF-8 text, save it as UTF-8"]
    assert imported.findings.counts["labels_foreign"] == 3
    for name in ("via.csv", "results.csv", "empty.csv", "latin.csv"):
        assert is_csv(folder / name) == 0
    assert other_csv(folder / "via.csv") == ("VIA CSV", "export JSON there")
    assert other_csv(folder / "latin.csv")[0] == "CSV of unknown columns"


def write(path, samples):
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(HEADER.split(","))
        for sample in samples:
            for number, (name, box) in enumerate(sample.objects):
                defect = sample.broken(number)
                row = [sample.name, *sample.size_wh, "" if defect == "no name" else name, *box]
                row[-1] = "1e" if defect == "not a number" else row[-1]
                rows.writerow(row[:-2] if defect == "no box" else row)


@quick
@given(
    data_sets([defect for defect in KIND_OF if defect != "cut short"], at_least=1),
    st.sampled_from(LABEL_FOLDERS),
)
def test_the_clean_part_comes_out_exactly(tmp_path_factory, samples, labels):
    folder = build(tmp_path_factory.mktemp("set"), samples, write, ".csv", labels)
    assert_clean_part(read_folder(folder, read_csv), samples)
