"""Labels of other tools become an annotation list, and a list becomes theirs."""

from collections.abc import Sequence
from pathlib import Path

import click

from yolo3.commands.files import keep_apart
from yolo3.data.annotations import read_annotations, read_classes
from yolo3.data.folders import write_lines
from yolo3.data.labels.coco import write_coco
from yolo3.data.labels.formats import read_labels
from yolo3.data.labels.policy import ImportOptions
from yolo3.data.labels.voc import write_voc
from yolo3.data.labels.yolo import write_yolo
from yolo3.data.pictures import Picture
from yolo3.data.project import PROJECT_DIR

SOURCES = ("path", "voc", "coco", "yolo", "listed")
WRITERS = {"voc": write_voc, "coco": write_coco, "yolo": write_yolo}
BELONGS_TO = {  # option -> the formats that it says something about
    "names": ("yolo",),
    "split": ("voc", "yolo"),
    "keep_difficult": ("voc",),
    "keep_crowd": ("coco", "csv"),
    "keep_unlabelled": ("yolo",),
}


def convert_annotations(output: Path, classes: Path, **options: object) -> None:
    """Import the one source that was given, or export a list; print what came of it.

    Raises click.UsageError for options that do not go together, ValueError for bad data.
    """
    given = {name: value for name, value in options.items() if value is not None}
    sources = {name: given.pop(name) for name in SOURCES if name in given}
    if len(sources) != 1:
        raise click.UsageError("Give a folder or file of labels, or --list.")
    [(source, path)] = sources.items()
    if source == "listed":
        if set(given) != {"to"}:
            expected = f"--list needs --to {'|'.join(WRITERS)}, and no option of an import."
            raise click.UsageError(expected)
        _export(path, classes, str(given["to"]), output)
        return
    if "to" in given:
        raise click.UsageError("--to goes with --list.")
    if source != "path" and given.setdefault("format", source) != source:
        raise click.UsageError(f"--{source} and --format {given['format']} contradict each other.")
    _import(path, output, classes, **given)


def _import(
    path: Path, output: Path, classes: Path, left_out: Path | None = None, **given: object
) -> None:
    """Write a list, its classes file unless that exists, and what was left out."""
    if output.is_dir():
        raise click.UsageError(f"--output {output} is a folder, expected a list to write.")
    keep_apart([output, left_out], [classes, path, given.get("names")])
    known = read_classes(classes) if classes.exists() else None
    _refuse_foreign(given, str(given.get("format", "")))
    imported = read_labels(path, ImportOptions(class_names=known, **given))
    _refuse_foreign(given, imported.format)
    imported.write(output)
    if known is None:
        write_lines(imported.class_names, classes)
    if left_out:
        imported.write_left_out(left_out)
    *lines, last = imported.lines()
    for line in [*imported.findings.lines(), *lines]:
        click.echo(line)
    click.echo(_sum(output, imported.pictures, imported.class_names))
    click.echo(last)


def _export(listed: Path, classes: Path, to: str, output: Path) -> None:
    class_names = read_classes(classes)
    pictures, findings = read_annotations(listed, class_names, PROJECT_DIR)
    WRITERS[to](pictures, class_names, output)
    for line in findings.lines():
        click.echo(line)
    click.echo(_sum(output, pictures, class_names))


def _refuse_foreign(given: dict[str, object], format: str) -> None:
    for name in set(given) & set(BELONGS_TO) if format else ():
        if format not in BELONGS_TO[name]:
            formats = " and ".join(BELONGS_TO[name])
            option = {"keep_difficult": "keep-difficult/--drop-difficult"}.get(name, name)
            text = f"--{option.replace('_', '-')} goes with labels of the format {formats}"
            raise click.UsageError(f"{text}, and these are {format}.")


def _sum(output: Path, pictures: Sequence[Picture], class_names: Sequence[str]) -> str:
    boxes = sum(len(picture.boxes_xyxy) for picture in pictures)
    empty = sum(not len(picture.boxes_xyxy) for picture in pictures)
    without = f" ({empty} without boxes)" if empty else ""
    names = ", ".join(class_names)
    return f"{output}: {len(pictures)} pictures{without}, {boxes} boxes, classes {names}"
