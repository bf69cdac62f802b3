"""Data sets for the tests of the check: a clean one, and what can be wrong with it."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from yolo3.data.images import Stored
from yolo3.data.likeness import fingerprint
from yolo3.data.pictures import Picture
from yolo3.network.spec import make_spec

CLASSES = ("hat", "bare")
ANCHORS = ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319))
SPEC = make_spec(CLASSES, ANCHORS, (416, 416))
SIDE = 208  # pixels of each picture: half the network's input
HAT, BARE = "20,20,60,60,0", "120,100,161,140,1"  # nearest to the anchor 81x82


def scene(seed, size=(SIDE, SIDE)):
    """Paint a picture of soft patches that looks like that of no other seed."""
    rng = np.random.default_rng([2026, seed])
    patches = Image.fromarray(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8))
    return patches.resize(size, Image.Resampling.BICUBIC)


def labelled(name, boxes=(), digest=None, look=None, **fields):
    """Build a picture from rows of x1, y1, x2, y2, class; no file is written."""
    rows = np.array(boxes, np.float32).reshape(-1, 5)
    picture = Picture(
        path=Path(f"/pictures/{name}.jpg"),
        boxes_xyxy=rows[:, :4],
        class_ids=rows[:, 4].astype(np.int64),
        size_wh=(SIDE, SIDE),
        digest=str(name if digest is None else digest),
        source=f"list:{name}",
        fingerprint=b"" if look is None else fingerprint(scene(look)),
        stored=Stored("JPEG", 1),
    )
    return replace(picture, **fields)


def on_disk(folder, name, boxes=(), seed=1, **fields):
    """Build a picture, and write its file."""
    path = folder / f"{name}.png"
    if not path.exists():
        scene(seed).save(path)
    return labelled(name, boxes, path=path, **fields)


@dataclass(frozen=True)
class DataSet:
    """A folder with a list, a classes file and pictures."""

    folder: Path

    @property
    def list(self):
        return self.folder / "list.txt"

    @property
    def val_list(self):
        return self.folder / "val.txt"

    @property
    def classes(self):
        return self.folder / "classes.txt"

    @property
    def options(self):
        return ("--annotation-path", self.list, "--classes-path", self.classes)

    def save(self, name, seed, size=(SIDE, SIDE), **how):
        scene(seed, size).save(self.folder / name, **how)

    def add(self, line, path=None):
        with (path or self.list).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def copy(self, name, new):
        (self.folder / new).write_bytes((self.folder / name).read_bytes())


def clean_data(folder):
    """Write a data set in which nothing deserves a look: 12 pictures with a box of each class."""
    folder.mkdir(parents=True, exist_ok=True)
    data = DataSet(folder)
    data.classes.write_text("hat\nbare\n", "utf-8")
    for number in range(12):
        data.save(f"{number}.jpg", number)
        data.add(f"{number}.jpg {HAT} {BARE}")
    return data
