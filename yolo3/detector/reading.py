"""Decode the images of requests: as many at a time as the memory that they take allows."""

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from yolo3.data.decoding import LARGEST_BYTES_PER_PIXEL
from yolo3.data.images import MAX_PIXELS, Header, letterbox, read_image
from yolo3.detector.cores import usable_cores
from yolo3.detector.decode_process import prepare_in_process, read_in_process
from yolo3.detector.detector import Prepared
from yolo3.detector.fair_semaphore import FairSemaphore
from yolo3.detector.limits import Deadline

DECODING_BYTES = MAX_PIXELS * LARGEST_BYTES_PER_PIXEL
"""Of memory for all images that are decoded at a time: what the largest one takes alone."""

PROCESS_PIXELS = 4_000_000  # of a JPEG 2000; fewer are decoded before another process would start

_memory = FairSemaphore(DECODING_BYTES)


@contextmanager
def memory_for(header: Header, deadline: Deadline) -> Iterator[None]:
    """Hold the memory for one image; no more of them at a time than there are cores."""
    part = max(header.decoding_bytes, DECODING_BYTES / usable_cores())
    try:
        with _memory.take(min(part, DECODING_BYTES), deadline.remaining()):
            yield
    except TimeoutError as error:
        raise deadline.exceeded() from error


def prepare(
    data: bytes, header: Header, network_wh: tuple[int, int], deadline: Deadline
) -> Prepared:
    """Read and letterbox an image; raises ImageError, and as a Deadline does."""
    with memory_for(header, deadline):
        if _needs_process(header):
            return prepare_in_process(data, network_wh, deadline.remaining())
        return letterbox(read_image(data), network_wh)


def read(data: bytes, header: Header, deadline: Deadline) -> Image.Image:
    """Read an image, in memory that the caller holds; raises as `prepare` does."""
    if _needs_process(header):
        return read_in_process(data, deadline.remaining())
    return read_image(data)


def _needs_process(header: Header) -> bool:
    return header.format == "JPEG2000" and header.pixels > PROCESS_PIXELS
