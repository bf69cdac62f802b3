"""Batches for training and validation: decoded, letterboxed, augmented, encoded on the grid."""

import threading
from collections.abc import Callable, Sequence

import keras
import numpy as np
from PIL import Image

from yolo3.data.annotations import Picture
from yolo3.data.augmentation import Augmentation, Sample, augment
from yolo3.data.images import letterbox, place, read_image

CACHE_BYTES = 1 << 30
QUEUE = 4  # batches that wait for the step


def picture_bytes(size_wh: tuple[int, int]) -> int:
    """Give what a decoded picture takes: Pillow keeps four bytes for an RGB pixel."""
    return size_wh[0] * size_wh[1] * 4


class Batches(keras.utils.PyDataset):
    """Give batches (pixels, (target per scale, …, truths)).

    pixels: uint8 (B, H, W, 3); targets as `encode` makes them, stacked; truths (B, T, 4), xyxy in
    pixels of the input, padded with zeros to the largest number of boxes that can occur.

    With `augmentation` the order is shuffled each epoch, the last batch is filled from the start of
    a further shuffle, and every draw comes from (seed, epoch, position): neither the number of
    workers nor what ran before changes a pixel. Without it, pictures come in order, unchanged, and
    the last batch is short.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        input_wh: tuple[int, int],
        encode: Callable[[np.ndarray, np.ndarray], list[np.ndarray]],
        batch_size: int,
        *,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        first_epoch: int = 0,
        workers: int = 1,
    ):
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=QUEUE)
        if not pictures:
            raise ValueError("expected at least one picture, got none")
        self.pictures = list(pictures)
        self.input_wh = input_wh
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = first_epoch
        self._within_epoch = False
        self._encode = encode
        self._truths = self._most_truths()
        self._cache = _PictureCache(input_wh, CACHE_BYTES)

    def __len__(self):
        return -(-len(self.pictures) // self.batch_size)

    @property
    def cached_bytes(self) -> int:
        """Give what the pictures take that are kept by now."""
        return self._cache.used_bytes

    def on_epoch_begin(self):
        self._within_epoch = True

    def on_epoch_end(self):
        """Count an epoch that has begun; Keras also calls this once before the first."""
        self.epoch += self._within_epoch
        self._within_epoch = False

    def __getitem__(self, index):
        epoch = self.epoch
        order = self._order(epoch) if self.augmentation else np.arange(len(self.pictures))
        start = index * self.batch_size
        samples = [
            self._sample(order[position], epoch, position)
            for position in range(start, min(start + self.batch_size, len(order)))
        ]
        return self._stack(samples)

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
            pixels, box = letterbox(read_image(picture.path), self.input_wh)
            return pixels, box.to_network(picture.boxes_xyxy), picture.class_ids
        rng = np.random.default_rng([self.seed, epoch, int(position)])

        def draw(chooser):
            chosen = number if chooser is None else chooser.integers(len(self.pictures))
            return self._cache.read(self.pictures[chosen])

        return augment(draw, self.input_wh, self.augmentation, rng)

    def _stack(self, samples):
        truths = np.zeros((len(samples), self._truths, 4), np.float32)
        targets = []
        for row, (_, boxes_xyxy, class_ids) in enumerate(samples):
            truths[row, : len(boxes_xyxy)] = boxes_xyxy
            targets.append(self._encode(boxes_xyxy, class_ids))
        pixels = np.stack([pixels for pixels, _, _ in samples])  # (B, H, W, 3)
        return pixels, (*map(np.stack, zip(*targets, strict=True)), truths)

    def _most_truths(self):
        most = sorted((len(picture.boxes_xyxy) for picture in self.pictures), reverse=True)[0]
        return max(1, most * (self.augmentation.sources if self.augmentation else 1))


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
        image = read_image(picture.path)
        box = place(image.size, self._input_wh)
        width, height = box.resized_wh
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
