import subprocess
import sys

import numpy as np
import pytest
from evaluation_cases import random_pictures
from PIL import Image

from yolo3.evaluation import figures
from yolo3.evaluation.ap import average_precision
from yolo3.evaluation.curves import threshold_curves
from yolo3.evaluation.evaluate import Evaluation


@pytest.mark.parametrize("class_count", [1, 20, 80])
def test_figures_for_few_and_many_classes(class_count, tmp_path):
    pictures, detections = random_pictures(np.random.default_rng(3), 8, class_count)
    names = [f"class {index}" for index in range(class_count)]
    evaluation = Evaluation(tuple(names), tuple(pictures), tuple(detections))
    for figure in (
        figures.precision_recall(evaluation.average_precision, names),
        figures.f1_threshold(evaluation.curves),
        figures.confusion_matrix(evaluation.confusion, names, 0.5),
        figures.class_ap50(evaluation.average_precision, names),
    ):
        path = figures.save(figure, tmp_path / "figures" / "one.png")
        with Image.open(path) as image:
            assert min(image.size) > 200


def test_awkward_class_names_are_drawn_without_a_warning(tmp_path):
    names = ["_private", "$5 and $6", "帽子", r"\frac", "{", "x" * 200]
    pictures, detections = random_pictures(np.random.default_rng(4), 12, len(names))
    average = average_precision(pictures, detections, len(names))
    figure = figures.precision_recall(average, names)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert len(labels) == len(names) + 1
    assert any("_private" in label for label in labels)
    assert figures.save(figure, tmp_path / "one.png").is_file()
    assert figures.save(figures.class_ap50(average, names), tmp_path / "two.png").is_file()


def test_figures_of_nothing_say_so(tmp_path):
    average = average_precision([], [], 2)
    curves = threshold_curves(average.candidates)
    for figure in (figures.precision_recall(average, "ab"), figures.f1_threshold(curves)):
        assert figure.axes[0].texts
        figures.save(figure, tmp_path / "one.png")
    figures.save(figures.class_ap50(average, "ab"), tmp_path / "one.png")
    figures.save(figures.confusion_matrix(np.zeros((3, 3), int), "ab", 0.5), tmp_path / "one.png")


@pytest.mark.parametrize("stage_boundary", [None, 2, 9])
@pytest.mark.parametrize("epochs", [0, 4])
def test_training_curves_of_any_length(epochs, stage_boundary, tmp_path):
    history = [
        {
            "loss": 9.0 / (index + 1),
            "val_loss": 10.0,
            "val_AP50": 0.1 * index,
            "learning_rate": 0.01,
        }
        for index in range(epochs)
    ]
    figures.save(figures.training_curves(history, stage_boundary), tmp_path / "one.png")


def test_training_curves_leave_out_what_an_epoch_lacks(tmp_path):
    history = [{"epoch": 1, "loss": 3.0}, {"epoch": 2, "loss": float("nan"), "val_AP50": 0.2}]
    figure = figures.training_curves(history, 1)
    assert figure.axes[0].lines[0].get_xdata().tolist() == [1]
    figures.save(figure, tmp_path / "one.png")


def test_this_room_needs_neither_pyplot_nor_a_deep_learning_library():
    code = (
        "import sys, yolo3.evaluation.report; "
        "unwanted = {'keras', 'tensorflow', 'mlflow', 'matplotlib.pyplot'}; "
        "print(sorted(unwanted & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout.strip(), result.stderr.strip()) == ("[]", "")
