"""Samples: images as training and validation see them, decoded, letterboxed and augmented.

Apart from `batches`, which needs Keras, so that the report of a check draws what a training draws.
"""

import threading
from collections.abc import Sequence

import numpy as np
from PIL import Image

from yolo3.data.augmentation import Augmentation, Sample, augment
from yolo3.data.images import letterbox, place
from yolo3.data.pictures import DataError, Picture, read_again

CACHE_BYTES = 1 << 30


def picture_bytes(size_wh: tuple[int, int]) -> int:
    """Give what a decoded picture takes: Pillow keeps four bytes for an RGB pixel."""
    return size_wh[0] * size_wh[1] * 4


class Samples:
    """Give pixels uint8 (B, H, W, 3), and each image's boxes and class ids, batch by batch.

    With `augmentation` the order is shuffled each epoch, the last batch is filled from the start of
    a further shuffle, and every draw comes from (seed, epoch, position): neither the number of
    workers nor what ran before changes a pixel. Without it, images come in order, unchanged, and
    the last batch is short. With `in_order`, augmented images come in order as well.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        input_wh: tuple[int, int],
        batch_size: int,
        *,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        in_order: bool = False,
    ):
        self.pictures = list(pictures)
        self.input_wh = input_wh
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.seed = seed
        self._shuffled = augmentation is not None and not in_order
        self.failure: DataError | None = None
        self._cache = _PictureCache(input_wh, CACHE_BYTES)

    def __len__(self):
        return -(-len(self.pictures) // self.batch_size)

    @property
    def cached_bytes(self) -> int:
        """Give what the pictures take that are kept by now."""
        return self._cache.used_bytes

    def labelled(self, epoch: int, index: int) -> tuple[np.ndarray, list]:
        """Give a batch's pixels (B, H, W, 3) and each picture's boxes and class ids as they are."""
        start = index * self.batch_size
        try:
            samples = [
                self._sample(number, epoch, start + place)
                for place, number in enumerate(self._numbers(epoch, index))
            ]
        except DataError as error:
            self.failure = error
            raise
        return np.stack([pixels for pixels, _, _ in samples]), [sample[1:] for sample in samples]

    def names(self, epoch: int, index: int) -> list[str]:
        """Name the pictures of a batch; what a mosaic adds to them is not named."""
        return [str(self.pictures[number].path) for number in self._numbers(epoch, index)]

    def _numbers(self, epoch, index):
        """Give the numbers of the pictures of a batch."""
        order = self._order(epoch) if self._shuffled else np.arange(len(self.pictures))
        return order[index * self.batch_size : (index + 1) * self.batch_size]

    def _order(self, epoch):
        """Shuffle the pictures, and again, until whole batches are full."""
        rng = np.random.default_rng([self.seed, epoch])
        wanted = len(self) * self.batch_size
        rounds = -(-wanted // len(self.pictures))
        shuffles = [rng.permutation(len(self.pictures)) for _ in range(rounds)]
        return np.concatenate(shuffles)[:wanted]

    def _sample(self, number, epoch, position):
        if not self.augmentation:
            picture = self.pictures[number]
            pixels, box = letterbox(read_again(picture), self.input_wh)
            return pixels, box.to_network(picture.boxes_xyxy), picture.class_ids
        rng = np.random.default_rng([self.seed, epoch, position])

        def draw(chooser):
            chosen = number if chooser is None else chooser.integers(len(self.pictures))
            return self._cache.read(self.pictures[chosen])

        return augment(draw, self.input_wh, self.augmentation, rng)


class _PictureCache:
    """Keep pictures as they are scaled for the network, up to a number of bytes."""

    def __init__(self, input_wh, limit_bytes):
        self.used_bytes = 0
        self._input_wh = input_wh
        self._limit_bytes = limit_bytes
        self._samples = {}
        self._lock = threading.Lock()

    def read(self, picture: Picture) -> Sample:
        kept = self._samples.get(picture.path)
        if kept is not None:
            return kept
        box = place(picture.size_wh, self._input_wh)
        width, height = box.resized_wh
        image = read_again(picture, at_least=max(width, height))
        sample = Sample(
            image.resize((width, height), resample=Image.Resampling.BILINEAR),
            picture.boxes_xyxy * np.tile(np.float32(box.scale_xy), 2),
            picture.class_ids,
        )
        cost = picture_bytes((width, height))
        with self._lock:
            room = self.used_bytes + cost <= self._limit_bytes
            if room and picture.path not in self._samples:
                self.used_bytes += cost
                self._samples[picture.path] = sample
        return sample
