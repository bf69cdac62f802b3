"""A data set of which a third is held out, written for contestants of every kind."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from yolo3.data.annotations import write_annotations
from yolo3.data.folders import write_lines
from yolo3.data.labels.formats import read_labels
from yolo3.data.labels.yolo import write_yolo
from yolo3.data.pictures import Picture
from yolo3.data.splits import split_pictures

VAL_SPLIT = 0.1  # as train.py's


@dataclass(frozen=True)
class Split:
    """Hold one split: what may be trained on, and what nobody sees."""

    train: tuple[Picture, ...]
    val: tuple[Picture, ...]
    held_out: tuple[Picture, ...]
    class_names: tuple[str, ...]
    seed: int
    folder: Path

    @property
    def annotations(self) -> Path:
        """Name the annotation list of training and validation images; classes.txt is next to it."""
        return self.folder / "images.txt"

    @property
    def held_out_annotations(self) -> Path:
        """Name the annotation list of the held-out images, which the judge alone reads."""
        return self.folder / "held_out.txt"

    def write_yolo(self) -> Path:
        """Write training and validation images as YOLO folders; return their data.yaml."""
        folder = self.folder / "yolo"
        shutil.rmtree(folder, ignore_errors=True)
        for name, pictures in (("train", self.train), ("val", self.val)):
            write_yolo(pictures, self.class_names, folder / name)
        places = {name: str(folder / name / "images") for name in ("train", "val")}
        names = dict(enumerate(self.class_names))
        data = folder / "data.yaml"
        data.write_text(yaml.safe_dump(places | {"names": names}), "utf-8")
        return data

    def copy_held_out(self) -> tuple[Path, list[str]]:
        """Copy the held-out images, without labels, under numbers; return folder and stems."""
        folder = self.folder / "held-out"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        stems = [f"{number:06d}" for number in range(len(self.held_out))]
        for stem, picture in zip(stems, self.held_out, strict=True):
            shutil.copyfile(picture.path, folder / f"{stem}{picture.path.suffix}")
        return folder, stems


def hold_out(source: Path, seed: int, folder: Path) -> Split:
    """Read labelled images, hold out a third, and write the annotation list of the rest."""
    imported = read_labels(source)
    rest, held_out = split_pictures(imported.pictures, 1 / 3, seed)
    train, val = split_pictures(rest, VAL_SPLIT, seed)
    folder.mkdir(parents=True, exist_ok=True)
    names = tuple(imported.class_names)
    split = Split(tuple(train), tuple(val), tuple(held_out), names, seed, folder)
    write_annotations(rest, split.annotations)
    write_annotations(held_out, split.held_out_annotations)
    write_lines(names, folder / "classes.txt")
    return split
