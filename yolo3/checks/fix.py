"""A cleaned copy of a list: without what no training can use."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from yolo3.data.pictures import KEPT, Picture


@dataclass(frozen=True)
class Fixed:
    """Hold the pictures of a cleaned list, and how much was mended."""

    pictures: tuple[Picture, ...]
    boxes_clipped: int
    boxes_left_out: int  # degenerate, or outside
    boxes_repeated: int  # equal to another of their class, to the digit
    pictures_repeated: int  # equal to another to the byte, with equal boxes
    images_left_out: int  # with what is listed of them: unusable

    def line(self) -> str:
        """Tell in one line what was mended."""
        return (
            f"{len(self.pictures)} pictures; {self.boxes_clipped} boxes clipped,"
            f" {self.boxes_left_out} left out, {self.boxes_repeated} repeated ones removed,"
            f" {self.pictures_repeated} repeated pictures removed,"
            f" {self.images_left_out} unusable images left out"
        )


def fix(pictures: Sequence[Picture], images_left_out: int = 0) -> Fixed:
    """Clean a list of pictures that were read: nothing is opened, and no file changed.

    Reading has clipped boxes and left out empty ones already. Boxes that only nearly equal another,
    and copies of a picture with other boxes, are kept: which one is right only a person knows.
    """
    kinds = [changed.kind for picture in pictures for changed in picture.changed]
    cleaned = [_without_repeated_boxes(picture) for picture in pictures]
    kept: dict[tuple[str, bytes], Picture] = {}
    for picture in cleaned:
        kept.setdefault((picture.digest, _rows(picture).tobytes()), picture)
    boxes = sum(len(picture.boxes_xyxy) for picture in pictures)
    return Fixed(
        tuple(kept.values()),
        boxes_clipped=kinds.count("boxes_clipped"),
        boxes_left_out=sum(kind not in KEPT for kind in kinds),
        boxes_repeated=boxes - sum(len(picture.boxes_xyxy) for picture in cleaned),
        pictures_repeated=len(cleaned) - len(kept),
        images_left_out=images_left_out,
    )


def _without_repeated_boxes(picture: Picture) -> Picture:
    rows = np.column_stack([picture.boxes_xyxy, picture.class_ids])
    first = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    return replace(
        picture, boxes_xyxy=picture.boxes_xyxy[first], class_ids=picture.class_ids[first]
    )


def _rows(picture: Picture) -> np.ndarray:
    """Give boxes and class ids (N, 5) in an order of their own, to compare pictures by."""
    rows = np.column_stack([picture.boxes_xyxy, picture.class_ids])
    return rows[np.lexsort(rows.T)]
