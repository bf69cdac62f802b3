import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from yolo3.data.augmentation import Augmentation, Sample, augment

INK = np.array([230, 60, 40])
PLAIN = Augmentation(
    scale=(1.0, 1.0), stretch=1.0, flip=0.0, hue=0.0, saturation=1.0, brightness=1.0, mosaic=0.0
)
PLACES_ONLY = Augmentation(hue=0.0, saturation=1.0, brightness=1.0)


def painted(box, size_wh=(160, 120), ink=INK):
    """Paint one rectangle, whole pixels, on a picture as grey as the bars."""
    pixels = np.full((size_wh[1], size_wh[0], 3), 128, np.uint8)
    x1, y1, x2, y2 = box
    pixels[y1:y2, x1:x2] = ink
    return Sample(Image.fromarray(pixels), np.array([box], np.float32), np.array([1]))


def extent(pixels):
    """Find the box of all that is half ink and more; None where there is none."""
    ink = np.abs(pixels.astype(int) - 128).sum(axis=2) > np.abs(INK - 128).sum() / 2
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        return None
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def random_box(rng, size_wh):
    size = rng.integers(16, np.array(size_wh) // 2)
    corner = rng.integers(0, np.array(size_wh) - size)
    return [int(value) for value in (*corner, *(corner + size))]


SETTINGS = {
    "nothing": PLAIN,
    "flip": Augmentation(**PLAIN.__dict__ | {"flip": 1.0}),
    "stretch": Augmentation(**PLAIN.__dict__ | {"stretch": 1.6}),
    "scale": Augmentation(**PLAIN.__dict__ | {"scale": (0.5, 2.0)}),
    "all but mosaic": Augmentation(**PLACES_ONLY.__dict__ | {"mosaic": 0.0}),
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_box_stays_on_its_pixels(settings):
    rng, checked = np.random.default_rng(0), 0
    for _ in range(40):
        sample = painted(random_box(rng, (160, 120)))
        pixels, boxes, class_ids = augment(lambda _, s=sample: s, (160, 128), settings, rng)
        assert pixels.shape == (128, 160, 3)
        assert pixels.dtype == np.uint8
        assert boxes.dtype == np.float32
        if len(boxes):
            assert_allclose(boxes[0], extent(pixels), atol=1.5)
            assert_array_equal(class_ids, [1])
            checked += 1
    assert checked >= 30


def test_flip_mirrors_and_no_flip_does_not():
    sample = painted([10, 20, 50, 60], (160, 128))
    for flip, expected in ((0.0, [10, 20, 50, 60]), (1.0, [110, 20, 150, 60])):
        settings = Augmentation(**PLAIN.__dict__ | {"flip": flip})
        pixels, boxes, _ = augment(lambda _: sample, (160, 128), settings, np.random.default_rng(0))
        assert_allclose(boxes, [expected], atol=1e-3)
        assert_array_equal(extent(pixels), expected)


def test_without_changes_the_picture_is_the_picture():
    noise = np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8)
    sample = Sample(Image.fromarray(noise), np.array([[3, 4, 50, 60]], np.float32), np.array([0]))
    pixels, boxes, _ = augment(lambda _: sample, (96, 64), PLAIN, np.random.default_rng(0))
    assert_array_equal(pixels, noise)
    assert_allclose(boxes, [[3, 4, 50, 60]], atol=1e-4)


def test_mosaic_joins_four_pictures_and_every_box_stays_on_its_pixels():
    settings = Augmentation(**PLACES_ONLY.__dict__ | {"mosaic": 1.0, "visible": 0.0})
    checked = 0
    for seed in range(25):
        rng, drawn = np.random.default_rng(seed), []

        def draw(chooser, rng=rng, drawn=drawn):
            drawn.append(chooser)
            # Each of the four has an ink of its own, so that its pixels can be told apart.
            ink = np.array([[230, 128, 128], [128, 230, 128], [128, 128, 230], [0, 0, 128]])
            sample = painted([60, 40, 100, 80], ink=ink[len(drawn) - 1])
            return Sample(sample.image, sample.boxes_xyxy, np.array([len(drawn) - 1]))

        pixels, boxes, class_ids = augment(draw, (160, 128), settings, rng)
        assert drawn == [None, rng, rng, rng]
        for box, class_id in zip(boxes, class_ids, strict=True):
            channel = pixels[..., class_id % 3].astype(int)
            ink = channel > 179 if class_id < 3 else channel < 64
            rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
            if len(rows) and min(box[2:] - box[:2]) > 4:
                found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
                assert_allclose(box, found, atol=1.5)
                checked += 1
    assert checked > 50


def many_boxes(rng, count):
    corner = rng.uniform(0, 120, (count, 2))
    size = rng.uniform(1, 39, (count, 2))
    noise = Image.fromarray(rng.integers(0, 256, (160, 160, 3), np.uint8))
    boxes = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    return Sample(noise, boxes, rng.integers(0, 3, count))


def test_nothing_lies_outside_and_nothing_is_a_sliver():
    rng = np.random.default_rng(2)
    for _ in range(40):
        sample = many_boxes(rng, 12)
        _, boxes, class_ids = augment(lambda _, s=sample: s, (96, 64), Augmentation(), rng)
        assert len(boxes) == len(class_ids)
        assert boxes.shape[1:] == (4,)
        assert (boxes >= 0).all()
        assert (boxes[:, [0, 2]] <= 96).all()
        assert (boxes[:, [1, 3]] <= 64).all()
        assert (boxes[:, 2:] - boxes[:, :2] >= 2 - 1e-4).all()


@pytest.mark.parametrize(("part", "kept"), [(0.30, 1), (0.40, 0)])
def test_box_that_shows_less_than_the_visible_part_is_left_out(part, kept):
    # The picture is three times as wide as the target, so the window's place decides what shows.
    settings = Augmentation(**PLAIN.__dict__ | {"visible": part})

    class Placed:
        """Draw zeros: the window is then at the picture's left and top edge."""

        def random(self):
            return 0.99

        def uniform(self, low=0.0, high=1.0, size=None):
            return np.zeros(size) if size else low

    sample = painted([86, 10, 106, 40], (192, 64))  # 10 of 20 columns lie past 96 ...
    sample = Sample(sample.image, np.array([[89, 10, 109, 40]], np.float32), sample.class_ids)
    _, boxes, _ = augment(lambda _: sample, (96, 64), settings, Placed())
    assert len(boxes) == kept  # ... and of this one 13 of 20: 35 % shows
    if kept:
        assert_allclose(boxes, [[89, 10, 96, 40]])


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_picture_without_boxes_gives_empty_arrays_of_the_usual_shape(mosaic):
    settings = Augmentation(mosaic=mosaic)
    empty = Sample(Image.new("RGB", (96, 64)), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    pixels, boxes, class_ids = augment(
        lambda _: empty, (96, 64), settings, np.random.default_rng(0)
    )
    assert pixels.shape == (64, 96, 3)
    assert (boxes.shape, boxes.dtype) == ((0, 4), np.float32)
    assert (class_ids.shape, class_ids.dtype) == ((0,), np.int64)


def test_same_generator_same_picture_and_another_another():
    sample = many_boxes(np.random.default_rng(3), 5)

    def once(seed):
        rng = np.random.default_rng(seed)
        return augment(lambda _: sample, (96, 64), Augmentation(), rng)

    for first, second in zip(once(7), once(7), strict=True):
        assert_array_equal(first, second)
    assert (once(7)[0] != once(8)[0]).any()


def test_source_is_not_changed():
    sample = many_boxes(np.random.default_rng(4), 5)
    before = sample.boxes_xyxy.copy(), np.array(sample.image)
    augment(lambda _: sample, (96, 64), Augmentation(), np.random.default_rng(0))
    assert_array_equal(sample.boxes_xyxy, before[0])
    assert_array_equal(np.array(sample.image), before[1])


def recoloured(colour, seed, **changes):
    settings = Augmentation(**PLAIN.__dict__ | changes)
    flat = Image.new("RGB", (8, 8), tuple(colour))
    sample = Sample(flat, np.zeros((0, 4)), np.zeros(0, np.int64))
    pixels, _, _ = augment(lambda _: sample, (8, 8), settings, np.random.default_rng(seed))
    return pixels[4, 4].astype(int)


@pytest.mark.parametrize("grey", [0, 60, 128, 255])
def test_hue_and_saturation_leave_grey_grey(grey):
    for seed in range(10):
        found = recoloured([grey] * 3, seed, hue=0.5, saturation=2.0)
        assert_allclose(found, grey, atol=1)


def test_brightness_scales_grey_alike_in_all_channels():
    found = np.array([recoloured([100] * 3, seed, brightness=1.5) for seed in range(30)])
    assert (np.ptp(found, axis=1) <= 1).all()
    assert found.min() >= 66
    assert found.max() <= 150
    assert np.ptp(found) > 40


def test_saturation_keeps_luma_and_moves_colours_from_or_to_grey():
    luma = np.array([0.299, 0.587, 0.114])
    colour = np.array([150, 110, 90])
    spreads = []
    for seed in range(20):
        found = recoloured(colour, seed, saturation=1.5)
        assert found @ luma == pytest.approx(colour @ luma, abs=1)
        spreads.append(np.ptp(found) / np.ptp(colour))
    assert 1 / 1.5 - 0.03 < min(spreads) < 0.9
    assert 1.1 < max(spreads) < 1.5 + 0.03


def test_hue_turns_either_way_by_its_angle_at_most():
    def angle(colour):
        first, second = [1, -0.5, -0.5], [0, 0.75**0.5, -(0.75**0.5)]
        return np.arctan2(colour @ np.array(second), colour @ np.array(first))

    colour = np.array([160, 110, 90])
    turns = [angle(recoloured(colour, seed, hue=0.4)) - angle(colour) for seed in range(30)]
    assert -0.45 < min(turns) < -0.1
    assert 0.1 < max(turns) < 0.45


def test_sources_counts_the_pictures_of_a_mosaic():
    assert Augmentation(mosaic=0.5).sources == 4
    assert Augmentation(mosaic=0.0).sources == 1
