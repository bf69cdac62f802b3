"""Pictures with found and true boxes, the worst first, on contact sheets and one by one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from yolo3.data.pictures import read_again
from yolo3.detector.drawing import draw_comparison, drawable
from yolo3.evaluation.evaluate import Evaluation
from yolo3.evaluation.names import plain_name

COLUMNS, ROWS = 4, 3
TILE_WH = (440, 390)  # pixels, the caption included
CAPTION_HEIGHT = 46
MARGIN = 14
HEADER_HEIGHT = 50
LONGEST_SIDE = 1280  # of the pictures saved one by one
MOST_ENLARGED = 2.0  # small pictures, so that their labels can be read
_PAPER, _INK, _MAT, _WRONG, _RIGHT = "#FFFFFF", "#222222", "#EEEEEE", "#B3261E", "#4A5A4A"


def write_gallery(
    evaluation: Evaluation, folder: Path, most_pictures: int = 96, most_single: int = 24
) -> list[Path]:
    """Write contact sheets of the worst pictures, and the very worst one by one, as JPEG.

    Sheets `page_01.jpg`, … hold twelve pictures each, `worst/01_NAME.jpg`, … one. Found boxes are
    solid, in the colour of their class; true boxes are dashed in white and green. Boxes are those
    of the best-F1 threshold. Returns the files written, none where there are no pictures.
    """
    order = evaluation.worst_first()[:most_pictures]
    (folder / "worst").mkdir(parents=True, exist_ok=True)
    singles = [
        _write_single(evaluation, index, folder / "worst", rank)
        for rank, index in enumerate(order[:most_single], start=1)
    ]
    per_sheet = COLUMNS * ROWS
    sheets = []
    for start in range(0, len(order), per_sheet):
        path = folder / f"page_{start // per_sheet + 1:02d}.jpg"
        _contact_sheet(evaluation, order[start : start + per_sheet], start).save(path, quality=90)
        sheets.append(path)
    return sheets + singles


def annotated_picture(evaluation: Evaluation, index: int, fit_wh: tuple[int, int]) -> Image.Image:
    """Return one picture with its true and found boxes, as large as fits."""
    picture, found = evaluation.pictures[index], evaluation.outcomes[index].detections
    original = read_again(picture)
    scale = min(fit_wh[0] / original.width, fit_wh[1] / original.height, MOST_ENLARGED)
    shown = original.resize([max(1, round(side * scale)) for side in original.size])
    scale_xyxy = np.tile(np.array(shown.size) / np.array(original.size), 2)
    scaled = replace(found, boxes_xyxy=found.boxes_xyxy * scale_xyxy)
    return draw_comparison(shown, scaled, picture.boxes_xyxy * scale_xyxy, evaluation.class_names)


def caption(evaluation: Evaluation, index: int) -> str:
    """Return in words what went wrong in one picture."""
    picture, outcome = evaluation.pictures[index], evaluation.outcomes[index]
    names = evaluation.class_names
    confusions = (
        f"{names[picture.class_ids[outcome.truth_of_detection[found]]]} "
        f"taken for {names[outcome.detections.class_ids[found]]}"
        for found in outcome.confused
    )
    counts = (("missed", len(outcome.missed)), ("extra", len(outcome.extra)))
    wrong = [f"{count} {what}" for what, count in counts if count] + list(confusions)
    if wrong:
        return ", ".join(wrong)
    boxes = len(picture.class_ids)
    return f"all {boxes} found, IoU {outcome.mean_iou:.2f}" if boxes else "rightly left empty"


def _write_single(evaluation: Evaluation, index: int, folder: Path, rank: int) -> Path:
    """Write one annotated picture under its rank and name."""
    stem = plain_name(Path(evaluation.picture_names[index]).stem) or "picture"
    path = folder / f"{rank:02d}_{stem}.jpg"
    annotated_picture(evaluation, index, (LONGEST_SIDE, LONGEST_SIDE)).save(path, quality=90)
    return path


def _contact_sheet(evaluation: Evaluation, indices: Sequence[int], before: int) -> Image.Image:
    """Return up to twelve pictures with captions under one heading."""
    columns = min(COLUMNS, len(indices))
    rows = -(-len(indices) // columns)
    step_wh = (TILE_WH[0] + MARGIN, TILE_WH[1] + MARGIN)
    size_wh = (columns * step_wh[0] + MARGIN, HEADER_HEIGHT + rows * step_wh[1] + MARGIN)
    sheet = Image.new("RGB", size_wh, _PAPER)
    for position, index in enumerate(indices):
        row, column = divmod(position, columns)
        tile = _tile(evaluation, index, before + position + 1)
        sheet.paste(tile, (MARGIN + column * step_wh[0], HEADER_HEIGHT + row * step_wh[1]))
    heading = (
        f"Worst first. Solid: found, score at least {evaluation.curves.best_threshold:.2f}. "
        "Dashed white and green: true."
    )
    _write(sheet, (MARGIN, MARGIN), heading if columns > 1 else "Solid: found. Dashed: true.", 20)
    return sheet


def _tile(evaluation: Evaluation, index: int, rank: int) -> Image.Image:
    """Return one picture on a mat, with its name and what went wrong beneath."""
    frame_wh = (TILE_WH[0], TILE_WH[1] - CAPTION_HEIGHT)
    tile = Image.new("RGB", TILE_WH, _PAPER)
    tile.paste(_MAT, (0, 0, *frame_wh))
    image = annotated_picture(evaluation, index, frame_wh)
    tile.paste(image, ((frame_wh[0] - image.width) // 2, (frame_wh[1] - image.height) // 2))
    wrong = evaluation.outcomes[index].errors > 0
    _write(tile, (0, frame_wh[1] + 4), f"{rank}. {evaluation.picture_names[index]}", 16)
    _write(tile, (0, frame_wh[1] + 24), caption(evaluation, index), 16, _WRONG if wrong else _RIGHT)
    return tile


def _write(
    image: Image.Image, at_xy: tuple[int, int], text: str, size: int, colour: str = _INK
) -> None:
    """Write one line, cut in its middle where it is longer than the image is wide."""
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=size)
    whole = drawable(text)
    line, kept = whole, len(whole)
    while pen.textlength(line, font=font) > image.width - at_xy[0] and kept > 4:
        kept -= 1
        line = f"{whole[: kept // 2]}...{whole[kept // 2 - kept :]}"
    pen.text(at_xy, line, font=font, fill=colour)
