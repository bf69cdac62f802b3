"""Images with boxes for a page: inline SVG, up to a number of bytes in all."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from yolo3.data.images import ImageError, read_image
from yolo3.data.pictures import Picture

THUMBNAIL_WIDTH = 320  # pixels; three quarters as high
_QUALITY = 72
_MOST_OVERHANG = 0.4  # of the picture's side, that is shown of a box past the edge
_SMALL = 0.04  # of the picture's diagonal: a smaller box gets a ring that leads to it
_SHOWN_WIDTH = 250  # CSS pixels that an image usually gets on the page, three quarters as high
_LETTER_WH = (6.6, 13)  # CSS pixels of a label's letter
_MOST_LABELS = 40  # of an image

Box = Sequence[float]  # x1, y1, x2, y2


class Shots:
    """Draw images as SVG, each embedded once, until one no longer fits into a number of bytes.

    name: begins the ids of what is embedded; no other Shots of the page may have it.
    width: pixels of the embedded images, three quarters as high at most.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        most_bytes: int,
        name: str = "image",
        width: int = THUMBNAIL_WIDTH,
    ):
        self._class_names = class_names
        self._left = most_bytes
        self._name = name
        self._inside_wh = (width, width * 3 // 4)
        self._ids: dict[str, str] = {}

    def draw(self, picture: Picture, marked_xyxy: Sequence[Box] = (), labels: bool = False) -> str:
        """Draw an image and its boxes, some of them marked; with `labels`, names on the others.

        Returns "" where no bytes are left for it, or its file is gone.
        """
        if not self._left:
            return ""
        known = self._ids.get(picture.digest)
        try:
            small = None if known else read_image(picture.path, at_least=self._inside_wh[0])
        except ImageError:  # gone since it was read
            return ""
        name = known or f"{self._name}{len(self._ids)}"
        shown = f'<use href="#{name}"/>' if known else self._embed(small, picture.size_wh, name)
        marked = {tuple(box) for box in marked_xyxy}
        rows = zip(picture.boxes_xyxy.tolist(), picture.class_ids.tolist(), strict=True)
        others = [(box, class_id) for box, class_id in rows if tuple(box) not in marked]
        view = _view(picture.size_wh, marked_xyxy)
        marks = _marks(marked_xyxy, picture.size_wh)
        unit = max(view[2], view[3] / 0.75) / _SHOWN_WIDTH  # of the image, per CSS pixel
        names = self._labels(others, view, unit) if labels else ""
        drawn = self._svg(view, shown + self._boxes(others) + marks + names)
        if drawn:
            self._ids.setdefault(picture.digest, name)
        return drawn

    def draw_sample(self, pixels: np.ndarray, boxes_xyxy: np.ndarray, class_ids: np.ndarray) -> str:
        """Draw pixels (H, W, 3) and their boxes with names; "" where no bytes are left."""
        image = Image.fromarray(pixels)
        view = _view(image.size, ())
        rows = list(zip(boxes_xyxy.tolist(), class_ids.tolist(), strict=True))
        labels = self._labels(rows, view, view[2] / _SHOWN_WIDTH)
        return self._svg(view, self._embed(image, image.size) + self._boxes(rows) + labels)

    def _svg(self, view: Sequence[float], inside: str) -> str:
        numbers = " ".join(f"{value:.6g}" for value in view)
        text = f'<svg class="shot" viewBox="{numbers}" role="img">{inside}</svg>'
        size = len(text.encode())
        fits = size <= self._left
        self._left = self._left - size if fits else 0  # what follows is not even read
        return text if fits else ""

    def _embed(self, image: Image.Image, size_wh: tuple[int, int], name: str = "") -> str:
        small = image.copy()
        small.thumbnail(self._inside_wh)
        data = io.BytesIO()
        small.save(data, "JPEG", quality=_QUALITY, optimize=True)
        text = base64.b64encode(data.getvalue()).decode("ascii")
        known_as = f'id="{name}" ' if name else ""
        return (
            f'<image {known_as}width="{size_wh[0]}" height="{size_wh[1]}"'
            f' preserveAspectRatio="none" href="data:image/jpeg;base64,{text}"/>'
        )

    def _boxes(self, rows: Sequence[tuple[Box, int]]) -> str:
        """Draw boxes, those of a class in one path, which tells its name to the pointer."""
        by_class: dict[int, list[Box]] = {}
        for box, class_id in rows:
            by_class.setdefault(class_id, []).append(box)
        paths = [_path(boxes, "casing") for boxes in by_class.values()]
        paths += [_path(boxes, "other", self._title(n)) for n, boxes in by_class.items()]
        return "".join(paths)

    def _title(self, class_id: int) -> str:
        return f"<title>{escape(self._class_names[class_id])}</title>"

    def _labels(self, rows: Sequence[tuple[Box, int]], view: Sequence[float], unit: float) -> str:
        """Write names above, in or below boxes, of large ones first; none on top of another."""
        taken: list[Box] = []
        drawn = ""
        for box, class_id in sorted(rows, key=lambda row: -_area(row[0]))[:_MOST_LABELS]:
            text = self._class_names[class_id]
            width, height = _LETTER_WH[0] * unit * len(text), _LETTER_WH[1] * unit
            left = max(view[0], min(box[0], view[0] + view[2] - width))
            tops = (box[1] - height, box[1], box[3])
            places = [(left, top, left + width, top + height) for top in tops if top >= view[1]]
            place = next((place for place in places if not _covers(place, taken)), None)
            if place:
                taken.append(place)
                at = f'x="{left:.5g}" y="{place[3] - 0.2 * height:.5g}"'
                drawn += f'<text {at} font-size="{11 * unit:.4g}">{escape(text)}</text>'
        return drawn


def figure(drawn: str, path: Path, named: bool = True) -> str:
    """Put an image into a figure that tells its file, below it or to the pointer alone."""
    caption = f"<figcaption>{escape(path.name)}</figcaption>" if named else ""
    return f"<figure title='{escape(path.name)}'>{drawn}{caption}</figure>"


def _view(size_wh: tuple[int, int], boxes_xyxy: Sequence[Box]) -> list[float]:
    """Give the SVG view (x, y, width, height): the picture, and boxes a way past its edge."""
    size = np.array(size_wh, np.float64)
    corners = np.array([[0, 0, *size_wh], *(_ordered(box) for box in boxes_xyxy)], np.float64)
    low = np.maximum(corners[:, :2].min(axis=0), -_MOST_OVERHANG * size)
    high = np.minimum(corners[:, 2:].max(axis=0), (1 + _MOST_OVERHANG) * size)
    margin = np.where((low < 0) | (high > size), 0.02 * size, 0)
    return [*(low - margin), *(high - low + 2 * margin)]


def _marks(boxes_xyxy: Sequence[Box], size_wh: tuple[int, int]) -> str:
    if not boxes_xyxy:
        return ""
    reach = _SMALL * float(np.hypot(*size_wh))
    rings = ""
    for left, top, right, bottom in map(_ordered, boxes_xyxy):
        if max(right - left, bottom - top) < reach:
            at = f'cx="{(left + right) / 2:.6g}" cy="{(top + bottom) / 2:.6g}" r="{reach:.6g}"'
            rings += f'<circle class="casing" {at}/><circle class="mark" {at}/>'
    return _path(boxes_xyxy, "casing") + _path(boxes_xyxy, "mark") + rings


def _path(boxes_xyxy: Sequence[Box], style: str, inside: str = "") -> str:
    """Draw boxes as a path, since SVG draws no rectangle without width or height."""
    corners = ([f"{value:.6g}" for value in _ordered(box)] for box in boxes_xyxy)
    lines = "".join(f"M{x1} {y1}H{x2}V{y2}H{x1}Z" for x1, y1, x2, y2 in corners)
    return f'<path class="{style}" d="{lines}">{inside}</path>'


def _area(box_xyxy: Box) -> float:
    left, top, right, bottom = box_xyxy
    return (right - left) * (bottom - top)


def _covers(place: Box, taken: Sequence[Box]) -> bool:
    left, top, right, bottom = place
    return any(left < x2 and x1 < right and top < y2 and y1 < bottom for x1, y1, x2, y2 in taken)


def _ordered(box_xyxy: Box) -> tuple[float, float, float, float]:
    left, top, right, bottom = box_xyxy
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)
