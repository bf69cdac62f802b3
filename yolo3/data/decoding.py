"""What decoding an image takes, and how its pixels become 8-bit RGB."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from yolo3.data.file_checks import has_more_scans

BACKGROUND = (255, 255, 255)  # shows through transparency, as on a web page
LARGEST_BYTES_PER_PIXEL = 25

_BYTES_PER_PIXEL = {"JPEG2000": LARGEST_BYTES_PER_PIXEL, "AVIF": 20, "WEBP": 18}
_BYTES_PER_PIXEL_OF_SCANS = 13  # a JPEG of several, whose decoder keeps all coefficients
_BYTES_PER_PIXEL_OF_OTHERS = 9

_BLOCK = 512  # pixels of a side
_SIXTEEN_TO_EIGHT = ((np.arange(65536, dtype=np.uint32) + 128) // 257).astype(np.uint8)


def bytes_per_pixel(image: Image.Image, data: bytes) -> int:
    """Estimate the memory that reading an open image takes at its peak.

    Measured in fresh processes for each format and mode, and rounded up.
    """
    if image.format in ("JPEG", "MPO") and has_more_scans(data, 1):
        return _BYTES_PER_PIXEL_OF_SCANS
    return _BYTES_PER_PIXEL.get(image.format, _BYTES_PER_PIXEL_OF_OTHERS)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a decoded image: transparency on white, 16 bits scaled to 8.

    What takes several steps is done block by block: whole copies would take gigabytes.
    """
    if image.mode == "RGB" and not image.has_transparency_data:
        return image._new(image.im)  # the same pixels, without the file's decoder
    numbers = image.mode in ("I", "F")
    if not (numbers or image.mode.startswith("I;16") or image.has_transparency_data):
        return image.convert("RGB")
    white = _white(image) if numbers else 0.0
    rgb = Image.new("RGB", image.size)
    for box in _blocks(image.size):
        rgb.paste(_block_to_rgb(image.crop(box), white), box)
    return rgb


def _blocks(size_wh: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Divide an image into boxes, xyxy."""
    width, height = size_wh
    for top in range(0, height, _BLOCK):
        for left in range(0, width, _BLOCK):
            yield left, top, min(left + _BLOCK, width), min(top + _BLOCK, height)


def _block_to_rgb(block: Image.Image, white: float) -> Image.Image:
    if block.mode.startswith("I;16"):
        return Image.fromarray(_SIXTEEN_TO_EIGHT[np.asarray(block)]).convert("RGB")
    if block.mode in ("I", "F"):
        scaled = np.rint(_finite(block) * (255.0 / white))
        return Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8)).convert("RGB")
    rgba = block if block.mode == "RGBA" else block.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, BACKGROUND), rgba).convert("RGB")


def _white(image: Image.Image) -> float:
    """Find what is white among whole numbers (mode I) or floats (F): a usual value, or the most."""
    brightest = max(float(_finite(image.crop(box)).max()) for box in _blocks(image.size))
    usual = (1.0, 255.0, 65535.0) if image.mode == "F" else (65535.0,)
    return next((level for level in usual if brightest <= level), brightest)


def _finite(block: Image.Image) -> np.ndarray:
    values = np.asarray(block).astype(np.float32)
    return np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
