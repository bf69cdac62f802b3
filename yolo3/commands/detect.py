"""Find objects in a picture or a folder of pictures."""

import json
import os
from pathlib import Path

import click
from tqdm import tqdm

from yolo3.data.annotations import PICTURE_SUFFIXES
from yolo3.data.folders import pictures_below
from yolo3.data.images import ImageError, read_image
from yolo3.detector.ahead import ahead
from yolo3.detector.drawing import MAX_JPEG_SIDE, draw_detections
from yolo3.detector.load import load_detector
from yolo3.detector.pyfunc import as_objects


def detect_pictures(model: str, source: Path, output: Path, thresholds: dict) -> list[dict]:
    """Write each picture with its boxes, and `detections.json`, into `output`; return the rows.

    As many pictures are worked on at once as there are cores, each by itself. One that cannot be
    read is a row with its `error`, and is counted at the end. What `output` holds, in a folder of
    pictures, is none of them. Raises ValueError when there is no picture at all, or none that can
    be read, for thresholds out of range, and where `output` is the pictures' own folder.
    """
    paths = [source] if source.is_file() else _pictures_in(source, output)
    if not paths:
        raise ValueError(f"{source}: holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))})")
    detector = load_detector(model)
    detector.choose(**thresholds)
    base = source.parent if source.is_file() else source
    output.mkdir(parents=True, exist_ok=True)

    def detect_one(path):
        return _detect_one(detector, path, path.relative_to(base), output, thresholds)

    done = tqdm(ahead(detect_one, paths), total=len(paths), unit="picture", disable=None)
    rows = list(done)
    (output / "detections.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False), "utf-8")
    failed = [row for row in rows if row["error"]]
    found = sum(len(row["detections"]) for row in rows)
    click.echo(f"{output}: {found} objects in {len(rows) - len(failed)} pictures")
    for row in failed:
        click.echo(f"  {row['image']}: {row['error']}", err=True)
    if len(failed) == len(rows):
        raise ValueError(f"{source}: no picture could be read")
    return rows


def _pictures_in(folder, output):
    place, written = (Path(os.path.abspath(path)) for path in (folder, output))
    if written == place:
        raise ValueError(f"{output}: is the folder of the pictures, name another to write")
    own = folder / written.relative_to(place) if written.is_relative_to(place) else None
    paths = pictures_below(folder)
    return [path for path in paths if own is None or not path.is_relative_to(own)]


def _detect_one(detector, path, name, output, thresholds):
    row = {"image": name.as_posix(), "detections": [], "width": 0, "height": 0, "error": ""}
    try:
        image = read_image(path)
    except ImageError as error:
        return row | {"error": str(error)}
    [found] = detector.detect([image], **thresholds)
    kind = "jpg" if max(image.size) <= MAX_JPEG_SIDE else "png"
    drawn = output / name.with_name(f"{name.stem}_{name.suffix.lstrip('.')}.{kind}")
    drawn.parent.mkdir(parents=True, exist_ok=True)
    draw_detections(image, found, detector.spec.class_names).save(drawn, quality=90)
    objects = as_objects(found, detector.spec.class_names)
    return row | {"detections": objects, "width": image.width, "height": image.height}
