from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pytest
from batches_cases import write_picture, write_pictures
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from yolo3.data import samples as module
from yolo3.data.augmentation import Augmentation
from yolo3.data.batches import Batches
from yolo3.data.images import letterbox, read_image
from yolo3.network.grid import encode
from yolo3.network.spec import make_spec

ANCHORS = ((5, 7), (9, 12), (14, 11), (22, 30), (31, 24), (50, 52))
SPEC = make_spec(("hat", "bare"), ANCHORS, (96, 64))
ENCODE = partial(encode, spec=SPEC)
STILL = Augmentation(
    scale=(1.0, 1.0), stretch=1.0, flip=0.0, hue=0.0, saturation=1.0, brightness=1.0, mosaic=0.0
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"), 10)


def batches_of(pictures, batch_size=4, **options):
    return Batches(pictures, SPEC.input_wh, ENCODE, batch_size, **options)


def flat(batch):
    pixels, labels = batch
    return [pixels, *labels]


def assert_same(a, b):
    for first, second in zip(flat(a), flat(b), strict=True):
        assert_array_equal(first, second)


def test_validation_is_in_order_unchanged_and_the_same_as_letterbox(pictures):
    batches = batches_of(pictures)
    assert len(batches) == 3
    rows = []
    for number in range(3):
        pixels, (*targets, truths) = batches[number]
        assert len(pixels) == len(truths) == len(targets[0]) == (4, 4, 2)[number]
        rows += list(zip(pixels, zip(*targets, strict=True), truths, strict=True))
    for picture, (pixels, targets, truths) in zip(pictures, rows, strict=True):
        expected, box = letterbox(read_image(picture.path), SPEC.input_wh)
        assert_array_equal(pixels, expected)
        boxes = box.to_network(picture.boxes_xyxy)
        assert_allclose(truths[: len(boxes)], boxes)
        assert not truths[len(boxes) :].any()
        for found, wanted in zip(targets, ENCODE(boxes, picture.class_ids), strict=True):
            assert_array_equal(found, wanted)


def test_validation_does_not_change_with_the_epoch(pictures):
    batches = batches_of(pictures)
    before = batches[1]
    batches.epoch = 7
    assert_same(batches[1], before)


def test_kinds_and_shapes(pictures):
    for augmentation in (None, Augmentation()):
        pixels, (coarse, fine, truths) = batches_of(pictures, augmentation=augmentation)[0]
        assert (pixels.shape, pixels.dtype) == ((4, 64, 96, 3), np.uint8)
        assert (coarse.shape, coarse.dtype) == ((4, 2, 3, 3, 7), np.float32)
        assert (fine.shape, fine.dtype) == ((4, 4, 6, 3, 7), np.float32)
        assert (truths.shape[::2], truths.dtype) == ((4, 4), np.float32)


def test_every_draw_comes_from_seed_epoch_and_position(pictures):
    options = {"augmentation": Augmentation(), "seed": 5}
    first, second = batches_of(pictures, **options), batches_of(pictures, **options)
    forwards = [first[number] for number in (0, 1, 2)]
    backwards = [second[number] for number in (2, 1, 0)][::-1]
    for a, b in zip(forwards, backwards, strict=True):
        assert_same(a, b)
    for other in ({"seed": 6}, {"first_epoch": 1}):
        changed = batches_of(pictures, **(options | other))[0]
        assert (changed[0] != forwards[0][0]).any()


def test_every_picture_is_used_each_epoch_and_the_last_batch_is_full(tmp_path):
    greys = [20 * number for number in range(10)]
    plain = [
        write_picture(tmp_path / f"{grey}.png", np.full((64, 96, 3), grey, np.uint8), [], [])
        for grey in greys
    ]
    batches = batches_of(plain, augmentation=STILL)
    orders = []
    for epoch in range(3):
        batches.epoch = epoch
        shown = [int(pixels[32, 48, 0]) for number in range(3) for pixels in batches[number][0]]
        assert len(shown) == 12
        assert sorted(shown[:10]) == greys
        assert len(set(shown[10:])) == 2
        orders.append(tuple(shown))
    assert len(set(orders)) == 3


def test_fewer_pictures_than_a_batch_are_repeated(pictures):
    batches = batches_of(pictures[:3], batch_size=8, augmentation=Augmentation())
    assert len(batches) == 1
    assert len(batches[0][0]) == 8
    assert len(batches_of(pictures[:3], batch_size=8)[0][0]) == 3


def test_no_pictures_are_an_error():
    with pytest.raises(ValueError, match="expected at least one picture, got none"):
        batches_of([])


class Watch(keras.Model):
    """Keep the sum of each batch that `fit` hands over, and learn nothing."""

    def __init__(self):
        super().__init__()
        self.sums = []

    def call(self, pixels):
        return pixels

    def train_step(self, data):
        pixels, (*_, truths) = data
        self.sums.append((int(np.sum(pixels, dtype=np.int64)), float(np.sum(truths))))
        return {"loss": 0.0}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts TensorFlow's steps")
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_fit_draws_each_batch_with_its_own_epoch(pictures, workers):
    options = {"augmentation": Augmentation(), "seed": 3}
    expected = []
    for epoch in range(2, 5):
        drawn = batches_of(pictures, batch_size=2, first_epoch=epoch, **options)
        for number in range(len(drawn)):
            pixels, (*_, truths) = drawn[number]
            expected.append((int(pixels.sum(dtype=np.int64)), pytest.approx(float(truths.sum()))))
    batches = batches_of(pictures, batch_size=2, first_epoch=2, workers=workers, **options)
    watch = Watch()
    watch.compile(run_eagerly=True)
    watch.fit(batches, epochs=3, shuffle=False, verbose=0)
    assert watch.sums == expected
    assert batches.epoch == 5
    watch.sums.clear()
    batches.epoch = 2
    watch.fit(batches, epochs=3, shuffle=False, verbose=0)
    assert watch.sums == expected


def test_truths_have_room_for_four_times_the_most_crowded_picture(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 96, 3), np.uint8)
    corner = rng.uniform(10, 50, (30, 2))
    crowd = write_picture(
        tmp_path / "crowd.png", pixels, np.concatenate([corner, corner + 12], axis=1), [0] * 30
    )
    everything = Augmentation(mosaic=1.0, scale=(0.5, 0.6), stretch=1.0, visible=0.0)
    batches = batches_of([crowd], batch_size=8, augmentation=everything)
    _, (*_, truths) = batches[0]
    counts = (truths[..., 2] > 0).sum(axis=1)
    assert truths.shape[1] == 120
    assert counts.max() > 90
    assert batches_of([crowd], augmentation=STILL)[0][1][-1].shape[1] == 30
    assert batches_of([crowd])[0][1][-1].shape[1] == 30


def test_pictures_without_any_box_still_give_truths(tmp_path):
    pixels = np.zeros((64, 96, 3), np.uint8)
    empty = write_picture(tmp_path / "empty.png", pixels, [], [])
    for augmentation in (None, Augmentation(mosaic=1.0)):
        _, (*targets, truths) = batches_of([empty], augmentation=augmentation)[0]
        assert truths.shape[1] >= 1
        assert not truths.any()
        assert not any(target.any() for target in targets)


@pytest.mark.parametrize("augmentation", [None, STILL], ids=["validation", "training"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_boxes_of_a_turned_picture_lie_on_its_pixels(tmp_path, orientation, augmentation):
    shown = np.full((60, 90, 3), 128, np.uint8)
    shown[10:30, 20:70] = (255, 0, 0)
    stored = np.rot90(shown, {1: 0, 3: 2, 6: 1, 8: 3}[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = write_picture(
        tmp_path / "turned.png", np.ascontiguousarray(stored), [[20, 10, 70, 30]], [0], exif=exif
    )
    pixels, (*_, truths) = batches_of([picture], batch_size=1, augmentation=augmentation)[0]
    ink = pixels[0, ..., 0].astype(int) - pixels[0, ..., 1] > 128
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert_allclose(truths[0, 0], found, atol=1.5)
    assert (ink.sum() / (64 * 96)) == pytest.approx(50 * 20 / (60 * 90), rel=0.1)


def test_a_large_jpeg_is_decoded_smaller_with_its_box_in_place(tmp_path):
    shown = np.full((1200, 1800, 3), 128, np.uint8)
    shown[200:600, 400:1400] = (255, 0, 0)
    path = tmp_path / "large.jpg"
    Image.fromarray(shown).save(path, quality=95)
    picture = write_picture(tmp_path / "same.png", shown, [[400, 200, 1400, 600]], [0])
    (pixels, (*_, truths)), (whole, _) = (
        batches_of([one], batch_size=1, augmentation=STILL)[0]
        for one in (replace(picture, path=path), picture)
    )
    assert np.abs(pixels.astype(int) - whole).mean() < 2
    ink = pixels[0, ..., 0].astype(int) - pixels[0, ..., 1] > 128
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert_allclose(truths[0, 0], found, atol=1.0)


def test_augmented_pictures_may_come_in_order(pictures):
    ordered = batches_of(pictures, augmentation=STILL, seed=1, in_order=True)
    plain = batches_of(pictures)
    assert [len(ordered[number][0]) for number in range(3)] == [4, 4, 2]
    assert ordered.names(0, 2) == plain.names(0, 2)
    for number in range(3):
        for truths, expected in zip(ordered[number][1][-1], plain[number][1][-1], strict=True):
            sizes, wanted = (x[:, 2:] - x[:, :2] for x in (truths, expected))
            assert_allclose(sizes, wanted, atol=1e-4)


def test_cache_is_bounded_and_changes_no_pixel(pictures, monkeypatch):
    options = {"augmentation": Augmentation(), "seed": 1}
    whole = batches_of(pictures, **options)
    monkeypatch.setattr(module, "CACHE_BYTES", 3 * 96 * 64 * 4)
    small = batches_of(pictures, **options)
    monkeypatch.setattr(module, "CACHE_BYTES", 0)
    none = batches_of(pictures, **options)
    for number in [0, 1, 2, 0, 1, 2]:
        assert_same(small[number], whole[number])
        assert_same(none[number], whole[number])

    def kept_bytes(batches):
        kept = batches._cache._samples.values()
        return sum(sample.image.width * sample.image.height * 4 for sample in kept)

    assert len(whole._cache._samples) == 10
    assert 0 < kept_bytes(small) <= 3 * 96 * 64 * 4
    assert kept_bytes(none) == 0
