import json
from pathlib import Path

from evaluation_cases import picture_of

from yolo3.data.pictures import pictures_digest
from yolo3.tracking.dataset import LabelledPictures, boxes_per_class

CLASSES = ("helmet", "hat", "bare")


def pictures():
    return [
        picture_of([(1, 2, 30, 40, 0), (5, 5, 20, 20, 2)], "a.jpg"),
        picture_of([], "b.jpg"),
        picture_of([(1, 2, 30, 40, 2)], "c.jpg"),
    ]


def test_boxes_are_counted_by_class_zeros_included():
    assert boxes_per_class(pictures(), CLASSES) == {"helmet": 1, "hat": 0, "bare": 2}


def test_mlflow_sees_counts_digest_and_source():
    data = LabelledPictures(pictures(), CLASSES, Path("voc/list.txt"))
    told = data.to_dict()
    profile = json.loads(told["profile"])
    assert (told["name"], told["digest"]) == ("list", pictures_digest(pictures())[:8])
    assert (profile["pictures"], profile["pictures_without_boxes"], profile["boxes"]) == (3, 1, 3)
    assert json.loads(told["source"]) == {"uri": "voc/list.txt"}
