"""Pascal VOC folders: `Annotations/*.xml` beside `JPEGImages/`, or XML files beside the pictures.

Corners are taken as they stand, as the edges of the box: many tools write them from 0, the
original VOC from 1, and no file says which. They are written as they stand, too.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from xml.etree.ElementTree import Element, ParseError, SubElement, indent, tostring

import numpy as np
from defusedxml import DefusedXmlException, ElementTree

from yolo3.data.annotations import PICTURE_SUFFIXES, read_classes
from yolo3.data.folders import (
    OUTSIDE,
    DataFolder,
    check_names,
    copy_pictures,
    export_names,
    is_hidden,
    new_folder,
    numbered_lines,
    write_lines,
)
from yolo3.data.pictures import DataError, Entry, Findings, Picture, Problems, check_entries

CORNERS = ("xmin", "ymin", "xmax", "ymax")
PICTURES = "JPEGImages"
NAMES_FILE = "classes.txt"  # not part of VOC: keeps the order of the classes
EXPORTED_SET = "trainval"


@dataclass(frozen=True)
class _Object:
    name: str
    box_xyxy: tuple[float, float, float, float]
    difficult: bool


@dataclass(frozen=True)
class _Annotation:
    picture: Path
    objects: list[_Object]
    said_wh: tuple[int, int] | None
    source: str  # the XML file, as it is told
    order: int


def read_voc(
    folder: Path,
    class_names: Sequence[str] | None = None,
    keep_difficult: bool = True,
    image_set: str | None = None,
) -> tuple[list[Picture], tuple[str, ...], Findings]:
    """Read and check the XML files of a VOC folder and its sub-folders, and their pictures.

    The root element may have any name. `class_names` None takes those of the folder's classes.txt,
    if it has one, and then the others that the files hold, sorted; otherwise other names are
    problems. `image_set` takes what ImageSets/Main/NAME.txt lists, in its order. A picture is
    sought by <filename>, then by the name of the XML file with any picture's ending, and never
    outside the folder. Raises DataError with all problems at once, each with its file.
    """
    data = DataFolder(folder)
    pictures = folder.absolute().parent / "JPEGImages"
    if folder.name == "Annotations" and pictures.is_dir() and not data.pictures_below(folder):
        raise DataError(
            f"{folder}: holds no pictures, expected the folder around it and {pictures}"
        )
    seeker = _Seeker(data)
    problems = Problems()
    annotations = []
    for order, path in enumerate(_chosen_files(folder, data, image_set, problems)):
        source = str(folder / path.relative_to(data.root))
        try:
            annotations.append(_annotation(data.kept_inside(path), source, order, seeker))
        except DataError as error:
            for text in error.problems:
                problems.add(order, f"{source}: {text}")
    names = _names(annotations, data) if class_names is None else tuple(class_names)
    found: list[tuple[str, str]] = []
    entries = [_entry(item, names, keep_difficult, problems, found) for item in annotations]
    pictures, findings = check_entries(entries, problems)
    if not names:
        raise DataError(f"{folder}: no file names an object, expected <object> elements")
    check_names(names, folder)
    if image_set is None:
        unlabelled = seeker.pictures() - {picture.path for picture in pictures}
        found += [("pictures_unlabelled", f"{path}: no XML file") for path in sorted(unlabelled)]
    return pictures, names, findings + Findings(tuple(found))


def write_voc(pictures: Sequence[Picture], class_names: Sequence[str], folder: Path) -> None:
    """Write a VOC folder that `read_voc` reads back to the same boxes and classes.

    Copies the pictures. <size> is the picture as a viewer shows it, as the boxes are; <difficult>
    is 0. ImageSets/Main/trainval.txt keeps the order of the pictures, classes.txt that of the
    classes. Raises DataError if the folder holds something, or if a name cannot be written.
    """
    check_names(class_names, NAMES_FILE)
    names = export_names(pictures)
    new_folder(folder)
    copy_pictures(pictures, names, folder / PICTURES)
    for picture, name in zip(pictures, names, strict=True):
        root = _as_xml(picture, name.as_posix(), class_names)
        text = tostring(root, encoding="unicode")
        write_lines([text], folder / "Annotations" / name.with_suffix(".xml"))
    stems = [name.with_suffix("").as_posix() for name in names]
    write_lines(stems, folder / "ImageSets" / "Main" / f"{EXPORTED_SET}.txt")
    write_lines(class_names, folder / NAMES_FILE)


def _as_xml(picture: Picture, name: str, class_names: Sequence[str]) -> Element:
    root = Element("annotation")
    _add(root, folder=PICTURES, filename=name)
    _add(SubElement(root, "size"), width=picture.size_wh[0], height=picture.size_wh[1], depth=3)
    _add(root, segmented=0)
    for box, class_id in zip(picture.boxes_xyxy, picture.class_ids, strict=True):
        thing = SubElement(root, "object")
        _add(thing, name=class_names[class_id], pose="Unspecified", truncated=0, difficult=0)
        corners = (np.format_float_positional(value, unique=True, trim="-") for value in box)
        _add(SubElement(thing, "bndbox"), **dict(zip(CORNERS, corners, strict=True)))
    indent(root)
    return root


def _add(parent: Element, **texts: object) -> None:
    for tag, text in texts.items():
        SubElement(parent, tag).text = str(text)


def _chosen_files(
    folder: Path, data: DataFolder, image_set: str | None, problems: Problems
) -> list[Path]:
    files = _xml_files(data.root)
    if image_set is None:
        return files
    listed = _set_file(folder, image_set)
    path_of = {(_home(path, data.root)[1] / path.stem).as_posix(): path for path in files}
    chosen = []
    for number, line in numbered_lines(data.kept_inside(listed)):
        path = next((path_of[stem] for stem in _stems(line) if stem in path_of), None)
        if path is None:
            problems.add(-1, f"{listed}:{number}: {line!r} has no XML file")
        chosen.append(path)
    if not chosen:
        raise DataError(f"{listed}: lists nothing, expected a file name per line")
    return [path for path in dict.fromkeys(chosen) if path]


def _set_file(folder: Path, image_set: str) -> Path:
    places = (folder / "ImageSets" / "Main", folder / "ImageSets")
    path = next(
        (p / f"{image_set}.txt" for p in places if (p / f"{image_set}.txt").is_file()), None
    )
    if path is None:
        there = sorted(path.stem for place in places for path in place.glob("*.txt"))
        expected = f"expected {', '.join(there)}" if there else "and no other either"
        raise DataError(f"{places[0]}: has no set {image_set!r}, {expected}")
    return path


def _stems(line: str) -> list[str]:
    """Read a line of a set: `name`, `name 1` of a set of one class, `name.jpg 1` as VoTT has it."""
    name, _, flag = line.rpartition(" ")
    names = [line, name.strip()] if flag in ("-1", "0", "1") else [line]
    slashed = [PureWindowsPath(name) for name in names]
    bare = [path.with_suffix("") for path in slashed if path.suffix.lower() in PICTURE_SUFFIXES]
    return [path.as_posix() for path in slashed + bare]


def _xml_files(root: Path) -> list[Path]:
    inside = root / "Annotations" if (root / "Annotations").is_dir() else root
    files = sorted(path for path in inside.rglob("*.xml") if not is_hidden(path, inside))
    if not files:
        raise DataError(f"{inside}: has no XML files, expected Annotations/*.xml in a VOC folder")
    return files


def _home(xml: Path, root: Path) -> tuple[Path, Path]:
    """Split an XML file's folder: what holds Annotations, and the sub-folders below Annotations."""
    if xml.is_relative_to(root / "Annotations"):
        return root, xml.parent.relative_to(root / "Annotations")
    below = (folder for folder in xml.parents if folder != root and folder.is_relative_to(root))
    for folder in below:
        if folder.name.lower() == "annotations":
            return folder.parent, xml.parent.relative_to(folder)
    return root, xml.parent.relative_to(root)


def _annotation(path: Path, source: str, order: int, seeker: "_Seeker") -> _Annotation:
    """Read one XML file; raises DataError with all that is wrong in it."""
    root = _parsed(path)
    problems = []
    objects = []
    for number, element in enumerate(root.findall("object"), start=1):
        try:
            objects.append(_object(element))
        except ValueError as error:
            problems.append(f"object {number} {error}")
    try:
        picture = seeker.find(path, _text(root, "filename"), _text(root, "folder"))
    except DataError as error:
        raise DataError(*problems, *error.problems) from None
    if problems:
        raise DataError(*problems)
    return _Annotation(picture, objects, _said_wh(root), source, order)


def _parsed(path: Path) -> Element:
    try:
        return ElementTree.fromstring(path.read_bytes())
    except DefusedXmlException:
        raise DataError("declares XML entities, which are refused: remove its DOCTYPE") from None
    except (ParseError, LookupError, ValueError) as error:
        raise DataError(f"is not well-formed XML ({error})") from None
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})") from None


def _text(element: Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _object(element: Element) -> _Object:
    name = _text(element, "name")
    if not name:
        raise ValueError("has no <name>")
    box = element.find("bndbox")
    if box is None:
        raise ValueError(f"({name}) has no <bndbox>")
    corners = tuple(_number(_text(box, corner), corner, name) for corner in CORNERS)
    return _Object(name, corners, _text(element, "difficult").lower() in ("1", "true", "yes"))


def _number(text: str, tag: str, name: str) -> float:
    try:
        value = float(text.replace("_", "?"))  # Python reads 1_0 as ten
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"({name}) has <{tag}> {text!r}, expected a number")
    return value


def _said_wh(root: Element) -> tuple[int, int] | None:
    """Read <size>; tools that do not know it leave it out or write 0."""
    try:
        width, height = (int(float(root.findtext(f"size/{tag}"))) for tag in ("width", "height"))
    except (TypeError, ValueError, OverflowError):
        return None
    return (width, height) if width > 0 and height > 0 else None


def _names(annotations: Sequence[_Annotation], data: DataFolder) -> tuple[str, ...]:
    path = data.root / NAMES_FILE
    own = read_classes(data.kept_inside(path)) if path.is_file() else ()
    found = {thing.name for item in annotations for thing in item.objects}
    return own + tuple(sorted(found - set(own)))


def _entry(
    item: _Annotation,
    names: tuple[str, ...],
    keep_difficult: bool,
    problems: Problems,
    found: list[tuple[str, str]],
) -> Entry:
    """Turn names into ids; adds unknown names to `problems`, difficult objects to `found`."""
    difficult = [thing for thing in item.objects if thing.difficult]
    kind, fate = ("boxes_unmarked", "kept") if keep_difficult else ("boxes_difficult", "left out")
    found += [(kind, f"{item.source}: {thing.name}, difficult, {fate}") for thing in difficult]
    left_out = [] if keep_difficult else difficult
    for name in sorted({thing.name for thing in item.objects} - set(names)):
        expected = ", ".join(names)
        problems.add(item.order, f"{item.source}: class {name!r} is unknown, expected {expected}")
    kept = [thing for thing in item.objects if thing not in left_out and thing.name in names]
    boxes = [thing.box_xyxy for thing in kept]
    class_ids = [names.index(thing.name) for thing in kept]
    return Entry(item.picture, boxes, class_ids, item.source, item.order, item.said_wh)


class _Seeker:
    """Find the pictures of a VOC folder, and nothing outside it."""

    def __init__(self, data: DataFolder):
        self.data = data
        self._listed: dict[Path, dict[str, list[Path]]] = {}  # folder -> stem -> pictures
        self._used: set[Path] = set()

    def find(self, xml: Path, filename: str, folder: str) -> Path:
        """Find the picture by its file name, then by the stem of the XML file.

        Raises DataError if there is none, several, or one outside the folder.
        """
        if filename and not _stays_inside(filename):
            raise DataError(f"<filename> {filename!r} {OUTSIDE}")
        folders = self._folders(xml, folder)
        name = PureWindowsPath(filename).as_posix()
        named = [place / name for place in folders if filename and os.path.isfile(place / name)]
        alike = [self._listing(place).get(xml.stem, []) for place in folders]
        stands = named or next((paths for paths in alike if paths), [])
        if not named and len(stands) > 1:
            several = " and ".join(path.name for path in stands)
            raise DataError(f"<filename> {filename!r} is missing, and {several} both may be meant")
        if not stands:
            places = " and in ".join(str(place) for place in folders)
            raise DataError(f"picture {filename or xml.stem + '.*'} is missing, sought in {places}")
        try:
            path = self.data.kept_inside(stands[0])
        except DataError as error:
            raise DataError(f"picture {error}") from None
        self._used.add(path.parent)
        return path

    def pictures(self) -> set[Path]:
        """List the pictures of all folders in which one was found."""
        return {
            path
            for folder in self._used
            for paths in self._listing(folder).values()
            for path in paths
        }

    def _folders(self, xml: Path, folder: str) -> list[Path]:
        """List where the picture of an XML file may lie, sub-folders like the XML file's first."""
        home, below = _home(xml, self.data.root)
        root = self.data.root
        hints = [root / folder, home / folder] if folder and _stays_inside(folder) else []
        bases = [home / PICTURES, root / PICTURES, home / "images", root / "images", *hints]
        nested = [place for base in bases for place in (base / below, base)]
        folders = dict.fromkeys([*nested, xml.parent, home])
        return [place for place in folders if os.path.isdir(place)]

    def _listing(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._listed:
            listing: dict[str, list[Path]] = {}
            for path in sorted(folder.iterdir()):
                if path.suffix.lower() in PICTURE_SUFFIXES and not is_hidden(path, folder):
                    listing.setdefault(path.stem, []).append(path)
            self._listed[folder] = listing
        return self._listed[folder]


def _stays_inside(name: str) -> bool:
    path = PureWindowsPath(name)  # knows both kinds of slash
    return not path.anchor and ".." not in path.parts
