"""Two runs held together: every metric at every step, the weights, and what they ran on."""

import math
import re
from dataclasses import asdict, dataclass

from mlflow.tracking import MlflowClient

from yolo3.tracking.reproduce.record import Record

IDENTICAL, DIFFERS = "identical", "differs"
CLOCK = re.compile(r"system/.*|data_.*|(?!.*AP50_)(.*_)?(seconds|per_second|memory|bytes)")
"""Metrics of the machine, and of the import of labels, which is not repeated: the run kept its
list. They are not compared. AP50_… ends with the name of a class, which may be any word.
"""


@dataclass(frozen=True)
class Metric:
    """Tell how far a metric of the new run is from the old one's.

    steps: of the old run. first: the first step that differs, with both values there, None where
    a run has no such step; largest: the largest absolute difference over the steps of both.
    """

    name: str
    steps: int
    identical: bool
    first: int | None = None
    old: float | None = None
    new: float | None = None
    largest: float | None = None


@dataclass(frozen=True)
class Weights:
    """Hold the digests of the weights that a stage left; None: not recorded."""

    stage: str
    old: str | None
    new: str | None


@dataclass(frozen=True)
class Circumstance:
    """Hold something of the machine, threads, versions or code that the runs do not share."""

    name: str
    old: object
    new: object


@dataclass(frozen=True)
class Comparison:
    """Hold all that two runs are compared by."""

    old: Record
    new: Record
    weights: list[Weights]
    metrics: list[Metric]
    not_compared: list[str]
    circumstances: list[Circumstance]
    notes: list[str]

    @property
    def verdict(self) -> str:
        """Say `identical` where every metric is, and every digest of the old run is the new's."""
        same_weights = all(stage.old in (None, stage.new) for stage in self.weights)
        same = self.metrics and all(metric.identical for metric in self.metrics)
        return IDENTICAL if same and same_weights else DIFFERS

    def as_dict(self) -> dict:
        """Write all of it as plain values."""
        return {
            "verdict": self.verdict,
            "old": _told(self.old),
            "new": _told(self.new),
            "weights": [asdict(stage) for stage in self.weights],
            "metrics": [asdict(metric) for metric in self.metrics],
            "not_compared": self.not_compared,
            "circumstances": [asdict(circumstance) for circumstance in self.circumstances],
            "notes": self.notes,
        }


def _told(record):
    return {
        "run_id": record.run_id,
        "name": record.run.info.run_name,
        "commit": record.commit,
        "dirty": record.source.get("dirty"),
    }


def compare(client: MlflowClient, old: Record, new: Record, notes: list[str]) -> Comparison:
    """Compare a repeated run with the one that it repeats."""
    names = sorted(set(old.run.data.metrics) | set(new.run.data.metrics))
    compared = [name for name in names if not CLOCK.fullmatch(name)]
    metrics = [
        compare_metric(name, *(_history(client, record.run_id, name) for record in (old, new)))
        for name in compared
    ]
    stages = dict.fromkeys([*old.digests, *new.digests])
    weights = [Weights(stage, old.digests.get(stage), new.digests.get(stage)) for stage in stages]
    untold = ("system/", "data_")
    left = [name for name in names if name not in compared and not name.startswith(untold)]
    circumstances = compare_circumstances(old, new)
    return Comparison(old, new, weights, metrics, left, circumstances, notes)


def _history(client, run_id, name):
    """Give a metric's values by step; where a step was logged again the last one counts."""
    logged = sorted(client.get_metric_history(run_id, name), key=lambda metric: metric.timestamp)
    return {metric.step: metric.value for metric in logged}


def compare_metric(name: str, old: dict[int, float], new: dict[int, float]) -> Metric:
    """Compare the values of a metric at every step; NaN equals NaN."""
    steps = sorted(set(old) | set(new))
    differing = [step for step in steps if not _same(old.get(step), new.get(step))]
    if not differing:
        return Metric(name, len(old), True)
    apart = [abs(old[step] - new[step]) for step in steps if step in old and step in new]
    finite = [value for value in apart if math.isfinite(value)]
    first = differing[0]
    return Metric(
        name, len(old), False, first, old.get(first), new.get(first), max(finite, default=None)
    )


def _same(old, new):
    if old is None or new is None:
        return False
    return old == new or (math.isnan(old) and math.isnan(new))


def compare_circumstances(old: Record, new: Record) -> list[Circumstance]:
    """Name all that the records of machine, threads, versions and code do not share."""
    before, after = (_flat(record) for record in (old, new))
    return [
        Circumstance(name, before.get(name), after.get(name))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def _flat(record):
    """Write what is recorded of a run's circumstances as one level of names and values."""
    flat = {"commit": record.commit}
    flat |= {name: record.source.get(name) or None for name in ("diff", "untracked", "archive")}
    for name, value in record.environment.items():
        values = value.items() if isinstance(value, dict) else [("", value)]
        flat |= {f"{name}.{inner}" if inner else name: content for inner, content in values}
    return flat
