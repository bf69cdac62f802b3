"""Small pictures on disk, each of a colour of its own, with boxes."""

import hashlib

import numpy as np
from PIL import Image

from yolo3.data.annotations import Picture
from yolo3.data.images import image_size


def write_picture(path, pixels, boxes_xyxy, class_ids, exif=None):
    """Write a picture without loss, and label it."""
    Image.fromarray(pixels).save(path, **({"exif": exif} if exif else {}))
    return Picture(
        path=path,
        boxes_xyxy=np.array(boxes_xyxy, np.float32).reshape(-1, 4),
        class_ids=np.array(class_ids, np.int64),
        size_wh=image_size(path),
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        source=f"list.txt:{path.name}",
    )


def write_pictures(folder, count, seed=0):
    """Write pictures of noise, of several sizes, with 0 to 3 boxes each."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for number in range(count):
        width, height = (int(side) for side in rng.integers(40, 120, 2))
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        boxes = number % 4
        corner = rng.uniform(0, 20, (boxes, 2))
        boxes_xyxy = np.concatenate([corner, corner + rng.uniform(8, 19, (boxes, 2))], axis=1)
        pictures.append(
            write_picture(folder / f"{number}.png", pixels, boxes_xyxy, rng.integers(0, 2, boxes))
        )
    return pictures
