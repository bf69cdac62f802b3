"""Batches for training and validation: samples, encoded on the grid, as Keras takes them."""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from yolo3.data.augmentation import Augmentation
from yolo3.data.pictures import Picture
from yolo3.data.samples import Samples

QUEUE = 4  # batches that wait for the step


class Batches(Samples, keras.utils.PyDataset):
    """Give batches (pixels, (target per scale, …, truths)) of what Samples draws.

    pixels: uint8 (B, H, W, 3); targets as `encode` makes them, stacked; truths (B, T, 4), xyxy in
    pixels of the input, padded with zeros to the largest number of boxes that can occur.
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
        if not pictures:
            raise ValueError("expected at least one picture, got none")
        keras.utils.PyDataset.__init__(
            self, workers=workers, use_multiprocessing=False, max_queue_size=QUEUE
        )
        Samples.__init__(
            self,
            pictures,
            input_wh,
            batch_size,
            augmentation=augmentation,
            seed=seed,
            in_order=in_order,
        )
        self.epoch = first_epoch
        self.encode = encode
        self._within_epoch = False
        self.most_truths = self._most_truths()

    def on_epoch_begin(self):
        self._within_epoch = True

    def on_epoch_end(self):
        """Count an epoch that has begun, for a plain `fit`; `training.stages` sets each epoch."""
        self.epoch += self._within_epoch
        self._within_epoch = False

    def __getitem__(self, index):
        pixels, labels = self.labelled(self.epoch, index)
        return pixels, self._targets(labels)

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
