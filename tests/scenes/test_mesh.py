import numpy as np
import pytest

from yolo3.scenes.mesh import block, clasp, disc, merged, on_plane, revolve, rotation_x, tube

RED = (200, 20, 20)


def _normals(quads):
    return np.cross(quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1])


@pytest.mark.parametrize(
    "solid",
    [
        block(5, 0, 9, -4, 4, RED),
        revolve([(3, 0), (4, 5), (2, 9)], RED),
        tube((0, 0, 0), (5, -8, 3), 2, 1, RED),
        tube((0, 0, 0), (0, -8, 0), 2, 1, RED),
    ],
    ids=["block", "revolve", "tube", "tube down"],
)
def test_faces_of_convex_solids_look_outwards(solid):
    middle = solid.quads.mean(axis=(0, 1))
    away = solid.quads.mean(axis=1) - middle
    assert np.all((_normals(solid.quads) * away).sum(axis=1) > 0)


def test_clasp_is_open_to_the_front():
    hand = clasp((0, 0, 0), 6, 2, 7, RED)
    corners = hand.quads.reshape(-1, 3)
    assert corners[:, 2].max() < 6 * np.cos(np.deg2rad(44))
    assert corners[:, 2].min() == pytest.approx(-6, abs=0.4)


def test_prints_face_forwards():
    assert np.all(_normals(disc(on_plane(3.0), (1, 2), (4, 5)))[:, 2] >= 0)


def test_rotation_swings_what_hangs_down_forwards():
    np.testing.assert_allclose(rotation_x(90) @ (0, -1, 0), (0, 0, 1), atol=1e-12)


def test_merged_keeps_all_faces_and_their_order():
    one, two = block(1, 0, 1, -1, 1, RED), block(2, 0, 2, -2, 2, (1, 2, 3))
    both = merged([one, two])
    assert len(both.quads) == len(one.quads) + len(two.quads)
    np.testing.assert_array_equal(both.colours[-1], (1, 2, 3))
