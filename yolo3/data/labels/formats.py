"""Which format labels are in, and their import whatever it is.

a folder or a file -> what it holds -> the reader of one format -> `policy.finish`
"""

import csv
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from yolo3.data.labels import coco, createml, csv_boxes, cvat, label_studio, labelme, via
from yolo3.data.labels.json_files import parse_json
from yolo3.data.labels.policy import COMMAND, YAML, BadLabel, Draft, Imported, ImportOptions, finish
from yolo3.data.labels.tree import ARCHIVES, FileTree
from yolo3.data.labels.voc import is_voc, parse_xml, read_voc
from yolo3.data.labels.yolo import is_yolo, read_yolo
from yolo3.data.labels.yolo_source import NAMES_FILE, data_files
from yolo3.data.pictures import DataError

TITLES = {  # format -> its name; in this order where two describe as many images
    "voc": "Pascal VOC",
    "coco": "COCO",
    "yolo": "YOLO",
    "cvat": "CVAT for images",
    "labelme": "labelme",
    "createml": "CreateML",
    "via": "VIA",
    "label-studio": "Label Studio",
    "csv": "CSV",
}
READERS: dict[str, Callable[[Draft], None]] = {
    "voc": read_voc,
    "yolo": read_yolo,
    "coco": coco.read_coco,
    "cvat": cvat.read_cvat,
    "labelme": labelme.read_labelme,
    "createml": createml.read_createml,
    "via": via.read_via,
    "label-studio": label_studio.read_label_studio,
    "csv": csv_boxes.read_csv,
}
JSON_FORMATS = {
    "coco": coco.is_coco,
    "labelme": labelme.is_labelme,
    "createml": createml.is_createml,
    "via": via.is_via,
    "label-studio": label_studio.is_label_studio,
}
SUFFIXES = (".json", ".xml", ".csv", *YAML)
LABEL_FOLDERS = ("annotations", "annotation", "annots", "labels", "label", "xmls", "xml", "json")
_SAMPLE = 25  # files of one kind that are looked into to recognise a format
_ELSEWHERE = "export COCO or Pascal VOC there"


def _has(document: object, *keys: str) -> bool:
    return isinstance(document, dict) and all(key in document for key in keys)


def _lists(document: object, *keys: str) -> bool:
    return isinstance(document, list) and bool(document) and _has(document[0], *keys)


OTHER_JSON = (  # what is not read: its name, how it is recognised, what to do instead
    ("COCO results", lambda d: _lists(d, "image_id", "bbox"), "give the file with `images`"),
    ("Supervisely", lambda d: _has(d, "classes", "tags"), _ELSEWHERE),
    ("Supervisely", lambda d: _has(d, "objects", "size"), _ELSEWHERE),
    ("VIA 3", via.is_via3, "export COCO there, or annotate in VIA 2"),
    ("VoTT", lambda d: _has(d, "assets") or _has(d, "asset", "regions"), "export Pascal VOC there"),
    ("Datumaro", lambda d: _has(d, "items", "categories"), _ELSEWHERE),
    ("Darwin (V7)", lambda d: _has(d, "item", "annotations"), _ELSEWHERE),
    ("Scalabel (BDD100K)", lambda d: _lists(d, "name", "labels"), "convert it to COCO"),
)
OTHER_SUFFIXES = {
    **dict.fromkeys((".tfrecord", ".tfrecords", ".record"), ("TFRecord", _ELSEWHERE)),
    **dict.fromkeys((".ndjson", ".jsonl"), ("lines of JSON (Labelbox, Prodigy)", _ELSEWHERE)),
    ".vott": ("VoTT", "export Pascal VOC there"),
    ".manifest": ("SageMaker Ground Truth", "convert it to COCO"),
    ".parquet": ("Parquet", _ELSEWHERE),
    ".mat": ("MATLAB", _ELSEWHERE),
}


def is_labels(path: Path) -> bool:
    """Tell whether a path is to be imported, rather than read as an annotation list."""
    return path.is_dir() or path.suffix.lower() in (*SUFFIXES, *OTHER_SUFFIXES, *ARCHIVES)


def read_labels(path: Path, options: ImportOptions | None = None) -> Imported:
    """Import labels and their images from a folder, or from a file near the images.

    The format is found by what the files hold, unless `options` names it. Raises DataError where
    there is none that is read, naming it and what to export instead, and for what stops an import.
    """
    options = options or ImportOptions()
    if not os.path.exists(path):
        raise DataError(f"{path}: does not exist")
    if path.suffix.lower() in ARCHIVES and not path.is_dir():
        raise DataError(f"{path}: is an archive, unpack it and give the folder")
    draft = Draft(*_open(path, options))
    found = _recognise(draft)
    there = [kind for kind in sorted(TITLES, key=lambda kind: -found[kind]) if found[kind]]
    kind = options.format or next(iter(there), "")
    if not kind:
        raise DataError(*_other_formats(draft), *_nothing(draft, path))
    if kind not in there and (there or kind != "yolo"):  # whose reader says what is missing
        also = f", but {' and '.join(map(_chosen_by, there))}" if there else ""
        problems = [*_other_formats(draft), f"{path}: holds no {TITLES[kind]}{also}"]
        raise DataError(*problems)
    others = [_chosen_by(other) for other in there if other != kind]
    also = f"; it holds {' and '.join(others)} too, for `{COMMAND}`" if others else ""
    READERS[kind](draft)
    return finish(draft, kind, f"{path}: read as {TITLES[kind]}{also}")


def _chosen_by(kind: str) -> str:
    return f"{TITLES[kind]} (--format {kind})"


def _open(path: Path, options: ImportOptions) -> tuple[FileTree, ImportOptions, Path | None]:
    """List the files around labels; those of a folder such as Annotations lie beside the images."""
    folder = path if path.is_dir() else path.parent
    if path.suffix.lower() in YAML and options.images:
        folder = options.images  # the labels are there too
    tree = FileTree(folder, options.follow_links, options.images)
    named = None if path.is_dir() else Path(os.path.abspath(path))
    if tree.images or tree.root.name.lower() not in LABEL_FOLDERS:
        return tree, options, named
    around = FileTree(folder.parent if folder.name else Path(".."), options.follow_links)
    return around, options, named or Path(os.path.abspath(path))


def _nothing(draft: Draft, path: Path) -> list[str]:
    packed = [f"{draft.tree.named(file)}: unpack it first" for file in draft.tree.archives()]
    formats = ", ".join(TITLES.values())
    return [f"{path}: holds no labels of a format that is read ({formats})", *packed]


def _recognise(draft: Draft) -> dict[str, float]:
    """Estimate how many images each format describes."""
    counts: dict[str, float] = defaultdict(float)
    if draft.only and draft.only.suffix.lower() in YAML:
        counts["yolo"] = 1
        return counts
    for suffix, count in ((".xml", _count_xml), (".json", _count_json), (".csv", _count_csv)):
        files = draft.files(suffix)
        sample = _spread(files)
        for path in sample:
            for kind, number in count(path).items():
                single = kind in ("voc", "labelme")  # a file for each image
                counts[kind] += number * (len(files) / len(sample) if single else 1)
    counts["yolo"] = _count_yolo(draft)
    return counts


def _spread(files: Sequence[Path]) -> list[Path]:
    places = np.unique(np.linspace(0, len(files) - 1, min(_SAMPLE, len(files))).round().astype(int))
    return [files[place] for place in places]


def _count_xml(path: Path) -> dict[str, int]:
    try:
        root: Element = parse_xml(path)
    except BadLabel:
        return {"voc": 1}  # told by its reader
    return {"voc": int(is_voc(root)), "cvat": cvat.is_cvat(root)}


def _count_json(path: Path) -> dict[str, int]:
    try:
        document = parse_json(path)
    except BadLabel:
        return {}
    return {kind: is_one(document) for kind, is_one in JSON_FORMATS.items()}


def _count_csv(path: Path) -> dict[str, int]:
    return {"csv": csv_boxes.is_csv(path)}


def _count_yolo(draft: Draft) -> float:
    texts = [path for path in draft.files(".txt") if path.name.lower() != NAMES_FILE]
    sample = _spread(texts)
    labels = [path for path in sample if is_yolo(path, bool(draft.tree.find(path.stem, path)[0]))]
    described = bool(data_files(draft.files(*YAML)))
    return max(len(labels) * len(texts) / max(1, len(sample)), described)


def _other_formats(draft: Draft) -> list[str]:
    """Name what is there in a format that is not read, with what to do instead."""
    told: dict[tuple[str, str], Path] = {}
    for path in draft.files(*OTHER_SUFFIXES):
        told.setdefault(OTHER_SUFFIXES[path.suffix.lower()], path)
    for path in _spread(draft.files(".json")):
        try:
            document = parse_json(path)
        except BadLabel as error:
            told.setdefault((f"no label file: {error}", ""), path)
            continue
        for name, is_one, instead in OTHER_JSON:
            if is_one(document):
                told.setdefault((name, instead), path)
    for path in _spread(draft.files(".xml")):
        try:
            root = parse_xml(path)
        except BadLabel:
            continue
        if cvat.is_cvat_video(root):
            told.setdefault(("CVAT for video", "export CVAT for images 1.1 there"), path)
    for path in (path for path in _spread(draft.files(".csv")) if not csv_boxes.is_csv(path)):
        told.setdefault(csv_boxes.other_csv(path), path)
    for path in _spread(draft.files(".txt")):
        if name := _text_format(path):
            told.setdefault((name, "convert it to COCO or YOLO"), path)
    return [
        f"{draft.tree.named(path)}: is {name}" + (f", which is not read: {to}" if to else "")
        for (name, to), path in told.items()
    ]


def _text_format(path: Path) -> str:
    """Name the format of a text file with labels that are none of YOLO, '' for another text."""
    try:
        with path.open(encoding="utf-8") as file:
            fields = next(csv.reader(file, delimiter=" "), [])
    except (OSError, ValueError, csv.Error):
        return ""
    if len(fields) >= 15 and not fields[0].replace(".", "").isdigit():
        return "KITTI"
    return "DOTA" if len(fields) == 10 and not fields[8].isdigit() else ""
