"""The report of a check: one HTML file that needs nothing else and that a person likes to read."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from yolo3.checks.advice import ADVICE
from yolo3.checks.cases import Case
from yolo3.checks.checkup import NOTES, Checkup, boxes_per_class, owned_anchors_wh
from yolo3.checks.look import look
from yolo3.checks.page import contents, heading, page
from yolo3.checks.shots import Shots
from yolo3.data.pictures import FINDINGS

MOST_BYTES = 4_000_000  # of what shows images, so that the page stays below 5 MB
MOST_EXAMPLES = 6  # pictures of each finding
_MORE_EXAMPLES = {"pictures_turned": 12}  # which only a person can judge
_MOST_LISTED = 100  # messages of each finding
_MOST_CLASSES = 100  # rows of the table of classes
_MOST_POINTS = 1500  # boxes in the plot of sizes
_PLOT = 360  # units of the plot's longer side


def write_check_report(checkup: Checkup, path: Path, title: str, seed: int = 1) -> Path:
    """Write the report, below 5 MB however many pictures there are.

    title: names the lists. seed: of the training, whose augmented images are shown.
    """
    looked = look(checkup, seed)
    sections = "\n".join(
        [
            _overview(checkup),
            looked,
            _classes(checkup),
            _sizes(checkup),
            _findings(checkup, MOST_BYTES - len(looked.encode())),
        ]
    )
    body = "\n".join([_head(checkup, title), contents(sections), sections])
    path.write_text(page(f"Data check: {title}", body), encoding="utf-8", newline="\n")
    return path


def verdict(checkup: Checkup) -> str:
    """Say in a sentence what the check comes to."""
    looks = sum(case.kind not in NOTES for case in checkup.cases)
    notes = len(checkup.cases) - looks
    noted = f" {_count(notes, 'note')}." if notes else ""
    if not looks:
        return f"Nothing deserves a look.{noted}"
    return f"{_count(looks, 'finding')} {'deserves' if looks == 1 else 'deserve'} a look.{noted}"


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _head(checkup: Checkup, title: str) -> str:
    width, height = checkup.spec.input_wh
    style = "look" if checkup.deserve_a_look else "good"
    return (
        f"<h1>Data check</h1>\n<p class='soft'><code>{escape(title)}</code>, as a network with an"
        f" input of {width}x{height} pixels sees it</p>\n"
        f"<p class='verdict {style}'>{escape(verdict(checkup))}</p>"
    )


def _overview(checkup: Checkup) -> str:
    empty = sum(not len(picture.boxes_xyxy) for picture in checkup.pictures)
    boxes = len(checkup.sizes_wh)
    tiles = {
        "training pictures": f"{len(checkup.train):,}",
        "validation pictures": f"{len(checkup.val):,}",
        "without boxes": f"{empty:,}",
        "boxes": f"{boxes:,}",
        "classes": f"{len(checkup.spec.class_names):,}",
        "best possible recall of the anchors": f"{checkup.fit.recall:.3f}" if boxes else "–",
    }
    shown = "".join(
        f"<div class='tile'><b>{value}</b><span>{name}</span></div>"
        for name, value in tiles.items()
    )
    rows = "".join(
        f"<tr><td class='number'>{len(cases):,}</td><td><a href='#{kind}'>"
        f"{escape(FINDINGS[kind])}</a></td><td>{_chip(kind)}</td></tr>"
        for kind, cases in checkup.by_kind().items()
    )
    table = f"<h2>Findings</h2><table>{rows}</table>" if rows else ""
    return f"<div class='tiles'>{shown}</div>{table}"


def _chip(kind: str) -> str:
    style, says = ("note", "note") if kind in NOTES else ("look", "look at it")
    return f"<span class='chip {style}'>{says}</span>"


def _classes(checkup: Checkup) -> str:
    names = checkup.spec.class_names
    counts = [boxes_per_class(side, len(names)) for side in (checkup.train, checkup.val)]
    shares = [count / max(1, count.sum()) for count in counts]
    widest = max(1e-9, *(float(share.max()) for share in shares))
    order = np.argsort(-(counts[0] + counts[1]), kind="stable")
    rows = "".join(
        f"<tr><td>{escape(names[class_id])}</td>"
        + "".join(f"<td class='number'>{count[class_id]:,}</td>" for count in counts)
        + "<td class='bars'>"
        + "".join(
            f"<div class='bar {style}' style='width: {100 * share[class_id] / widest:.1f}%'></div>"
            for style, share in zip(("train", "val"), shares, strict=True)
        )
        + f"</td><td class='number'>{100 * shares[0][class_id]:.1f} %</td></tr>"
        for class_id in order[:_MOST_CLASSES]
    )
    more = len(names) - _MOST_CLASSES
    rest = f"<p class='soft'>… and {more} classes with fewer boxes</p>" if more > 0 else ""
    return (
        f"{heading('classes', 'Boxes per class')}<p class='soft'>"
        f"{_key('train', 'share of the training boxes')} &nbsp; {_key('val', 'of the validation')}"
        "</p><table><tr><th>class</th><th class='number'>training</th><th class='number'>validation"
        f"</th><th></th><th></th></tr>{rows}</table>{rest}"
    )


def _key(style: str, text: str) -> str:
    return f"<span class='key {style}'></span>{text}"


def _sizes(checkup: Checkup) -> str:
    width, height = checkup.spec.input_wh
    if not len(checkup.sizes_wh):
        return f"{heading('sizes', 'Sizes')}<p>There is no box.</p>"
    anchors = owned_anchors_wh(checkup.spec)
    listed = ", ".join(f"{w:g}x{h:g}" for w, h in anchors)
    return (
        f"{heading('sizes', f'Sizes and shapes at {width}x{height}')}<div class='plots'><div>"
        f"{_plot(checkup)}</div><div>{_quantiles(checkup.sizes_wh)}"
        f"<h3>Anchors</h3><p>{listed}</p><p>Mean IoU with the nearest anchor"
        f" {checkup.fit.mean_iou:.3f}; {100 * checkup.fit.recall:.1f} % of the boxes have an anchor"
        " with an IoU of 0.5 or more (best possible recall).</p></div></div>"
    )


def _plot(checkup: Checkup) -> str:
    """Draw a point for each box, width to the right and height upwards, and the anchors."""
    width, height = checkup.spec.input_wh
    unit = _PLOT / max(width, height)
    right, bottom = width * unit, height * unit
    rng = np.random.default_rng(0)
    sizes = checkup.sizes_wh
    drawn = np.sort(rng.permutation(len(sizes))[:_MOST_POINTS])
    points = "".join(
        f"<circle cx='{w * unit:.1f}' cy='{bottom - h * unit:.1f}' r='2.2'/>"
        for w, h in sizes[drawn]
    )
    crosses = "".join(
        f"<path d='M{x - 5:.1f} {y:.1f}h10M{x:.1f} {y - 5:.1f}v10'/>"
        for x, y in ((w * unit, bottom - h * unit) for w, h in owned_anchors_wh(checkup.spec))
    )
    ticks = "".join(_ticks(width, height, unit, bottom))
    sampled = f" ({len(drawn):,} of {len(sizes):,} boxes)" if len(drawn) < len(sizes) else ""
    return (
        f"<svg class='plot' viewBox='-44 -8 {right + 56:.0f} {bottom + 50:.0f}' role='img'>"
        f"<rect width='{right:.1f}' height='{bottom:.1f}' fill='var(--card)'"
        f" stroke='var(--line)'/>{ticks}<g fill='var(--train)' fill-opacity='0.45'>{points}</g>"
        f"<g stroke='var(--val)' stroke-width='2.5'>{crosses}</g>"
        f"<text x='{right / 2:.0f}' y='{bottom + 36:.0f}' text-anchor='middle'>width in pixels"
        f"</text><text transform='translate(-32 {bottom / 2:.0f}) rotate(-90)'"
        " text-anchor='middle'>height in pixels</text></svg>"
        f"<p class='soft'>{_key('train', 'a box')} &nbsp; {_key('val', 'an anchor')}{sampled}</p>"
    )


def _ticks(width: int, height: int, unit: float, bottom: float) -> list[str]:
    step = 2 ** int(np.log2(max(width, height) / 3))
    across = [
        f"<text x='{value * unit:.0f}' y='{bottom + 16:.0f}' text-anchor='middle'>{value}</text>"
        for value in range(0, width + 1, step)
    ]
    up = [
        f"<text x='-6' y='{bottom - value * unit + 4:.0f}' text-anchor='end'>{value}</text>"
        for value in range(step, height + 1, step)
    ]
    return across + up


def _quantiles(sizes_wh: np.ndarray) -> str:
    measures = {
        "width": sizes_wh[:, 0],
        "height": sizes_wh[:, 1],
        "width / height": sizes_wh[:, 0] / np.maximum(sizes_wh[:, 1], 1e-9),
    }
    rows = "".join(
        f"<tr><td>{name}</td>"
        + "".join(
            f"<td class='number'>{q:.3g}</td>" for q in np.quantile(values, (0.05, 0.5, 0.95))
        )
        + "</tr>"
        for name, values in measures.items()
    )
    areas = sizes_wh.prod(axis=1)
    small, large = (areas < 32**2).mean(), (areas > 96**2).mean()
    return (
        "<table><tr><th></th><th class='number'>5 %</th><th class='number'>median</th>"
        f"<th class='number'>95 %</th></tr>{rows}</table>"
        f"<p>{100 * small:.0f} % of the boxes are small (under 32x32 pixels of the input),"
        f" {100 * large:.0f} % large (over 96x96).</p>"
    )


def _findings(checkup: Checkup, most_bytes: int) -> str:
    shots = Shots(checkup.spec.class_names, most_bytes, "finding")
    sections = [_finding(kind, cases, shots) for kind, cases in checkup.by_kind().items()]
    intro = (
        f"{heading('found', 'What was found')}<p class='soft'>The boxes that a finding is about are"
        " orange, the others blue.</p>"
    )
    return "\n".join([intro, *sections]) if sections else ""


def _finding(kind: str, cases: Sequence[Case], shots: Shots) -> str:
    advice = ADVICE[kind]
    figures = "".join(_figure(group, shots) for group in _examples(kind, cases))
    listed = "".join(f"<li>{_text(case)}</li>" for case in cases[:_MOST_LISTED])
    more = len(cases) - _MOST_LISTED
    rest = f"<li>… and {more:,} more</li>" if more > 0 else ""
    shown = f"<div class='shots'>{figures}</div>" if figures else ""
    return (
        f"<section class='finding' id='{kind}'><h3>{advice.title}: {len(cases):,}"
        f" {_chip(kind)}</h3><p>{advice.effect} {advice.remedy}</p>{shown}"
        f"<details{'' if figures else ' open'}><summary>List</summary><ul>{listed}{rest}</ul>"
        "</details></section>"
    )


def _examples(kind: str, cases: Sequence[Case]) -> list[list[Case]]:
    """Gather the cases of the first few pictures, those of one picture together; boxes first."""
    groups: dict[str, list[Case]] = {}
    most = _MORE_EXAMPLES.get(kind, MOST_EXAMPLES)
    for case in sorted(cases, key=lambda case: not case.boxes_xyxy):
        if case.pictures and (case.pictures[0].source in groups or len(groups) < most):
            groups.setdefault(case.pictures[0].source, []).append(case)
    return list(groups.values())


def _figure(group: Sequence[Case], shots: Shots) -> str:
    marked = [box for case in group for box in case.boxes_xyxy]
    first, *others = group[0].pictures
    drawn = shots.draw(first, marked) + "".join(shots.draw(other) for other in others)
    more = f" … and {len(group) - 1} more here" if len(group) > 1 else ""
    pictures = f"<div class='pair'>{drawn}</div>" if drawn else ""
    return f"<figure>{pictures}<figcaption>{_text(group[0])}{more}</figcaption></figure>"


def _text(case: Case) -> str:
    return re.sub("`(.+?)`", r"<code>\1</code>", escape(case.message))
