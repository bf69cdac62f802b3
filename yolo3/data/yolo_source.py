"""What a YOLO data set consists of: its class names, its pictures, and the label file of each.

It is a folder, or a folder with a data.yaml as Ultralytics and Roboflow write it. Each path that a
file of it holds is followed only inside the folder.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from yolo3.data.annotations import read_classes
from yolo3.data.folders import OUTSIDE, DataFolder, check_names, is_hidden, numbered_lines
from yolo3.data.pictures import DataError, Problems

DATA_FILES = ("data.yaml", "data.yml", "dataset.yaml")
NAMES_FILES = ("classes.txt", "obj.names", "labels/classes.txt")
SPLITS = ("train", "val", "valid", "validation", "test")


@dataclass(frozen=True)
class YoloSource:
    """A folder, and what its data.yaml says."""

    data: DataFolder
    shown: Path  # the folder as it was named
    config: dict[str, object]  # of data.yaml, {} without one; values are texts, lists or dicts
    config_path: Path  # data.yaml as it was named

    def told(self, path: Path) -> str:
        """Name a file in the folder as the person would."""
        return str(self.shown / path.relative_to(self.data.root))


def open_source(source: Path) -> YoloSource:
    """Open a folder, with the data.yaml in it if there is one, or a data.yaml."""
    if not source.is_dir():
        return YoloSource(DataFolder(source.parent), source.parent, _config(source), source)
    path = next((source / name for name in DATA_FILES if (source / name).is_file()), None)
    config = {} if path is None else _config(path)
    return YoloSource(DataFolder(source), source, config, path or source / DATA_FILES[0])


class _PlainLoader(yaml.BaseLoader):
    """Read texts, lists and dicts; no aliases, of which a few lines can make billions of texts."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem_mark=mark, note="has an alias (*), write it out")
        return super().compose_node(parent, index)


def _config(path: Path) -> dict[str, object]:
    """Read data.yaml; every scalar stays text, so that a class called 'yes' or 010 stays that."""
    try:
        config = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_PlainLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise DataError(f"{path}{line}: {getattr(error, 'note', '') or 'is not YAML'}") from None
    except RecursionError:
        raise DataError(f"{path}: is not YAML, or nested too deeply") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8 text, save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if not isinstance(config, dict) or not config:
        raise DataError(f"{path}: holds no keys, expected names, train and val")
    return config


def read_names(
    asked: YoloSource, names: Path | None, class_names: Sequence[str] | None
) -> tuple[str, ...]:
    """Read the names that label files count by.

    A names file that was given comes first, then data.yaml, then a names file in the folder; if
    there is none, label files count by `class_names`. Raises DataError where all are missing.
    """
    if names is not None:
        return read_classes(names)
    if asked.config.get("names"):
        return _names_of(asked.config, asked.config_path)
    files = [asked.shown / name for name in NAMES_FILES]
    files += [path for path in sorted(asked.shown.glob("*.names")) if path not in files]
    held = {path: _names_in(path, asked) for path in files if path.is_file()}
    if len(set(held.values())) > 1:
        several = " and ".join(map(str, held))
        raise DataError(f"{several} name different classes, say which with --names")
    if not held and class_names is None:
        raise DataError(
            f"{asked.shown}: names no classes, expected data.yaml, classes.txt or obj.names there,"
            " or a file given with --names"
        )
    return next(iter(held.values()), tuple(class_names or ()))


def _names_in(path: Path, asked: YoloSource) -> tuple[str, ...]:
    asked.data.kept_inside(path)
    return read_classes(path)


def _names_of(config: dict[str, object], path: Path) -> tuple[str, ...]:
    """Read `names` of data.yaml, a list, or a dict from ids to names."""
    names, count = config["names"], config.get("nc")
    if isinstance(names, dict):
        wanted = [str(number) for number in range(len(names))]
        if set(names) != set(wanted):
            told = ", ".join(map(str, names))
            raise DataError(f"{path}: names the classes {told}, expected 0, 1, 2, …")
        names = [names[number] for number in wanted]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: has names {str(names)[:200]}, expected a list of texts")
    stripped = tuple(name.strip() for name in names)
    check_names(stripped, path)
    if count not in (None, "", str(len(stripped))):
        raise DataError(f"{path}: has nc {count} and {len(stripped)} names")
    return stripped


def keypoint_values(asked: YoloSource) -> int | None:
    """Tell how many numbers a line with keypoints holds, where data.yaml declares such."""
    shape = asked.config.get("kpt_shape")
    if not shape:
        return None
    if not isinstance(shape, list) or len(shape) != 2 or not "".join(map(str, shape)).isdigit():
        expected = "expected [number of points, 2 or 3]"
        raise DataError(f"{asked.config_path}: has kpt_shape {shape!r}, {expected}")
    return 5 + int(shape[0]) * int(shape[1])


def find_pictures(
    asked: YoloSource, split: str | None, problems: Problems, found: list[tuple[str, str]]
) -> list[Path]:
    """List the pictures of all places, each once."""
    pictures: dict[Path, Path] = {}  # picture -> place that has it first
    for place in _places(asked, split):
        for path in _pictures_in(asked, place, problems):
            if pictures.setdefault(path, place) != place:
                both = f"{asked.told(pictures[path])} and in {asked.told(place)}"
                text = f"{asked.told(path)}: in {both}"
                found.append(("pictures_repeated", text))
    if not pictures and not problems.found:
        raise DataError(f"{asked.shown}: holds no pictures")
    return list(pictures)


def _places(asked: YoloSource, split: str | None) -> list[Path]:
    """Find the folders of pictures and the lists that data.yaml, or `split`, names."""
    root = asked.data.root
    if not asked.config:
        if split is None:
            return [root]
        listed = root / f"{split}.txt"
        if not listed.is_file():
            raise DataError(f"{asked.shown}: has no data.yaml and no {split}.txt")
        return [asked.data.kept_inside(listed)]
    there = [key for key in SPLITS if asked.config.get(key)]
    chosen = there if split is None else [key for key in there if key == split]
    if not chosen:
        what = f"the split {split!r}" if split else "a split"
        expected = ", ".join(there or SPLITS)
        raise DataError(f"{asked.config_path}: does not name {what}, expected {expected}")
    return [_place(asked, key, name) for key in chosen for name in _texts(asked.config[key])]


def _texts(value: object) -> list[str]:
    return [str(text) for text in value] if isinstance(value, list) else [str(value)]


def _place(asked: YoloSource, key: str, name: str) -> Path:
    """Find what an entry of data.yaml means.

    `path` is honoured where it stays inside, and passed over where it tells of another machine.
    Roboflow writes ../train/images for train/images.
    """
    root = asked.data.root
    base = Path(os.path.normpath(root / str(asked.config.get("path", "") or "")))
    bases = [base, root] if asked.data.holds(base) else [root]
    forms = [name] + ([name[3:]] if name.startswith("../") else [])
    move = "put data.yaml into the folder that holds the pictures"
    refused = []
    for form in forms:
        try:
            path = asked.data.seek(form, bases)
        except DataError as error:
            refused.append(f"{error}; {move}")
            continue
        if path is not None:
            return path
    missing = f"{name} is missing, sought in {' and in '.join(map(str, dict.fromkeys(bases)))}"
    if base not in bases:
        missing += f"; path: {asked.config['path']} {OUTSIDE}, {move}"
    raise DataError(f"{asked.config_path}: {key}: {(refused or [missing])[0]}")


def _pictures_in(asked: YoloSource, place: Path, problems: Problems) -> list[Path]:
    if place.is_dir():
        return [
            path
            for path in asked.data.pictures_below(place)
            if _stays_inside(asked, path, problems)
        ]
    pictures = []
    for number, line in numbered_lines(place):
        told = f"{asked.told(place)}:{number}"
        try:
            path = asked.data.seek(line, [place.parent, asked.data.root])
        except DataError as error:
            problems.add(-1, f"{told}: picture {error}")
            continue
        if path is None:
            problems.add(-1, f"{told}: picture {line} is missing, sought in {place.parent}")
        else:
            pictures.append(path)
    return pictures


def _stays_inside(asked: YoloSource, path: Path, problems: Problems) -> bool:
    try:
        asked.data.kept_inside(path)
    except DataError as error:
        problems.add(-1, f"{asked.shown}: picture {error}")
        return False
    return True


def find_labels(
    asked: YoloSource, pictures: Sequence[Path], problems: Problems
) -> dict[Path, Path]:
    """Find the label file of each picture that has one."""
    label_of = {}
    picture_of: dict[Path, Path] = {}
    for path in pictures:
        places = dict.fromkeys([label_in_labels(path, asked.data.root), path.with_suffix(".txt")])
        there = [place for place in places if place.is_file()]
        if len(there) > 1:
            both = " and ".join(asked.told(place) for place in there)
            problems.add(-1, f"{asked.told(path)}: has two label files, {both}, keep one")
        elif there and picture_of.setdefault(there[0], path) != path:
            both = f"{picture_of[there[0]].name} and {path.name}"
            problems.add(-1, f"{asked.told(there[0])}: labels both {both}, rename one")
        elif there and _stays_inside(asked, there[0], problems):
            label_of[path] = there[0]
    return label_of


def label_in_labels(picture: Path, root: Path) -> Path:
    """Swap the last folder called images, or else JPEGImages, for labels."""
    parts = list(picture.relative_to(root).parts)
    for folder in ("images", "JPEGImages"):
        if folder in parts[:-1]:
            parts[len(parts) - 2 - parts[-2::-1].index(folder)] = "labels"
            break
    return root.joinpath(*parts).with_suffix(".txt")


def find_orphans(asked: YoloSource, label_of: dict[Path, Path]) -> list[tuple[str, str]]:
    used = set(label_of.values())
    texts = (
        path
        for path in sorted(asked.data.root.rglob("*.txt"))
        if "labels" in path.relative_to(asked.data.root).parts[:-1]
        and not is_hidden(path, asked.data.root)
        and path.name != "classes.txt"
    )
    return [
        ("labels_orphaned", f"{asked.told(path)}: no picture") for path in texts if path not in used
    ]
