"""Check a labelled data set before any training."""

from collections.abc import Sequence
from pathlib import Path

import click

from yolo3.checks.checkup import Checkup, check_up
from yolo3.checks.fix import fix
from yolo3.checks.report import verdict, write_check_report
from yolo3.commands.errors import explain_errors
from yolo3.commands.files import keep_apart
from yolo3.data.annotations import read_classes, read_lists, write_annotations
from yolo3.data.pictures import Picture
from yolo3.data.project import PROJECT_DIR, find_file
from yolo3.data.splits import check_apart, split_pictures
from yolo3.network.spec import make_spec, parse_input_size, read_anchors
from yolo3.tracking.secrets import refuse_secrets

CLEAN, DESERVES_A_LOOK, UNUSABLE = 0, 1, 2  # exit status


def run_check(log: bool, **options: object) -> int:
    """Check the lists, tell and write what is found; returns the exit status.

    Whatever keeps it from being checked or recorded exits with UNUSABLE.
    """
    checkup = explain_errors(_check_and_record, UNUSABLE)(log, options)
    return DESERVES_A_LOOK if checkup.deserve_a_look else CLEAN


def _check_and_record(log: bool, options: dict) -> Checkup:
    refuse_secrets(options)
    checkup = _check(**options)
    if log:
        from yolo3.tracking.check import record_check

        record_check(checkup, str(options["annotation_path"]), _shown(options))
    return checkup


def _check(
    annotation_path: Path,
    classes_path: Path,
    val_annotation_path: Path | None,
    val_split: float,
    seed: int,
    anchors_path: Path,
    input_size: str,
    output: Path,
    fixed_path: Path | None,
) -> Checkup:
    sources = [annotation_path, classes_path, val_annotation_path, anchors_path]
    keep_apart([output, fixed_path], sources)
    anchors_wh, input_wh = read_anchors(find_file(anchors_path)), parse_input_size(input_size)
    class_names = read_classes(find_file(classes_path))
    given = [annotation_path, *filter(None, [val_annotation_path])]
    lists = read_lists(list(map(find_file, given)), class_names, PROJECT_DIR)
    (pictures, _), *others = lists
    if others:
        train, [(val, _)] = pictures, others
        check_apart(train, val)
    else:
        train, val = split_pictures(pictures, val_split, seed)
    checkup = check_up(train, val, make_spec(class_names, anchors_wh, input_wh))
    _tell(checkup)
    output.parent.mkdir(parents=True, exist_ok=True)
    title = " and ".join(str(path) for path in (annotation_path, val_annotation_path) if path)
    click.echo(f"report: {write_check_report(checkup, output, title)}")
    if fixed_path:
        _write_fixed(pictures, fixed_path)
    return checkup


def _tell(checkup: Checkup) -> None:
    boxes = len(checkup.sizes_wh)
    click.echo(
        f"{len(checkup.train)} training and {len(checkup.val)} validation pictures, {boxes} boxes"
    )
    for line in checkup.lines():
        click.echo(line)
    click.echo(verdict(checkup))


def _write_fixed(pictures: Sequence[Picture], path: Path) -> None:
    fixed = fix(pictures)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_annotations(fixed.pictures, path)
    click.echo(f"{path}: {fixed.line()}")


def _shown(options: dict[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in options.items() if value is not None}
