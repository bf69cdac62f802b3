"""Train a YOLOv3 detector in two stages and log it to MLflow; `python train.py --help`."""

import click

from yolo3.commands.errors import explain_errors
from yolo3.commands.numbers import AutoOr, FiniteRange


@click.command(context_settings={"show_default": True})
@click.option(
    "--annotation-path",
    default="voc/list_master.txt",
    help="Folder of labelled images, COCO JSON, data.yaml, … or an annotation list.",
)
@click.option(
    "--weights-path",
    default="auto",
    help="File, model URI, yolov3-tiny, yolov3, or none for random weights; auto: COCO's, and the "
    "shipped base for the sample.",
)
@click.option(
    "--classes-path",
    default="auto",
    help="Class names, one a line; auto: those of the labels, or classes.txt next to a list.",
)
@click.option(
    "--anchors-path",
    default="auto",
    help="Six anchors (Tiny YOLOv3) or nine (YOLOv3), in pixels of the network's input; auto: "
    "clustered from the boxes where they fit better.",
)
@click.option(
    "--log-dir",
    default="logs/default",
    help="Folder for checkpoints and TensorBoard, one folder per run.",
)
@click.option(
    "--initial-lr",
    default="auto",
    type=AutoOr(FiniteRange(0, min_open=True)),
    help="Highest learning rate of the first stage, the second has 0.3 of it; auto: 0.001, and "
    "0.003 where the outputs are random.",
)
@click.option("--batch-size", default=8, type=click.IntRange(1), help="Images per step.")
@click.option(
    "--frozen-epochs", default=10, type=click.IntRange(0), help="Epochs with frozen layers."
)
@click.option(
    "--fine-tune-epochs",
    default="auto",
    type=AutoOr(click.IntRange(0)),
    help="Epochs with all layers; auto: more for fewer images.",
)
@click.option("--input-size", default="416", help="Network input, a multiple of 32, or WxH.")
@click.option(
    "--val-split",
    default=0.1,
    type=FiniteRange(0, 1, max_open=True),
    help="Part of the pictures to validate on, at least one.",
)
@click.option(
    "--val-annotation-path",
    default="",
    help="Folder or list to validate on, instead of the labels' own split or --val-split.",
)
@click.option(
    "--test-annotation-path",
    default="",
    help="Folder or list to hold out and evaluate at the end; else the labels' own test split.",
)
@click.option(
    "--seed",
    default=1,
    type=click.IntRange(0, 2**32 - 1),  # NumPy's global generator, which Keras seeds, takes no more
    help="Where every random draw begins.",
)
@click.option(
    "--freeze",
    default="body",
    type=click.Choice(["body", "backbone", "none"]),
    help="What the first stage keeps: all but the outputs, what the weights filled, or nothing.",
)
@click.option(
    "--precision",
    default="auto",
    type=click.Choice(["auto", "float32", "mixed_bfloat16"]),
    help="Arithmetic of the training; auto: bfloat16 where the CPU or GPU has units for it.",
)
@click.option(
    "--engine",
    default="openvino",
    type=click.Choice(["openvino", "keras"]),
    help="What the logged model detects with, and is measured with.",
)
@click.option(
    "--registered-model-name", default="", help="Register the final model under this name."
)
@click.option(
    "--threads",
    default=0,
    type=click.IntRange(0),
    help="Threads per operation, 0: all usable cores; another number changes the result slightly.",
)
@click.option(
    "--cache-gb",
    default=4.0,
    type=FiniteRange(0),
    help="Gigabytes of disk for features of frozen layers; 0: computed anew in each epoch.",
)
@click.option("--resume", default="", help="ID of a killed or interrupted run to go on with.")
@click.pass_context
@explain_errors
def main(context, resume, **options):
    """Train a detector on labelled pictures and log it to MLflow."""
    from yolo3.tracking.train import Settings, resume_training, train_and_evaluate

    if resume:
        defaults = {option.name: option.default for option in context.command.params}
        resume_training(resume, {n: v for n, v in options.items() if v != defaults[n]})
    else:
        train_and_evaluate(Settings(**options))


if __name__ == "__main__":
    main()
