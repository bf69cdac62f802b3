"""Labels of other tools become an annotation list, and a list becomes theirs."""

from collections.abc import Callable
from pathlib import Path

import click

from yolo3.commands.files import keep_apart
from yolo3.data.annotations import read_annotations, read_classes, write_annotations
from yolo3.data.coco import read_coco, write_coco
from yolo3.data.folders import write_lines
from yolo3.data.pictures import Findings, Picture
from yolo3.data.project import PROJECT_DIR
from yolo3.data.voc import read_voc, write_voc
from yolo3.data.yolo_txt import read_yolo, write_yolo

SOURCES = ("voc", "coco", "yolo", "listed")
WRITERS = {"voc": write_voc, "coco": write_coco, "yolo": write_yolo}
BELONGS_TO = {  # option -> the sources that it says something about
    "images": ("coco",),
    "names": ("yolo",),
    "split": ("voc", "yolo"),
    "keep_difficult": ("voc",),
    "keep_crowd": ("coco",),
    "keep_unlabelled": ("yolo",),
    "to": ("listed",),
}


def convert_annotations(output: Path, classes: Path, **options: object) -> None:
    """Read the one source that was given and write `output`, a list or a folder; tell the sum.

    Raises click.UsageError for options that do not go together, ValueError for bad data.
    """
    source = _source_of(options)
    if source == "listed":
        _export(options["listed"], classes, str(options["to"]), output)
    else:
        if output.is_dir():
            raise click.UsageError(f"--output {output} is a folder, expected a list to write.")
        keep_apart([output], [classes, options["coco"], options["yolo"], options["names"]])
        _import(_reader(source, options), output, classes)


def _source_of(options: dict[str, object]) -> str:
    given = [name for name, value in options.items() if value is not None]
    sources = [name for name in SOURCES if name in given]
    if len(sources) != 1:
        raise click.UsageError("Give one of --voc, --coco, --yolo and --list.")
    for name in set(given) & set(BELONGS_TO):
        if sources[0] not in BELONGS_TO[name]:
            belongs = " and ".join(f"--{_typed(source)}" for source in BELONGS_TO[name])
            raise click.UsageError(f"--{_typed(name)} goes with {belongs}.")
    if sources == ["listed"] and "to" not in given:
        raise click.UsageError(f"--list needs --to {'|'.join(WRITERS)}.")
    return sources[0]


def _typed(name: str) -> str:
    return {"listed": "list", "keep_difficult": "keep-difficult/--drop-difficult"}.get(
        name, name.replace("_", "-")
    )


def _reader(source: str, options: dict) -> Callable:
    """Return a function from known class names, or None, to pictures, class names and findings."""
    if source == "voc":
        keep = options["keep_difficult"] is not False
        return lambda known: read_voc(options["voc"], known, keep, options["split"])
    if source == "coco":
        keep = bool(options["keep_crowd"])
        return lambda known: read_coco(options["coco"], options["images"], known, keep)
    keep = bool(options["keep_unlabelled"])
    return lambda known: read_yolo(options["yolo"], options["names"], known, options["split"], keep)


def _import(read: Callable, output: Path, classes: Path) -> None:
    known = read_classes(classes) if classes.exists() else None
    pictures, class_names, findings = read(known)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_annotations(pictures, output)
    if known is None:
        write_lines(class_names, classes)
    _tell(findings, output, pictures, class_names)


def _export(listed: Path, classes: Path, to: str, output: Path) -> None:
    class_names = read_classes(classes)
    pictures, findings = read_annotations(listed, class_names, PROJECT_DIR)
    WRITERS[to](pictures, class_names, output)
    _tell(findings, output, pictures, class_names)


def _tell(
    findings: Findings, output: Path, pictures: list[Picture], class_names: tuple[str, ...]
) -> None:
    for line in findings.lines():
        click.echo(line)
    boxes = sum(len(picture.boxes_xyxy) for picture in pictures)
    empty = sum(not len(picture.boxes_xyxy) for picture in pictures)
    without = f" ({empty} without boxes)" if empty else ""
    click.echo(
        f"{output}: {len(pictures)} pictures{without}, {boxes} boxes,"
        f" classes {', '.join(class_names)}"
    )
