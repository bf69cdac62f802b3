"""A promotion that was decided: what is told of it, and what its run records."""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from yolo3.evaluation.comparison import CONFIDENCE, Comparison, Line, Number
from yolo3.tracking.registry import CHAMPION, Version

PROMOTED, FORCED, REFUSED = "promoted", "forced", "refused"


@dataclass(frozen=True)
class Contender:
    """A version that takes part, as a detector.

    pictures_seen: how many of the list's pictures its training had; None where nobody knows.
    """

    version: Version
    input_wh: tuple[int, int]
    pictures_seen: int | None


@dataclass(frozen=True)
class Promotion:
    """A challenger, the champion if there is one, how they compare, and what is done about it."""

    challenger: Contender
    champion: Contender | None
    comparison: Comparison
    annotation_path: str
    sha256: str  # of pictures and boxes
    force: bool
    machine: str
    run_id: str
    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def name(self) -> str:
        """Return the name of the registered model."""
        return self.challenger.version.name

    @property
    def decision(self) -> str:
        """Return PROMOTED, REFUSED, or FORCED where the alias moves in spite of a refusal."""
        if self.comparison.passed:
            return PROMOTED
        return FORCED if self.force else REFUSED

    @property
    def moves(self) -> bool:
        """Tell whether the alias moves."""
        return self.decision != REFUSED

    def sentence(self) -> str:
        """Say what was decided, and why."""
        new, reason = self.challenger.version.number, self.comparison.reason
        over = f" over version {self.champion.version.number}" if self.champion else ""
        if self.decision == PROMOTED:
            return f"Promoted: version {new} is {CHAMPION}{over}. {_upper(reason)}."
        if self.decision == FORCED:
            return f"Forced: version {new} is {CHAMPION}{over}, although {reason}."
        stays = f"version {self.champion.version.number} stays" if self.champion else "there is no"
        return f"Refused: {stays} {CHAMPION}. Version {new}: {reason}."

    def cautions(self) -> list[str]:
        """Say what a reader should know before trusting the figures."""
        pictures = len(self.comparison.challenger.evaluation.pictures)
        return [
            f"The training of version {side.version.number} had {side.pictures_seen} of the "
            f"{pictures} pictures, which flatters it: compare on pictures that no training had."
            for side in (self.champion, self.challenger)
            if side and side.pictures_seen
        ]

    def table(self) -> list[str]:
        """Return the comparison as lines of text."""
        head = ("", "champion", "challenger", "change", "95 % interval", "")
        rows = [head, *(_cells(line) for line in self.comparison.lines)]
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        return [
            "  ".join(
                [
                    row[0].ljust(widths[0]),
                    *(row[column].rjust(widths[column]) for column in range(1, 5)),
                    row[5],
                ]
            ).rstrip()
            for row in rows
        ]

    def metrics(self) -> dict[str, float]:
        """Return every number by a name that MLflow takes."""
        numbers = {}
        for line in self.comparison.lines:
            unit, change = ("_ms", "ratio") if line.is_latency else ("", "change")
            numbers[f"challenger_{line.key}{unit}"] = line.challenger.value
            if line.champion:
                numbers[f"champion_{line.key}{unit}"] = line.champion.value
                numbers[f"{line.key}_{change}"] = line.change.value
            if line.change and line.change.span:
                low, high = line.change.span
                numbers |= {f"{line.key}_{change}_low": low, f"{line.key}_{change}_high": high}
        for role, side in self._sides().items():
            if side.pictures_seen is not None:
                numbers[f"{role}_pictures_seen"] = float(side.pictures_seen)
        return numbers

    def run_tags(self) -> dict[str, str]:
        """Return the tags that link the run with both versions and tell the decision."""
        tags = {
            "promotion.name": self.name,
            "promotion.decision": self.decision,
            "promotion.force": str(self.force).lower(),
            "promotion.reason": self.comparison.reason[:_TAG_LENGTH],
            "promotion.champion": "none",
            MLFLOW_RUN_NOTE: "\n\n".join([self.sentence(), *self.cautions()]),
        }
        for role, side in self._sides().items():
            tags[f"promotion.{role}"] = side.version.uri
            tags[f"promotion.{role}_run"] = side.version.run_id or "none"
        return tags

    def version_tags(self) -> dict[str, str]:
        """Return the tags that tell at the challenger's version why it became champion, or not."""
        if not self.moves:
            return {
                "refused_by_run": self.run_id,
                "refused_because": self.comparison.reason[:_TAG_LENGTH],
            }
        former = self.champion.version.number if self.champion else "none"
        return {
            "promoted_by_run": self.run_id,
            "promoted_over": former,
            "forced": str(self.decision == FORCED).lower(),
        }

    def as_json(self) -> dict:
        """Return all of it as plain values."""
        comparison = self.comparison
        evaluation = comparison.challenger.evaluation
        return {
            "name": self.name,
            "decision": self.decision,
            "passed": comparison.passed,
            "force": self.force,
            "reason": comparison.reason,
            "cautions": self.cautions(),
            "run_id": self.run_id,
            "time": self.time.isoformat(timespec="seconds"),
            "champion": None,
            **{role: _as_json(side) for role, side in self._sides().items()},
            "list": {
                "annotation_path": self.annotation_path,
                "pictures": len(evaluation.pictures),
                "boxes": int(evaluation.average_precision.truth_counts.sum()),
                "sha256": self.sha256,
                "classes": list(evaluation.class_names),
                "classes_without_boxes": list(comparison.absent),
            },
            "rule": asdict(comparison.rule)
            | {"confidence": CONFIDENCE, "class_confidence": comparison.class_confidence},
            "latency": {
                "machine": self.machine,
                "pictures": len(comparison.challenger.milliseconds),
            },
            "lines": [asdict(line) for line in comparison.lines],
        }

    def _sides(self) -> dict[str, Contender]:
        sides = {"champion": self.champion, "challenger": self.challenger}
        return {role: side for role, side in sides.items() if side}


_TAG_LENGTH = 250  # characters; Azure ML takes 256


def _as_json(side: Contender) -> dict:
    return {
        **asdict(side.version),
        "uri": side.version.uri,
        "input_size": "x".join(map(str, side.input_wh)),
        "pictures_seen_in_training": side.pictures_seen,
    }


def shown(number: Number | None, line: Line) -> str:
    """Write a detector's number as a person reads it, `–` where there is none."""
    if number is None:
        return "–"
    return f"{number.value:.1f} ms" if line.is_latency else f"{number.value:.3f}"


def shown_change(line: Line) -> str:
    """Write a change as a person reads it."""
    if line.change is None:
        return "–"
    return f"× {line.change.value:.2f}" if line.is_latency else _signed(line.change.value)


def shown_span(number: Number | None, line: Line) -> str:
    """Write the interval of a detector's number, empty where there is none."""
    if number is None or number.span is None:
        return ""
    return " to ".join(f"{edge:{'.1f' if line.is_latency else '.3f'}}" for edge in number.span)


def shown_change_span(line: Line) -> str:
    """Write the interval of a change, empty where there is none."""
    if line.change is None or line.change.span is None:
        return ""
    low, high = line.change.span
    return f"{low:.2f} to {high:.2f}" if line.is_latency else f"{_signed(low)} to {_signed(high)}"


def _signed(value: float) -> str:
    """Write a difference with its sign, which nothing has that rounds to 0."""
    text = f"{value:+.3f}"
    return text[1:] if float(text) == 0 else text


def _cells(line: Line) -> tuple[str, ...]:
    boxes = f" ({line.boxes} boxes)" if line.boxes is not None else ""
    return (
        f"{line.name}{boxes}",
        shown(line.champion, line),
        shown(line.challenger, line),
        shown_change(line),
        shown_change_span(line),
        f"{line.verdict}: {line.why}",
    )


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
