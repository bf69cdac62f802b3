"""Checked pictures: what every reader of annotations hands on, and how problems are told.

A reader turns its files into `Entry`s; `check_entries` looks at each picture once and gives
`Picture`s. An image that cannot be used is a `LeftOut`: an annotation list raises them together as
one `DataError`, an import counts them. What may continue is kept in `Findings`.
"""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from yolo3.data.images import (
    ImageError,
    Stored,
    boxes_upright,
    read_image,
    read_picture_bytes,
    stored_as,
)
from yolo3.data.likeness import fingerprint

SHOWN = 20  # problems or findings that are spelled out; the rest are counted

FINDINGS = {  # kind -> what it says of a number of boxes or pictures
    "boxes_clipped": "boxes reach past the edge of their picture (clipped to it)",
    "boxes_swapped": "boxes have their corners exchanged (read in the right order)",
    "boxes_turned": "boxes were drawn before EXIF turned the image (turned with it)",
    "boxes_degenerate": "boxes have no width or no height (left out)",
    "boxes_outside": "boxes lie wholly outside their picture (left out)",
    "boxes_difficult": "boxes are marked difficult (left out)",
    "boxes_crowd": "boxes stand for a crowd (left out)",
    "boxes_unmarked": "boxes lose their mark, difficult or crowd, which a list cannot hold (kept)",
    "boxes_orphaned": "boxes are of images that their file does not list (passed over)",
    "boxes_outlined": "boxes were made from outlines (the box around them)",
    "pictures_duplicate": "pictures repeat the content of another (kept, on one side of a split)",
    "pictures_shared": "validation pictures have the content of a training picture (kept)",
    "pictures_few": "validation sets have fewer than 20 boxes, so that their AP is mostly luck",
    "pictures_resized": "pictures have another size than their annotation says (boxes kept)",
    "pictures_background": "pictures have no annotation file (kept, without boxes)",
    "pictures_repeated": "pictures stand in more than one split (read once)",
    "pictures_chosen": "images were chosen between the name in a label file and its own name",
    "pictures_alike": "pictures look nearly like another (kept, on one side of a split)",
    "pictures_leaked": "validation pictures look nearly like a training picture (kept)",
    "pictures_relabelled": "pictures repeat another's content with boxes that contradict it (kept)",
    "pictures_misnamed": "pictures are of another format than their names say (read all the same)",
    "pictures_turned": "pictures have an EXIF orientation (read as a viewer shows them)",
    "pictures_unturned": "pictures have boxes that fit only without their EXIF orientation",
    "boxes_repeated": "boxes nearly equal another box of their class (kept)",
    "boxes_conflicting": "boxes nearly equal a box of another class (kept)",
    "boxes_tiny": "boxes are under 4 pixels wide or high in the network's input (kept)",
    "boxes_colliding": "boxes share a grid cell and an anchor with another, so one is not learnt",
    "classes_absent": "classes have no box at all",
    "classes_untrained": "classes have boxes in validation and none in training",
    "classes_unvalidated": "classes have boxes in training and none in validation",
    "classes_rare": "classes have fewer than 10 boxes in training",
    "anchors_unfit": "sets of anchors fit the boxes badly",
    "images_left_out": "images cannot be used (left out)",
    "shapes_ignored": "shapes have no area, as points and labels of whole images (passed over)",
    "labels_foreign": "files are no labels of this format (passed over)",
    "splits_missing": "splits named in data.yaml are not here (passed over)",
    "classes_grouping": "categories only group others (left out)",
}

LEFT_OUT = {  # kind -> why an image was left out
    "missing": "image missing",
    "unreadable": "image unreadable",
    "label": "label file unreadable",
    "object": "object without a usable box or name",
    "ambiguous": "no single image for a label file, or label file for an image",
    "outside": "link that leads outside the folder",
    "unlabelled": "no label file",
    "line": "line of the list unusable",
}
UNLABELLED = "unlabelled"  # the one kind that is no defect


class Changed(NamedTuple):
    """A box that was clipped or left out."""

    kind: str  # a key of FINDINGS
    box_xyxy: tuple[float, float, float, float]  # as listed
    message: str


@dataclass(frozen=True)
class Picture:
    """A picture that was decoded once, and its boxes, all inside it."""

    path: Path  # absolute
    boxes_xyxy: np.ndarray  # (N, 4) float32, pixels of the picture as a viewer shows it
    class_ids: np.ndarray  # (N,) int64
    size_wh: tuple[int, int]  # as a viewer shows it
    digest: str  # sha256 of the file, hexadecimal
    source: str  # where it is listed: "voc/list_master.txt:17"
    changed: tuple[Changed, ...] = ()
    fingerprint: bytes = b""  # of its look; empty: not looked at
    stored: Stored = Stored("", 1)


@dataclass(frozen=True)
class Entry:
    """A picture as it is listed, not looked at yet."""

    path: Path  # absolute
    boxes_xyxy: list[tuple[float, float, float, float]]
    class_ids: list[int]
    source: str
    order: int  # position among the problems: the line, or the number of the file
    said_wh: tuple[int, int] | None = None  # the size that the annotation gives
    relative: bool = False  # boxes are fractions of the image's sides


class LeftOut(NamedTuple):
    """An image or a label file that cannot be used."""

    kind: str  # a key of LEFT_OUT
    name: str  # of the file, as the person knows it
    reason: str  # a sentence that begins with where it stands
    order: int = 0  # as in Entry


class DataError(ValueError):
    """Tell every problem of the data at once: the first ones in words, the rest as a count."""

    def __init__(self, *problems: str):
        self.problems = problems
        more = len(problems) - SHOWN
        shown = list(problems[:SHOWN]) + ([f"… and {more} more"] if more > 0 else [])
        head = [f"{len(problems)} problems in the data:"] if len(problems) > 1 else []
        super().__init__("\n".join(head + shown))


def left_out_line(one: LeftOut) -> str:
    """Write what was left out as a line: kind, name and reason."""
    return f"{one.kind}\t{one.name}\t{one.reason}"


def raise_if_any(left_out: Sequence[LeftOut]) -> None:
    """Raise DataError with all that is wrong, in the order of the file."""
    if left_out:
        raise DataError(*(one.reason for one in sorted(left_out, key=lambda one: one.order)))


@dataclass(frozen=True)
class Findings:
    """What was odd and did not stop: (kind, message) pairs, kinds being the keys of FINDINGS."""

    found: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: "Findings") -> "Findings":
        return Findings(self.found + other.found)

    @property
    def counts(self) -> dict[str, int]:
        """Count each kind, zeros included, under names fit for logging."""
        kinds = [kind for kind, _ in self.found]
        return {kind: kinds.count(kind) for kind in FINDINGS}

    def lines(self, shown: int = SHOWN) -> list[str]:
        """Tell the counts that are not zero, then the first messages."""
        sums = [f"{count} {FINDINGS[kind]}" for kind, count in self.counts.items() if count]
        more = len(self.found) - shown
        messages = [f"  {message}" for _, message in self.found[:shown]]
        return sums + messages + ([f"  … and {more} more"] if more > 0 else [])


def check_entries(
    entries: Sequence[Entry], unrotated: bool = False
) -> tuple[list[Picture], list[LeftOut], Findings]:
    """Decode each picture once, and fit the boxes into it.

    unrotated: boxes were drawn on images as they are stored, before EXIF turned them; so they are
    where the size that the annotation gives says it.
    No pixels are kept. A picture that is listed twice, missing or unreadable is left out (a file
    that is cut short is found here, not in the training).
    """
    left_out = _repeated(entries)
    pictures: list[Picture] = []
    found: list[tuple[str, str]] = []
    twice = {one.order for one in left_out}
    for entry, looked in zip(entries, _look_at_all(entries), strict=True):
        if isinstance(looked, ImageError):
            reason = f"{entry.source}: picture {entry.path} {looked}"
            left_out.append(LeftOut("unreadable", str(entry.path), reason, entry.order))
        elif entry.order not in twice:
            pictures.append(_fit(entry, looked, unrotated, found))
            found += [(changed.kind, changed.message) for changed in pictures[-1].changed]
    return pictures, left_out, Findings(tuple(found + _duplicates(pictures)))


def read_again(picture: Picture, at_least: int = 0) -> Image.Image:
    """Read a picture that was read and checked before; DataError if that no longer works.

    at_least: see `read_image`.
    """
    try:
        return read_image(picture.path, at_least)
    except ImageError as error:
        raise DataError(
            f"{picture.source}: picture {picture.path} was readable when it was checked, and now "
            f"it {error}; put it back"
        ) from error


def _repeated(entries: Sequence[Entry]) -> list[LeftOut]:
    """Find images that are listed twice: which boxes are all of theirs, nobody knows."""
    listed: dict[Path, list[Entry]] = {}
    for entry in entries:
        listed.setdefault(entry.path.resolve(), []).append(entry)
    left_out = []
    for first, *others in listed.values():
        for entry in (first, *others) if others else ():
            where = f"again at {others[0].source}" if entry is first else f"at {first.source}"
            text = f"{entry.source}: picture {entry.path} is listed {where} too"
            reason = f"{text}, put all its boxes in one place"
            left_out.append(LeftOut("ambiguous", str(entry.path), reason, entry.order))
    return left_out


class _Look(NamedTuple):
    size_wh: tuple[int, int]
    digest: str
    fingerprint: bytes
    stored: Stored


def _look_at_all(entries: Sequence[Entry]) -> list[_Look | ImageError]:
    paths = [entry.path for entry in entries]
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        looks = pool.map(_look_at, paths)
        bar = tqdm(looks, "checking pictures", len(paths), leave=False, delay=2, disable=None)
        try:
            return list(bar)
        except BaseException:  # Ctrl-C must not wait for thousands of pictures
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _look_at(path: Path) -> _Look | ImageError:
    try:
        data = read_picture_bytes(path)
        image = read_image(data)
        digest = hashlib.sha256(data).hexdigest()
        return _Look(image.size, digest, fingerprint(image), stored_as(data))
    except ImageError as error:
        return error


def _size_finding(entry: Entry, size_wh: tuple[int, int]) -> list[tuple[str, str]]:
    if entry.said_wh in (None, size_wh):
        return []
    said, real = (f"{width}x{height}" for width, height in (entry.said_wh, size_wh))
    return [("pictures_resized", f"{entry.source}: says {said}, the picture is {real}")]


def _fit(entry: Entry, look: _Look, unrotated: bool, found: list[tuple[str, str]]) -> Picture:
    """Bring boxes into the picture as a viewer shows it: turn, order, clip; leave out the empty."""
    given = np.asarray(entry.boxes_xyxy, np.float64).reshape(-1, 4)
    stored_wh = look.size_wh[::-1] if look.stored.sides_swap else look.size_wh
    shown_otherwise = look.stored.sides_swap and _says_unrotated(entry, given, stored_wh)
    turn = shown_otherwise or (unrotated and look.stored.orientation != 1)
    if entry.relative:
        given = (given * ((stored_wh if turn else look.size_wh) * 2)).astype(np.float32)
    if turn:
        given = boxes_upright(given, look.stored.orientation, stored_wh)
        text = f"{entry.source}: turned by the EXIF orientation {look.stored.orientation}"
        found += [("boxes_turned", f"{text}, box {number + 1}") for number in range(len(given))]
    else:
        found += _size_finding(entry, look.size_wh)
    ordered = np.concatenate(
        [np.minimum(given[:, :2], given[:, 2:]), np.maximum(given[:, :2], given[:, 2:])], axis=1
    )
    clipped = np.clip(ordered, 0.0, look.size_wh * 2)
    boxes = clipped.astype(np.float32)
    kinds = [_kind_of(*numbers) for numbers in zip(given, ordered, clipped, boxes, strict=True)]
    size = f"{look.size_wh[0]}x{look.size_wh[1]}"
    changed = []
    for number, (kind, box) in enumerate(zip(kinds, given, strict=True), start=1):
        if kind:
            corners = ",".join(f"{value:g}" for value in box)
            text = f"{entry.source}: box {number}, {corners} in {size}, {_SAY[kind]}"
            changed.append(Changed(kind, tuple(box.tolist()), text))
    kept = np.array([kind in ("", *KEPT) for kind in kinds], bool)
    class_ids = np.asarray(entry.class_ids, np.int64)
    return Picture(
        entry.path,
        boxes[kept],
        class_ids[kept],
        look.size_wh,
        look.digest,
        entry.source,
        tuple(changed),
        look.fingerprint,
        look.stored,
    )


def _says_unrotated(entry: Entry, given: np.ndarray, stored_wh: tuple[int, int]) -> bool:
    """Tell whether the annotation's size is that of the image only before EXIF turns it by 90°."""
    if entry.said_wh != stored_wh or stored_wh[0] == stored_wh[1]:
        return False
    return entry.relative or bool((given <= np.array(stored_wh * 2) + 1).all())


KEPT = ("boxes_clipped", "boxes_swapped")  # kinds of changed boxes that are still used
_SAY = {
    "boxes_clipped": "clipped to the picture",
    "boxes_swapped": "read with its corners in the right order",
    "boxes_degenerate": "left out: no width or no height",
    "boxes_outside": "left out: wholly outside",
}


def _kind_of(given: np.ndarray, ordered: np.ndarray, clipped: np.ndarray, box: np.ndarray) -> str:
    if (ordered[2:] <= ordered[:2]).any():
        return "boxes_degenerate"
    if (clipped[2:] <= clipped[:2]).any():
        return "boxes_outside"
    if (box[2:] <= box[:2]).any():  # narrower than float32 can tell
        return "boxes_degenerate"
    if (given != ordered).any():
        return "boxes_swapped"
    return "boxes_clipped" if (given != clipped).any() else ""


def _duplicates(pictures: Sequence[Picture]) -> list[tuple[str, str]]:
    first: dict[str, Picture] = {}
    found = []
    for picture in pictures:
        earlier = first.setdefault(picture.digest, picture)
        if earlier is not picture:
            text = f"{picture.source}: picture has the content of the one at {earlier.source}"
            found.append(("pictures_duplicate", text))
    return found


def pictures_digest(pictures: Sequence[Picture]) -> str:
    """Digest content and boxes of the pictures in their order; where the files lie is left out."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(picture.digest.encode())
        digest.update(picture.boxes_xyxy.astype("<f4").tobytes())
        digest.update(picture.class_ids.astype("<i8").tobytes())
    return digest.hexdigest()
