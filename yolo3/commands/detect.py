"""Find objects in a picture or a folder of pictures."""

import json
from pathlib import Path

import click
from tqdm import tqdm

from yolo3.data.annotations import PICTURE_SUFFIXES
from yolo3.data.images import ImageError, read_image
from yolo3.detector.drawing import draw_detections
from yolo3.detector.load import load_detector
from yolo3.detector.pyfunc import as_objects


def detect_pictures(model: str, source: Path, output: Path, thresholds: dict) -> list[dict]:
    """Write each picture with its boxes, and `detections.json`, into `output`; return the rows.

    A picture that cannot be read is a row with its `error`, and is counted at the end. What lies in
    `output` is none of the pictures. Raises ValueError when there is no picture at all, or when
    `output` is the folder of pictures.
    """
    if output.resolve() == source.resolve():
        raise ValueError(f"{output}: is the folder that is read, name another to write")
    names = [source] if source.is_file() else _pictures_in(source, output)
    if not names:
        raise ValueError(f"{source}: holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))})")
    detector = load_detector(model)
    base = source.parent if source.is_file() else source
    output.mkdir(parents=True, exist_ok=True)
    rows = [
        _detect_one(detector, path, path.relative_to(base), output, thresholds)
        for path in tqdm(names, unit="picture", disable=None)
    ]
    (output / "detections.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False), "utf-8")
    failed = [row for row in rows if row["error"]]
    found = sum(len(row["detections"]) for row in rows)
    click.echo(f"{output}: {found} objects in {len(rows) - len(failed)} pictures")
    for row in failed:
        click.echo(f"  {row['image']}: {row['error']}", err=True)
    return rows


def _pictures_in(folder, output):
    """Give the pictures of a folder, without those of an earlier call that lie in `output`."""
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES)
    return [path for path in found if not path.resolve().is_relative_to(output.resolve())]


def _detect_one(detector, path, name, output, thresholds):
    row = {"image": name.as_posix(), "detections": [], "width": 0, "height": 0, "error": ""}
    try:
        image = read_image(path)
    except ImageError as error:
        return row | {"error": str(error)}
    [found] = detector.detect([image], **thresholds)
    drawn = output / name.with_name(f"{name.stem}_{name.suffix.lstrip('.').lower()}.jpg")
    drawn.parent.mkdir(parents=True, exist_ok=True)
    draw_detections(image, found, detector.spec.class_names).save(drawn, quality=90)
    objects = as_objects(found, detector.spec.class_names)
    return row | {"detections": objects, "width": image.width, "height": image.height}
