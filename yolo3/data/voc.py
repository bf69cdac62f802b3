"""Pascal VOC folders: `Annotations/*.xml` beside `JPEGImages/`, or XML files beside the pictures.

Corners are taken as they stand, as the edges of the box: many tools write them from 0, the
original VOC from 1, and no file says which.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree

from yolo3.data.annotations import PICTURE_SUFFIXES
from yolo3.data.pictures import DataError, Entry, Findings, Picture, Problems, check_entries

CORNERS = ("xmin", "ymin", "xmax", "ymax")


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
    folder: Path, class_names: Sequence[str] | None = None, keep_difficult: bool = True
) -> tuple[list[Picture], tuple[str, ...], Findings]:
    """Read and check all XML files of a VOC folder, and their pictures.

    The root element may have any name. `class_names` None takes the names that the files hold,
    sorted; otherwise other names are problems. A picture is sought by <filename>, then by the
    name of the XML file with any picture's ending, and never outside the folder.
    Raises DataError with all problems at once, each with its file.
    """
    root = Path(os.path.abspath(folder))
    seeker = _Seeker(root)
    problems = Problems()
    annotations = []
    for order, path in enumerate(_xml_files(root)):
        source = str(folder / path.relative_to(root))
        try:
            annotations.append(_annotation(path, source, order, seeker))
        except DataError as error:
            for text in error.problems:
                problems.add(order, f"{source}: {text}")
    names = _names(annotations) if class_names is None else tuple(class_names)
    found: list[tuple[str, str]] = []
    entries = [_entry(item, names, keep_difficult, problems, found) for item in annotations]
    pictures, findings = check_entries(entries, problems)
    if not names:
        raise DataError(f"{folder}: no file names an object, expected <object> elements")
    unlabelled = seeker.pictures() - {picture.path for picture in pictures}
    found += [("pictures_unlabelled", f"{path}: no XML file") for path in sorted(unlabelled)]
    return pictures, names, findings + Findings(tuple(found))


def _xml_files(root: Path) -> list[Path]:
    inside = root / "Annotations" if (root / "Annotations").is_dir() else root
    files = sorted(inside.glob("*.xml"))
    if not files:
        raise DataError(f"{inside}: has no XML files, expected Annotations/*.xml in a VOC folder")
    return files


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


def _names(annotations: Sequence[_Annotation]) -> tuple[str, ...]:
    return tuple(sorted({thing.name for item in annotations for thing in item.objects}))


def _entry(
    item: _Annotation,
    names: tuple[str, ...],
    keep_difficult: bool,
    problems: Problems,
    found: list[tuple[str, str]],
) -> Entry:
    """Turn names into ids; adds unknown names to `problems`, difficult objects to `found`."""
    left_out = [thing for thing in item.objects if thing.difficult and not keep_difficult]
    found += [
        ("boxes_difficult", f"{item.source}: {thing.name}, difficult, left out")
        for thing in left_out
    ]
    for name in sorted({thing.name for thing in item.objects} - set(names)):
        expected = ", ".join(names)
        problems.add(item.order, f"{item.source}: class {name!r} is unknown, expected {expected}")
    kept = [thing for thing in item.objects if thing not in left_out and thing.name in names]
    boxes = [thing.box_xyxy for thing in kept]
    class_ids = [names.index(thing.name) for thing in kept]
    return Entry(item.picture, boxes, class_ids, item.source, item.order, item.said_wh)


class _Seeker:
    """Find the pictures of a VOC folder, and nothing outside it."""

    def __init__(self, root: Path):
        self.root = root
        self._listed: dict[Path, dict[str, list[Path]]] = {}  # folder -> stem -> pictures

    def find(self, xml: Path, filename: str, folder: str) -> Path:
        """Find the picture by its file name, then by the stem of the XML file.

        Raises DataError if there is none, several, or one outside the folder.
        """
        if filename and not _stays_inside(filename):
            raise DataError(f"<filename> {filename!r} leads outside the folder, which is refused")
        folders = self._folders(xml, folder)
        name = PureWindowsPath(filename).as_posix()
        named = [place / name for place in folders if filename and os.path.isfile(place / name)]
        alike = [path for place in folders for path in self._listing(place).get(xml.stem, [])]
        if not named and len(alike) > 1:
            several = " and ".join(path.name for path in alike)
            raise DataError(f"<filename> {filename!r} is missing, and {several} both may be meant")
        if not named and not alike:
            places = " and in ".join(str(place) for place in folders)
            raise DataError(f"picture {filename or xml.stem + '.*'} is missing, sought in {places}")
        return self._kept_inside((named or alike)[0])

    def pictures(self) -> set[Path]:
        """List the pictures of all folders that were looked into."""
        stems = (stem for listing in self._listed.values() for stem in listing.values())
        return {path for paths in stems for path in paths}

    def _folders(self, xml: Path, folder: str) -> list[Path]:
        hint = [self.root / folder] if folder and _stays_inside(folder) else []
        folders = dict.fromkeys([self.root / "JPEGImages", *hint, xml.parent])
        return [place for place in folders if place.is_dir()]

    def _listing(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._listed:
            listing: dict[str, list[Path]] = {}
            for path in sorted(folder.iterdir()):
                if path.suffix.lower() in PICTURE_SUFFIXES:
                    listing.setdefault(path.stem, []).append(path)
            self._listed[folder] = listing
        return self._listed[folder]

    def _kept_inside(self, path: Path) -> Path:
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise DataError(f"picture {path} is a link that leads outside the folder: refused")
        return path


def _stays_inside(name: str) -> bool:
    path = PureWindowsPath(name)  # knows both kinds of slash
    return not path.anchor and ".." not in path.parts
