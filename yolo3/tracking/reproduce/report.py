"""What a reproduction found: lines for a person, one page, and plain values."""

from html import escape

from yolo3.checks.page import page
from yolo3.tracking.reproduce.compare import IDENTICAL, Comparison

NAMED = 12  # metrics that differ, told on the terminal; the page has all


def lines(comparison: Comparison) -> list[str]:
    """Tell in words what is the same and what is not, the verdict last."""
    told = [f"reproduction of {comparison.old.title} by {comparison.new.title}"]
    for stage in comparison.weights:
        told.append(f"weights {stage.stage}: {_weights(stage)}")
    same = [metric for metric in comparison.metrics if metric.identical]
    values = sum(metric.steps for metric in same)
    told.append(
        f"metrics: {len(same)} of {len(comparison.metrics)} identical at every step "
        f"({values} values)"
    )
    differing = [metric for metric in comparison.metrics if not metric.identical]
    told += [f"  {metric.name}: {_metric(metric)}" for metric in differing[:NAMED]]
    if len(differing) > NAMED:
        told.append(f"  … and {len(differing) - NAMED} more, in reproduction.html")
    told += _circumstances(comparison)
    told += [f"note: {note}" for note in comparison.notes]
    return [*told, comparison.verdict]


def _weights(stage):
    if stage.old is None:
        return f"the run recorded no digest; now sha256 {stage.new}"
    if stage.old == stage.new:
        return f"sha256 {stage.old}, the same"
    return f"sha256 {stage.old}, now {stage.new or 'none'}"


def _metric(metric):
    apart = "" if metric.largest is None else f"; at most {metric.largest:.3g} apart"
    return f"first at step {metric.first}: {_number(metric.old)}, now {_number(metric.new)}{apart}"


def _number(value):
    return "none" if value is None else repr(value)


def _circumstances(comparison):
    if not comparison.old.environment:
        return ["machine, threads and versions: the run recorded none"]
    if not comparison.circumstances:
        return ["machine, threads, versions and code: the same"]
    return [
        f"{circumstance.name}: {circumstance.old}, now {circumstance.new}"
        for circumstance in comparison.circumstances
    ]


def html(comparison: Comparison) -> str:
    """Write one page with every metric, the weights, and what the runs do not share."""
    good = comparison.verdict == IDENTICAL
    head = (
        f"<h1>Reproduction of {escape(comparison.old.title)}</h1>"
        f"<p class='soft'>by {escape(comparison.new.title)}</p>"
        f"<p class='verdict {'good' if good else 'look'}'>{comparison.verdict}</p>"
    )
    weights = _table(
        ["stage", "run", "reproduction", ""],
        [
            [stage.stage, stage.old, stage.new, _same(stage.old == stage.new)]
            for stage in comparison.weights
        ],
    )
    metrics = _table(
        ["metric", "steps", "", "first step that differs", "run", "reproduction", "at most apart"],
        [
            [m.name, m.steps, _same(m.identical), m.first, m.old, m.new, m.largest]
            for m in sorted(comparison.metrics, key=lambda metric: metric.identical)
        ],
    )
    notes = "".join(f"<p>{escape(line)}</p>" for line in comparison.notes)
    left = ", ".join(comparison.not_compared) or "none but system/… and data_…"
    return page(
        "Reproduction",
        f"{head}{notes}<h2>Weights (SHA-256)</h2>{weights}<h2>Metrics</h2>{metrics}"
        f"<p class='soft'>Not compared (of the machine, or of the import): {escape(left)}</p>"
        f"<h2>Machine, threads, versions, code</h2>{_different(comparison)}",
    )


def _different(comparison):
    rows = [[c.name, c.old, c.new] for c in comparison.circumstances]
    if rows:
        return _table(["differs", "run", "reproduction"], rows)
    return f"<p>{escape(_circumstances(comparison)[0])}</p>"


def _same(same):
    return "identical" if same else "differs"


def _table(head, rows):
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _cell(value):
    text = "" if value is None else repr(value) if isinstance(value, float) else str(value)
    return f"<td><code>{escape(text)}</code></td>"
