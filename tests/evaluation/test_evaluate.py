import json
import math
import re

import numpy as np
import pytest
from evaluation_cases import evaluation_on_disk, found, picture_of, random_pictures
from PIL import Image

from yolo3.data.pictures import DataError, Picture
from yolo3.evaluation.evaluate import Evaluation, evaluate


def pictures_on_disk(folder, count):
    pictures = []
    for index in range(count):
        path = folder / f"{index}.png"
        Image.new("RGB", (40 + index, 30), (index, 0, 0)).save(path)
        boxes = np.array([[1, 2, 20, 21]], np.float32)
        pictures.append(Picture(path, boxes, np.array([0]), (40 + index, 30), "", f"l:{index}"))
    return pictures


def test_pictures_reach_the_detector_whole_and_in_order(tmp_path):
    seen = []

    def detect(images):
        seen.extend((image.mode, image.size, image.getpixel((0, 0))[0]) for image in images)
        return [found([(1, 2, 20, 21, 0, 0.9)])] * len(seen)

    evaluation = evaluate(detect, pictures_on_disk(tmp_path, 35), ("hat",))
    assert seen == [("RGB", (40 + index, 30), index) for index in range(35)]
    assert evaluation.metrics()["AP"] == pytest.approx(1.0)


def test_a_detector_that_skips_a_picture_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected detections of 2 pictures, got 1"):
        evaluate(lambda images: [found([])], pictures_on_disk(tmp_path, 2), ("hat",))


def test_an_unreadable_picture_says_where_it_is_listed(tmp_path):
    pictures = pictures_on_disk(tmp_path, 2)
    pictures[1].path.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"^l:1: picture .*1\.png was readable .*not a picture of"):
        evaluate(lambda images: [found([]) for _ in images], pictures, ("hat",))


def test_metrics_by_hand(tmp_path):
    metrics = evaluation_on_disk(tmp_path).metrics()
    # by score: wrong 0.95, right 0.9, confused 0.85, extra 0.8; five true boxes
    assert metrics["best_f1_threshold"] == pytest.approx(0.875)
    assert metrics["best_f1_precision"] == pytest.approx(1 / 2)
    assert metrics["best_f1_recall"] == pytest.approx(1 / 5)
    assert metrics["best_f1"] == pytest.approx(2 / 7)
    assert (metrics["pictures"], metrics["boxes"]) == (6, 5)
    assert (metrics["missed"], metrics["extra"], metrics["confused"]) == (4, 1, 0)
    # helmet: 3 true boxes, recall 1/3 at precision 1/2
    assert metrics["AP50_helmet"] == pytest.approx(34 / 101 / 2)
    assert metrics["AP50_hat"] == 0.0


def test_metric_names_and_values_suit_mlflow():
    names = ("helmet", "a(b", "a)b", "帽子", "x" * 300)
    pictures, detections = random_pictures(np.random.default_rng(1), 20, len(names))
    metrics = Evaluation(names, tuple(pictures), tuple(detections)).metrics()
    assert all(re.fullmatch(r"[A-Za-z0-9_\-. /]{1,250}", name) for name in metrics)
    assert all(type(value) is float and math.isfinite(value) for value in metrics.values())
    assert sum(name.startswith("AP50_") for name in metrics) == len(names)


@pytest.mark.parametrize(
    ("truths", "answers"),
    [([], []), ([(1, 1, 9, 9, 0)], []), ([], [(1, 1, 9, 9, 0, 0.9)])],
    ids=["nothing", "no detections", "no truths"],
)
def test_every_number_is_finite_where_there_is_nothing(truths, answers):
    evaluation = Evaluation(("helmet", "hat"), (picture_of(truths),), (found(answers),))
    assert all(math.isfinite(value) for value in evaluation.metrics().values())
    json.dumps(evaluation.as_json(), allow_nan=False)
    assert evaluation.metrics()["best_f1_threshold"] == 0.5
    assert "AP50_hat" not in evaluation.metrics()
    assert evaluation.per_class()[1]["AP50"] is None


def test_per_class_accounts_for_every_true_box(tmp_path):
    pictures, detections = random_pictures(np.random.default_rng(2), 30, 3)
    evaluation = Evaluation(("a", "b", "c"), tuple(pictures), tuple(detections))
    for row in evaluation.per_class():
        assert row["found"] + row["confused"] + row["missed"] == row["boxes"]
    assert evaluation.confusion[:-1].sum() == sum(len(p.class_ids) for p in pictures)


def test_confusion_at_another_threshold(tmp_path):
    evaluation = evaluation_on_disk(tmp_path)
    np.testing.assert_array_equal(evaluation.confusion, [[1, 0, 2], [0, 0, 2], [1, 0, 0]])
    np.testing.assert_array_equal(evaluation.confusion_at(0.1), [[1, 1, 1], [0, 0, 2], [1, 1, 0]])


def test_the_worst_come_first(tmp_path):
    evaluation = evaluation_on_disk(tmp_path)
    names = [evaluation.picture_names[index] for index in evaluation.worst_first()]
    expected = ["two wrong", "confused", "missed", "right", "empty", "extra"]
    assert names == [f"{name}.png" for name in expected]


def test_json_names_no_folder_of_this_machine(tmp_path):
    evaluation = evaluation_on_disk(tmp_path)
    text = json.dumps(evaluation.as_json())
    assert str(tmp_path) not in text
    first = json.loads(text)["pictures"][0]
    assert (first["name"], first["width"], first["height"]) == ("right.png", 120, 100)
    assert first["detections"] == [
        {
            "label": "helmet",
            "class_id": 0,
            "xmin": 11.0,
            "ymin": 10.0,
            "xmax": 50.0,
            "ymax": 50.0,
            "score": 0.9,
        }
    ]


def test_an_unequal_number_of_pictures_is_refused():
    with pytest.raises(ValueError, match="expected detections of 1 pictures, got those of 0"):
        Evaluation(("hat",), (picture_of([]),), ())


def test_the_clearest_picture_has_the_surest_right_detection(tmp_path):
    evaluation = evaluation_on_disk(tmp_path)
    assert evaluation.clearest().path.name == "right.png"  # "two wrong" has the higher score
    nothing = Evaluation(("helmet", "hat"), evaluation.pictures, (found([]),) * 6)
    assert nothing.clearest() is evaluation.pictures[0]
