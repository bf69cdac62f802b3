"""Write rendered scenes as a data set in VOC shape.

Picture i depends on the seed, i and the theme alone, not on how many pictures are written or by
how many workers.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from tqdm import tqdm

from yolo3.scenes.scene import render_scene
from yolo3.scenes.theme import SAMPLE

VALIDATION_EVERY = 10
FOLDERS = ("JPEGImages", "Annotations", "ImageSets/Main")


@dataclass(frozen=True)
class Summary:
    """Count what was written."""

    pictures: int
    empty_pictures: int
    boxes: int
    boxes_per_class: dict[str, int]


def write_dataset(output, count, seed, theme=SAMPLE, workers=None, progress=True):
    """Write count pictures with annotations, lists and classes into an empty or new folder.

    Boxes are x1, y1, x2, y2 in pixels with one decimal, 0-based, the same in XML and list. Raises
    ValueError for a folder that holds something, or a count below 1.
    """
    folder = _empty_folder(output, count)
    draw = partial(_write_picture, folder, seed, theme)
    numbers = range(1, count + 1)
    processes = min(workers or os.cpu_count() or 1, max(1, count // 8))
    if processes == 1:
        found = list(tqdm(map(draw, numbers), total=count, unit="picture", disable=not progress))
    else:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            results = pool.map(draw, numbers, chunksize=4)
            found = list(tqdm(results, total=count, unit="picture", disable=not progress))
    _write_lists(folder, found, theme)
    return _summary(found, theme)


def picture_rng(seed, index):
    """Return the generator of picture index (from 1) of a data set."""
    return np.random.default_rng(np.random.SeedSequence([seed, index]))


def _empty_folder(output, count):
    folder = Path(output)
    if count < 1:
        raise ValueError(f"expected at least 1 picture to render, got {count}")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder to write pictures to, got a file")
    if folder.is_dir() and any(folder.iterdir()):
        raise ValueError(f"{folder}: not empty; give a new folder, or remove what is in it")
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    return folder


def _write_picture(folder, seed, theme, number):
    """Write picture and annotation; return boxes and class ids."""
    rng = picture_rng(seed, number)
    scene = render_scene(rng, theme)
    name = f"{number:06d}"
    quality = int(rng.integers(70, 88))
    scene.image.save(folder / "JPEGImages" / f"{name}.jpg", quality=quality, optimize=True)
    xml = _annotation(f"{name}.jpg", scene, theme)
    xml.write(folder / "Annotations" / f"{name}.xml", encoding="utf-8")
    return scene.boxes_xyxy, scene.class_ids


def _annotation(file_name, scene, theme):
    root = ElementTree.Element("annotation")
    _child(root, "folder", "JPEGImages")
    _child(root, "filename", file_name)
    size = _child(root, "size")
    for key, value in zip(("width", "height", "depth"), (*scene.image.size, 3), strict=True):
        _child(size, key, value)
    _child(root, "segmented", 0)
    for box, class_id in zip(scene.boxes_xyxy, scene.class_ids, strict=True):
        thing = _child(root, "object")
        for key, value in (("name", theme.class_names[class_id]), ("difficult", 0)):
            _child(thing, key, value)
        corners = _child(thing, "bndbox")
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
            _child(corners, key, _number(value))
    ElementTree.indent(root)
    return ElementTree.ElementTree(root)


def _child(parent, name, text=None):
    child = ElementTree.SubElement(parent, name)
    child.text = None if text is None else str(text)
    return child


def _number(value):
    return f"{float(value):.1f}"


def _write_lists(folder, found, theme):
    names = [f"{number:06d}" for number in range(1, len(found) + 1)]
    held_out = set(names[VALIDATION_EVERY - 1 :: VALIDATION_EVERY])
    sets = {"trainval": names, "val": [name for name in names if name in held_out],
            "train": [name for name in names if name not in held_out]}  # fmt: skip
    for key, members in sets.items():
        _write_text(folder / "ImageSets" / "Main" / f"{key}.txt", members)
    lines = [_line(name, *boxes) for name, boxes in zip(names, found, strict=True)]
    _write_text(folder / "list_master.txt", lines)
    _write_text(folder / "classes.txt", theme.class_names)


def _line(name, boxes_xyxy, class_ids):
    fields = [f"JPEGImages/{name}.jpg"]
    for box, class_id in zip(boxes_xyxy, class_ids, strict=True):
        fields.append(",".join([*map(_number, box), str(int(class_id))]))
    return " ".join(fields)


def _write_text(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _summary(found, theme):
    ids = np.concatenate([ids for _, ids in found]).astype(int)
    counts = np.bincount(ids, minlength=len(theme.class_names))
    return Summary(
        pictures=len(found),
        empty_pictures=sum(1 for _, ids_of_one in found if not len(ids_of_one)),
        boxes=int(counts.sum()),
        boxes_per_class=dict(zip(theme.class_names, counts.tolist(), strict=True)),
    )
