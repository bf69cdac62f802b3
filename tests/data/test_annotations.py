import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from yolo3.data.annotations import (
    DataError,
    Findings,
    Picture,
    read_annotations,
    read_classes,
    write_annotations,
)

CLASSES = ("hat", "helmet", "bare")


def save_picture(path, size=(100, 80), shade=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 0, 0)).save(path, **options)
    return path


def read(tmp_path, text, classes=CLASSES):
    path = tmp_path / "voc" / "list.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_annotations(path, classes, tmp_path)


def problems_of(tmp_path, text):
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<annotation>\n<filename>a.png</filename>", "is XML, expected an annotation list: "),
        ('<?xml version="1.0"?><annotation/>', "annotations FOLDER_OR_FILE` makes one"),
        ("{\n'images': []}", "is JSON, expected an annotation list: "),
        ('[{"a": 1},\n{"b": 2}]', "annotations FOLDER_OR_FILE` makes one"),
    ],
)
def test_labels_of_another_format_are_told_once(tmp_path, text, told):
    (problem,) = problems_of(tmp_path, text)
    assert problem.startswith("voc/list.txt: is ") and told in problem


def test_a_line_gives_a_picture(tmp_path):
    path = save_picture(tmp_path / "voc" / "a.png")
    pictures, findings = read(tmp_path, "a.png 10,20,30.5,40.25,2 1e1,0,20,5,0\n")
    (picture,) = pictures
    assert picture.path == path
    assert picture.boxes_xyxy.tolist() == [[10, 20, 30.5, 40.25], [10, 0, 20, 5]]
    assert picture.boxes_xyxy.dtype == np.float32
    assert picture.class_ids.tolist() == [2, 0]
    assert picture.class_ids.dtype == np.int64
    assert picture.size_wh == (100, 80)
    assert picture.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert picture.source == "voc/list.txt:1"
    assert findings.lines() == []
    assert set(findings.counts.values()) == {0}


@pytest.mark.parametrize(
    "name",
    [
        "a.jpg",
        "with space.jpg",
        "two  spaces.jpg",
        "a, b.jpg",
        "1,2,3,4,0.jpg",
        "no_ending",
        "no ending",
        "UPPER.JPG",
        "half#comment.jpg",
        "Grüße 世界.jpg",
        "it's.jpg",
        "deep er/a.png files/b.jpg",
    ],
)
@pytest.mark.parametrize("quote", ["", "'", '"'])
@pytest.mark.parametrize("boxes", ["", " 1,2,3,4,0", "\t1,2,3,4,0   5,6,7,8,1  "])
def test_any_path_is_found(tmp_path, name, quote, boxes):
    path = save_picture(tmp_path / "voc" / name, format="PNG")
    (picture,), _ = read(tmp_path, f"{quote}{name}{quote}{boxes}\n")
    assert picture.path == path
    assert len(picture.boxes_xyxy) == boxes.count(",") // 4


def test_bom_crlf_blank_lines_and_comments(tmp_path):
    for shade, name in enumerate("abc"):
        save_picture(tmp_path / "voc" / f"{name}.png", shade=shade)
    text = b"\xef\xbb\xbfa.png 1,2,3,4,0\r\n\r\n  # a comment\r\nb.png\r\n   \r\nc.png 1,2,3,4,1"
    pictures, _ = read(tmp_path, text)
    assert [picture.source[-1] for picture in pictures] == ["1", "4", "6"]
    assert [len(picture.boxes_xyxy) for picture in pictures] == [1, 0, 1]
    assert pictures[1].boxes_xyxy.shape == (0, 4)


def test_relative_paths_are_sought_beside_the_list_then_in_the_project(tmp_path):
    beside = save_picture(tmp_path / "voc" / "a.png", shade=1)
    save_picture(tmp_path / "a.png", shade=2)
    project = save_picture(tmp_path / "pictures" / "b.png", shade=3)
    absolute = save_picture(tmp_path / "elsewhere" / "c.png", shade=4)
    pictures, _ = read(tmp_path, f"a.png\npictures/b.png\n{absolute}")
    assert [picture.path for picture in pictures] == [beside, project, absolute]


def test_boxes_are_in_pixels_of_the_turned_picture(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    save_picture(tmp_path / "voc" / "a.jpg", size=(100, 80), exif=exif)
    (picture,), findings = read(tmp_path, "a.jpg 0,0,80,100,0")
    assert picture.size_wh == (80, 100)
    assert findings.counts["boxes_clipped"] == 0


@pytest.mark.parametrize(
    "boxes, text",
    [
        ("1,2,3,4", "box 1 has 4 numbers, expected 5: x1,y1,x2,y2,class, got '1,2,3,4'"),
        ("1,2,3,4,0 1,2,3,4,0,9", "box 2 has 6 numbers, expected 5"),
        ("17", "box 1 has 1 number, expected 5"),
        ("1,2,x,4,0", "box 1 has 'x', expected a number"),
        ("1,2,,4,0", "box 1 has '', expected a number"),
        ("1,2,1_0,4,0", "expected a number"),
        ("1,2,nan,4,0", "box 1 has 'nan', expected a finite number"),
        ("1,2,-inf,4,0", "box 1 has '-inf', expected a finite number"),
        ("1,2,1e999,4,0", "expected a finite number"),
        ("1,2,3,4,1.5", "box 1 has class 1.5, expected a whole number"),
        (
            "1,2,3,4,3",
            "box 1 has class 3, which the classes file has not: it names 3, and ids begin at 0,"
            " so expected 0 to 2",
        ),
        ("1,2,3,4,-1", "box 1 has class -1, which the classes file has not"),
    ],
)
def test_bad_boxes_stop(tmp_path, boxes, text):
    save_picture(tmp_path / "voc" / "a.jpg")
    (problem,) = problems_of(tmp_path, f"\na.jpg {boxes}\n")
    assert problem.startswith("voc/list.txt:2: box ")
    assert text in problem


def test_pictures_that_are_missing_or_unreadable_stop(tmp_path):
    whole = save_picture(tmp_path / "voc" / "whole.jpg", size=(300, 300)).read_bytes()
    (tmp_path / "voc" / "cut.jpg").write_bytes(whole[:-800])
    (tmp_path / "voc" / "empty.jpg").write_bytes(b"")
    (tmp_path / "voc" / "page.jpg").write_text("<html>not found</html>")
    (tmp_path / "voc" / "folder.jpg").mkdir()
    text = (
        f"cut.jpg\nempty.jpg\nwhole.jpg\npage.jpg\nfolder.jpg\nnone.jpg\n/no/where.jpg\n{'a' * 999}"
    )
    problems = problems_of(tmp_path, text)
    expected = [
        f"voc/list.txt:1: picture {tmp_path}/voc/cut.jpg is cut short",
        f"voc/list.txt:2: picture {tmp_path}/voc/empty.jpg is empty (0 bytes)",
        f"voc/list.txt:4: picture {tmp_path}/voc/page.jpg is not a picture of a known kind",
        "voc/list.txt:5: picture folder.jpg is not a file",
        f"voc/list.txt:6: picture none.jpg is missing, sought in {tmp_path}/voc and in {tmp_path}",
        "voc/list.txt:7: picture /no/where.jpg is missing",
        "voc/list.txt:8: picture aaa",
    ]
    assert len(problems) == len(expected)
    for problem, start in zip(problems, expected, strict=True):
        assert problem.startswith(start)


def test_a_line_without_a_path_stops(tmp_path):
    (problem,) = problems_of(tmp_path, "1,2,3,4,0 1,2,3,4,0")
    assert problem == (
        "voc/list.txt:1: has no path before the boxes, expected `path x1,y1,x2,y2,class …`"
    )


def test_a_quote_that_does_not_end_stops(tmp_path):
    (problem,) = problems_of(tmp_path, '"a b.jpg 1,2,3,4,0')
    assert problem == 'voc/list.txt:1: the path begins with " and does not end with it'


def test_the_same_picture_twice_stops_and_names_both_lines(tmp_path):
    path = save_picture(tmp_path / "voc" / "a.jpg")
    problems = problems_of(tmp_path, f"a.jpg 1,2,3,4,0\n\n{path} 5,6,7,8,0\n")
    assert problems == (
        f"voc/list.txt:1: picture {path} is listed again at voc/list.txt:3 too, put all its boxes"
        " in one place",
        f"voc/list.txt:3: picture {path} is listed at voc/list.txt:1 too, put all its boxes in one"
        " place",
    )


def test_what_cannot_be_used_is_left_out_where_it_is_asked_for(tmp_path):
    for shade, name in enumerate(("a.png", "b.png", "c.png")):
        save_picture(tmp_path / "voc" / name, shade=shade)
    (tmp_path / "voc" / "broken.png").write_bytes(b"no picture")
    lines = ["a.png 1,2,3,4,0", "gone.png 1,2,3", "b.png 1,2,3,4,9", "broken.png", "c.png", "c.png"]
    path = tmp_path / "voc" / "list.txt"
    path.write_text("\n".join(lines))
    left_out = []
    pictures, _ = read_annotations(path, CLASSES, tmp_path, left_out)
    assert [picture.path.name for picture in pictures] == ["a.png"]
    assert sorted((one.order, one.kind) for one in left_out) == [
        (2, "line"),
        (2, "line"),
        (3, "line"),
        (4, "unreadable"),
        (5, "ambiguous"),
        (6, "ambiguous"),
    ]


def test_a_list_without_pictures_stops(tmp_path):
    for text in ("", "\n# only a comment\n"):
        assert problems_of(tmp_path, text) == (
            "voc/list.txt: lists no pictures, expected lines of `path x1,y1,x2,y2,class …`",
        )


def test_a_list_that_is_missing_or_no_text_stops(tmp_path):
    with pytest.raises(DataError, match="none.txt: the annotation list does not exist"):
        read_annotations(tmp_path / "none.txt", CLASSES, tmp_path)
    with pytest.raises(DataError, match="the annotation list cannot be read"):
        read_annotations(tmp_path, CLASSES, tmp_path)
    (tmp_path / "list.txt").write_bytes(b"a.jpg\nGr\xfc\xdfe.jpg\n")
    with pytest.raises(DataError, match="list.txt:2: the annotation list is not UTF-8 text"):
        read_annotations(tmp_path / "list.txt", CLASSES, tmp_path)


def test_all_problems_are_told_at_once_in_order_the_first_twenty_and_a_count(tmp_path):
    (tmp_path / "voc").mkdir()
    (tmp_path / "voc" / "empty.jpg").write_bytes(b"")
    lines = ["empty.jpg", *(f"none{n}.jpg 1,2,3" for n in range(16))]
    with pytest.raises(DataError) as caught:
        read(tmp_path, "\n".join(lines))
    told = str(caught.value).split("\n")
    assert told[0] == "33 problems in the data:"
    assert "is empty" in told[1]
    assert told[2].startswith("voc/list.txt:2: box 1 has 3 numbers")
    assert told[3].startswith("voc/list.txt:2: picture none0.jpg is missing")
    assert told[-1] == "… and 13 more"
    assert len(told) == 1 + 20 + 1
    assert len(caught.value.problems) == 33


def test_what_continues_is_counted_and_told(tmp_path):
    save_picture(tmp_path / "voc" / "a.png")
    save_picture(tmp_path / "voc" / "b.png")
    boxes = "-5,10,50,60,0 10,10,10,20,1 30,30,30,40,1 100,0,120,20,2 3,2,1,4,2 0,0,100,80,0"
    pictures, findings = read(tmp_path, f"a.png {boxes}\nb.png 10,10,20,20,1")
    assert pictures[0].boxes_xyxy.tolist() == [[0, 10, 50, 60], [1, 2, 3, 4], [0, 0, 100, 80]]
    assert pictures[0].class_ids.tolist() == [0, 2, 0]
    assert {kind: count for kind, count in findings.counts.items() if count} == {
        "boxes_clipped": 1,
        "boxes_swapped": 1,
        "boxes_degenerate": 2,
        "boxes_outside": 1,
        "pictures_duplicate": 1,
    }
    lines = findings.lines()
    assert lines[0] == "1 boxes reach past the edge of their picture (clipped to it)"
    assert "  voc/list.txt:1: box 1, -5,10,50,60 in 100x80, clipped to the picture" in lines
    assert "  voc/list.txt:2: picture has the content of the one at voc/list.txt:1" in lines


def test_boxes_too_thin_for_float32_are_degenerate(tmp_path):
    save_picture(tmp_path / "voc" / "a.png")
    (picture,), findings = read(tmp_path, "a.png 50,10,50.0000000001,20,0 1e300,0,2e300,9,0")
    assert len(picture.boxes_xyxy) == 0
    assert findings.counts["boxes_degenerate"] == findings.counts["boxes_outside"] == 1


def test_many_findings_are_cut_to_a_count():
    findings = Findings(tuple(("boxes_clipped", f"box {n}") for n in range(25)))
    lines = (findings + Findings()).lines()
    assert lines[0].startswith("25 boxes reach past the edge")
    assert lines[-1] == "  … and 5 more"
    assert len(lines) == 22


@pytest.mark.parametrize(
    "name", ["a.png", "b c.png", "#d.png", "'e.png", "f\"g h'i.png", " j .png", "1,2,3,4,0", "k  l"]
)
def test_a_written_list_reads_back(tmp_path, name):
    path = save_picture(tmp_path / "voc" / name, format="PNG")
    boxes = np.float32([[1 / 3, 2.9999999, 1e-3, 4]]) + np.float32([[0, 0, 70, 70]])
    picture = Picture(path, boxes, np.array([1]), (100, 80), "", "")
    written = tmp_path / "voc" / "written.txt"
    write_annotations([picture], written)
    assert str(tmp_path) not in written.read_text()
    (again,), _ = read_annotations(written, CLASSES, tmp_path)
    assert again.path == path
    np.testing.assert_array_equal(again.boxes_xyxy, boxes)
    assert again.class_ids.tolist() == [1]


def test_paths_are_written_relative_where_they_can_be(tmp_path):
    pictures = [
        Picture(path, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), (1, 1), "", "")
        for path in (tmp_path / "voc" / "a.png", tmp_path / "b.png")
    ]
    (tmp_path / "voc").mkdir()
    written = tmp_path / "voc" / "list.txt"
    write_annotations(pictures, written)
    assert written.read_text() == f"a.png\n{tmp_path}/b.png\n"
    write_annotations(pictures, written, relative_to=tmp_path)
    assert written.read_text() == "voc/a.png\nb.png\n"


def test_a_path_with_a_line_break_is_not_written(tmp_path):
    picture = Picture(Path("/a\nb.png"), np.zeros((0, 4)), np.zeros(0), (1, 1), "", "")
    with pytest.raises(DataError, match="has a line break in its path, rename it"):
        write_annotations([picture], tmp_path / "list.txt")


def test_classes(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_bytes(b"\xef\xbb\xbfhat\r\n\r\n# these too\r\n traffic light \r\n")
    assert read_classes(path) == ("hat", "traffic light")


def test_bad_classes_stop(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_text("hat\nbare\n\nhat\n")
    with pytest.raises(DataError) as caught:
        read_classes(path)
    assert str(caught.value) == (
        f"{path}:4: class 'hat' is already in line 1, expected each name once"
    )
    path.write_text("\n# nothing\n")
    with pytest.raises(DataError, match="has no class names, expected one per line"):
        read_classes(path)
    with pytest.raises(DataError, match="the classes file does not exist"):
        read_classes(tmp_path / "none.txt")
