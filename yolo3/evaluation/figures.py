"""Figures of an evaluation and of a training; matplotlib without its global state."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from yolo3.detector.drawing import PALETTE, class_colour
from yolo3.evaluation.ap import AveragePrecision
from yolo3.evaluation.curves import ThresholdCurves

MOST_NAMED_LINES = 16
MOST_NUMBERED_CLASSES = 30
MOST_NAME_LETTERS = 24
_DOTS_PER_INCH = 130
_INK, _GREY, _PALE = "#222222", "#8A8A8A", "#DDDDDD"
_BLUE, _ORANGE, _GREEN = PALETTE[0], PALETTE[1], PALETTE[2]


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG; letters that the font lacks show as boxes, without a warning."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(path, dpi=_DOTS_PER_INCH, bbox_inches="tight", facecolor="white")
    return path


def precision_recall(average: AveragePrecision, class_names: Sequence[str]) -> Figure:
    """Draw precision over recall at IoU 0.5: each class that has true boxes, and their mean."""
    figure, axes = _figure((7.5, 5.2))
    precision = average.precision_at(0.5)  # (R, C)
    class_ap50 = average.class_ap_at(0.5)
    present = np.flatnonzero(np.isfinite(class_ap50))
    named = len(present) <= MOST_NAMED_LINES
    for class_id in present[np.argsort(-class_ap50[present], kind="stable")]:
        axes.plot(
            average.recall_points,
            precision[:, class_id],
            color=class_colour(class_id) if named else "#B9C6D3",
            linestyle="--" if named and class_id >= len(PALETTE) else "-",
            linewidth=1.8 if named else 0.8,
            label=f"{class_ap50[class_id]:.3f}  {_label(class_names[class_id])}" if named else None,
        )
    if len(present) > 1:
        axes.plot(
            average.recall_points,
            precision[:, present].mean(axis=1),
            color=_INK,
            linewidth=2.6,
            label=f"{average.ap50:.3f}  mean of {len(present)} classes",
        )
    if len(present):
        _legend_beside(axes, "AP50")
    else:
        _say(axes, "no true boxes")
    _unit_square(axes, "recall", "precision")
    axes.set_title("Precision and recall at IoU 0.5")
    return figure


def f1_threshold(curves: ThresholdCurves) -> Figure:
    """Draw precision, recall and F1 over the score threshold, the best F1 marked."""
    figure, axes = _figure((7.5, 4.8))
    thresholds = np.linspace(0, 1, 1001)
    lines = curves.at(thresholds)
    kept = thresholds <= curves.thresholds.max(initial=0.0)  # beyond, there is no precision
    for values, name, colour, style in zip(
        lines,
        ("precision", "recall", "F1"),
        (_ORANGE, _GREEN, _BLUE),
        ("--", "-.", "-"),
        strict=True,
    ):
        axes.plot(
            thresholds[kept],
            values[kept],
            color=colour,
            linestyle=style,
            linewidth=2.6 if name == "F1" else 1.6,
            label=name,
        )
    if curves.best_f1 > 0:
        _mark_best(axes, curves)
    else:
        _say(axes, "nothing found that is true")
    _unit_square(axes, "score threshold", "")
    axes.legend(loc="lower center", ncols=3, frameon=False, bbox_to_anchor=(0.5, -0.26))
    axes.set_title("Precision, recall and F1 over the score threshold")
    return figure


def confusion_matrix(
    counts: np.ndarray, class_names: Sequence[str], score_threshold: float
) -> Figure:
    """Draw the true class against the found one: numbers are counts, colour the share of a row.

    The background is never counted whole, so its row shows shares of its columns: how much of what
    was found as a class was nothing.
    """
    names = [*(_label(name) for name in class_names), "background"]
    side = len(names)
    numbered = side <= MOST_NUMBERED_CLASSES
    inches = float(np.clip(2.6 + 0.42 * side, 4.5, 13.0))
    figure, axes = _figure((inches + 1.0, inches))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares[-1] = counts[-1] / np.maximum(counts.sum(axis=0), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    text_size = 10 if side <= 12 else 7.5 if numbered else 5.5
    axes.set_xticks(range(side), names, rotation=0 if side <= 4 else 90, fontsize=text_size)
    axes.set_yticks(range(side), names, fontsize=text_size)
    axes.tick_params(length=0)
    axes.set_xlabel(f"found (score at least {score_threshold:.2f})")
    axes.set_ylabel("true")
    axes.set_title("Confusion at IoU 0.5")
    axes.spines[:].set_visible(False)
    if numbered:
        _write_counts(axes, counts, shares, text_size)
    _rule_off_background(axes, side)
    bar = figure.colorbar(
        image, ax=axes, shrink=0.8, label="share of the row (background: of the column)"
    )
    bar.outline.set_visible(False)
    return figure


def class_ap50(average: AveragePrecision, class_names: Sequence[str]) -> Figure:
    """Draw AP50 of each class, best on top, with its number of true boxes."""
    values = average.class_ap_at(0.5)
    order = np.argsort(np.nan_to_num(values, nan=-1.0), kind="stable")  # the top is drawn last
    figure, axes = _figure((7.5, float(np.clip(1.4 + 0.36 * len(order), 2.4, 24.0))))
    places = np.arange(len(order))
    axes.barh(places, np.nan_to_num(values[order]), color=_BLUE, height=0.68)
    for place, class_id in zip(places, order, strict=True):
        value = values[class_id]
        note = f"{value:.3f}" if np.isfinite(value) else "no true boxes"
        at = 1.02 if np.isfinite(value) else 0.01
        axes.text(at, place, note, va="center", fontsize=9, color=_INK)
    axes.set_yticks(
        places, [f"{_label(class_names[k])}  ({average.truth_counts[k]})" for k in order]
    )
    axes.set_xlim(0, 1.1)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.axvline(average.ap50, color=_INK, linestyle="--", linewidth=1.4)
    axes.grid(axis="x", color=_PALE, linewidth=0.8)
    axes.set_xlabel("AP50")
    axes.set_title(f"AP50 per class (true boxes); mean {average.ap50:.3f}, dashed")
    return figure


def training_curves(history: Sequence[dict[str, float]], stage_boundary: int | None) -> Figure:
    """Draw loss, validation AP50 and learning rate over the epochs of both stages.

    `history` holds one dict per epoch with any of `loss`, `val_loss`, `val_AP50` and
    `learning_rate`, and perhaps `epoch` (else they count from 1). The first `stage_boundary` epochs
    were the frozen stage; None where there was none.
    """
    figure = Figure(figsize=(8.0, 7.6), layout="constrained")
    FigureCanvasAgg(figure)
    loss_axes, ap_axes, rate_axes = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": [3, 2.4, 1.4]}
    )
    for axes in (loss_axes, ap_axes, rate_axes):
        _clean(axes)
    _plot_key(loss_axes, history, "loss", _BLUE, "training")
    _plot_key(loss_axes, history, "val_loss", _ORANGE, "validation")
    _plot_key(ap_axes, history, "val_AP50", _GREEN, "validation AP50")
    _plot_key(rate_axes, history, "learning_rate", _INK, "learning rate")
    _scale_loss(loss_axes)
    _scale_rate(rate_axes)
    ap_axes.set_ylim(0, 1.02)
    loss_axes.set_ylabel("loss")
    ap_axes.set_ylabel("validation AP50")
    rate_axes.set_ylabel("learning rate")
    rate_axes.set_xlabel("epoch")
    rate_axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if loss_axes.lines:
        loss_axes.legend(frameon=False, loc="upper right")
    _mark_stages(loss_axes, (ap_axes, rate_axes), history, stage_boundary)
    _mark_last_epoch(ap_axes, history)
    return figure


def _figure(size_inches: tuple[float, float]) -> tuple[Figure, Axes]:
    """Return an empty figure with one clean pair of axes."""
    figure = Figure(figsize=size_inches, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    _clean(axes)
    return figure, axes


def _clean(axes: Axes) -> None:
    """Take away what is not data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.tick_params(color=_GREY)
    axes.set_axisbelow(True)


def _label(name: str) -> str:
    """Return a class name cut to a label's length, its dollars no mathematics."""
    cut = name if len(name) <= MOST_NAME_LETTERS else f"{name[: MOST_NAME_LETTERS - 1]}…"
    return cut.replace("$", r"\$")


def _unit_square(axes: Axes, x_label: str, y_label: str) -> None:
    """Show 0 to 1 on both axes, with a grid."""
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, 1.02)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.grid(color=_PALE, linewidth=0.8)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)


def _legend_beside(axes: Axes, title: str) -> None:
    """Put the legend right of the axes, where it covers no line."""
    axes.legend(
        title=title,
        loc="upper left",
        bbox_to_anchor=(1.02, 1.0),
        frameon=False,
        alignment="left",
    )


def _say(axes: Axes, text: str) -> None:
    """Write why there is nothing to see."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color=_GREY, fontsize=13)


def _mark_best(axes: Axes, curves: ThresholdCurves) -> None:
    """Mark the best F1 and say what it is, on the side that has room."""
    at_right = curves.best_threshold < 0.55
    axes.axvline(curves.best_threshold, color=_GREY, linestyle=":", linewidth=1.4)
    axes.plot([curves.best_threshold], [curves.best_f1], "o", color=_BLUE, markersize=8)
    axes.annotate(
        f"best F1 {curves.best_f1:.3f} at {curves.best_threshold:.3f}\n"
        f"precision {curves.best_precision:.3f}, recall {curves.best_recall:.3f}",
        (curves.best_threshold, 0.04),
        xytext=(8 if at_right else -8, 0),
        textcoords="offset points",
        ha="left" if at_right else "right",
        va="bottom",
        color=_INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2},
    )


def _write_counts(axes: Axes, counts: np.ndarray, shares: np.ndarray, text_size: float) -> None:
    """Write each count that is not 0 into its square."""
    for row, column in zip(*np.nonzero(counts), strict=True):
        axes.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            fontsize=text_size,
            color="white" if shares[row, column] > 0.55 else _INK,
        )


def _rule_off_background(axes: Axes, side: int) -> None:
    """Draw lines between the classes and the background."""
    axes.axhline(side - 1.5, color=_GREY, linewidth=1.0)
    axes.axvline(side - 1.5, color=_GREY, linewidth=1.0)


def _epochs(history: Sequence[dict[str, float]]) -> list[float]:
    """Return the number of each epoch."""
    return [entry.get("epoch", index) for index, entry in enumerate(history, start=1)]


def _plot_key(
    axes: Axes, history: Sequence[dict[str, float]], key: str, colour: str, label: str
) -> None:
    """Plot one value over the epochs that have it."""
    points = [
        (epoch, entry[key])
        for epoch, entry in zip(_epochs(history), history, strict=True)
        if key in entry and math.isfinite(entry[key])
    ]
    axes.grid(color=_PALE, linewidth=0.8)
    if points:
        axes.plot(
            *zip(*points, strict=True),
            color=colour,
            label=label,
            linewidth=2.0,
            marker="o",
            markersize=3.5 if len(points) <= 60 else 0,
        )


def _scale_loss(axes: Axes) -> None:
    """Use a logarithmic axis where the first epochs would press the others flat."""
    values = np.concatenate([line.get_ydata() for line in axes.lines] or [np.empty(0)])
    if values.size and values.min() > 0 and values.max() > 20 * np.median(values):
        axes.set_yscale("log")
    elif values.size:
        axes.set_ylim(bottom=min(0.0, float(values.min())))


def _scale_rate(axes: Axes) -> None:
    """Use a logarithmic axis where the learning rate spans more than a power of ten."""
    rates = np.asarray(axes.lines[0].get_ydata()) if axes.lines else np.empty(0)
    if rates.size and rates.min() > 0 and rates.max() > 10 * rates.min():
        axes.set_yscale("log")
        axes.minorticks_off()
    else:
        axes.set_ylim(0, 1.1 * float(rates.max(initial=0.0)) or 1.0)


def _mark_stages(
    top: Axes, others: Sequence[Axes], history: Sequence[dict], stage_boundary: int | None
) -> None:
    """Shade the frozen stage and name both on the upper axes."""
    epochs = _epochs(history)
    if not epochs:
        return
    first, last = epochs[0] - 0.5, epochs[-1] + 0.5
    top.set_xlim(first, last)
    frozen = min(stage_boundary or 0, len(epochs))
    middle = epochs[frozen - 1] + 0.5 if frozen else first
    for axes in (top, *others):
        if frozen:
            axes.axvspan(first, middle, color="#EAF2F8", zorder=0)
        if 0 < frozen < len(epochs):
            axes.axvline(middle, color=_GREY, linestyle="--", linewidth=1.2)
    for start, end, name in ((first, middle, "frozen"), (middle, last, "fine-tune")):
        if end > start:
            top.text(
                (start + end) / 2,
                1.02,
                name,
                transform=top.get_xaxis_transform(),
                ha="center",
                color=_INK,
            )


def _mark_last_epoch(axes: Axes, history: Sequence[dict[str, float]]) -> None:
    """Mark the last epoch's validation AP50, which is the result, and name the highest."""
    points = [
        (entry["val_AP50"], epoch)
        for epoch, entry in zip(_epochs(history), history, strict=True)
        if math.isfinite(entry.get("val_AP50", math.nan))
    ]
    if not points:
        return
    highest, when = max(points, key=lambda point: point[0])
    last, epoch = points[-1]
    axes.plot([epoch], [last], "o", color=_GREEN, markersize=9, markeredgecolor="white")
    axes.text(
        0.99,
        0.05,
        f"{last:.3f} at the end, highest {highest:.3f} in epoch {when:g}",
        transform=axes.transAxes,
        ha="right",
        color=_INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2},
    )
