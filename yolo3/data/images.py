"""Pictures: read any file as upright RGB, and letterbox it for the network.

Training, evaluation and serving all read with `read_image` and all letterbox with `letterbox`, so
that the network sees the same pixels everywhere and boxes mean the same everywhere: pixels of the
picture as a viewer shows it, x to the right and y down from its top left corner, edges continuous
(a box over the whole picture is 0, 0, width, height).
"""

import io
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from yolo3.data.decoding import bytes_per_pixel, join_bytes, low_byte_tiles, to_rgb, uses_low_bytes
from yolo3.data.file_checks import has_more_scans, lacks_rows, lacks_strips

MAX_BYTES = 1 << 29  # of a file: what MAX_PIXELS take without compression, and more
MAX_PIXELS = 100_000_000  # how much memory they take, `decoding` estimates
MAX_SCANS = 100  # of a JPEG: each goes over all pixels, of a few bytes; encoders write some ten
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "AVIF")
BAR_GREY = 128

_UPRIGHT = {  # EXIF orientation -> what turns the stored pixels upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_CUT_SHORT = "is cut short (the end of the file is missing)"
_SIDES_SWAP = (5, 6, 7, 8)
_WARNINGS_LOCK = threading.Lock()  # warning filters belong to the process, not to the thread


class ImageError(ValueError):
    """Say in one sentence why these bytes are no usable picture."""


def read_image(source: bytes | Path, at_least: int = 0) -> Image.Image:
    """Read a picture as a viewer shows it, fully decoded.

    at_least: pixels of each side that suffice: a JPEG of twice that and more is decoded at a half,
    a quarter or an eighth of its size, in a fraction of the time. 0: its whole size.
    Returns mode RGB, 8 bits: EXIF orientation applied, the first frame of an animation,
    transparency on white, 16 bits scaled to 8 by those in use. Colour profiles are not applied.
    Raises ImageError, and nothing else, for whatever is not a whole picture of at most MAX_PIXELS.
    """
    with _explained():
        data = _bytes_of(source)
        rgb, orientation = _decoded(data, at_least)
        turn = _UPRIGHT.get(orientation)
        upright = rgb if turn is None else rgb.transpose(turn)
        upright.info.clear()  # an orientation left here would turn it again when it is saved
        return upright


def _decoded(data: bytes, at_least: int) -> tuple[Image.Image, int]:
    """Decode to RGB as it is stored, and give its orientation; the decoder's memory ends here."""
    with _opened(data) as image:
        _check_size(image.size)
        if image.format in ("JPEG", "MPO") and has_more_scans(data, MAX_SCANS):
            raise ImageError(f"has more than {MAX_SCANS} scans, save it again")
        if lacks_strips(image):
            raise ImageError(_CUT_SHORT)
        if at_least:
            image.draft(None, (at_least, at_least))
        tiles = low_byte_tiles(image)
        image.load()
        if lacks_rows(image, data):
            raise ImageError(_CUT_SHORT)
        if tiles and uses_low_bytes(image):
            with _opened(data) as low:
                low.tile = tiles
                join_bytes(image, low)
        return to_rgb(image), _orientation(image)


def image_size(source: bytes | Path) -> tuple[int, int]:
    """Read the width and height as a viewer shows them, from the header alone.

    Raises ImageError; a picture that is cut short passes, only `read_image` finds that.
    """
    with _explained(), _opened(_bytes_of(source)) as image:
        _check_size(image.size)
        width, height = image.size
        return (height, width) if _orientation(image) in _SIDES_SWAP else (width, height)


class Stored(NamedTuple):
    """How a picture's file is written, whatever its name says."""

    format: str  # Pillow's name: JPEG, PNG, WEBP, …
    orientation: int  # EXIF's, 1 to 8; 1: stored as it is shown

    @property
    def sides_swap(self) -> bool:
        """Tell whether the stored width is the height that a viewer shows."""
        return self.orientation in _SIDES_SWAP


def boxes_upright(
    boxes_xyxy: np.ndarray, orientation: int, stored_wh: tuple[int, int]
) -> np.ndarray:
    """Turn boxes (N, 4) in pixels of an image as it is stored into those of the image as shown."""
    width, height = stored_wh
    x, y = boxes_xyxy[:, 0::2], boxes_xyxy[:, 1::2]  # (N, 2) each
    if orientation in (2, 3, 7, 8):
        x = width - x
    if orientation in (3, 4, 6, 7):
        y = height - y
    across, down = (y, x) if orientation in _SIDES_SWAP else (x, y)
    corners = (across.min(1), down.min(1), across.max(1), down.max(1))
    return np.stack(corners, axis=1)


class Header(NamedTuple):
    """What an image's file says before it is decoded."""

    format: str  # Pillow's name
    pixels: int
    decoding_bytes: int  # of memory that reading it takes at its peak, estimated


def read_header(data: bytes) -> Header:
    """Read a file's header; raises ImageError, as `image_size` does."""
    with _explained(), _opened(_bytes_of(data)) as image:
        _check_size(image.size)
        pixels = image.width * image.height
        return Header(image.format, pixels, pixels * bytes_per_pixel(image, data))


def stored_as(source: bytes | Path) -> Stored:
    """Read how a file is written, from its header alone; raises ImageError."""
    with _explained(), _opened(_bytes_of(source)) as image:
        kind = "JPEG" if image.format == "MPO" else image.format  # a JPEG with further pictures
        orientation = _orientation(image)
        return Stored(kind, orientation if orientation in _UPRIGHT else 1)


class Letterbox(NamedTuple):
    """How a picture lies in the network's input.

    Each axis has its own scale, since the resized sides are whole pixels.
    """

    scale_xy: tuple[float, float]  # network pixels per picture pixel
    offset_xy: tuple[int, int]  # top left corner of the picture in the network's input
    size_wh: tuple[int, int]  # the picture
    network_wh: tuple[int, int]

    @property
    def resized_wh(self) -> tuple[int, int]:
        """Give the size of the picture in the network's input."""
        return round(self.size_wh[0] * self.scale_xy[0]), round(self.size_wh[1] * self.scale_xy[1])

    def to_network(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Map boxes (N, 4) from picture pixels to network pixels, float32."""
        boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
        return (boxes * (self.scale_xy * 2) + self.offset_xy * 2).astype(np.float32)

    def to_picture(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Map boxes (N, 4) from network pixels to picture pixels, float32, clipped to it."""
        boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
        mapped = (boxes - np.array(self.offset_xy * 2)) / (self.scale_xy * 2)
        return np.clip(mapped, 0.0, self.size_wh * 2).astype(np.float32)


def place(size_wh: tuple[int, int], network_wh: tuple[int, int]) -> Letterbox:
    """Compute where a picture lies: as large as fits, aspect kept, centred, at least one pixel."""
    scale = min(inside / side for side, inside in zip(size_wh, network_wh, strict=True))
    width, height = (
        min(inside, max(1, round(side * scale)))
        for side, inside in zip(size_wh, network_wh, strict=True)
    )
    return Letterbox(
        scale_xy=(width / size_wh[0], height / size_wh[1]),
        offset_xy=((network_wh[0] - width) // 2, (network_wh[1] - height) // 2),
        size_wh=tuple(size_wh),
        network_wh=tuple(network_wh),
    )


def letterbox(image: Image.Image, network_wh: tuple[int, int]) -> tuple[np.ndarray, Letterbox]:
    """Resize an RGB picture into the network's input, between grey bars.

    Returns uint8 pixels (H, W, 3), RGB, and the Letterbox that maps boxes there and back.
    """
    box = place(image.size, network_wh)
    width, height = box.resized_wh
    left, top = box.offset_xy
    pixels = np.full((network_wh[1], network_wh[0], 3), BAR_GREY, np.uint8)  # (H, W, 3)
    resized = image.resize((width, height), Image.Resampling.BILINEAR)  # antialiases
    pixels[top : top + height, left : left + width] = np.asarray(resized)
    return pixels, box


def read_picture_bytes(path: Path) -> bytes:
    """Read the file of a picture; raises ImageError for what is no file, or too large a one."""
    with _explained():
        try:
            if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
                raise ImageError("is a pipe or a device, expected a picture")  # it may never end
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except (FileNotFoundError, IsADirectoryError, PermissionError):
            raise
        except OSError as error:
            raise ImageError(f"cannot be opened ({error.strerror})") from error
    if len(data) > MAX_BYTES:
        raise ImageError(f"has more than {MAX_BYTES >> 20} MiB, save it smaller")
    return data


def _bytes_of(source: bytes | Path) -> bytes:
    data = read_picture_bytes(source) if isinstance(source, Path) else bytes(source)
    if not data:
        raise ImageError("is empty (0 bytes)")
    return data


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    Image.init()
    formats = tuple(name for name in FORMATS if name in Image.OPEN)
    with _WARNINGS_LOCK, warnings.catch_warnings():
        # What Pillow warns of (odd metadata, large sizes) is either harmless or checked here.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        image = Image.open(io.BytesIO(data), formats=formats)
    with image:
        yield image


@contextmanager
def _explained() -> Iterator[None]:
    """Turn whatever reading a picture raises into an ImageError; decoders raise nearly anything."""
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(_too_large()) from error
    except FileNotFoundError as error:
        raise ImageError("does not exist") from error
    except IsADirectoryError as error:
        raise ImageError("is a folder, expected a picture") from error
    except PermissionError as error:
        raise ImageError("cannot be opened (no permission)") from error
    except UnidentifiedImageError as error:
        raise ImageError("is not a picture of a known kind (JPEG, PNG, WebP, GIF, …)") from error
    except MemoryError as error:
        raise ImageError("needs more memory than there is") from error
    except Exception as error:
        raise ImageError(_reason(error)) from error


def _reason(error: Exception) -> str:
    if "truncated" in str(error).lower() or isinstance(error, EOFError):
        return _CUT_SHORT
    return "is damaged and cannot be decoded"


def _check_size(size_wh: tuple[int, int]) -> None:
    if size_wh[0] * size_wh[1] > MAX_PIXELS:
        raise ImageError(f"is {size_wh[0]}x{size_wh[1]} and {_too_large()}")


def _too_large() -> str:
    return f"has more than {MAX_PIXELS // 1_000_000} million pixels, save it smaller"


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":  # Pillow turns these itself, size included
        return 1
    try:
        with _WARNINGS_LOCK, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # viewers show a picture with broken EXIF as it is stored
        return 1
