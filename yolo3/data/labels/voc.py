"""Pascal VOC folders: `Annotations/*.xml` and `JPEGImages/`, or XML files next to the images.

Corners are taken as they stand, as the edges of the box: many tools write them from 0, the
original VOC from 1, and no file says which. They are written as they stand, too.
"""

import re
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from xml.etree.ElementTree import Element, ParseError, SubElement, indent, tostring

import numpy as np
from defusedxml import DefusedXmlException, ElementTree

from yolo3.data.annotations import PICTURE_SUFFIXES, read_classes
from yolo3.data.folders import (
    check_names,
    copy_pictures,
    export_names,
    finite_number,
    new_folder,
    numbered_lines,
    write_lines,
)
from yolo3.data.labels.policy import BadLabel, Box, Draft
from yolo3.data.labels.shapes import said_size
from yolo3.data.pictures import DataError, Picture

CORNERS = ("xmin", "ymin", "xmax", "ymax")
PICTURES = "JPEGImages"
NAMES_FILE = "classes.txt"  # not part of VOC: keeps the order of the classes
EXPORTED_SET = "trainval"
TAGS = ("object", "filename", "size", "folder")
_DECLARED = re.compile(rb"""^(?:\xef\xbb\xbf)?\s*<\?xml[^>]*encoding=["']([\w.-]+)["'][^>]*\?>""")
_REALLY = {  # declared encoding -> what such files hold; UTF-16 has no bytes of ASCII
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "utf-16": "utf-8",
}


def read_voc(draft: Draft) -> None:
    """Read the XML files of a folder and its sub-folders.

    The root element may have any name. The folder's classes.txt, if there is one, gives the order
    of the classes. `split` takes what ImageSets/Main/NAME.txt lists, in its order. The image is
    the one that <filename> names, if that has an image's ending or none, or the one of the XML
    file's own name; where these are two, `policy` chooses. Boxes marked difficult are kept unless
    `keep_difficult` is False.
    """
    names = draft.tree.root / NAMES_FILE
    if names.is_file() and names not in draft.tree.outside:
        draft.class_names = read_classes(names)
    for path in _chosen_files(draft):
        source = draft.tree.named(path)
        try:
            root = parse_xml(path)
            if not is_voc(root):
                draft.note("labels_foreign", f"{source}: has no {' and no '.join(TAGS)}")
                continue
            objects = _objects(root, source, draft)
        except BadLabel as error:
            draft.leave_out_label(error.kind, path, str(error))
            continue
        _add_labels(draft, path, root, objects)
    if draft.options.split is None:
        draft.leave_out_unlabelled("no XML file")


def is_voc(root: Element) -> bool:
    """Tell whether an XML file has anything of VOC's."""
    return any(root.find(tag) is not None for tag in TAGS)


def parse_xml(path: Path) -> Element:
    """Parse an XML file in whatever encoding it declares; raises BadLabel."""
    try:
        data = path.read_bytes()
        declared = _DECLARED.match(data)
        codec = declared[1].decode().lower() if declared else "utf-8"
        if codec == "utf-8":  # what the parser knows by itself, as it does UTF-16
            return ElementTree.fromstring(data)
        text = data[declared.end() :].decode(_REALLY.get(codec, codec))
        return ElementTree.fromstring(text)
    except DefusedXmlException:
        raise BadLabel("declares XML entities, which are refused: remove its DOCTYPE") from None
    except (ParseError, LookupError, ValueError) as error:
        raise BadLabel(f"is not well-formed XML ({error})") from None
    except OSError as error:
        raise BadLabel(f"cannot be read ({error.strerror})") from None


def _add_labels(draft: Draft, path: Path, root: Element, objects: list[tuple[str, Box]]) -> None:
    """Add an XML file with the images that its <filename> and its own name may mean."""
    source, hints, name = draft.tree.named(path), [_text(root, "folder")], _text(root, "filename")
    suffix = PureWindowsPath(name).suffix.lower()
    named = name if suffix in PICTURE_SUFFIXES or not suffix else ""
    said_wh = said_size(root.findtext("size/width"), root.findtext("size/height"))
    draft.add(named, path, source, objects, said_wh, hints=hints, own_name=True)


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


def _chosen_files(draft: Draft) -> list[Path]:
    files = list(draft.label_files(".xml"))
    if not files:
        raise DataError(f"{draft.tree.shown}: has no XML files, expected Annotations/*.xml")
    if draft.options.split is None:
        return files
    listed = _set_file(draft.tree.shown, draft.options.split)
    path_of: dict[str, Path] = {}
    for path in sorted(files, key=lambda path: len(path.parts)):  # a name may be of several files
        for stem in _names_of(path, draft.tree.root):
            path_of.setdefault(stem, path)
    chosen = []
    for number, line in numbered_lines(listed):
        path = next((path_of[stem] for stem in _stems(line) if stem in path_of), None)
        if path is None:
            draft.leave_out("missing", f"{listed}:{number}", f"{line!r} has no XML file")
        chosen.append(path)
    if not chosen:
        raise DataError(f"{listed}: lists nothing, expected a file name per line")
    return [path for path in dict.fromkeys(chosen) if path]


def _names_of(path: Path, root: Path) -> list[str]:
    """Give what a set may call an XML file: its path below the folder Annotations, or less."""
    parts = path.relative_to(root).with_suffix("").parts
    return ["/".join(parts[start:]) for start in range(len(parts))]


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
    """Read a line of a set: `name`, `name 1` of a set of one class, `name.jpg 1` as VoTT has it.

    CVAT puts names in quotes.
    """
    line = line.strip("\"'")
    name, _, flag = line.rpartition(" ")
    names = [line, name.strip()] if flag in ("-1", "0", "1") else [line]
    slashed = [PureWindowsPath(name) for name in names]
    bare = [path.with_suffix("") for path in slashed if path.suffix.lower() in PICTURE_SUFFIXES]
    return [path.as_posix() for path in slashed + bare]


def _text(element: Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _objects(root: Element, source: str, draft: Draft) -> list[tuple[str, Box]]:
    """Read the objects; raises BadLabel for one without a name or a box."""
    kept = []
    for number, element in enumerate(root.findall("object"), start=1):
        name, box = _text(element, "name"), element.find("bndbox")
        if not name:
            raise BadLabel(f"object {number} has no <name>", "object")
        if box is None:
            raise BadLabel(f"object {number} ({name}) has no <bndbox>", "object")
        corners = tuple(_number(_text(box, corner), corner, number, name) for corner in CORNERS)
        if _text(element, "difficult").lower() in ("1", "true", "yes"):
            keep = draft.options.keep_difficult
            kind, fate = ("boxes_unmarked", "kept") if keep else ("boxes_difficult", "left out")
            draft.note(kind, f"{source}: {name}, difficult, {fate}")
            if not keep:
                draft.unused_names.add(name)
                continue
        kept.append((name, corners))
    return kept


def _number(text: str, tag: str, number: int, name: str) -> float:
    try:
        return finite_number(text)
    except ValueError:
        reason = f"object {number} ({name}) has <{tag}> {text!r}, expected a number"
        raise BadLabel(reason, "object") from None
