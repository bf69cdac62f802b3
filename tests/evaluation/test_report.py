import csv
import json

from evaluation_cases import evaluation_on_disk

from yolo3.evaluation.evaluate import Evaluation
from yolo3.evaluation.report import write_report


def test_the_folder_holds_all_that_was_found(tmp_path):
    folder = tmp_path / "report"
    written = write_report(evaluation_on_disk(tmp_path), folder)
    assert sorted(written) == sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix() for path in written}
    assert {
        "evaluation.json",
        "per_class.csv",
        "figures/precision_recall.png",
        "figures/f1_threshold.png",
        "figures/confusion_matrix.png",
        "figures/class_ap50.png",
        "gallery/page_01.jpg",
        "gallery/worst/01_two wrong.jpg",
    } <= names
    with (folder / "per_class.csv").open(encoding="utf-8", newline="") as file:
        assert [row["class"] for row in csv.DictReader(file)] == ["helmet", "hat"]
    report = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    assert len(report["pictures"]) == 6


def test_an_evaluation_of_nothing_is_still_reported(tmp_path):
    assert len(write_report(Evaluation(("hat",), (), ()), tmp_path / "report")) == 6
