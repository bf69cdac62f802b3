"""Measure a logged model on a list of pictures, in a run of its own."""

from pathlib import Path

import mlflow

from yolo3.data.annotations import read_classes
from yolo3.detector.load import load_detector
from yolo3.evaluation.report import write_report
from yolo3.tracking import run as record
from yolo3.tracking.data import read_images
from yolo3.tracking.dataset import log_pictures
from yolo3.tracking.models import known_model_id
from yolo3.tracking.secrets import refuse_secrets
from yolo3.training.validation import evaluate_detector


def evaluate_model(
    model: str, annotation_path: str, classes_path: str, output: str
) -> dict[str, float]:
    """Evaluate a model on a list or labels; log metrics and report, and write it to `output`.

    Raises DataError for the images, ModelError for the model, and ValueError when the names in
    `classes_path` are not the model's.
    """
    refuse_secrets({"annotation_path": annotation_path, "classes_path": classes_path})
    detector = load_detector(model)
    class_names = detector.spec.class_names
    if classes_path and read_classes(record.find_file(classes_path)) != class_names:
        raise ValueError(
            f"{classes_path}: its classes are not the model's, expected {', '.join(class_names)}"
        )
    source = record.find_file(annotation_path)
    read = read_images(source, class_names)
    pictures, findings = read.pictures, read.findings
    print("\n".join(findings.lines()), end="\n" if findings.found else "")
    if output:
        record.check_writable(Path(output), "output")
    with record.open_run():
        record.log_params({"model": model, "annotation_path": annotation_path})
        data = log_pictures(pictures, class_names, source, "evaluation")
        mlflow.log_metrics({f"data_{kind}": n for kind, n in findings.counts.items()})
        evaluation = evaluate_detector(detector, pictures, progress=True)
        numbers = evaluation.metrics()
        mlflow.log_metrics(numbers, step=0, model_id=known_model_id(model), dataset=data)
        record.log_report(evaluation, "evaluation")
    if output:
        write_report(evaluation, Path(output))
    for name, value in numbers.items():
        print(f"{name:24} {value:.4f}")
    return numbers
