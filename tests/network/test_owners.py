import numpy as np
import pytest

from yolo3.network.grid import OBJECTNESS, encode
from yolo3.network.owners import find_owners
from yolo3.network.spec import NetworkSpec, make_spec

TINY = ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319))
FULL = (*TINY, (30, 61), (62, 45), (200, 90))
SPECS = {
    "tiny": make_spec(("a",), TINY, (416, 416)),
    "full, not square": make_spec(("a",), FULL, (320, 192)),
    "the mask of the COCO weights": NetworkSpec(("a",), TINY, ((3, 4, 5), (1, 2, 3)), (96, 64)),
}


@pytest.mark.parametrize("name", SPECS)
def test_owners_are_where_encode_writes(name):
    spec = SPECS[name]
    rng = np.random.default_rng(0)
    limits = np.array(spec.input_wh, np.float32)
    for _ in range(300):
        corners = rng.uniform(0, 1, (2, 2)).astype(np.float32) * limits
        box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])[None]
        written = [
            (scale, *where)
            for scale, target in enumerate(encode(box, np.array([0]), spec))
            for where in np.argwhere(target[..., OBJECTNESS]).tolist()
        ]
        owner = tuple(int(numbers[0]) for numbers in find_owners(box, spec))
        assert written == [owner]


def test_a_box_in_the_far_corner_keeps_to_the_grid():
    owner = find_owners(np.float32([[416, 416, 416, 416]]), SPECS["tiny"])
    rows, columns = SPECS["tiny"].grids_hw[owner.scale[0]]
    assert (owner.row[0], owner.column[0]) == (rows - 1, columns - 1)


def test_no_boxes_have_no_owners():
    assert [len(numbers) for numbers in find_owners(np.zeros((0, 4)), SPECS["tiny"])] == [0] * 4
