"""Pieces of a self-contained HTML page: its style, and pictures with boxes as inline SVG."""

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np

from yolo3.data.images import ImageError, read_image
from yolo3.data.pictures import Picture

THUMBNAIL_WH = (320, 240)  # pixels
MOST_BYTES = 3_600_000  # of embedded pictures, so that the page stays below 5 MB
_QUALITY = 72
_MOST_OVERHANG = 0.4  # of the picture's side, that is shown of a box past the edge
_SMALL = 0.04  # of the picture's diagonal: a smaller box gets a ring that leads to it

STYLE = """
:root { --paper: #fbfbf9; --card: #ffffff; --ink: #22262b; --soft: #667078; --line: #dfe2e4;
  --good: #1a7f4b; --look: #b4500b; --note: #4c6a92; --train: #0072b2; --val: #d55e00;
  --mat: #eef0f1; }
@media (prefers-color-scheme: dark) { :root { --paper: #16191d; --card: #1f2429; --ink: #e4e7ea;
  --soft: #99a3ab; --line: #343b42; --good: #57c98c; --look: #f0954f; --note: #90b2de;
  --train: #56a8e0; --val: #f08c4a; --mat: #2a3036; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 36px 24px 64px; }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 6px; }
h2 { font-size: 20px; margin: 44px 0 12px; padding-top: 14px; border-top: 1px solid var(--line); }
h3 { font-size: 16px; margin: 0 0 4px; }
p { margin: 4px 0 10px; max-width: 76ch; }
a { color: inherit; text-decoration-color: var(--soft); text-underline-offset: 3px; }
code { font: 13px/1.4 ui-monospace, "Liberation Mono", Menlo, monospace; }
.soft { color: var(--soft); }
.verdict { font-size: 17px; font-weight: 600; margin: 14px 0 20px; }
.good { color: var(--good); } .look { color: var(--look); } .note { color: var(--note); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 12px 14px; }
.tile b { display: block; font-size: 23px; font-weight: 600; line-height: 1.25; }
.tile span { color: var(--soft); font-size: 13px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-size: 13px; font-weight: 600; color: var(--soft); }
td.number, th.number { text-align: right; padding-right: 16px; width: 1%; white-space: nowrap; }
td.bars { width: 46%; }
.bar { height: 7px; border-radius: 2px; margin: 3px 0; }
.train { background: var(--train); } .val { background: var(--val); }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 5px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 28px;
  align-items: start; }
svg.plot { width: 100%; height: auto; display: block; font-size: 11px; }
svg.plot text { fill: var(--soft); }
.finding { margin: 30px 0 0; }
.chip { font-size: 12px; font-weight: 600; border: 1px solid currentColor; border-radius: 9px;
  padding: 0 8px; margin-left: 6px; vertical-align: 1px; white-space: nowrap; }
.shots { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 14px;
  margin-top: 10px; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  overflow: hidden; }
.pair { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 2px;
  background: var(--mat); }
svg.shot { display: block; width: 100%; height: 220px; background: var(--mat); }
figcaption { padding: 8px 12px 10px; font-size: 13px; line-height: 1.4; color: var(--soft);
  overflow-wrap: anywhere; }
.wide { grid-template-columns: repeat(auto-fill, minmax(440px, 1fr)); }
td > .chip { margin-left: 0; }
img.shot { display: block; width: 100%; height: 240px; object-fit: contain;
  background: var(--mat); }
svg.span { width: 200px; height: 22px; display: block; }
.beneath { display: block; font-size: 12px; color: var(--soft); }
svg.shot path, svg.shot circle { fill: none; vector-effect: non-scaling-stroke; }
.casing { stroke: #ffffff; stroke-opacity: 0.75; stroke-width: 4.5; }
.other { stroke: #0072b2; stroke-width: 2; }
.mark { stroke: #d55e00; stroke-width: 2.5; }
details { margin-top: 10px; font-size: 13px; } summary { cursor: pointer; color: var(--soft); }
details li { overflow-wrap: anywhere; }
@media print { figure, .finding { break-inside: avoid; } }
"""


def page(title: str, body: str) -> str:
    """Put a body into a whole page that needs nothing else."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


class Shots:
    """Make pictures for a page, up to a number of bytes in all."""

    def __init__(self, class_names: Sequence[str], most_bytes: int = MOST_BYTES):
        self._class_names = class_names
        self._left = most_bytes

    def draw(self, picture: Picture, marked_xyxy: Sequence[tuple[float, ...]] = ()) -> str:
        """Give a picture with its boxes as SVG, some of them marked; empty if there is no room."""
        try:
            small = read_image(picture.path)
        except ImageError:  # gone since it was read
            return ""
        small.thumbnail(THUMBNAIL_WH)
        data = io.BytesIO()
        small.save(data, "JPEG", quality=_QUALITY, optimize=True)
        text = base64.b64encode(data.getvalue()).decode("ascii")
        if len(text) > self._left:
            return ""
        self._left -= len(text)
        width, height = picture.size_wh
        view = " ".join(f"{value:.6g}" for value in _view(picture.size_wh, marked_xyxy))
        marks = "".join(_mark(box, picture.size_wh) for box in marked_xyxy)
        return (
            f'<svg class="shot" viewBox="{view}" role="img"><image width="{width}"'
            f' height="{height}" preserveAspectRatio="none"'
            f' href="data:image/jpeg;base64,{text}"/>{self._boxes(picture, marked_xyxy)}{marks}'
            "</svg>"
        )

    def _boxes(self, picture: Picture, marked_xyxy: Sequence[tuple[float, ...]]) -> str:
        marked = set(marked_xyxy)
        drawn = []
        for box_xyxy, class_id in zip(picture.boxes_xyxy.tolist(), picture.class_ids, strict=True):
            if tuple(box_xyxy) not in marked:
                title = f"<title>{escape(self._class_names[class_id])}</title>"
                drawn.append(_rectangle(box_xyxy, "casing") + _rectangle(box_xyxy, "other", title))
        return "".join(drawn)


def _view(size_wh: tuple[int, int], boxes_xyxy: Sequence[tuple[float, ...]]) -> list[float]:
    """Give the SVG view (x, y, width, height): the picture, and boxes a way past its edge."""
    size = np.array(size_wh, np.float64)
    corners = np.array([[0, 0, *size_wh], *(_ordered(box) for box in boxes_xyxy)], np.float64)
    low = np.maximum(corners[:, :2].min(axis=0), -_MOST_OVERHANG * size)
    high = np.minimum(corners[:, 2:].max(axis=0), (1 + _MOST_OVERHANG) * size)
    margin = np.where((low < 0) | (high > size), 0.02 * size, 0)
    return [*(low - margin), *(high - low + 2 * margin)]


def _mark(box_xyxy: tuple[float, ...], size_wh: tuple[int, int]) -> str:
    left, top, right, bottom = _ordered(box_xyxy)
    drawn = _rectangle(box_xyxy, "casing") + _rectangle(box_xyxy, "mark")
    reach = _SMALL * float(np.hypot(*size_wh))
    if max(right - left, bottom - top) >= reach:
        return drawn
    at = f'cx="{(left + right) / 2:.6g}" cy="{(top + bottom) / 2:.6g}" r="{reach:.6g}"'
    return f'{drawn}<circle class="casing" {at}/><circle class="mark" {at}/>'


def _rectangle(box_xyxy: Sequence[float], style: str, inside: str = "") -> str:
    """Draw a box as a path, since SVG draws no rectangle without width or height."""
    left, top, right, bottom = (f"{value:.6g}" for value in _ordered(box_xyxy))
    return f'<path class="{style}" d="M{left} {top}H{right}V{bottom}H{left}Z">{inside}</path>'


def _ordered(box_xyxy: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box_xyxy
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)
