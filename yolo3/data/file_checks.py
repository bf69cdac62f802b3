"""Whether an image's file is whole, where its decoder does not say."""

import re
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

_SOS, _EOI = 0xDA, 0xD9
_MARKER = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd7])")  # not: data, and markers without a length
_PASSES = (  # of an interlaced PNG: first column and row, and steps to the next
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG's colour type
_READ = 1 << 16


def has_more_scans(jpeg: bytes, most: int) -> bool:
    """Say whether a JPEG has more than `most` scans up to its end marker, as decoders find it."""
    scans, place = 0, 2
    while scans <= most and (found := _MARKER.search(jpeg, place)):
        marker, place = found[1][0], found.end()
        if marker == _EOI:
            break
        scans += marker == _SOS
        place += int.from_bytes(jpeg[place : place + 2])
    return scans > most


def lacks_strips(image: Image.Image) -> bool:
    """Say whether a TIFF that is open, but not decoded, lists too few strips or tiles."""
    extents = {tile.extents for tile in image.tile}
    covered = sum((right - left) * (below - top) for left, top, right, below in extents)
    return image.format == "TIFF" and covered < image.width * image.height


def lacks_rows(image: Image.Image, data: bytes) -> bool:
    """Say whether a PNG that was decoded without an error ends before its last row.

    What is missing stays 0, so few others have to be unpacked a second time to count their bytes.
    """
    if image.format != "PNG":
        return False
    last = image.crop((0, image.height - 1, *image.size))
    if np.asarray(last).any() and not image.info.get("interlace"):
        return False
    chunks = list(_png_chunks(data))
    missing = _png_bytes(next(content for name, content in chunks if name == b"IHDR"))
    unpacking = zlib.decompressobj()
    for name, content in chunks:
        rest = content if name == b"IDAT" else b""
        while rest and missing > 0 and not unpacking.eof:
            missing -= len(unpacking.decompress(rest, _READ))
            rest = unpacking.unconsumed_tail
    return missing > 0


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    place = 8
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        yield name, memoryview(data)[place + 8 : place + 8 + length]
        place += length + 12


def _png_bytes(header: memoryview) -> int:
    """Count the bytes that a PNG's rows unpack to; each row has one more for its filter."""
    width, height, depth, colour, interlace = struct.unpack_from(">IIBB2xB", header)
    total = 0
    for left, top, across, down in _PASSES if interlace else [(0, 0, 1, 1)]:
        columns, rows = -(-max(0, width - left) // across), -(-max(0, height - top) // down)
        total += rows * (1 + -(-columns * depth * _CHANNELS[colour] // 8)) if columns else 0
    return total
