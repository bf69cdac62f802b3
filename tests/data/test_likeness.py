import io

import numpy as np
import pytest
from check_cases import scene
from PIL import Image

from yolo3.data.images import read_image
from yolo3.data.likeness import (
    FINGERPRINT_BYTES,
    alike_groups,
    earlier_alike,
    fingerprint,
    first_alike,
)


def compressed(image, **options):
    data = io.BytesIO()
    image.save(data, **options)
    return read_image(data.getvalue())


COPIES = {
    "smaller": lambda image: image.resize((150, 150), Image.Resampling.LANCZOS),
    "larger": lambda image: image.resize((500, 500), Image.Resampling.BICUBIC),
    "another shape": lambda image: image.resize((300, 200), Image.Resampling.LANCZOS),
    "low quality": lambda image: compressed(image, format="JPEG", quality=30),
    "brighter": lambda image: image.point(lambda value: min(255, round(value * 1.1))),
}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_look_alike(copy):
    for seed in range(8):
        original = scene(seed)
        assert first_alike([fingerprint(COPIES[copy](original))], [fingerprint(original)]) == [0]


def test_different_pictures_do_not():
    looks = [fingerprint(scene(seed)) for seed in range(40)]
    assert earlier_alike(looks) == [None] * 40
    assert alike_groups(looks) == [[number] for number in range(40)]
    assert {len(look) for look in looks} == {FINGERPRINT_BYTES}


def test_a_picture_of_one_colour_is_like_no_other():
    plain = [fingerprint(Image.new("RGB", (90, 60), (grey, grey, grey))) for grey in (0, 128, 130)]
    noise = np.random.default_rng(0).integers(126, 130, (60, 90, 3), dtype=np.uint8)
    assert earlier_alike([*plain, fingerprint(Image.fromarray(noise))]) == [None] * 4


def test_pictures_smaller_than_the_grid_have_a_fingerprint():
    assert len(fingerprint(Image.new("RGB", (1, 1)))) == FINGERPRINT_BYTES


def test_the_first_that_is_alike_is_named():
    looks = [fingerprint(scene(seed)) for seed in (1, 2, 1, 2, 1)]
    assert first_alike(looks[:2], looks[1:]) == [1, 0]
    assert earlier_alike(looks) == [None, None, 0, 1, 0]


def test_no_fingerprint_is_like_nothing():
    assert earlier_alike([b"", b""]) == [None, None]
    assert first_alike([b""], [fingerprint(scene(1))]) == [None]
    assert first_alike([fingerprint(scene(1))], []) == [None]
    assert alike_groups([]) == []


def test_groups_join_through_others():
    def look(bits):  # 256 falls, and rises where bits say so
        falls = np.ones(256, np.uint8)
        falls[:bits] = 0
        return np.packbits([falls, 1 - falls]).tobytes()

    chain = [look(bits) for bits in (0, 60, 30, 200)]  # an eighth of 256 is 32
    assert earlier_alike(chain) == [None, None, 0, None]
    assert alike_groups(chain) == [[0, 1, 2], [3]]
