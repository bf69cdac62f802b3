"""The images of a training: lists or labels of other tools, divided by what they are for."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from yolo3.checks.anchors import write_anchors
from yolo3.data.annotations import read_annotations, read_classes, write_annotations
from yolo3.data.folders import write_lines
from yolo3.data.labels.formats import is_labels, read_labels
from yolo3.data.labels.policy import YAML, Imported, ImportOptions, left_out_lines, refuse_most
from yolo3.data.pictures import DataError, Findings, LeftOut, Picture, pictures_digest
from yolo3.data.project import PROJECT_DIR, find_file
from yolo3.data.splits import check_apart, split_pictures
from yolo3.network.spec import NetworkSpec

AUTO = "auto"
CONTEXTS = {  # setting -> what MLflow calls the images that it names
    "annotation_path": "training",
    "val_annotation_path": "validation",
    "test_annotation_path": "test",
}
CLASSES_FILE = "classes.txt"


@dataclass(frozen=True)
class Data:
    """Hold the images of a training, by what they are for.

    given: the images of `annotation_path` before they were divided by chance. lists: those of each
    setting that named labels to import, for an annotation list of the run's own. classes_path: ''
    where the names were derived from labels.
    """

    train: Sequence[Picture]
    val: Sequence[Picture]
    test: Sequence[Picture]
    class_names: tuple[str, ...]
    classes_path: str
    findings: Findings
    given: Sequence[Picture] = ()
    lists: dict[str, Sequence[Picture]] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()

    @property
    def by_context(self) -> dict[str, Sequence[Picture]]:
        """Give the images by the context that a run records them in."""
        images = zip(CONTEXTS.values(), (self.train, self.val, self.test), strict=True)
        return {context: pictures for context, pictures in images if pictures}

    @property
    def pictures(self) -> list[Picture]:
        """Give all images."""
        return [*self.train, *self.val, *self.test]

    @property
    def digests(self) -> dict[str, str]:
        """Digest content and boxes of the images, by context."""
        return {name: pictures_digest(pictures) for name, pictures in self.by_context.items()}


def list_of(context: str, settings) -> str:
    """Give the setting by which images of a context are named."""
    name = next(name for name, own in CONTEXTS.items() if own == context)
    return getattr(settings, name) or settings.annotation_path


def read_data(settings, lenient: bool = False) -> Data:
    """Read, check and divide the images; prints what an import came to.

    lenient: annotation lists are read as labels are, what cannot be used is left out.
    An import's `val` split validates where no `val_annotation_path` is given, its `test` split is
    held out. DataError says all that is wrong at once.
    """
    paths = {name: find_file(value) for name in CONTEXTS if (value := getattr(settings, name))}
    classes_path = _classes_path(settings)
    names = read_classes(find_file(classes_path)) if classes_path else None
    read = _read_all(paths, names, lenient)
    main, lists = read["annotation_path"], _by_split(read, settings.annotation_path)
    train, val, test = (lists.get(name, []) for name in CONTEXTS)
    findings = sum((one.findings for one in read.values()), Findings())
    findings += check_apart(train, val) + check_apart([*train, *val], test)
    imported = {name for name in lists if read.get(name, main).choice}
    kept = {name: pictures for name, pictures in lists.items() if name in imported}
    if not val:
        train, val = split_pictures(train, settings.val_split, settings.seed)
    left_out = tuple(out for one in read.values() for out in one.left_out)
    given, names = lists["annotation_path"], main.class_names
    return Data(train, val, test, names, classes_path, findings, given, kept, left_out)


def _by_split(read: dict[str, Imported], path: str) -> dict[str, Sequence[Picture]]:
    """Give each setting its images: those that it names, else those of the labels' own split.

    Labels of one split only have none. Raises DataError where none of several is to train on.
    """
    main = read["annotation_path"]
    lists: dict[str, Sequence[Picture]] = {"annotation_path": main.of_split("train")}
    for name, split in (("val_annotation_path", "val"), ("test_annotation_path", "test")):
        own = main.of_split(split)
        if name in read and own:
            print(f"{len(own)} images of the split {split} are not used: {name} is given")
        if name in read or own:
            lists[name] = read[name].pictures if name in read else own
    if lists["annotation_path"]:
        return lists
    if len(set(main.splits)) > 1:
        splits = " and ".join(sorted(set(main.splits)))
        raise DataError(
            f"{path}: holds the splits {splits}, and none to train on; give the folder of one, and"
            " the other as val_annotation_path or test_annotation_path"
        )
    named = {name: one.pictures for name, one in read.items()}
    return named | {"annotation_path": main.pictures}


def read_images(path: Path, class_names: Sequence[str] | None, lenient: bool = False) -> Imported:
    """Read an annotation list, or import labels, with known class names or those of the labels.

    lenient: what is wrong in a list is left out, as of labels. Prints what an import came to.
    Raises DataError.
    """
    if is_labels(path):
        imported = read_labels(path, ImportOptions(class_names=class_names))
        print("\n".join(imported.lines()), flush=True)
        return imported
    left_out: list[LeftOut] | None = [] if lenient else None
    names = tuple(class_names or ())
    pictures, findings = read_annotations(path, names, PROJECT_DIR, left_out)
    unusable = tuple({one.order: one for one in left_out or ()}.values())  # one for each line
    refuse_most(path, len(pictures), len(unusable), left_out_lines(unusable))
    return Imported(pictures, names, findings, unusable, ("",) * len(pictures))


def _classes_path(settings) -> str:
    """Give the file of class names; '' where labels to import say them."""
    if settings.classes_path != AUTO:
        return settings.classes_path
    path = find_file(settings.annotation_path)
    if is_labels(path):
        return ""
    near = Path(settings.annotation_path).with_name(CLASSES_FILE)
    if not os.path.exists(path):
        raise DataError(f"{path}: the annotation list does not exist")
    if not find_file(near).is_file():
        raise DataError(
            f"{path}: {near} does not exist, which would name the classes of this list; give them"
            " as classes_path"
        )
    return str(near)


def _read_all(
    paths: dict[str, Path], names: Sequence[str] | None, lenient: bool
) -> dict[str, Imported]:
    read: dict[str, Imported] = {}
    problems: list[str] = []
    for name, path in paths.items():
        try:
            read[name] = read_images(path, names, lenient)
        except DataError as error:
            if names is None:
                raise
            problems += error.problems
            continue
        names = read[name].class_names
    if problems:
        raise DataError(*problems)
    return read


def keep_inputs(settings, data: Data, spec: NetworkSpec, chosen_anchors: str, folder: Path):
    """Write what was derived into a run's folder.

    chosen_anchors: '' where the anchors of the spec are no file yet. A list is named after what
    it was imported from. Returns settings as if these files had been given, and the data with
    their lines as sources.
    """
    changes, source_of = {}, {}
    for name, pictures in data.lists.items():
        given = getattr(settings, name)
        base = Path(given or settings.annotation_path).resolve()
        stem = base.parent.name if base.suffix.lower() in YAML else base.stem
        split = "" if name == "annotation_path" else f"-{name.partition('_')[0]}"
        path = folder / "lists" / f"{stem}{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_annotations(pictures, path)
        changes[name] = str(path)
        source_of |= {one.path: f"{path}:{line}" for line, one in enumerate(pictures, start=1)}
    sides = {
        side: [
            replace(one, source=source_of.get(one.path, one.source)) for one in getattr(data, side)
        ]
        for side in ("train", "val", "test")
    }
    changes["classes_path"] = data.classes_path or str(folder / CLASSES_FILE)
    if not data.classes_path:
        write_lines(data.class_names, folder / CLASSES_FILE)
    changes["anchors_path"] = chosen_anchors or str(folder / "anchors.txt")
    if not chosen_anchors:
        write_anchors(spec.anchors_wh, folder / "anchors.txt", f"for {settings.annotation_path}")
    return replace(settings, **changes), replace(data, **sides)
