"""Whether a challenger may take a champion's place: each thing that matters, and its verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yolo3.data.annotations import Picture
from yolo3.evaluation.bootstrap import (
    draw,
    interval,
    mean_over_classes,
    resampled_ap50,
    resampled_medians,
)
from yolo3.evaluation.evaluate import Evaluation
from yolo3.evaluation.names import metric_names

CONFIDENCE = 0.95
LEAST_PICTURES = 5  # with a box of a class: an interval over fewer says nothing
BETTER, HOLDS, WORSE, TOLD = "better", "not worse", "worse", "not judged"
ENOUGH, TOO_LOW = "good enough", "too low"  # of a first champion
AP50, AP, LATENCY = "AP50", "AP", "latency"
JUDGED = "AP50.judged"  # no class has this key: those begin with AP50_
_ROUNDING = 1e-9
_MOST_REASONS = 4
_NOT_WORSE = "not worse where it matters"

Span = tuple[float, float]


@dataclass(frozen=True)
class Rule:
    """What a challenger may lose.

    tolerance: of AP50. class_tolerance: of the AP50 of one class. min_boxes: a class with fewer is
    told, not judged. latency_factor: of the champion's time for a picture. floor: the AP50 that is
    asked of a first champion. resamples, seed: of the bootstrap.
    """

    tolerance: float
    class_tolerance: float
    min_boxes: int
    latency_factor: float
    floor: float
    resamples: int
    seed: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not np.isfinite(value):  # nothing is ever less than NaN
                raise ValueError(f"{name} must be a finite number, got {value}")


@dataclass(frozen=True)
class Measured:
    """What a detector found in all pictures, and its time for some of them."""

    evaluation: Evaluation
    milliseconds: np.ndarray  # (P,)


@dataclass(frozen=True)
class Number:
    """A detector's number, and the interval that it has over resampled pictures."""

    value: float
    span: Span | None = None


@dataclass(frozen=True)
class Line:
    """One thing that was compared.

    key: what its metrics are named by. change: challenger less champion; for the latency,
    challenger through champion. Without a champion there is no change.
    """

    key: str
    name: str
    challenger: Number
    champion: Number | None
    change: Number | None
    verdict: str
    why: str
    boxes: int | None = None

    @property
    def is_latency(self) -> bool:
        """Tell whether the numbers are milliseconds, and the change a ratio."""
        return self.key == LATENCY

    @property
    def is_class(self) -> bool:
        """Tell whether it is the AP50 of one class."""
        return self.key.startswith(f"{AP50}_")


@dataclass(frozen=True)
class Comparison:
    """A challenger beside a champion, or alone where there is none yet.

    class_confidence: of each class's interval, so that all of them hold together at CONFIDENCE.
    absent: names of the classes of which the pictures hold no box.
    """

    rule: Rule
    challenger: Measured
    champion: Measured | None
    lines: tuple[Line, ...]
    class_confidence: float
    absent: tuple[str, ...]

    @property
    def worse(self) -> tuple[Line, ...]:
        """Return the lines that speak against the challenger."""
        return tuple(line for line in self.lines if line.verdict in (WORSE, TOO_LOW))

    @property
    def passed(self) -> bool:
        """Tell whether the challenger is not worse where it matters."""
        return not self.worse

    @property
    def reason(self) -> str:
        """Say in a sentence why it passed or did not."""
        told = self.worse or (() if self.champion else self.lines[:1])
        said = [f"{line.name} {line.why}" for line in told[:_MOST_REASONS]]
        more = len(told) - len(said)
        return "; ".join(said + ([f"and {more} more"] if more else [])) or _NOT_WORSE


def compare(challenger: Measured, champion: Measured | None, rule: Rule) -> Comparison:
    """Compare two detectors that were measured on the same pictures.

    Worse is an AP50 that lost more than is tolerated, and one whose interval lies below 0 as a
    whole, however little it lost. So is a class, where the pictures hold enough of its boxes; its
    interval is widened by the number of classes (Bonferroni). Where some classes have too few boxes
    the AP50 that is judged is the mean of the others. Raises ValueError where pictures or classes
    differ.
    """
    table = _Table(challenger, champion, rule)
    return Comparison(
        rule=rule,
        challenger=challenger,
        champion=champion,
        lines=(*table.means(), *table.classes(), table.all_ious(), table.latency()),
        class_confidence=table.class_confidence,
        absent=tuple(
            name
            for name, boxes in zip(challenger.evaluation.class_names, table.boxes, strict=True)
            if not boxes
        ),
    )


def count_boxes(pictures: Sequence[Picture], class_count: int) -> tuple[np.ndarray, np.ndarray]:
    """Count the boxes of each class, and the pictures that hold one: (C,) and (C,)."""
    held = [np.bincount(picture.class_ids, minlength=class_count) for picture in pictures]
    counts = np.stack([np.zeros(class_count, np.int64), *held])
    return counts.sum(axis=0), (counts > 0).sum(axis=0)


class _Resampled:
    """One detector's numbers, and the same in each resample."""

    def __init__(self, measured: Measured, draws: np.ndarray, timed_draws: np.ndarray):
        evaluation = measured.evaluation
        average = evaluation.average_precision
        self.ap50, self.ap = average.ap50, average.ap
        self.class_ap50 = average.class_ap_at(0.5)  # (C,)
        self.milliseconds = float(np.median(measured.milliseconds))
        self.class_ap50_draws = resampled_ap50(  # (R, C)
            evaluation.pictures, evaluation.detections, len(evaluation.class_names), draws
        )
        self.milliseconds_draws = resampled_medians(measured.milliseconds, timed_draws)  # (R,)

    def mean(self, classes: np.ndarray) -> float:
        """Return the mean AP50 of the classes chosen by a mask (C,)."""
        chosen = self.class_ap50[classes]
        return float(chosen.mean()) if chosen.size else 0.0

    def mean_draws(self, classes: np.ndarray) -> np.ndarray:  # (R,)
        """Return the same in each resample."""
        return mean_over_classes(self.class_ap50_draws[:, classes])


class _Table:
    """Make the lines of a comparison."""

    def __init__(self, challenger: Measured, champion: Measured | None, rule: Rule):
        _check_alike(challenger, champion)
        evaluation = challenger.evaluation
        self.rule, self.names = rule, evaluation.class_names
        self.boxes, self.pictures = count_boxes(evaluation.pictures, len(self.names))
        self.enough = (self.boxes >= rule.min_boxes) & (self.pictures >= LEAST_PICTURES)
        self.class_confidence = 1 - (1 - CONFIDENCE) / max(1, int(self.enough.sum()))
        draws = draw(len(evaluation.pictures), rule.resamples, rule.seed)
        timed_draws = draw(len(challenger.milliseconds), rule.resamples, rule.seed)
        self.new = _Resampled(challenger, draws, timed_draws)
        self.old = _Resampled(champion, draws, timed_draws) if champion else None

    def means(self) -> list[Line]:
        """Return the line of the AP50 that is judged, and that of all classes if it is another."""
        present = self.boxes > 0
        chosen = self.enough if self.enough.any() else present
        if (chosen == present).all():
            return [self._mean(AP50, AP50, chosen, judged=True)]
        name = f"AP50 of the {chosen.sum()} classes with enough boxes"
        return [
            self._mean(JUDGED, name, chosen, judged=True),
            self._mean(AP50, f"AP50 of all {present.sum()} classes", present, judged=False),
        ]

    def classes(self) -> list[Line]:
        """Return a line for each class that has a true box."""
        keys = metric_names(self.names)
        return [self._class(index, keys[index]) for index in np.flatnonzero(self.boxes)]

    def all_ious(self) -> Line:
        """Return the line of COCO's AP, which is told for what it says of tight boxes."""
        new = Number(self.new.ap)
        old = Number(self.old.ap) if self.old else None
        change = Number(new.value - old.value) if old else None
        return Line(AP, AP, new, old, change, TOLD, "for information, IoU 0.50 to 0.95")

    def latency(self) -> Line:
        """Return the line of the time for a picture."""
        new = _number(self.new.milliseconds, self.new.milliseconds_draws)
        if not self.old:
            return Line(LATENCY, "latency", new, None, None, TOLD, "nothing to compare with")
        old = _number(self.old.milliseconds, self.old.milliseconds_draws)
        draws = self.new.milliseconds_draws / self.old.milliseconds_draws
        change = _number(new.value / old.value, draws)
        verdict, why = _judge_latency(change, self.rule.latency_factor)
        return Line(LATENCY, "latency", new, old, change, verdict, why)

    def _mean(self, key: str, name: str, classes: np.ndarray, judged: bool) -> Line:
        new_draws = self.new.mean_draws(classes)
        new = _number(self.new.mean(classes), new_draws)
        boxes = int(self.boxes[classes].sum())
        if not self.old:
            verdict, why = _judge_floor(new.value, self.rule.floor) if judged else (TOLD, "")
            return Line(key, name, new, None, None, verdict, why, boxes)
        old_draws = self.old.mean_draws(classes)
        old = _number(self.old.mean(classes), old_draws)
        change = _number(new.value - old.value, new_draws - old_draws)
        verdict, why = _judge(change, self.rule.tolerance) if judged else (TOLD, "for information")
        return Line(key, name, new, old, change, verdict, why, boxes)

    def _class(self, index: int, key: str) -> Line:
        key, name = f"{AP50}_{key}", self.names[index]
        boxes, pictures = int(self.boxes[index]), int(self.pictures[index])
        new = self._class_number(self.new, index)
        few = f"only {boxes} boxes in {pictures} pictures"
        if not self.old:
            why = "nothing to compare with" if self.enough[index] else few
            return Line(key, name, new, None, None, TOLD, why, boxes)
        old = self._class_number(self.old, index)
        draws = self.new.class_ap50_draws[:, index] - self.old.class_ap50_draws[:, index]
        change = _number(new.value - old.value, draws, self.class_confidence)
        enough = self.enough[index]
        verdict, why = _judge(change, self.rule.class_tolerance) if enough else (TOLD, few)
        return Line(key, name, new, old, change, verdict, why, boxes)

    def _class_number(self, side: _Resampled, index: int) -> Number:
        return _number(float(side.class_ap50[index]), side.class_ap50_draws[:, index])


def _number(value: float, draws: np.ndarray, confidence: float = CONFIDENCE) -> Number:
    return Number(value, interval(draws, confidence))


def _judge(change: Number, tolerance: float) -> tuple[str, str]:
    """Judge a difference of AP50: verdict, and why."""
    low, high = change.span
    if change.value < -tolerance - _ROUNDING:
        return WORSE, f"lost {-change.value:.3f}, at most {tolerance:g} is tolerated"
    if high < -_ROUNDING:
        return WORSE, f"lost {-change.value:.3f} beyond chance: the whole interval is below 0"
    if low > _ROUNDING:
        return BETTER, "gained beyond chance: the whole interval is above 0"
    return HOLDS, "within what is tolerated" if change.value < 0 else "lost nothing"


def _judge_latency(change: Number, factor: float) -> tuple[str, str]:
    if change.value > factor:
        return WORSE, f"takes {change.value:.2f} times as long, at most {factor:g} is allowed"
    if change.span[1] < 1:
        return BETTER, "faster beyond chance: the whole interval is below 1"
    return HOLDS, f"at most {factor:g} times as long is allowed"


def _judge_floor(value: float, floor: float) -> tuple[str, str]:
    if value < floor:
        return TOO_LOW, f"is {value:.3f}, a first champion needs {floor:g}"
    return ENOUGH, f"is {value:.3f}, which reaches the {floor:g} that a first champion needs"


def _check_alike(challenger: Measured, champion: Measured | None) -> None:
    if champion is None:
        return
    new, old = challenger.evaluation, champion.evaluation
    if new.class_names != old.class_names:
        raise ValueError(f"expected classes {old.class_names}, got {new.class_names}")
    if [picture.digest for picture in new.pictures] != [picture.digest for picture in old.pictures]:
        raise ValueError("expected the same pictures for both detectors")
    if len(challenger.milliseconds) != len(champion.milliseconds):
        raise ValueError("expected the times of the same pictures for both detectors")
