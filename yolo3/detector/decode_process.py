"""Decode in a process of its own, for decoders that let no other thread run meanwhile.

Pillow's for JPEG 2000 takes up to 15 seconds for 100 million pixels, in which a server would answer
nobody, its health route neither. The process runs this module.
"""

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from yolo3.data.images import ImageError, Letterbox, letterbox, place, read_image

_ROOT = Path(__file__).resolve().parents[2]
_SIZE = struct.Struct("<2I")
_REFUSED = 3  # exit status


def read_in_process(data: bytes, timeout: float) -> Image.Image:
    """Read an image as `read_image(data)` does.

    Raises ImageError, and TimeoutError after so many seconds.
    """
    size_wh, pixels = _answer(data, timeout)
    return Image.frombuffer("RGB", size_wh, pixels)


def prepare_in_process(
    data: bytes, network_wh: tuple[int, int], timeout: float
) -> tuple[np.ndarray, Letterbox]:
    """Read and letterbox an image as `letterbox(read_image(data), network_wh)` does.

    Raises as `read_in_process` does.
    """
    size_wh, answer = _answer(data, timeout, *map(str, network_wh))
    pixels = np.frombuffer(answer, np.uint8).reshape(network_wh[1], network_wh[0], 3)
    return pixels, place(size_wh, network_wh)


def _answer(data: bytes, timeout: float, *arguments: str) -> tuple[tuple[int, int], memoryview]:
    """Ask a process for an image's size and its pixels."""
    paths = filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")])
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", __name__, *arguments],
            input=data,
            capture_output=True,
            check=False,
            timeout=min(timeout, 1e6),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error
    if done.returncode == _REFUSED:
        raise ImageError(done.stderr.decode())
    if done.returncode < 0:  # the system ended it
        raise ImageError("needs more memory than there is")
    if done.returncode:
        raise RuntimeError(f"decoding ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    return _SIZE.unpack_from(done.stdout), memoryview(done.stdout)[_SIZE.size :]


def _main(*network_wh: str) -> None:
    try:
        image = read_image(sys.stdin.buffer.read())
    except ImageError as error:
        sys.stderr.write(str(error))
        sys.exit(_REFUSED)
    pixels = letterbox(image, tuple(map(int, network_wh)))[0] if network_wh else image
    sys.stdout.buffer.write(_SIZE.pack(*image.size) + pixels.tobytes())


if __name__ == "__main__":
    _main(*sys.argv[1:])
