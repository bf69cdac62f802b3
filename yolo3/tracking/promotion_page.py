"""A promotion as one HTML page that needs nothing else and that a person likes to read."""

import base64
import io
from html import escape
from pathlib import Path

import numpy as np

from yolo3.checks.page import page
from yolo3.evaluation.comparison import (
    BETTER,
    CONFIDENCE,
    ENOUGH,
    HOLDS,
    LEAST_PICTURES,
    TOLD,
    TOO_LOW,
    WORSE,
    Comparison,
    Line,
    Rule,
)
from yolo3.evaluation.evaluate import Evaluation
from yolo3.evaluation.gallery import annotated_picture, caption
from yolo3.evaluation.latency import ROUNDS
from yolo3.tracking.promotion import (
    PROMOTED,
    Promotion,
    shown,
    shown_change,
    shown_change_span,
    shown_span,
)

MOST_PAIRS = 6  # pictures on which the two differ
_PICTURE_WH = (480, 360)
_PLOT_WH = (200, 22)
_CHIPS = {BETTER: "good", HOLDS: "good", ENOUGH: "good", WORSE: "look", TOO_LOW: "look"}


def write_promotion_page(promotion: Promotion, path: Path) -> Path:
    """Write the page."""
    body = "\n".join(
        [_head(promotion), _tiles(promotion), _table(promotion), _pictures(promotion)]
        + [_how(promotion), _facts(promotion)]
    )
    title = f"Promotion of {promotion.name}"
    path.write_text(page(title, body), encoding="utf-8", newline="\n")
    return path


def _head(promotion: Promotion) -> str:
    style = "good" if promotion.decision == PROMOTED else "look"
    against = f"against version {promotion.champion.version.number}" if promotion.champion else ""
    cautions = "".join(f"<p class='look'>{escape(text)}</p>" for text in promotion.cautions())
    return (
        f"<h1>Promotion of {escape(promotion.name)}</h1>\n<p class='soft'>Version"
        f" {promotion.challenger.version.number} {against} on"
        f" <code>{escape(promotion.annotation_path)}</code>, {promotion.time:%d %B %Y %H:%M} UTC"
        f"</p>\n<p class='verdict {style}'>{escape(promotion.sentence())}</p>{cautions}"
    )


def _tiles(promotion: Promotion) -> str:
    comparison = promotion.comparison
    first, last = comparison.lines[0], comparison.lines[-1]
    evaluation = comparison.challenger.evaluation
    tiles = {
        "AP50 of the challenger": shown(first.challenger, first),
        "AP50 won or lost": shown_change(first),
        "for a picture": shown(last.challenger, last),
        "times the champion's latency": shown_change(last).removeprefix("× "),
        "pictures": f"{len(evaluation.pictures):,}",
        "true boxes": f"{evaluation.average_precision.truth_counts.sum():,}",
    }
    drawn = "".join(
        f"<div class='tile'><b>{value}</b><span>{name}</span></div>"
        for name, value in tiles.items()
        if value != "–"
    )
    return f"<div class='tiles'>{drawn}</div>"


def _table(promotion: Promotion) -> str:
    comparison, champion = promotion.comparison, promotion.champion
    new = (f"challenger, version {promotion.challenger.version.number}", "number")
    old = [(f"champion, version {champion.version.number}", "number")] if champion else []
    change = [("change", "number"), ("its interval", "")] if champion else []
    head = "".join(
        f"<th class='{style}'>{name}</th>" for name, style in (*old, new, *change, ("verdict", ""))
    )
    scale = _scale(comparison)
    rows = "".join(_row(line, comparison.rule, scale) for line in comparison.lines)
    plots = " In a plot, the dot is the change and the bar its interval; the line stands for no"
    plots += " change, the shade for what is tolerated."
    absent = f" No box in the list: {', '.join(comparison.absent)}." if comparison.absent else ""
    return (
        f"<h2>What was compared</h2><table><tr><th></th>{head}</tr>{rows}</table><p class='soft'>"
        f"Small print: intervals over resampled pictures.{plots if champion else ''}"
        f"{escape(absent)}</p>"
    )


def _row(line: Line, rule: Rule, scale: float) -> str:
    boxes = f"{line.boxes:,} boxes" if line.boxes is not None else ""
    new = _cell(shown(line.challenger, line), shown_span(line.challenger, line))
    chip = f"<span class='chip {_CHIPS.get(line.verdict, 'note')}'>{line.verdict}</span>"
    old = change = ""
    if line.champion:
        old = _cell(shown(line.champion, line), shown_span(line.champion, line))
        change = _cell(shown_change(line), shown_change_span(line))
        change += f"<td>{_plot(line, rule, scale)}</td>"
    return (
        f"<tr><td>{_over(escape(line.name), boxes)}</td>{old}{new}{change}"
        f"<td>{_over(chip, escape(line.why))}</td></tr>"
    )


def _cell(value: str, small: str) -> str:
    return f"<td class='number'>{_over(value, small)}</td>"


def _over(value: str, small: str) -> str:
    return f"{value}<span class='beneath'>{small}</span>" if small else value


def _scale(comparison: Comparison) -> float:
    """Give the largest difference that the plots of AP must show."""
    edges = [
        abs(edge)
        for line in comparison.lines
        if not line.is_latency and line.change and line.change.span
        for edge in line.change.span
    ]
    return 1.1 * max([*edges, comparison.rule.class_tolerance, 0.01])


def _plot(line: Line, rule: Rule, scale: float) -> str:
    """Draw a change with its interval beside what is tolerated."""
    if line.change is None or line.change.span is None:
        return ""
    if line.is_latency:
        ends = (0.0, 1.1 * max(rule.latency_factor, line.change.span[1]))
        return _drawn(line, ends, 1.0, rule.latency_factor)
    tolerance = rule.class_tolerance if line.is_class else rule.tolerance
    return _drawn(line, (-scale, scale), 0.0, -tolerance)


def _drawn(line: Line, ends: tuple[float, float], still: float, tolerated: float) -> str:
    """Draw one plot between two ends; `still` is no change, `tolerated` the worst that passes."""
    width, height = _PLOT_WH

    def x(value: float) -> float:
        return (width - 8) * (value - ends[0]) / (ends[1] - ends[0]) + 4

    low, high = (x(edge) for edge in line.change.span)
    left, right = sorted((x(still), x(tolerated)))
    colour = f"var(--{_CHIPS.get(line.verdict, 'note')})"
    shade = ""
    if line.verdict != TOLD:
        shade = (
            f"<rect x='{left:.1f}' width='{right - left:.1f}' height='{height}'"
            " fill='var(--soft)' fill-opacity='0.22'/>"
        )
    return (
        f"<svg class='span' viewBox='0 0 {width} {height}' role='img'>{shade}"
        f"<path d='M{x(still):.1f} 0v{height}' stroke='var(--soft)'/>"
        f"<path d='M{low:.1f} {height / 2}H{max(high, low + 1):.1f}' stroke='{colour}'"
        f" stroke-width='4'/><circle cx='{x(line.change.value):.1f}' cy='{height / 2}' r='5'"
        f" fill='{colour}'/></svg>"
    )


def _pictures(promotion: Promotion) -> str:
    """Show the pictures on which the two differ most, champion to the left."""
    if not promotion.champion:
        return ""
    old, new = promotion.comparison.champion.evaluation, promotion.comparison.challenger.evaluation
    lost, won = _differing(old, new)
    figures = "".join(_pair(old, new, index) for index in (*lost, *won))
    if not figures:
        return "<h2>Where they differ</h2><p>Both make as many mistakes on every picture.</p>"
    return (
        "<h2>Where they differ most</h2><p class='soft'>Champion to the left, challenger to the"
        " right, each at the score threshold of its best F1 on this list"
        f" ({old.curves.best_threshold:.2f} and {new.curves.best_threshold:.2f}). Solid: found;"
        f" dashed white and green: true.</p><div class='shots wide'>{figures}</div>"
    )


def _differing(old: Evaluation, new: Evaluation) -> tuple[list[int], list[int]]:
    """Choose the pictures on which the challenger makes most more mistakes, and most fewer."""
    more = np.array([b.errors - a.errors for a, b in zip(old.outcomes, new.outcomes, strict=True)])
    half = MOST_PAIRS // 2
    lost = [int(index) for index in np.argsort(-more, kind="stable")[:half] if more[index] > 0]
    won = [int(index) for index in np.argsort(more, kind="stable")[:half] if more[index] < 0]
    return lost, won


def _pair(old: Evaluation, new: Evaluation, index: int) -> str:
    drawn = "".join(
        f"<img class='shot' alt='' src='data:image/jpeg;base64,{_jpeg(side, index)}'>"
        for side in (old, new)
    )
    told = (
        f"{old.picture_names[index]}. Champion: {caption(old, index)}. "
        f"Challenger: {caption(new, index)}."
    )
    return (
        f"<figure><div class='pair'>{drawn}</div><figcaption>{escape(told)}</figcaption></figure>"
    )


def _jpeg(evaluation: Evaluation, index: int) -> str:
    file = io.BytesIO()
    annotated_picture(evaluation, index, _PICTURE_WH).save(file, "JPEG", quality=80)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _how(promotion: Promotion) -> str:
    rule = promotion.comparison.rule
    judged = f"There was no champion. The first one needs an AP50 of {rule.floor:g}."
    if promotion.champion:
        judged = (
            f"AP50 is worse if it lost more than {rule.tolerance:g}, or if its whole interval lies"
            f" below 0. So is a class with {rule.class_tolerance:g}, if the list holds at least"
            f" {rule.min_boxes} of its boxes, in {LEAST_PICTURES} pictures; others are told. The"
            f" latency is worse beyond {rule.latency_factor:g} times the champion's. One worse line"
            " refuses the challenger."
        )
    return (
        f"<h2>How it was judged</h2><p>{judged}</p><p>{_how_measured(promotion)}</p>"
        f"<p class='soft'>{escape(promotion.machine)}</p>"
    )


def _how_measured(promotion: Promotion) -> str:
    comparison, rule = promotion.comparison, promotion.comparison.rule
    paired = turns = ""
    if promotion.champion:
        paired = (
            f", and {100 * comparison.class_confidence:.3g} % for changes of classes, so that all"
            " judged classes hold together; both detectors on the same resamples"
        )
        turns = ", both detectors in turn"
    return (
        f"Intervals are those of {rule.resamples:,} resamples of the pictures (seed {rule.seed}):"
        f" {100 * CONFIDENCE:g} %{paired}. Latency is the median over"
        f" {len(comparison.challenger.milliseconds)} pictures, one at a time{turns}, at the"
        f" thresholds of the logged model, the fastest of {ROUNDS} rounds; reading is not"
        " counted."
    )


def _facts(promotion: Promotion) -> str:
    rows = "".join(
        f"<tr><td>{role}</td><td>{escape(side.version.uri)}</td>"
        f"<td>{'x'.join(map(str, side.input_wh))}</td>"
        f"<td><code>{escape(side.version.run_id or 'unknown')}</code></td>"
        f"<td>{'unknown' if side.pictures_seen is None else side.pictures_seen}</td></tr>"
        for role, side in (("champion", promotion.champion), ("challenger", promotion.challenger))
        if side
    )
    return (
        "<h2>Who they are</h2><table><tr><th></th><th>model</th><th>input</th><th>run</th>"
        f"<th>pictures of the list in its training</th></tr>{rows}</table>"
        f"<p class='soft'>Forced: {'asked for' if promotion.force else 'no'}. List: sha256"
        f" <code>{promotion.sha256}</code> of pictures and boxes.</p>"
    )
