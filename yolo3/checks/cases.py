"""Cases: each thing that is wrong or odd with some pictures, and the boxes that show it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from yolo3.data.images import place
from yolo3.data.likeness import earlier_alike, first_alike
from yolo3.data.pictures import Picture
from yolo3.network.boxes import iou_xyxy
from yolo3.network.owners import find_owners
from yolo3.network.spec import NetworkSpec

SAME_IOU = 0.9  # boxes of one picture that overlap more are taken for one
AGREE_IOU = 0.5  # boxes of two labellings that overlap less are not the same thing
TINY_SIDE = 4.0  # pixels of the network's input; its finest grid cells measure 8 or 16
_SIDES_SWAP = (5, 6, 7, 8)
_ROWS_AT_ONCE = 256  # of an IoU table, so that a picture with thousands of boxes takes no memory


@dataclass(frozen=True)
class Case:
    """One finding: what it says, the pictures that it is about, and their telling boxes.

    Boxes (xyxy, pixels of the picture) may reach past the picture's edge.
    """

    kind: str  # a key of FINDINGS
    message: str
    pictures: tuple[Picture, ...] = ()
    boxes_xyxy: tuple[tuple[float, ...], ...] = ()  # of the first picture


def picture_cases(picture: Picture, spec: NetworkSpec) -> list[Case]:
    """Find what is odd in one picture and its boxes."""
    same = _same_boxes(picture)
    return [
        *_changed(picture),
        *_misnamed(picture),
        *_turned(picture),
        *_sames(picture, same, spec.class_names),
        *_tiny(picture, spec),
        *_colliding(picture, {later for _, later in same}, spec),
    ]


def repeated_pictures(pictures: Sequence[Picture]) -> list[Case]:
    """Find pictures of the same content, whether their boxes agree, and of nearly the same look."""
    first: dict[str, Picture] = {}
    cases = []
    for picture in pictures:
        earlier = first.setdefault(picture.digest, picture)
        if earlier is not picture:
            cases += _same_content(picture, earlier)
    different = list(first.values())
    hits = earlier_alike([picture.fingerprint for picture in different])
    return cases + [
        _alike(picture, different[hit], "pictures_alike", "looks nearly like the one")
        for picture, hit in zip(different, hits, strict=True)
        if hit is not None
    ]


def leaked_pictures(train: Sequence[Picture], val: Sequence[Picture]) -> list[Case]:
    """Find validation pictures that training knows already, to the byte or nearly."""
    known = {picture.digest: picture for picture in reversed(train)}
    new = [picture for picture in val if picture.digest not in known]
    cases = [
        Case(
            "pictures_shared",
            f"{picture.source}: validation picture has the content of the training picture at"
            f" {known[picture.digest].source}",
            (picture, known[picture.digest]),
        )
        for picture in val
        if picture.digest in known
    ]
    looks = [picture.fingerprint for picture in train]
    hits = first_alike([picture.fingerprint for picture in new], looks)
    says = "validation picture looks nearly like the training picture"
    return cases + [
        _alike(picture, train[hit], "pictures_leaked", says)
        for picture, hit in zip(new, hits, strict=True)
        if hit is not None
    ]


def agreement(one: Picture, other: Picture) -> float:
    """Tell how far two labellings of a picture agree: the lowest IoU of a box with its nearest.

    1 where the boxes are the same, 0 where numbers or classes differ.
    """
    if len(one.class_ids) != len(other.class_ids):
        return 0.0
    table = iou_xyxy(one.boxes_xyxy.astype(np.float64), other.boxes_xyxy.astype(np.float64))
    table = np.where(one.class_ids[:, None] == other.class_ids[None], table, 0.0)
    return float(min(table.max(axis, initial=0.0).min(initial=1.0) for axis in (0, 1)))


def _same_content(picture: Picture, earlier: Picture) -> Iterator[Case]:
    says = f"{picture.source}: picture has the content of the one at {earlier.source}"
    iou = agreement(picture, earlier)
    how = "the same boxes" if iou == 1 else f"boxes that agree to an IoU of {iou:.2f}"
    pair = (picture, earlier)
    if iou >= AGREE_IOU:
        yield Case("pictures_duplicate", f"{says}, with {how}", pair)
        return
    yield Case("pictures_duplicate", f"{says}, with other boxes", pair)
    counts = f"{len(picture.class_ids)} and {len(earlier.class_ids)} boxes"
    yield Case("pictures_relabelled", f"{says}, and its boxes contradict it ({counts})", pair)


def _alike(picture: Picture, other: Picture, kind: str, says: str) -> Case:
    return Case(kind, f"{picture.source}: {says} at {other.source}", (picture, other))


def _changed(picture: Picture) -> Iterator[Case]:
    for kind, box_xyxy, message in picture.changed:
        yield Case(kind, message, (picture,), (box_xyxy,))


def _misnamed(picture: Picture) -> Iterator[Case]:
    suffix = picture.path.suffix.lower()
    named, real = Image.registered_extensions().get(suffix), picture.stored.format
    if real and named and _family(named) != _family(real):
        text = f"{picture.source}: {picture.path.name} holds {real}, its name says {named}"
        yield Case("pictures_misnamed", text, (picture,))


def _family(name: str) -> str:
    """Give formats one name that one reader reads."""
    return {"DIB": "BMP", "MPO": "JPEG"}.get(name, name)


def _turned(picture: Picture) -> Iterator[Case]:
    orientation = picture.stored.orientation
    if orientation == 1:
        return
    says = f"{picture.source}: has EXIF orientation {orientation}"
    changed = tuple(item.box_xyxy for item in picture.changed)
    boxes = np.array([*picture.boxes_xyxy.tolist(), *changed]).reshape(-1, 4)
    fit_stored = (boxes == np.clip(boxes, 0, picture.size_wh[::-1] * 2)).all()
    if orientation in _SIDES_SWAP and changed and fit_stored:
        text = f"{says}, and boxes past its edge would fit it unturned: were they drawn there?"
        yield Case("pictures_unturned", text, (picture,), changed)
    else:
        width, height = picture.size_wh
        every = tuple(map(tuple, picture.boxes_xyxy.tolist()))  # a person sees whether they fit
        yield Case("pictures_turned", f"{says}, read as {width}x{height}", (picture,), every)


def _same_boxes(picture: Picture) -> list[tuple[int, int]]:
    """Pair each box that nearly equals an earlier one with the first such: (earlier, later)."""
    boxes = picture.boxes_xyxy
    pairs = []
    for start in range(0, len(boxes) if len(boxes) > 1 else 0, _ROWS_AT_ONCE):
        table = iou_xyxy(boxes[start : start + _ROWS_AT_ONCE], boxes) >= SAME_IOU
        for row, hits in enumerate(table, start=start):
            earlier = np.flatnonzero(hits[:row])
            if len(earlier):
                pairs.append((int(earlier[0]), row))
    return pairs


def _sames(
    picture: Picture, same: list[tuple[int, int]], class_names: Sequence[str]
) -> Iterator[Case]:
    for earlier, later in same:
        one, two = (class_names[picture.class_ids[index]] for index in (earlier, later))
        boxes = (tuple(picture.boxes_xyxy[later].tolist()),)
        where = f"{picture.source}: box {_corners(picture, later)}"
        if one == two:
            text = f"{where} ({two}) repeats box {_corners(picture, earlier)}"
            yield Case("boxes_repeated", text, (picture,), boxes)
        else:
            text = f"{where} is {two}, and {one} at {_corners(picture, earlier)}"
            yield Case("boxes_conflicting", text, (picture,), boxes)


def _tiny(picture: Picture, spec: NetworkSpec) -> Iterator[Case]:
    boxes = place(picture.size_wh, spec.input_wh).to_network(picture.boxes_xyxy)
    sizes_wh = boxes[:, 2:] - boxes[:, :2]
    for index in np.flatnonzero(sizes_wh.min(axis=1, initial=np.inf) < TINY_SIDE):
        width, height = sizes_wh[index]
        text = f"{picture.source}: box {_corners(picture, index)} is {width:.1f} by {height:.1f}"
        says = f"{text} pixels at {spec.input_wh[0]}x{spec.input_wh[1]}"
        yield Case("boxes_tiny", says, (picture,), (tuple(picture.boxes_xyxy[index].tolist()),))


def _colliding(picture: Picture, without: set[int], spec: NetworkSpec) -> Iterator[Case]:
    """Find boxes that take the grid cell and anchor of an earlier one; `without` some boxes."""
    kept = [index for index in range(len(picture.boxes_xyxy)) if index not in without]
    if len(kept) < 2:
        return
    boxes = place(picture.size_wh, spec.input_wh).to_network(picture.boxes_xyxy[kept])
    first: dict[tuple[int, ...], int] = {}
    for index, owner in zip(kept, zip(*find_owners(boxes, spec), strict=True), strict=True):
        earlier = first.setdefault(tuple(map(int, owner)), index)
        if earlier != index:
            text = f"{picture.source}: box {_corners(picture, earlier)} shares cell and anchor"
            pair = tuple(tuple(picture.boxes_xyxy[number].tolist()) for number in (earlier, index))
            says = f"{text} with {_corners(picture, index)}, which is learnt instead"
            yield Case("boxes_colliding", says, (picture,), pair)


def _corners(picture: Picture, index: int) -> str:
    return ",".join(f"{value:g}" for value in picture.boxes_xyxy[index])
