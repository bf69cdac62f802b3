"""The training step on data in memory: Keras's own, and this project's, in both precisions.

python -m benchmarks.step
"""

import click

from benchmarks.data import batches_of, network_on_base, read_sample
from benchmarks.table import HEAD, Row, ratio_of, seconds_in_turns


def measure(input_size=416, batch_size=16, rounds=6, frozen=False) -> list[Row]:
    """Time one step of each, in turns; `frozen` trains the output convolutions alone."""
    from yolo3.training.determinism import settle
    from yolo3.training.learner import Learner
    from yolo3.training.stages import Stage, frozen_layers, prepare

    settle(1)
    pictures, spec = read_sample(input_size)
    batch = batches_of(pictures, spec, batch_size)[0]

    def step_of(precision, plain):
        network, filled = network_on_base(spec, precision)
        learner = Learner(network, spec)
        if plain:
            learner._view = network
        kept = frozen_layers(network, "body" if frozen else "none", filled)
        prepare(learner, Stage("benchmark", 1, 1e-4, kept), 100)
        return lambda: learner.train_on_batch(*batch)

    precisions = ("float32", "mixed_bfloat16")
    names = {
        (precision, plain): f"{'Keras' if plain else 'this project'}, {precision}"
        for precision in precisions
        for plain in (True, False)
    }
    calls = {name: step_of(*key) for key, name in names.items()}
    times = seconds_in_turns(calls, rounds)
    base = names["float32", True]
    part = "frozen step" if frozen else "training step"
    rows = []
    for name, taken in times.items():
        speed = batch_size / min(taken)
        if name == base:
            rows.append(Row(part, name, speed, "images/s"))
            continue
        wanted = 2.0 if name == names["mixed_bfloat16", False] and not frozen else None
        ratio = ratio_of(times[base], taken)
        rows.append(Row(part, name, speed, "images/s", base, ratio, wanted))
    return rows


@click.command(context_settings={"show_default": True})
@click.option("--input-size", default=416)
@click.option("--batch-size", default=16)
@click.option("--rounds", default=6)
@click.option("--frozen", is_flag=True, help="Train the output convolutions alone.")
def main(**options):
    """Print the step's images/s, and how many times Keras's own float32 step that is."""
    from yolo3.evaluation.machine import describe

    print("\n".join([describe(), "", *HEAD, *(row.line for row in measure(**options))]))


if __name__ == "__main__":
    main()
