"""Batches for training and validation: decoded, letterboxed, augmented, encoded on the grid."""

import threading
from collections.abc import Callable, Sequence

import keras
import numpy as np
from PIL import Image

from yolo3.data.augmentation import Augmentation, Sample, augment
from yolo3.data.images import letterbox, place
from yolo3.data.pictures import DataError, Picture, read_again

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
    the last batch is short. With `in_order`, augmented pictures come in order as well.
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
        in_order: bool = False,
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
        self.encode = encode
        self._shuffled = augmentation is not None and not in_order
        self._within_epoch = False
        self.failure: DataError | None = None
        self.most_truths = self._most_truths()
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
        """Count an epoch that has begun, for a plain `fit`; `training.stages` sets each epoch."""
        self.epoch += self._within_epoch
        self._within_epoch = False

    def __getitem__(self, index):
        pixels, labels = self.labelled(self.epoch, index)
        return pixels, self._targets(labels)

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

    def _targets(self, labels):
        """Encode each picture's boxes and class ids, and stack."""
        truths = np.zeros((len(labels), self.most_truths, 4), np.float32)
        targets = []
        for row, (boxes_xyxy, class_ids) in enumerate(labels):
            truths[row, : len(boxes_xyxy)] = boxes_xyxy
            targets.append(self.encode(boxes_xyxy, class_ids))
        return (*map(np.stack, zip(*targets, strict=True)), truths)

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
