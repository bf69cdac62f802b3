"""The fine-tune stage, decoding and augmentation included, against the bare step.

python -m benchmarks.finetune
"""

import time
from statistics import median
from unittest.mock import patch

import click

from benchmarks.data import batches_of, network_on_base, read_sample
from benchmarks.table import HEAD, Row


def measure(input_size=416, batch_size=16, rounds=3, precision="auto") -> list[Row]:
    """Time an epoch of `fit` and as many bare steps, in turns; and the pipeline alone."""
    import keras

    from yolo3.data import samples as module
    from yolo3.training.determinism import settle
    from yolo3.training.learner import Learner
    from yolo3.training.precision import choose_precision
    from yolo3.training.stages import Stage, prepare

    settle(1)
    pictures, spec = read_sample(input_size)
    chosen = choose_precision(precision)
    learner = Learner(network_on_base(spec, chosen)[0], spec)
    prepare(learner, Stage("benchmark", 1, 1e-4), 100)
    kept = batches_of(pictures, spec, batch_size)
    with patch.object(module, "CACHE_BYTES", 0):
        decoded = batches_of(pictures, spec, batch_size)
    batch = kept[0]
    marks = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: marks.append(time.perf_counter()),
        on_epoch_end=lambda epoch, logs: marks.append(time.perf_counter()),
    )

    def epoch_of(batches):
        learner.fit(batches, shuffle=False, verbose=0, callbacks=[clock])
        return marks[-1] - marks[-2]

    def bare():
        began = time.perf_counter()
        for _ in range(len(kept)):
            learner.train_on_batch(*batch)
        return time.perf_counter() - began

    def alone(batches):
        began = time.perf_counter()
        for number in range(len(batches)):
            batches[number]
        return time.perf_counter() - began

    bare()
    epoch_of(kept)  # reads the pictures that are kept from then on
    taken = [(bare(), epoch_of(kept), epoch_of(decoded)) for _ in range(rounds)]
    images = len(kept) * batch_size
    part = "fine-tune stage"
    name = f"bare step on data in memory, {chosen}"
    rows = [Row(part, name, images / median(one[0] for one in taken), "images/s")]
    for column, what in ((1, "pictures kept in memory"), (2, "every picture decoded anew")):
        ratio = median(one[0] / one[column] for one in taken)
        speed = images / median(one[column] for one in taken)
        rows.append(Row(part, f"whole, {what}", speed, "images/s", name, ratio, 0.95))
    for batches, what in ((kept, "kept in memory"), (decoded, "decoded anew")):
        speed = images / min(alone(batches) for _ in range(2))
        ratio = speed / rows[0].value
        rows.append(Row("pipeline alone", f"one thread, {what}", speed, "images/s", name, ratio))
    return rows


@click.command(context_settings={"show_default": True})
@click.option("--input-size", default=416)
@click.option("--batch-size", default=16)
@click.option("--rounds", default=3)
@click.option("--precision", default="auto")
def main(**options):
    """Print images/s of the stage and of the bare step."""
    from yolo3.evaluation.machine import describe

    print("\n".join([describe(), "", *HEAD, *(row.line for row in measure(**options))]))


if __name__ == "__main__":
    main()
