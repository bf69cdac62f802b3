"""What decoding an image takes, and how its pixels become 8-bit RGB."""

import sys
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
_WHITES = tuple(2.0**bits - 1 for bits in (8, 10, 12, 14, 16))  # of sensors and their files

_LOW_BYTES = {  # raw modes whose high bytes Pillow keeps -> those that give it the low ones
    "RGB;16B": "RGB;16L",
    "RGB;16L": "RGB;16B",
    "RGB;16N": "RGB;16B" if sys.byteorder == "little" else "RGB;16L",
}


def bytes_per_pixel(image: Image.Image, data: bytes) -> int:
    """Estimate the memory that reading an open image takes at its peak.

    Measured in fresh processes for each format and mode, and rounded up.
    """
    if image.format in ("JPEG", "MPO") and has_more_scans(data, 1):
        return _BYTES_PER_PIXEL_OF_SCANS
    return _BYTES_PER_PIXEL.get(image.format, _BYTES_PER_PIXEL_OF_OTHERS)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a decoded image: transparency on white, numbers above 8 bits scaled to 8.

    Numbers are scaled by the bits that the image uses: cameras write 10, 12 or 14 bits into 16.
    What takes several steps is done block by block: whole copies would take gigabytes.
    """
    if image.mode == "RGB" and not image.has_transparency_data:
        return image._new(image.im)  # the same pixels, without the file's decoder
    numbers = image.mode.startswith(("I", "F"))
    if not (numbers or image.has_transparency_data):
        return image.convert("RGB")
    white = _white(image) if numbers else 0.0
    rgb = Image.new("RGB", image.size)
    for box in _blocks(image.size):
        rgb.paste(_block_to_rgb(image.crop(box), white), box)
    return rgb


def low_byte_tiles(image: Image.Image) -> list:
    """Give the tiles that decode the low bytes of 16-bit colours; none for any other image.

    Before the image is loaded: Pillow keeps 8 bits of a colour, the high byte, and forgets its
    tiles.
    """
    tiles = []
    for tile in image.tile:
        mode, *rest = [tile.args] if isinstance(tile.args, str) else tile.args or [""]
        if mode not in _LOW_BYTES:
            return []
        args = (_LOW_BYTES[mode], *rest)
        tiles.append(tile._replace(args=args if rest else args[0]))
    return tiles


def uses_low_bytes(image: Image.Image) -> bool:
    """Tell whether the high bytes of 16-bit colours hold 14 bits or fewer."""
    return max(high for _, high in image.getextrema()) < 64


def join_bytes(high: Image.Image, low: Image.Image) -> None:
    """Scale colours by the bits that they use, in place."""
    brightest = max(most for _, most in high.getextrema())
    white = next(white for white in _WHITES if brightest < (white + 1) / 256)
    for box in _blocks(high.size):
        values = np.asarray(high.crop(box), np.uint16) * 256 + np.asarray(low.crop(box))
        scaled = np.rint(values * np.float32(255.0 / white))
        high.paste(Image.fromarray(scaled.astype(np.uint8)), box)


def _blocks(size_wh: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Divide an image into boxes, xyxy."""
    width, height = size_wh
    for top in range(0, height, _BLOCK):
        for left in range(0, width, _BLOCK):
            yield left, top, min(left + _BLOCK, width), min(top + _BLOCK, height)


def _block_to_rgb(block: Image.Image, white: float) -> Image.Image:
    if white:
        scaled = np.rint(_finite(block) * np.float32(255.0 / white))
        return Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8)).convert("RGB")
    rgba = block if block.mode == "RGBA" else block.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, BACKGROUND), rgba).convert("RGB")


def _white(image: Image.Image) -> float:
    """Find what is white: the fewest usual bits that hold the brightest number, else that number.

    Floats are often fractions of 1.
    """
    brightest = max(float(_finite(image.crop(box)).max()) for box in _blocks(image.size))
    usual = (1.0, *_WHITES) if image.mode == "F" else _WHITES
    return next((level for level in usual if brightest <= level), brightest)


def _finite(block: Image.Image) -> np.ndarray:
    values = np.asarray(block)
    return np.where(np.isfinite(values), values, 0) if block.mode == "F" else values
