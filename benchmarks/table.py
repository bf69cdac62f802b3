"""Rows of figures that were measured in turn, and the table, the JSON and the plot of them."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Row:
    """Hold one figure.

    value: in `unit`. against: what it is compared with, in the same run. ratio: how many times
    better than that it is, which is what carries over to another machine. wanted: the ratio that
    the project asks of itself.
    """

    part: str
    name: str
    value: float
    unit: str
    against: str = ""
    ratio: float | None = None
    wanted: float | None = None

    @property
    def line(self) -> str:
        """Write it as a row of a markdown table."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        wanted = "" if self.wanted is None else f"{self.wanted:g}"
        value = f"{self.value:.1f} {self.unit}"
        return f"| {self.part} | {self.name} | {value} | {ratio} | {self.against} | {wanted} |"


HEAD = (
    "| part | what | measured | times | compared with | wanted |",
    "| --- | --- | --- | --- | --- | --- |",
)


_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}


def seconds_in_turns(
    calls: Mapping[str, Callable[[], object]], rounds: int, warm: int = 2
) -> dict[str, list[float]]:
    """Time calls in turns, in an order that shifts from round to round.

    Each is first called `warm` times. Returns the seconds of each round, by name.
    """
    names = list(calls)
    for name in names:
        for _ in range(warm):
            calls[name]()
    times = {name: [] for name in names}
    for turn in range(rounds):
        for place in range(len(names)):
            name = names[(place + turn) % len(names)]
            began = time.perf_counter()
            calls[name]()
            times[name].append(time.perf_counter() - began)
    return times


def ratio_of(slower: list[float], faster: list[float]) -> float:
    """Give how many times faster the second is: the median over the rounds."""
    return median(a / b for a, b in zip(slower, faster, strict=True))


def write(rows: list[Row], machine: str, path: Path) -> None:
    """Write the rows as JSON, and beside it as a plot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    _plot([row for row in rows if row.ratio is not None], machine, path.with_suffix(".png"))


def _plot(rows, machine, path):
    """Draw each ratio as a bar on a logarithmic axis, with a mark where it is wanted to be."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 1.2 + 0.36 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = range(len(rows))
    reached = [row.wanted is None or row.ratio >= row.wanted for row in rows]
    colours = ["#4878a8" if well else "#c44e52" for well in reached]
    axes.barh(places, [row.ratio for row in rows], color=colours, height=0.62)
    for place, row in zip(places, rows, strict=True):
        axes.text(row.ratio * 1.03, place, f"{row.ratio:.2f}", va="center", fontsize=8, bbox=_WHITE)
        if row.wanted is not None:
            axes.plot([row.wanted] * 2, [place - 0.42, place + 0.42], color="black", lw=1.6)
    labels = [f"{row.part}: {row.name}\nagainst {row.against}" for row in rows]
    axes.set_yticks(places, labels, fontsize=7)
    axes.set_xscale("log")
    axes.axvline(1, color="grey", lw=0.8)
    axes.set_xlim(right=1.4 * max((row.ratio for row in rows), default=1.0))
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.set_xlabel("times as good as what it is compared with; black: wanted")
    axes.set_title(machine, fontsize=7)
    figure.savefig(path, dpi=130)
