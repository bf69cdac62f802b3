from evaluation_cases import evaluation_on_disk
from PIL import Image

from yolo3.evaluation.evaluate import Evaluation
from yolo3.evaluation.gallery import annotated_picture, caption, write_gallery


def test_the_worst_pictures_are_written_first(tmp_path):
    written = write_gallery(evaluation_on_disk(tmp_path), tmp_path / "out", most_single=2)
    names = [path.relative_to(tmp_path / "out").as_posix() for path in written]
    assert names == ["page_01.jpg", "worst/01_two wrong.jpg", "worst/02_confused.jpg"]
    for path in written:
        with Image.open(path) as image:
            assert image.format == "JPEG"


def test_more_than_a_sheet_goes_on_the_next(tmp_path):
    small = evaluation_on_disk(tmp_path)
    many = Evaluation(small.class_names, small.pictures * 5, small.detections * 5)
    written = write_gallery(many, tmp_path / "out", most_pictures=26, most_single=0)
    assert [path.name for path in written] == ["page_01.jpg", "page_02.jpg", "page_03.jpg"]


def test_captions_say_what_is_wrong(tmp_path):
    evaluation = evaluation_on_disk(tmp_path)
    assert caption(evaluation, 0) == "all 1 found, IoU 0.97"
    assert caption(evaluation, 4) == "rightly left empty"
    assert caption(evaluation, 5) == "2 missed, 1 extra"


def test_confusions_are_named(tmp_path):
    small = evaluation_on_disk(tmp_path)
    evaluation = Evaluation(
        small.class_names,
        (small.pictures[3], small.pictures[0]) * 2,
        (small.detections[3], small.detections[0]) * 2,
    )
    vars(evaluation)["outcomes"] = evaluation.outcomes_at(0.5)
    assert caption(evaluation, 0) == "helmet taken for hat"


def test_an_annotated_picture_fits_and_keeps_its_shape(tmp_path):
    evaluation = evaluation_on_disk(tmp_path)
    assert annotated_picture(evaluation, 0, (60, 60)).size == (60, 50)
    assert annotated_picture(evaluation, 0, (5000, 5000)).size == (240, 200)


def test_no_pictures_no_gallery(tmp_path):
    assert write_gallery(Evaluation(("hat",), (), ()), tmp_path / "out") == []
