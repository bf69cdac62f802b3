import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from yolo3.data.file_checks import has_more_scans, lacks_rows


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def count(jpeg):
    return next(most for most in itertools.count() if not has_more_scans(jpeg, most))


def noise(size=(64, 48)):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8))


def test_scans_are_counted_up_to_the_end_marker():
    plain = encoded(noise(), "JPEG", quality=100, restart_marker_rows=1)
    assert b"\xff\xd0" in plain and b"\xff\x00" in plain
    several = encoded(noise(), "JPEG", progressive=True)
    assert count(plain) == 1 and count(several) == several.count(b"\xff\xda") > 5
    assert count(plain + several) == 1


def test_a_marker_inside_a_segment_is_none():
    comment = b"\xff\xfe\x00\x0a" + b"\xff\xda\xff\xd9" * 2
    plain = encoded(noise(), "JPEG")
    assert count(plain[:2] + comment + plain[2:]) == 1
    assert count(plain[:2] + comment[:2] + b"\xff" * 3 + b"\xd9" + plain[2:]) == 0


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda", b"\xff\xd8\xff\xe0\x00\x00" * 9]
)
def test_what_is_no_jpeg_ends_the_count(data):
    assert count(data) <= 1


def png(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def test_black_rows_are_rows():
    data = encoded(Image.new("RGB", (64, 48)), "PNG")
    assert not lacks_rows(png(data), data)


def chunk(name, data):
    check = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + check


@pytest.mark.parametrize(("count", "lacking"), [(15, False), (14, True), (11, True), (4, True)])
def test_interlaced_rows_are_counted(count, lacking):
    head = struct.pack(">IIBBBBB", 3, 3, 8, 0, 0, 0, 1)  # grey; five of the seven passes hold some
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(count))) + chunk(b"IEND", b"")
    image = Image.new("L", (3, 3), 9)
    image.format, image.info["interlace"] = "PNG", 1
    assert lacks_rows(image, b"\x89PNG\r\n\x1a\n" + data) == lacking
