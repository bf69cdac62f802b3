"""Check a labelled data set before any training."""

from dataclasses import dataclass
from pathlib import Path

import click

from yolo3.checks.advice import ADVICE
from yolo3.checks.checkup import Checkup, check_up
from yolo3.checks.fix import fix
from yolo3.checks.report import verdict, write_check_report
from yolo3.commands.errors import explain_errors
from yolo3.commands.files import keep_apart
from yolo3.data.annotations import write_annotations
from yolo3.data.folders import write_lines
from yolo3.data.pictures import Findings
from yolo3.data.project import find_file
from yolo3.network.spec import make_spec, parse_input_size, read_anchors
from yolo3.tracking.data import AUTO, Data, read_data
from yolo3.tracking.secrets import refuse_secrets

CLEAN, DESERVES_A_LOOK, UNUSABLE = 0, 1, 2  # exit status
EXAMPLES = 3  # of what reading found and the check does not look at


@dataclass(frozen=True)
class Source:
    """Name the data to check, as the settings of a training do."""

    annotation_path: Path
    classes_path: str
    val_annotation_path: Path | None
    val_split: float
    seed: int
    test_annotation_path: Path | None = None


def run_check(log: bool, **options: object) -> int:
    """Check lists or labels, report and write what is found; returns the exit status.

    Whatever keeps it from being checked or recorded exits with UNUSABLE.
    """
    checkup = explain_errors(_check_and_record, UNUSABLE)(log, options)
    return DESERVES_A_LOOK if checkup.deserve_a_look else CLEAN


def _check_and_record(log: bool, options: dict) -> Checkup:
    refuse_secrets(options)
    checkup = _check(**options)
    if log:
        from yolo3.tracking.check import record_check

        record_check(checkup, str(options["annotation_path"]), options["seed"], _shown(options))
    return checkup


def _check(
    anchors_path: Path, input_size: str, output: Path, fixed_path: Path | None, **given: object
) -> Checkup:
    source = Source(**given)
    anchors_wh, input_wh = read_anchors(find_file(anchors_path)), parse_input_size(input_size)
    lists = [path for path in (source.annotation_path, source.val_annotation_path) if path]
    classes = None if source.classes_path == AUTO else Path(source.classes_path)
    keep_apart([output, fixed_path], [*lists, classes, anchors_path])
    data = read_data(source, lenient=fixed_path is not None)
    spec = make_spec(data.class_names, anchors_wh, input_wh)
    checkup = check_up(data.train, [*data.val, *data.test], spec, data.left_out)
    if data.test:
        click.echo(f"{len(data.test)} images of the test split are checked as validation pictures")
    _report(checkup, data.findings)
    output.parent.mkdir(parents=True, exist_ok=True)
    title = " and ".join(map(str, lists))
    click.echo(f"report: {write_check_report(checkup, output, title, source.seed)}")
    if fixed_path:
        _write_fixed(data, fixed_path)
    return checkup


def _report(checkup: Checkup, read: Findings) -> None:
    boxes = len(checkup.sizes_wh)
    click.echo(
        f"{len(checkup.train)} training and {len(checkup.val)} validation pictures, {boxes} boxes"
    )
    others = Findings(tuple(one for one in read.found if one[0] not in ADVICE))
    for line in [*others.lines(EXAMPLES), *checkup.lines()]:
        click.echo(line)
    click.echo(verdict(checkup))


def _write_fixed(data: Data, path: Path) -> None:
    """Write the cleaned list, one for each further split of the labels, and their class names."""
    fixed = {path: fix(data.given, len(data.left_out))}
    for name, pictures in data.lists.items():
        if name != "annotation_path":
            split = name.removesuffix("_annotation_path")
            fixed[path.with_name(f"{path.stem}_{split}.txt")] = fix(pictures)
    path.parent.mkdir(parents=True, exist_ok=True)
    for target, one in fixed.items():
        write_annotations(one.pictures, target)
        click.echo(f"{target}: {one.line()}")
    if not data.classes_path:
        names_path = path.with_name(f"{path.stem}_classes.txt")
        write_lines(data.class_names, names_path)
        click.echo(f"{names_path}: {len(data.class_names)} class names")


def _shown(options: dict[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in options.items() if value is not None}
