"""The files that a run was trained with, found again and held against its record."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from yolo3.data.annotations import read_annotations, read_classes
from yolo3.data.pictures import DataError, Picture
from yolo3.data.project import PROJECT_DIR, find_file
from yolo3.network.weights import NO_WEIGHTS
from yolo3.tracking.data import CONTEXTS
from yolo3.tracking.dataset import boxes_digest
from yolo3.tracking.download import OFFICIAL
from yolo3.tracking.provenance import COPIED, INPUTS
from yolo3.tracking.reproduce.record import Record, ReproduceError

LINE = re.compile(r"([0-9a-f]{64}) (?:([0-9a-f]{64}) )?(.*)")
"""A line of pictures/*.txt: digest of the file, of the boxes (not in older runs), place."""


@dataclass(frozen=True)
class Inputs:
    """Hold what the training is given for the settings that name files, and what was checked."""

    values: dict[str, str]
    lines: list[str]


def find_inputs(record: Record, tree: Path, given: dict[str, str]) -> Inputs:
    """Find every input file of a run, and make sure that it is the one of the record.

    tree: the project at the run's commit, the first place that is asked; then comes where the file
    lay, the present folder and the present project. `given` names files to take instead.
    Raises ReproduceError, or DataError for a list that cannot be read.
    """
    for name in given:
        if not record.parameters.get(name):
            raise ReproduceError(f"{name}: run {record.run_id} had none, so none can be given")
    search = _Search(record, tree, given)
    values = {name: search.copied(name) for name in COPIED}
    lists = {name: search.file(name) for name in CONTEXTS if record.parameters.get(name)}
    lines = [_check_pictures(record, tree, values["classes_path"], lists)]
    values |= lists
    values["weights_path"], line = search.weights()
    shown = {name: search.as_told(path) for name, path in values.items()}
    return Inputs(shown, [*lines, line])


class _Search:
    """Seek files where they may be."""

    def __init__(self, record, tree, given):
        self._record, self._tree, self._given = record, tree, given

    def file(self, name) -> Path:
        """Give the first place whose content is the record's, or else the first that exists."""
        places = self._places(name)
        if name in self._given and not places:
            raise ReproduceError(f"{name}: {self._given[name]}: no such file")
        wanted = self._record.inputs.get(name, {}).get("sha256")
        copy = self._copy(name)
        if name not in self._given and copy.is_file():  # imported: the run keeps the list
            places.append(copy)
        same = [place for place in places if wanted and file_digest(place) == wanted]
        if not places:
            told = self._record.inputs.get(name, {}).get("path", self._record.parameters[name])
            raise ReproduceError(
                f"{name}: {told} is missing; say where it lies now with --{name.replace('_', '-')}"
            )
        return (same or places)[0]

    def copied(self, name) -> Path:
        """Give a small file: where it is as recorded, or the copy that the run keeps."""
        wanted = self._record.inputs.get(name, {}).get("sha256")
        if not wanted:
            return self.file(name)
        places = [*self._places(name), self._copy(name)]
        same = [place for place in places if _is(place, wanted)]
        if not same:
            raise ReproduceError(f"{name}: no file is as it was recorded (sha256 {wanted})")
        return same[0]

    def weights(self) -> tuple[str | Path, str]:
        """Give the weights to start from, and what is known of them."""
        told, wanted = self._record.parameters["weights_path"], self._record.weights.get("sha256")
        if told == NO_WEIGHTS:
            return told, "weights: random, from the seed"
        sought = self._given.get("weights_path") or told
        places = [] if sought in OFFICIAL else self._places("weights_path")
        digests = {place: file_digest(place) for place in places}
        if not places:
            sought, digest = _elsewhere(sought)
            digests = {sought: digest}
        same = [place for place, digest in digests.items() if digest == wanted or not wanted]
        if not same:
            place, digest = next(iter(digests.items()))
            raise ReproduceError(
                f"weights_path: {place} has sha256 {digest}, and the run started from {told} with "
                f"{wanted}; say where that lies with --weights-path"
            )
        return same[0], f"weights: {told}, sha256 {digests[same[0]]}" + (
            ", as recorded" if wanted else "; the run has none to compare with"
        )

    def as_told(self, path) -> str:
        """Write a path as the training is given it: relative inside the tree that it runs in."""
        if isinstance(path, Path) and path.is_relative_to(self._tree):
            return path.relative_to(self._tree).as_posix()
        return str(path)

    def _copy(self, name) -> Path:
        return self._record.folder / INPUTS / f"{name.removesuffix('_path')}.txt"

    def _places(self, name) -> list[Path]:
        if self._given.get(name):
            places = [Path(self._given[name]).resolve()]
        else:
            told = self._record.parameters[name]
            lay = self._record.inputs.get(name, {}).get("path", told)
            places = [self._tree / told, Path(lay), Path(told).absolute(), PROJECT_DIR / told]
        return [place for place in places if place.is_file()]


def _is(place, wanted):
    return place.is_file() and file_digest(place) == wanted


def file_digest(path: Path) -> str:
    """Digest a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _elsewhere(sought):
    """Digest weights that are no file here: official ones, or a logged model."""
    from yolo3.tracking.weights import located  # loads Keras

    with located(sought) as file:
        if not file.is_file():
            raise ReproduceError(
                f"weights_path: {sought} is missing; say where it lies now with --weights-path"
            )
        digest = file_digest(file)
    folder = find_file(sought)
    return (folder.resolve() if folder.is_dir() else sought), digest


def _check_pictures(record, tree, classes, lists):
    """Hold every picture and its boxes against the record; name the first that differs."""
    recorded = {kind: _recorded(record, kind) for kind in CONTEXTS.values()}
    names = read_classes(classes)
    boxes_known = all(boxes for every in recorded.values() for _, boxes, _ in every)
    if "val_annotation_path" not in lists:  # one list was divided: put it together again
        both = sorted(recorded["training"] + recorded["validation"], key=_line_number)
        recorded |= {"training": both, "validation": []}
    count = 0
    for name, path in lists.items():
        expected = recorded[CONTEXTS[name]]
        _compare_pictures(_read(path, names, tree), expected, path, record.run_id)
        count += len(expected)
    if not count:
        raise ReproduceError(f"run {record.run_id} has no pictures/training.txt to check with")
    what = "content and boxes" if boxes_known else "content"
    return f"data: {count} pictures, {what} of each as recorded"


def _recorded(record, kind):
    file = record.folder / "pictures" / f"{kind}.txt"
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    return [LINE.fullmatch(line).groups() for line in lines if line]


def _line_number(recorded):
    number = recorded[2].rpartition(":")[2]
    return int(number) if number.isdigit() else 0


def _read(path, names, tree):
    """Read a list; pictures that the present project has, and no commit, are linked in the tree."""
    try:
        return read_annotations(path, names, tree)[0]
    except DataError as error:
        if not _link_pictures(path, names, tree):
            raise ReproduceError(f"{path}: {error}") from error
    return read_annotations(path, names, tree)[0]


def _link_pictures(path, names, tree):
    try:
        pictures, _ = read_annotations(path, names, PROJECT_DIR)
    except DataError:
        return False
    for picture in pictures:
        if picture.path.is_relative_to(PROJECT_DIR):
            link = tree / picture.path.relative_to(PROJECT_DIR)
            if not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(picture.path)
    return True


def _compare_pictures(pictures: list[Picture], expected, path, run_id):
    for picture, (content, boxes, source) in zip(pictures, expected, strict=False):
        if picture.digest != content:
            raise ReproduceError(
                f"{picture.source}: picture {picture.path} is not the one of run {run_id} "
                f"({source}): expected sha256 {content}, found {picture.digest}"
            )
        if boxes and boxes_digest(picture) != boxes:
            raise ReproduceError(
                f"{picture.source}: picture {picture.path} has other boxes or classes than in run "
                f"{run_id} ({source})"
            )
    if len(pictures) != len(expected):
        more = pictures[len(expected) :]
        first = more[0].source if more else expected[len(pictures)][2]
        raise ReproduceError(
            f"{path}: lists {len(pictures)} pictures, run {run_id} had {len(expected)}; the first "
            f"without a counterpart is {first}"
        )
