"""Draw boxes and labels on a picture."""

import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from yolo3.network.postprocess import Detections

# Okabe and Ito's colours, which the colour-blind can tell apart; the pale ones of them deepened
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7B4FA3", "#B8A600")
MAX_JPEG_SIDE = 65500  # pixels, of a drawn picture: what the encoder takes
TRUTH_LIGHT = "#FFFFFF"
TRUTH_DARK = "#0B6E1F"
_SMALLEST_TEXT = 12  # pixels
_DARK_TEXT_FROM = 0.5  # luminance of the background

Corners = tuple[float, float, float, float]  # left, top, right, bottom


def class_colour(class_id: int) -> str:
    """Return the colour of a class; more classes than colours share them."""
    return PALETTE[class_id % len(PALETTE)]


def draw_objects(image: Image.Image, objects: Sequence[Mapping]) -> Image.Image:
    """Draw objects as the served model tells them: label, class_id, score, xmin, ymin, xmax, ymax.

    Returns a copy of the picture, as `draw_detections` does.
    """
    corners = [[found[name] for name in ("xmin", "ymin", "xmax", "ymax")] for found in objects]
    detections = Detections(
        np.array(corners, np.float32).reshape(-1, 4),
        np.array([found["score"] for found in objects], np.float32),
        np.array([found["class_id"] for found in objects], np.int64),
    )
    return draw_detections(image, detections, {f["class_id"]: f["label"] for f in objects})


def draw_detections(
    image: Image.Image, detections: Detections, class_names: Sequence[str] | Mapping[int, str]
) -> Image.Image:
    """Return a copy of the picture with the found boxes, their labels and scores.

    Boxes in pixels of the picture. Lines and text grow with the picture; the best scores lie on
    top. The picture given is not changed.
    """
    return draw_comparison(image, detections, np.zeros((0, 4)), class_names)


def draw_comparison(
    image: Image.Image,
    detections: Detections,
    truth_boxes_xyxy: np.ndarray,
    class_names: Sequence[str] | Mapping[int, str],
) -> Image.Image:
    """Return a copy of the picture with found boxes, and true ones dashed in white and green."""
    drawn = image.convert("RGB")  # a copy, whatever the mode
    pen = ImageDraw.Draw(drawn)
    width = line_width(drawn.size)
    corners = [_inside(box_xyxy, drawn.size) for box_xyxy in detections.boxes_xyxy]
    falling = np.argsort(-np.asarray(detections.scores), kind="stable")
    for index in reversed(falling):
        colour = class_colour(detections.class_ids[index])
        pen.rectangle(corners[index], outline=colour, width=width)
    for box_xyxy in truth_boxes_xyxy:
        _dashed_rectangle(pen, _inside(box_xyxy, drawn.size), width)
    taken: list[Corners] = []
    for index in falling:  # labels come last, so that no line crosses one
        class_id = int(detections.class_ids[index])
        text = label(class_names[class_id], class_id, detections.scores[index])
        place = _label_place(drawn.size, corners[index], _label_wh(drawn.size, text), taken)
        _write_label(pen, text_size(drawn.size), place, text, class_colour(class_id))
        taken.append(place)
    return drawn


def line_width(size_wh: tuple[int, int]) -> int:
    """Return the width of lines on a picture of this size, in pixels."""
    return max(1, round(_scale(size_wh) / 180))


def text_size(size_wh: tuple[int, int]) -> int:
    """Return the height of text on a picture of this size, in pixels."""
    return max(_SMALLEST_TEXT, round(_scale(size_wh) / 30))


def drawable(text: str) -> str:
    """Return the text in the letters of Pillow's built-in font, which are those of ASCII.

    Accents are dropped; `?` stands for every other letter.
    """
    letters = unicodedata.normalize("NFKD", text)
    kept = (letter for letter in letters if not unicodedata.combining(letter))
    return "".join(letter if " " <= letter <= "~" else "?" for letter in kept)


def label(class_name: str, class_id: int, score: float) -> str:
    """Return what stands at a found box: the class's id where its name cannot be drawn."""
    drawn = drawable(class_name)
    name = drawn if any(letter.isalnum() for letter in drawn) else f"class {class_id}"
    return f"{name} {score:.2f}"


def _scale(size_wh: tuple[int, int]) -> float:
    """Return one length for the picture's size that very long pictures do not blow up."""
    return float(np.sqrt(size_wh[0] * size_wh[1]))


def _inside(box_xyxy: np.ndarray, size_wh: tuple[int, int]) -> Corners:
    """Return the box's corners, on the picture and in order, as Pillow wants them."""
    limits = np.array([*size_wh, *size_wh], np.float64) - 1
    left, top, right, bottom = np.clip(np.asarray(box_xyxy, np.float64), 0, limits).tolist()
    return left, top, max(left, right), max(top, bottom)


def _label_wh(size_wh: tuple[int, int], text: str) -> tuple[float, float]:
    """Return how much room a label takes."""
    font = ImageFont.load_default(size=text_size(size_wh))
    padding = _label_padding(text_size(size_wh))
    return font.getlength(text) + 2 * padding, sum(font.getmetrics()) + padding


def _label_padding(letter_size: int) -> int:
    """Return the space around a label's text."""
    return max(1, letter_size // 5)


def _label_place(
    size_wh: tuple[int, int],
    corners: Corners,
    label_wh: tuple[float, float],
    taken: Sequence[Corners],
) -> Corners:
    """Return where a label goes: above its box, in it or below, where no other one is."""
    left = max(0.0, min(corners[0], size_wh[0] - label_wh[0]))
    tops = (corners[1] - label_wh[1], corners[1], corners[3], corners[3] - label_wh[1])
    places = [
        (left, top, left + label_wh[0], top + label_wh[1])
        for top in tops
        if 0 <= top <= size_wh[1] - label_wh[1]
    ]
    free = [place for place in places if not any(_overlap(place, other) for other in taken)]
    fallback = (left, corners[1], left + label_wh[0], corners[1] + label_wh[1])
    return next(iter(free + places), fallback)


def _overlap(one: Corners, other: Corners) -> bool:
    """Tell whether two rectangles share any area."""
    return min(one[2], other[2]) > max(one[0], other[0]) and min(one[3], other[3]) > max(
        one[1], other[1]
    )


def _write_label(
    pen: ImageDraw.ImageDraw, letter_size: int, place: Corners, text: str, colour: str
) -> None:
    """Write a label on a ground of its class's colour."""
    padding = _label_padding(letter_size)
    font = ImageFont.load_default(size=letter_size)
    pen.rectangle(place, fill=colour)
    pen.text(
        (place[0] + padding, place[1] + padding // 2),
        text,
        font=font,
        fill=_text_colour(colour),
    )


def _text_colour(background: str) -> str:
    """Return black or white, whichever is readable on the background."""
    red, green, blue = (int(background[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > _DARK_TEXT_FROM else "white"


def _dashed_rectangle(pen: ImageDraw.ImageDraw, corners: Corners, width: int) -> None:
    """Draw a box in dashes, white and green by turns, so that it shows on anything."""
    left, top, right, bottom = corners
    turns = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])
    for start, end in zip(turns[:-1], turns[1:], strict=True):
        dashes = max(1, round(float(np.abs(end - start).max()) / (5 * width)))
        points = np.linspace(start, end, dashes + 1)
        for index in range(dashes):
            colour = TRUTH_LIGHT if index % 2 == 0 else TRUTH_DARK
            pen.line([tuple(points[index]), tuple(points[index + 1])], fill=colour, width=width)
