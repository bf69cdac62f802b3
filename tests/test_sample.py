"""The sample that ships is what the generator makes."""

from pathlib import Path

import numpy as np
from PIL import Image

from yolo3.data.annotations import read_annotations, read_classes
from yolo3.scenes import SAMPLE, write_dataset

PROJECT = Path(__file__).parents[1]
VOC = PROJECT / "voc"


def test_sample_is_what_the_generator_makes(tmp_path):
    write_dataset(tmp_path / "again", 3, seed=1, workers=1, progress=False)
    shipped = (VOC / "list_master.txt").read_text("utf-8").splitlines()[:3]
    assert (tmp_path / "again" / "list_master.txt").read_text("utf-8").splitlines() == shipped
    for number in (1, 2, 3):
        name = f"JPEGImages/{number:06d}.jpg"
        made, kept = (
            np.asarray(Image.open(folder / name), np.int16) for folder in (tmp_path / "again", VOC)
        )
        assert np.abs(made - kept).mean() < 0.5  # another processor may round a pixel otherwise


def test_sample_classes_are_those_of_the_defaults():
    assert read_classes(PROJECT / "model_data/yolo_custom_classes.txt") == SAMPLE.class_names
    assert read_classes(VOC / "classes.txt") == SAMPLE.class_names


def test_sample_list_is_clean():
    pictures, findings = read_annotations(VOC / "list_master.txt", SAMPLE.class_names, PROJECT)
    assert len(pictures) == 150
    assert not findings.found
    assert any(not len(picture.boxes_xyxy) for picture in pictures)
    assert len(read_classes(PROJECT / "model_data/coco_classes.txt")) == 80
    assert len(read_classes(PROJECT / "model_data/voc_classes.txt")) == 20
