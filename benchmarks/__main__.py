"""Measure the speed of every part in one run, beside its bare limit and its peers.

    python -m benchmarks            within 15 minutes on two cores
    python -m benchmarks --full     growth to 20,000 pictures, and more rounds
    python -m benchmarks --model runs:/RUN_ID/keras-yolo-model

Detection is measured with a model that is made up, unless one is given: a trained one finds fewer
things of low scores, which evaluation looks through.

Prints one table, and writes it as JSON and as a plot. Figures of a shared machine are worth what
stands beside them: what is compared was measured in turns, so the column `times` carries over to
another machine and the milliseconds do not.
"""

import os
import time
from pathlib import Path

import click

from benchmarks.table import HEAD, Row, write

PARTS = ("detection", "step", "frozen", "finetune", "growth")  # detection before TensorFlow trains


@click.command(context_settings={"show_default": True})
@click.option("--full", is_flag=True, help="Grow to 20,000 pictures; measure in more rounds.")
@click.option("--only", multiple=True, type=click.Choice(PARTS), help="Parts; all if none.")
@click.option("--model", default="", help="Trained model (URI or folder) to detect with.")
@click.option("--output", default="logs/benchmarks.json", type=click.Path(path_type=Path))
def main(full, only, model, output):
    """Print one table of all parts, and write it as JSON and as a plot."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from yolo3.evaluation.machine import describe

    rows = []
    print("\n".join([describe(), "", *HEAD]), flush=True)
    for part in PARTS:
        if only and part not in only:
            continue
        began = time.perf_counter()
        for row in _measure(part, full, model):
            rows.append(row)
            print(row.line, flush=True)
        click.echo(f"{part}: {time.perf_counter() - began:.0f} s", err=True)
    write(rows, describe(), output)


def _measure(part: str, full: bool, model: str) -> list[Row]:
    if part == "step":
        from benchmarks import step

        return step.measure(rounds=12 if full else 5)
    if part == "frozen":
        from benchmarks import frozen

        return frozen.measure()
    if part == "finetune":
        from benchmarks import finetune

        return finetune.measure(rounds=6 if full else 3)
    if part == "growth":
        from benchmarks import growth

        return growth.measure((200, 20_000) if full else (200, 2000), step=full)
    from benchmarks import detection

    return detection.measure(model, rounds=30 if full else 10)


if __name__ == "__main__":
    main()
