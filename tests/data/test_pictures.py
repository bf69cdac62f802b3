from dataclasses import replace
from pathlib import Path

import numpy as np
from evaluation_cases import picture_of

from yolo3.data.pictures import pictures_digest


def pictures():
    return [
        picture_of([(1, 2, 30, 40, 0), (5, 5, 20, 20, 2)], "a.jpg"),
        picture_of([], "b.jpg"),
        picture_of([(1, 2, 30, 40, 2)], "c.jpg"),
    ]


def test_the_digest_is_of_content_and_boxes_not_of_places():
    first, *rest = pictures()
    digest = pictures_digest([first, *rest])
    assert pictures_digest([replace(first, path=Path("/other/x.jpg"), source="l:9"), *rest]) == (
        digest
    )
    moved = replace(first, boxes_xyxy=first.boxes_xyxy + np.float32(0.5))
    renamed = replace(first, class_ids=first.class_ids + 1)
    retaken = replace(first, digest="0" * 64)
    others = {pictures_digest([other, *rest]) for other in (moved, renamed, retaken)}
    assert len(others | {digest, pictures_digest(rest)}) == 5


def test_a_box_more_here_is_not_a_box_more_there():
    one, empty = picture_of([(1, 2, 3, 4, 0)], "a.jpg"), picture_of([], "a.jpg")
    two = replace(one, digest=empty.digest)
    assert pictures_digest([two, empty]) != pictures_digest([empty, two])
