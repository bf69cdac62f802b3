"""What a GPU makes of a training, in at most ten minutes: to report the figures of one.

    python -m benchmarks.gpu
    KERAS_BACKEND=jax python -m benchmarks.gpu

Images/s of both stages in both precisions, the share of the fine-tune stage that waits for data,
and AP of the sample, trained by its defaults, on fresh scenes.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks import finetune, frozen
from benchmarks.table import HEAD


@click.command(context_settings={"show_default": True})
@click.option("--input-size", default=416)
@click.option("--batch-size", default=8)
@click.option("--epochs", default=10, help="Of the frozen stage, per way.")
@click.option(
    "--scenes", default=300, help="Fresh scenes to measure the sample's model on; 0: none."
)
def main(input_size, batch_size, epochs, scenes):
    """Print a table per precision, and AP of the sample."""
    import keras

    from yolo3.evaluation.machine import describe

    print(f"{describe()}, Keras on {keras.backend.backend()}")
    for precision in ("float32", "mixed_bfloat16"):
        print(f"\n{precision}\n", *HEAD, sep="\n")
        rows = finetune.measure(input_size, batch_size, precision=precision)
        waiting = 1 - rows[1].ratio
        rows += frozen.measure(input_size, epochs, precision)
        print(*(row.line for row in rows), sep="\n")
        print(f"\nof the fine-tune stage, {waiting:.0%} waits for data", flush=True)
    if scenes:
        _train_the_sample(input_size, scenes)


def _train_the_sample(input_size, scenes):
    import train
    from yolo3.scenes import SAMPLE, write_dataset
    from yolo3.tracking.evaluate import evaluate_model
    from yolo3.tracking.job import FINAL_MODEL
    from yolo3.tracking.train import Settings, train_and_evaluate

    options = train.main.make_context("train.py", ["--input-size", str(input_size)]).params
    del options["resume"]
    run_id = train_and_evaluate(Settings(**options)).run_id
    with TemporaryDirectory() as folder:
        fresh = Path(folder) / "fresh"
        write_dataset(fresh, scenes, 777, theme=SAMPLE)
        lists = str(fresh / "list_master.txt"), str(fresh / "classes.txt")
        evaluate_model(f"runs:/{run_id}/{FINAL_MODEL}", *lists, "")


if __name__ == "__main__":
    main()
