"""What a YOLO data set says of itself: its class names, and the images of each split.

It is a folder, or a folder with a data.yaml as Ultralytics and Roboflow write it. What a file of
it names is looked up below the folder only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import yaml

from yolo3.data.annotations import read_classes
from yolo3.data.folders import check_names, numbered_lines
from yolo3.data.labels.policy import YAML, Draft
from yolo3.data.labels.tree import SPLITS, FileTree, parts_of, split_of
from yolo3.data.pictures import DataError

DATA_FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
NAMES_FILE = "classes.txt"  # LabelImg's, next to the labels
ROBOFLOW_NAMES = "_darknet.labels"  # in the folder of each split


@dataclass(frozen=True)
class YoloSource:
    """What data.yaml says; config is {} without one, its values are texts, lists or dicts."""

    config: dict[str, object]
    path: Path  # of data.yaml, absolute


def open_source(draft: Draft) -> YoloSource:
    """Read the data.yaml that was named, or the one in the folder, or in one of its folders.

    Raises DataError where several may be meant.
    """
    if draft.only and draft.only.suffix.lower() in YAML:
        return YoloSource(read_config(draft.only), draft.only)
    tree = draft.tree
    there = data_files(path for path in tree.with_suffix(*YAML) if path not in tree.outside)
    nearest = min((len(path.parts) for path in there), default=0)
    there = [path for path in there if len(path.parts) == nearest]
    if len(there) > 1:
        several = " and ".join(map(tree.named, there))
        raise DataError(f"{tree.shown}: holds {several}, give one of these")
    if not there:
        return YoloSource({}, tree.root / DATA_FILES[0])
    return YoloSource(read_config(there[0]), there[0])


def data_files(paths: Iterable[Path]) -> list[Path]:
    """Choose those of a usual name, or else those that name classes and a split."""
    paths = list(paths)
    return [path for path in paths if path.name.lower() in DATA_FILES] or [
        path for path in paths if _is_data_file(path)
    ]


def _is_data_file(path: Path) -> bool:
    try:
        config = read_config(path)
    except DataError:
        return False
    return "names" in config and not config.keys().isdisjoint(SPLITS)


class _PlainLoader(yaml.BaseLoader):
    """Read texts, lists and dicts; no aliases, of which a few lines can make billions of texts."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem_mark=mark, note="has an alias (*), write it out")
        return super().compose_node(parent, index)


def read_config(path: Path) -> dict[str, object]:
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


def read_names(draft: Draft, source: YoloSource) -> tuple[str, ...]:
    """Read the names that label files count by.

    A names file that was given comes first, then data.yaml, then names files in the folder; if
    there is none, label files count by the names that were asked for. Raises DataError where all
    are missing, or names disagree.
    """
    options, tree = draft.options, draft.tree
    if options.names is not None:
        return _names_in(options.names, tree.files)
    if source.config.get("names"):
        return _names_of(source.config, source.path)
    held = {path: read_classes(path) for path in names_files(tree) if path not in tree.outside}
    if len(set(held.values())) > 1:
        several = " and ".join(map(tree.named, held))
        raise DataError(f"{several} name different classes, say which with --names")
    if not held and options.class_names is None:
        raise DataError(
            f"{tree.shown}: names no classes, expected data.yaml, classes.txt or obj.names there,"
            " or a file given with --names"
        )
    return next(iter(held.values()), tuple(options.class_names or ()))


def names_files(tree: FileTree) -> list[Path]:
    """List the files that name classes, in the folder and below."""
    return [
        path
        for path in tree.files
        if path.name.lower() in (NAMES_FILE, ROBOFLOW_NAMES) or path.suffix.lower() == ".names"
    ]


def _names_in(path: Path, files: Sequence[Path]) -> tuple[str, ...]:
    """Read a file of names, also by way of a data.yaml or Darknet's obj.data."""
    if path.suffix.lower() in YAML:
        return _names_of(read_config(path), path)
    if path.suffix.lower() != ".data":
        return read_classes(path)
    pairs = (line.partition("=") for _, line in numbered_lines(path))
    said = next((value.strip() for key, _, value in pairs if key.strip() == "names"), "")
    name = PureWindowsPath(said).name
    found = [file for file in (path.parent / name, *files) if file.name == name and file.is_file()]
    if not found:
        raise DataError(f"{path}: names = {said!r}, and no such file is here; give it with --names")
    return read_classes(found[0])


def _names_of(config: dict[str, object], path: Path) -> tuple[str, ...]:
    """Read `names` of data.yaml, a list, or a dict from ids to names."""
    names, count = config.get("names"), config.get("nc")
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


def keypoint_values(source: YoloSource) -> int | None:
    """Tell how many numbers a line with keypoints holds, where data.yaml declares such."""
    shape = source.config.get("kpt_shape")
    if not shape:
        return None
    if not isinstance(shape, list) or len(shape) != 2 or not "".join(map(str, shape)).isdigit():
        expected = "expected [number of points, 2 or 3]"
        raise DataError(f"{source.path}: has kpt_shape {shape!r}, {expected}")
    return 5 + int(shape[0]) * int(shape[1])


def find_images(draft: Draft, source: YoloSource) -> dict[Path, str]:
    """Find the images of the data set, each with its split.

    They are those that data.yaml names, of one split if `split` is given; without a data.yaml
    those of SPLIT.txt, or all. A split that data.yaml names and that is not here is noted.
    """
    tree, split = draft.tree, draft.options.split
    if not source.config:
        if split is None:
            return {path: split_of(tree.inside(path)) for path in tree.images}
        listed = tree.root / f"{split}.txt"
        if listed not in tree.files:
            raise DataError(f"{tree.shown}: has no data.yaml and no {split}.txt")
        return dict.fromkeys(_listed(draft, listed), SPLITS.get(split, ""))
    images: dict[Path, str] = {}
    for key, name in _entries(source, split):
        place = _place(draft, source, key, name)
        for path in _images_in(draft, place) if place else ():
            if images.setdefault(path, SPLITS[key]) != SPLITS[key]:
                both = f"in {images[path]} and in {SPLITS[key]}"
                draft.note("pictures_repeated", f"{tree.named(path)}: {both}")
    return images


def _entries(source: YoloSource, split: str | None) -> list[tuple[str, str]]:
    there = [key for key in SPLITS if source.config.get(key)]
    chosen = [key for key in there if split in (None, key)]
    if not chosen:
        what = f"the split {split!r}" if split else "a split"
        expected = ", ".join(there or dict.fromkeys(SPLITS.values()))
        raise DataError(f"{source.path}: does not name {what}, expected {expected}")
    values = {key: source.config[key] for key in chosen}
    return [
        (key, str(text))
        for key, value in values.items()
        for text in (value if isinstance(value, list) else [value])
    ]


def _place(draft: Draft, source: YoloSource, key: str, name: str) -> Path | None:
    """Find the folder or list that an entry of data.yaml means, None if it is not here.

    `path` and absolute entries may be of another machine: of these the last parts count. Roboflow
    writes ../train/images for train/images.
    """
    tree = draft.tree
    root = str(source.config.get("path", "") or "")
    foreign = bool(PureWindowsPath(name).anchor)
    entry = parts_of(name)
    parts = entry if foreign else [*parts_of(root), *entry]
    least = _least(entry) if foreign else len(entry)
    for start in range(len(parts) - least + 1):
        for folder in tree.roots_around(source.path):
            path = folder.joinpath(*parts[start:])
            if tree.holds(path) and (path in tree.folders or path in tree.files):
                return path
    draft.note("splits_missing", f"{source.path}: {key}: {name} is not here")
    return None


def _least(parts: Sequence[str]) -> int:
    """Tell how many last parts of a foreign path must be here: `images` alone says no split."""
    return 2 if len(parts) > 1 and parts[-2].casefold() in SPLITS else 1


def _images_in(draft: Draft, place: Path) -> list[Path]:
    if place in draft.tree.files:
        return _listed(draft, place)
    return [path for path in draft.tree.images if path.is_relative_to(place)]


def _listed(draft: Draft, listed: Path) -> list[Path]:
    """Read a list of images; what is not here is left out."""
    images = []
    for number, line in numbered_lines(listed):
        found, _ = draft.tree.find(line, listed)
        if len(found) == 1:
            images.append(found[0])
        else:
            told = f"{draft.tree.named(listed)}:{number}"
            reason = f"image {line} is missing" if not found else f"{line} may mean several images"
            draft.leave_out("ambiguous" if found else "missing", told, reason)
    return images
