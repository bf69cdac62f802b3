"""Write all that an evaluation shows into one folder."""

import csv
import json
from pathlib import Path

from yolo3.evaluation import figures
from yolo3.evaluation.evaluate import Evaluation
from yolo3.evaluation.gallery import write_gallery


def write_report(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write figures, gallery, `per_class.csv` and `evaluation.json`; return the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        *_write_figures(evaluation, folder / "figures"),
        *write_gallery(evaluation, folder / "gallery"),
        _write_per_class(evaluation, folder / "per_class.csv"),
        _write_json(evaluation, folder / "evaluation.json"),
    ]


def _write_figures(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write the figures as PNG."""
    average, names = evaluation.average_precision, evaluation.class_names
    drawn = {
        "precision_recall.png": figures.precision_recall(average, names),
        "f1_threshold.png": figures.f1_threshold(evaluation.curves),
        "confusion_matrix.png": figures.confusion_matrix(
            evaluation.confusion, names, evaluation.curves.best_threshold
        ),
        "class_ap50.png": figures.class_ap50(average, names),
    }
    return [figures.save(figure, folder / name) for name, figure in drawn.items()]


def _write_per_class(evaluation: Evaluation, path: Path) -> Path:
    """Write one row per class; a class without a true box has empty cells for its AP."""
    rows = evaluation.per_class()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["class_id"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def _write_json(evaluation: Evaluation, path: Path) -> Path:
    """Write the metrics and every picture's boxes."""
    path.write_text(
        json.dumps(evaluation.as_json(), ensure_ascii=False, allow_nan=False), encoding="utf-8"
    )
    return path
