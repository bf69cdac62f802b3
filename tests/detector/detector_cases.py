"""What the tests of the detector share: a network, photographs, files."""

import base64
import io
import struct
import zlib
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from yolo3.network.model import build_network, output_layers

LOCK = Path(__file__).resolve().parents[2] / "requirements.txt"
ANCHORS = ((6, 8), (10, 14), (16, 12), (20, 30), (40, 28), (60, 50))


def make_network(spec, seed, precision="float32"):
    """Build a random network that is sure of finding something, differently in every picture."""
    keras.utils.set_random_seed(seed)
    network = build_network(spec, precision)
    rng = np.random.default_rng(seed)
    for layer in output_layers(network):
        kernel, bias = layer.get_weights()
        kernel = rng.normal(0, 0.2, kernel.shape).astype(np.float32)
        layer.set_weights([kernel, np.zeros_like(bias)])
    return network


def make_photo(seed, size_wh):
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    return coarse.resize(size_wh, Image.Resampling.BICUBIC)


def file_bytes(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def as_text(data):
    return base64.b64encode(data).decode("ascii")


def header_only(width, height):
    """Write a PNG that says how large it is and holds nothing."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", b""), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
