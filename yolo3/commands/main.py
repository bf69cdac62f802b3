"""The commands; each imports what it needs only when it runs, so that --help answers at once."""

from pathlib import Path

import click

from yolo3.commands.errors import explain_errors

DEFAULTS = {"show_default": True}


@click.group()
def main():
    """Train, evaluate and use a YOLOv3 detector; training itself is `mlflow run .`."""


@main.command(context_settings=DEFAULTS)
@click.option("--model", required=True, help="MLflow model URI (runs:/…, models:/…) or a folder.")
@click.option(
    "--input",
    "source",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="A picture, or a folder of pictures.",
)
@click.option(
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the pictures with boxes and detections.json.",
)
@click.option("--score-threshold", type=click.FloatRange(0, 1), help="Instead of the model's own.")
@click.option("--iou-threshold", type=click.FloatRange(0, 1), help="Instead of the model's own.")
@click.option("--max-detections", type=click.IntRange(1), help="Instead of the model's own.")
@explain_errors
def detect(model, source, output, **thresholds):
    """Find objects in pictures; write them with boxes drawn, and one JSON."""
    from yolo3.commands.detect import detect_pictures

    detect_pictures(model, source, output, thresholds)


@main.command(context_settings=DEFAULTS)
@click.option("--model", required=True, help="MLflow model URI (runs:/…, models:/…) or a folder.")
@click.option("--annotation-path", default="voc/list_master.txt", help="List to evaluate on.")
@click.option(
    "--classes-path", default="", help="Names of the list's class ids; the model's own if empty."
)
@click.option("--output", default="", help="Folder for the report, beside the MLflow run.")
@explain_errors
def evaluate(model, annotation_path, classes_path, output):
    """Measure a logged model on a list of pictures; record a run with the report."""
    from yolo3.tracking.evaluate import evaluate_model

    evaluate_model(model, annotation_path, classes_path, output)


@main.command(context_settings=DEFAULTS)
@click.option("--count", default=150, type=click.IntRange(1), help="Number of pictures.")
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="New folder: JPEGImages, Annotations, ImageSets, list_master.txt, classes.txt.",
)
@click.option("--seed", default=1, type=click.IntRange(0), help="Other seeds, other scenes.")
@click.option(
    "--theme",
    default="sample",
    type=click.Choice(["sample", "pretrain"]),
    help="The sample's classes, or those that the base weights came from.",
)
@explain_errors
def sample(count, output, seed, theme):
    """Render toy-figure scenes as a VOC data set."""
    from yolo3.scenes import THEMES, write_dataset

    summary = write_dataset(output, count, seed, theme=THEMES[theme])
    boxes = ", ".join(f"{number} {name}" for name, number in summary.boxes_per_class.items())
    click.echo(f"{output}: {summary.pictures} pictures, boxes: {boxes}")


@main.command(context_settings=DEFAULTS)
@click.option("--output", default="model_data/yolo_tiny_base.keras", help="Weights to write.")
@click.option("--weights-path", default="none", help="Base to go on from, or none.")
@click.option("--data", default="logs/pretrain-scenes", help="Folder that keeps the scenes.")
@click.option("--count", default=8000, type=click.IntRange(1), help="Training scenes.")
@click.option("--val-count", default=200, type=click.IntRange(1), help="Validation scenes.")
@click.option("--epochs", default=10, type=click.IntRange(1), help="Epochs over all scenes.")
@click.option("--input-size", default="256", help="Network input, a multiple of 32, or WxH.")
@click.option("--batch-size", default=16, type=click.IntRange(1), help="Scenes to a step.")
@click.option(
    "--initial-lr", default=1e-3, type=click.FloatRange(0, min_open=True), help="Learning rate."
)
@click.option("--anchors-path", default="model_data/yolo_tiny_anchors.txt", help="Anchors in pixels.")
@click.option("--log-dir", default="logs/pretrain", help="Checkpoints and TensorBoard, by run id.")
@click.option("--seed", default=1, type=click.IntRange(0), help="Where every random draw begins.")
@click.option(
    "--precision",
    default="mixed_bfloat16",
    type=click.Choice(["float32", "mixed_bfloat16"]),
    help="Arithmetic of the training; the file is in half precision.",
)
@explain_errors
def pretrain(**options):
    """Make the base weights: render scenes, train on them, keep the body."""
    from yolo3.tracking.pretrain import Settings
    from yolo3.tracking.pretrain import pretrain as run

    run(Settings(**options))


@main.command(context_settings=DEFAULTS)
@click.option(
    "--voc",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with Annotations and JPEGImages.",
)
@click.option(
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="List to write.",
)
@click.option(
    "--classes",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Class names: read where the file exists, else written with the names found.",
)
@click.option("--keep-difficult/--drop-difficult", default=True, help="Boxes marked difficult.")
@explain_errors
def annotations(voc, output, classes, keep_difficult):
    """Read a Pascal VOC folder into an annotation list and a classes file."""
    from yolo3.data.annotations import read_classes, write_annotations
    from yolo3.data.voc import read_voc

    known = read_classes(classes) if classes.exists() else None
    pictures, class_names, findings = read_voc(voc, known, keep_difficult)
    write_annotations(pictures, output)
    if known is None:
        classes.write_text("\n".join(class_names) + "\n", "utf-8")
    for line in findings.lines():
        click.echo(line)
    boxes = sum(len(picture.boxes_xyxy) for picture in pictures)
    click.echo(
        f"{output}: {len(pictures)} pictures, {boxes} boxes, classes {', '.join(class_names)}"
    )
