"""Compare a challenger with the champion on one list, and move the alias if it is not worse."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import mlflow
import mlflow.artifacts
from mlflow.exceptions import MlflowException

from yolo3.data.annotations import read_classes
from yolo3.data.pictures import Picture, pictures_digest
from yolo3.detector.detector import Detector
from yolo3.detector.load import load_detector
from yolo3.evaluation.comparison import LEAST_PICTURES, Measured, Rule, compare
from yolo3.evaluation.latency import latency
from yolo3.evaluation.machine import describe
from yolo3.tracking import run as record
from yolo3.tracking.data import read_images
from yolo3.tracking.dataset import log_pictures
from yolo3.tracking.promotion import Contender, Promotion
from yolo3.tracking.promotion_page import write_promotion_page
from yolo3.tracking.registry import CHAMPION, PREVIOUS, Registry, RegistryError, Version
from yolo3.training.validation import evaluate_detector

JSON, PAGE = "comparison.json", "comparison.html"
TRAINING_PICTURES = "pictures/training.txt"  # as a training logs them: digest, place


def promote(
    name: str, challenger: str, annotation_path: str, classes_path: str, rule: Rule, force: bool
) -> bool:
    """Compare in a run of its own; tell whether the challenger is champion afterwards.

    challenger: a version's number, alias or URI; the newest if empty. A challenger that is champion
    already is told, and no run is opened.
    Raises RegistryError, DataError, ModelError or ValueError for what the user must mend.
    """
    registry = Registry(name)
    champion, new = registry.champion(), registry.find(challenger)
    if new == champion:
        print(f"version {new.number} of {name!r} is {CHAMPION} already, nothing to compare")
        return True
    versions = [new, champion] if champion else [new]
    detectors = [load_detector(version.uri) for version in versions]
    class_names = _same_classes(versions, detectors, classes_path)
    source = record.find_file(annotation_path)
    read = read_images(source, class_names)
    pictures, findings = read.pictures, read.findings
    print("\n".join(findings.lines()), end="\n" if findings.found else "")
    _check_enough(pictures, rule, annotation_path)
    with record.open_run() as run:
        _log_parameters(versions, annotation_path, rule, force)
        log_pictures(pictures, class_names, source, "evaluation")
        mlflow.log_metrics({f"data_{kind}": count for kind, count in findings.counts.items()})
        measured = _measure(versions, detectors, pictures)
        promotion = Promotion(
            *_pair(_contenders(versions, detectors, pictures)),
            comparison=compare(*_pair(measured), rule),
            annotation_path=annotation_path,
            sha256=pictures_digest(pictures),
            force=force,
            machine=describe(),
            run_id=run.info.run_id,
        )
        _log(promotion)
        _apply(registry, promotion)
    return promotion.moves


def _pair(sides: Sequence) -> tuple:
    """Give challenger and champion, None for a champion that there is not."""
    return (*sides, None)[:2]


def _same_classes(
    versions: Sequence[Version], detectors: Sequence[Detector], classes_path: str
) -> tuple[str, ...]:
    """Give the class names that the detectors share; ValueError where they differ."""
    own, *others = [detector.spec.class_names for detector in detectors]
    for version, names in zip(versions[1:], others, strict=True):
        if names != own:
            raise RegistryError(
                f"version {versions[0].number} of {version.name!r} finds {', '.join(own)}, "
                f"the {CHAMPION}, version {version.number}, {', '.join(names)}: expected the same "
                "classes in the same order; register detectors of other classes under another name"
            )
    if classes_path and read_classes(record.find_file(classes_path)) != own:
        raise ValueError(
            f"{classes_path}: its classes are not the model's, expected {', '.join(own)}"
        )
    return own


def _check_enough(pictures: Sequence[Picture], rule: Rule, annotation_path: str) -> None:
    boxes = sum(len(picture.boxes_xyxy) for picture in pictures)
    holding = sum(len(picture.boxes_xyxy) > 0 for picture in pictures)
    if boxes < rule.min_boxes or holding < LEAST_PICTURES:
        raise ValueError(
            f"{annotation_path}: has {boxes} boxes in {holding} pictures, too few to judge by; "
            f"expected at least {rule.min_boxes} (min_boxes) in {LEAST_PICTURES}"
        )


def _measure(
    versions: Sequence[Version], detectors: Sequence[Detector], pictures: Sequence[Picture]
) -> list[Measured]:
    """Let each detector find what it finds, then time all of them in turn, as they serve."""
    evaluations = []
    for version, detector in zip(versions, detectors, strict=True):
        print(f"version {version.number}: {len(pictures)} pictures", flush=True)
        evaluations.append(evaluate_detector(detector, pictures, progress=True))
    times = latency([detector.detect for detector in detectors], pictures)
    return [Measured(found, own) for found, own in zip(evaluations, times, strict=True)]


def _contenders(
    versions: Sequence[Version], detectors: Sequence[Detector], pictures: Sequence[Picture]
) -> list[Contender]:
    return [
        Contender(version, detector.spec.input_wh, _pictures_seen(version, pictures))
        for version, detector in zip(versions, detectors, strict=True)
    ]


def _pictures_seen(version: Version, pictures: Sequence[Picture]) -> int | None:
    """Count the pictures that the version's training had; None where its run does not say."""
    if not version.run_id:
        return None
    try:
        text = mlflow.artifacts.load_text(f"runs:/{version.run_id}/{TRAINING_PICTURES}")
    except (MlflowException, OSError):  # no training of this project, or its run is gone
        return None
    seen = {line.split()[0] for line in text.splitlines() if line.strip()}
    return sum(picture.digest in seen for picture in pictures)


def _log_parameters(
    versions: Sequence[Version], annotation_path: str, rule: Rule, force: bool
) -> None:
    new, champion = _pair(versions)
    record.log_params(
        {
            "name": new.name,
            "challenger_version": new.number,
            "champion_version": champion.number if champion else "none",
            "annotation_path": annotation_path,
            **asdict(rule),
            "force": str(force).lower(),
        }
    )


def _log(promotion: Promotion) -> None:
    mlflow.log_metrics(promotion.metrics())
    mlflow.set_tags(promotion.run_tags())
    record.log_json(promotion.as_json(), JSON)
    with tempfile.TemporaryDirectory() as temporary:
        mlflow.log_artifact(str(write_promotion_page(promotion, Path(temporary) / PAGE)))
    print("\n".join([*promotion.table(), *promotion.cautions(), promotion.sentence()]))


def _apply(registry: Registry, promotion: Promotion) -> None:
    """Move the alias where that was decided, and tag the challenger's version either way."""
    new = promotion.challenger.version
    former = promotion.champion.version if promotion.champion else None
    if promotion.moves:
        try:
            registry.promote(new, former)
        except RegistryError:
            mlflow.set_tag("promotion.decision", "not moved")
            raise
        back = f", @{PREVIOUS} version {former.number}" if former else ""
        print(f"models:/{promotion.name}@{CHAMPION} is version {new.number}{back}")
    registry.tag(new, promotion.version_tags())
