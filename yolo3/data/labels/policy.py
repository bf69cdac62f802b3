"""What every import does with what cannot be used, whatever the format of the labels.

It stops at what puts the meaning of everything in doubt, and where more than half of the images
would be left out. All else that is broken is left out, always the whole image, and counted: an
image with one object less would teach that this object is background.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PureWindowsPath

from yolo3.data.annotations import write_annotations
from yolo3.data.folders import check_names, write_lines
from yolo3.data.images import ImageError, image_size
from yolo3.data.labels.tree import FileTree, split_of
from yolo3.data.pictures import (
    LEFT_OUT,
    UNLABELLED,
    DataError,
    Entry,
    Findings,
    LeftOut,
    Picture,
    check_entries,
    left_out_line,
)

EXAMPLES = 3
COMMAND = "python -m yolo3 annotations"
LEADS_OUTSIDE = (
    f"is a link that leads outside the folder; `{COMMAND} FOLDER --follow-links` follows it"
)
YAML = (".yaml", ".yml")
_UNLISTED = re.compile("[\n\r\ud800-\udfff]")  # a line ends, and UTF-8 has no place
_WORDS = re.compile(r"[^\W_]+")
Box = tuple[float, float, float, float]


class BadLabel(ValueError):
    """Say why the labels of an image cannot be used; `kind` is one of LEFT_OUT."""

    def __init__(self, text: str, kind: str = "label"):
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True)
class ImportOptions:
    """Hold what a person may say about an import; the help of `annotations` says what each is."""

    format: str = ""
    class_names: Sequence[str] | None = None
    images: Path | None = None
    names: Path | None = None
    split: str | None = None
    keep_difficult: bool = True
    keep_crowd: bool = False
    keep_unlabelled: bool = False
    labelled_unrotated: bool = False
    follow_links: bool = False
    strict: bool = False


@dataclass
class Labelled:
    """What a label file says about one image.

    candidates: the image, or all that may be meant. rank: how near they are, lower is nearer.
    names, boxes: of its objects, x1, y1, x2, y2 in pixels or, if `relative`, in fractions.
    said_wh, said_name: of the image, as the label file gives them. splits: of the candidates.
    """

    candidates: list[Path]
    rank: tuple[int, ...]
    source: str
    names: list[str]
    boxes: list[Box]
    said_wh: tuple[int, int] | None = None
    relative: bool = False
    splits: dict[Path, str] = field(default_factory=dict)
    said_name: str = ""


@dataclass
class Draft:
    """Collect what a reader finds, before any image is opened."""

    tree: FileTree
    options: ImportOptions
    only: Path | None = None  # the file or folder of labels in the tree that was named, absolute
    items: list[Labelled] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    found: list[tuple[str, str]] = field(default_factory=list)
    class_names: Sequence[str] | None = None  # in the order of the format's own ids
    unused_names: set[str] = field(default_factory=set)  # of objects that are left out by choice
    touched: set[Path] = field(default_factory=set)  # images of label files that are left out
    missing_names: list[str] = field(default_factory=list)
    _stops: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def stop(self, kind: str, example: str) -> None:
        """Note what stops the import; `kind` says what is wrong and what to do about it."""
        self._stops[kind].append(example)

    def leave_out(self, kind: str, name: str, reason: str) -> None:
        """Note an image that is left out; `name` is its file's, or its label file's."""
        self.left_out.append(LeftOut(kind, name, f"{name}: {reason}", len(self.left_out)))

    def leave_out_label(self, kind: str, label: Path, reason: str) -> None:
        """Leave out a label file, and with it the image that it seems to belong to."""
        self.leave_out(kind, self.tree.named(label), reason)
        self.touched.update(self.tree.find(label.stem, label)[0])

    def leave_out_unlabelled(self, reason: str) -> None:
        """Leave out the images without labels, in the folders that hold images with labels."""
        if self.only is not None and self.only in self.tree.files:
            return
        named = {path for item in self.items for path in item.candidates} | self.touched
        folders = {path.parent for path in named}
        for path in self.tree.images:
            if path.parent in folders and path not in named:
                self.leave_out(UNLABELLED, self.tree.named(path), reason)

    def note(self, kind: str, text: str) -> None:
        """Note a finding, of a kind of FINDINGS."""
        self.found.append((kind, text))

    def add(
        self,
        image: str,
        label: Path,
        source: str,
        objects: Sequence[tuple[str, Box]],
        said_wh: tuple[int, int] | None = None,
        relative: bool = False,
        hints: Sequence[str] = (),
        own_name: bool = False,
    ) -> None:
        """Add the labels of the image of a name, which is looked up from its label file.

        own_name: the image may also be the one that is called as the label file. Otherwise that
        file's name may say the split: train.json, instances_val2017.json.
        """
        words = [] if own_name else _WORDS.findall(label.stem)
        find = self.tree.find_either if own_name else self.tree.find
        candidates, (near, agreeing) = find(image, label, [*hints, *words])
        if not candidates:
            self.missing(image or f"{label.stem}.*", source)
            return
        rank = (near, candidates[0].stem != label.stem, agreeing)
        names, boxes = [name for name, _ in objects], [box for _, box in objects]
        splits = {
            path: split_of(self.tree.inside(label), self.tree.inside(path), Path(*words, "image"))
            for path in candidates
        }
        said = PureWindowsPath(image).name
        item = Labelled(candidates, rank, source, names, boxes, said_wh, relative, splits, said)
        self.items.append(item)

    def files(self, *suffixes: str) -> list[Path]:
        """List the files with one of some endings, of those that were named.

        A data.yaml is no label file: it says what is in the folder.
        """
        files = self.tree.with_suffix(*suffixes)
        if self.only is None or self.only.suffix.lower() in YAML:
            return files
        return [path for path in files if path.is_relative_to(self.only)]

    def label_files(self, *suffixes: str) -> Iterator[Path]:
        """Give the files with one of some endings; links that lead outside are left out."""
        for path in self.files(*suffixes):
            if path in self.tree.outside:
                self.leave_out_label("outside", path, LEADS_OUTSIDE)
            else:
                yield path

    def missing(self, image: str, source: str) -> None:
        """Leave out labels whose image is not here."""
        self.leave_out("missing", source, f"image {image} is missing")
        self.missing_names.append(image)

    @cached_property
    def hints(self) -> list[str]:
        """Say where missing images may be; asked for when all labels are read."""
        if not self.missing_names:
            return []
        tree = self.tree
        most = len(self.missing_names) / 2
        places = [
            f"{count} of the missing images are in {place}: give it with `{COMMAND} … --images`"
            for place, count in tree.elsewhere(self.missing_names).items()
            if count > most
        ]
        packed = [f"{tree.named(path)}: unpack it, images may be in it" for path in tree.archives()]
        links = [f"{tree.named(path)}: {LEADS_OUTSIDE}" for path in sorted(tree.outside)]
        return [*places[:EXAMPLES], *packed[:EXAMPLES], *links[:EXAMPLES]]

    def raise_stops(self) -> None:
        """Raise DataError, a line for each kind of what stops the import."""
        if self._stops:
            raise DataError(*(_line(kind, examples) for kind, examples in self._stops.items()))


@dataclass(frozen=True)
class Imported:
    """The labelled images of an import, and all that was odd about it.

    splits: of each picture, as in `Labelled`. total: images that the labels name, and those
    without labels where these were looked for.
    """

    pictures: list[Picture]
    class_names: tuple[str, ...]
    findings: Findings
    left_out: tuple[LeftOut, ...]
    splits: tuple[str, ...]
    format: str = ""
    choice: str = ""  # which format was taken of those that are there
    hints: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Count the images that there are, left out or not."""
        return len(self.pictures) + len(self.left_out)

    def lines(self) -> list[str]:
        """Report what was left out by kind, and the sum; the last line is made to be read alone."""
        lines = [self.choice] if self.choice else []
        lines += [f"left out, {line}" for line in left_out_lines(self.left_out)] + [*self.hints]
        counts = Counter(split for split in self.splits if split)
        if counts:
            lines.append("splits: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
        count = f"imported {len(self.pictures)} of {self.total} images"
        return [*lines, f"{count}, {len(self.left_out)} left out"]

    def of_split(self, split: str) -> list[Picture]:
        """Give the pictures of a split; those that belong to none train."""
        pairs = zip(self.pictures, self.splits, strict=True)
        return [picture for picture, own in pairs if (own or "train") == split]

    def write_left_out(self, path: Path) -> None:
        """Write a line for each image left out: its kind, its name and the reason."""
        write_lines([left_out_line(one) for one in self.left_out], path)

    def write(self, path: Path) -> None:
        """Write the annotation list, and the folders above it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_annotations(self.pictures, path)


def finish(draft: Draft, format: str, choice: str = "") -> Imported:
    """Decide what a draft of labels in a format comes to, and look at each image once.

    Raises DataError for what stops the import.
    """
    _find_fractions(draft)
    names = _class_names(draft)
    draft.raise_stops()
    _choose_images(draft)
    id_of = {name: number for number, name in enumerate(names)}
    entries = [
        Entry(
            *(item.candidates[0], item.boxes, [id_of[name] for name in item.names], item.source),
            *(order, item.said_wh, item.relative),
        )
        for order, item in enumerate(draft.items)
    ]
    pictures, unusable, findings = check_entries(entries, draft.options.labelled_unrotated)
    for one in unusable:
        draft.left_out.append(one._replace(name=draft.tree.named(Path(one.name))))
    splits = {item.source: item.splits.get(item.candidates[0], "") for item in draft.items}
    imported = Imported(
        pictures,
        names,
        findings + Findings(tuple(draft.found)),
        tuple(draft.left_out),
        tuple(splits[picture.source] for picture in pictures),
        *(format, choice, tuple(draft.hints)),
    )
    _judge(imported, draft)
    return imported


def numbers_are_fractions(boxes: Sequence[Box]) -> bool:
    """Tell whether boxes that should be in pixels look like fractions of the image's sides."""
    numbers = [number for box in boxes for number in box]
    return bool(numbers) and max(numbers) <= 1 and any(number % 1 for number in numbers)


def _find_fractions(draft: Draft) -> None:
    """Stop where most labels have fractions in place of pixels; leave out the image of a few."""
    boxed = [item for item in draft.items if item.boxes and not item.relative]
    fractions = [item for item in boxed if numbers_are_fractions(item.boxes)]
    most = 2 * len(fractions) > len(boxed)
    for item in fractions:
        kind = "boxes are fractions of the image's sides, expected pixels"
        has = f"has {', '.join(f'{n:g}' for n in item.boxes[0])}"
        if most:
            draft.stop(kind, f"{item.source} {has}")
        else:
            draft.leave_out("object", item.source, f"{has}: {kind}")
            draft.touched.update(item.candidates)
    if not most:
        odd = set(map(id, fractions))
        draft.items = [item for item in draft.items if id(item) not in odd]


def _class_names(draft: Draft) -> tuple[str, ...]:
    """Give the class names: those that were asked for, else the format's, else all in use."""
    used = {name for item in draft.items for name in item.names}
    known = draft.options.class_names
    if known is not None:
        for item in draft.items:
            for name in sorted(set(item.names) - set(known)):
                kind = f"names of classes are unknown, expected {', '.join(known)}"
                draft.stop(kind, f"{item.source}: class {name!r}")
        return tuple(known)
    own = list(draft.class_names or ())
    names = (*own, *sorted((used | draft.unused_names) - set(own)))
    if not names:
        draft.raise_stops()
        shown = draft.tree.shown
        refuse_most(shown, len(draft.items), len(_broken(draft.left_out)), _why(draft))
        raise DataError(*_why(draft), f"{shown}: no label file names a class or an object")
    check_names(names, draft.tree.shown)
    return names


def _choose_images(draft: Draft) -> None:
    """Give each label file one image that no other has a better claim to; leave the rest out."""
    several = {item.source: item.candidates for item in draft.items if len(item.candidates) > 1}
    for item in draft.items:
        _choose_by_size(item)
    claims = _claims(draft.items)
    chosen = []
    for item in draft.items:
        path = item.candidates[0]
        rivals = [other for other in claims[path] if other is not item]
        if len(item.candidates) > 1:
            meant = " and ".join(draft.tree.named(path) for path in item.candidates)
            draft.leave_out("ambiguous", item.source, f"{meant} may be meant")
        elif any(other.rank <= item.rank for other in rivals):
            reason = f"{draft.tree.named(path)} is labelled by {rivals[0].source} too"
            draft.leave_out("ambiguous", item.source, reason)
        elif path in draft.tree.outside:
            reason = f"image {draft.tree.named(path)} {LEADS_OUTSIDE}"
            draft.leave_out("outside", item.source, reason)
        elif _UNLISTED.search(str(path)):
            reason = f"image {draft.tree.named(path)} has a name that no list holds, rename it"
            draft.leave_out("unreadable", item.source, reason)
        else:
            chosen.append(item)
            if item.source in several:
                meant = " and ".join(draft.tree.named(path) for path in several[item.source])
                text = f"{item.source}: {draft.tree.named(path)} was chosen of {meant}"
                draft.note("pictures_chosen", text)
    draft.items = chosen


def _claims(items: Sequence[Labelled]) -> dict[Path, list[Labelled]]:
    """Give each image the items that mean it; of several candidates, the one that none claims."""
    claims: dict[Path, list[Labelled]] = defaultdict(list)
    new = [item for item in items if len(item.candidates) == 1]
    while new:
        for item in new:
            claims[item.candidates[0]].append(item)
        new = []
        for item in (item for item in items if len(item.candidates) > 1):
            free = [path for path in item.candidates if path not in claims]
            if len(free) == 1:
                item.candidates = free
                new.append(item)
    return claims


def _choose_by_size(item: Labelled) -> None:
    """Choose the one image whose size is what the label file says, if there are several.

    Of those that differ by their endings only, as an image and its mask do, the name decides.
    """
    if len(item.candidates) > 1 and item.said_wh:
        sizes = [(path, _size_of(path)) for path in item.candidates]
        fitting = [path for path, size_wh in sizes if size_wh and size_wh == item.said_wh]
        if len({path.stem for path in fitting}) == 1:
            fitting = [path for path in fitting if path.name == item.said_name] or fitting
        item.candidates = fitting if len(fitting) == 1 else item.candidates


def _size_of(path: Path) -> tuple[int, int] | None:
    try:
        return image_size(path)
    except ImageError:
        return None


def _judge(imported: Imported, draft: Draft) -> None:
    """Raise DataError where too little is left, or in strict mode where anything is left out."""
    broken = _broken(imported.left_out)
    shown = draft.tree.shown
    if broken and draft.options.strict:
        raise DataError(f"{shown}: {_why(draft)[0]} (--strict)")
    refuse_most(shown, len(imported.pictures), len(broken), _why(draft))
    if not imported.pictures:
        raise DataError(f"{shown}: no image has labels", *_why(draft))


def _broken(left_out: Sequence[LeftOut]) -> list[LeftOut]:
    return [one for one in left_out if one.kind != UNLABELLED]


def refuse_most(shown: object, used: int, unusable: int, why: Sequence[str]) -> None:
    """Raise DataError where more than half of the images would be left out."""
    if unusable > used:
        total = used + unusable
        head = f"{shown}: {unusable} of {total} images would be left out, more than half"
        raise DataError(head, *why)


def _why(draft: Draft) -> list[str]:
    """Say what was left out, what was not here, and where it may be."""
    lines = left_out_lines(draft.left_out)
    lines += [text for kind, text in draft.found if kind == "splits_missing"]
    return lines + draft.hints


def left_out_lines(left_out: Sequence[LeftOut]) -> list[str]:
    """Report what was left out, a line for each kind; what is no defect comes last."""
    kinds: dict[str, list[str]] = {}
    for one in sorted(left_out, key=lambda one: one.kind == UNLABELLED):
        kinds.setdefault(one.kind, []).append(one.reason)
    return [_line(LEFT_OUT[kind], reasons) for kind, reasons in kinds.items()]


def _line(kind: str, examples: Sequence[str]) -> str:
    more = f"; … and {len(examples) - EXAMPLES} more" if len(examples) > EXAMPLES else ""
    return f"{kind} ({len(examples)}): {'; '.join(examples[:EXAMPLES])}{more}"
