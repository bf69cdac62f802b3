"""The commands; each imports what it needs only when it runs, so that --help answers at once."""

from pathlib import Path

import click

from yolo3.commands import azureml
from yolo3.commands.errors import explain_errors
from yolo3.commands.numbers import FiniteRange

DEFAULTS = {"show_default": True}
FORMATS = ("voc", "coco", "yolo", "cvat", "labelme", "createml", "via", "label-studio", "csv")
"""The keys of yolo3.data.labels.formats.TITLES, which would load much."""


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
@click.option(
    "--score-threshold",
    type=FiniteRange(0, 1),
    help="Lowest score to report; the model's own if not given.",
)
@click.option(
    "--iou-threshold",
    type=FiniteRange(0, 1),
    help="IoU above which the weaker of two boxes of a class goes; the model's own if not given.",
)
@click.option(
    "--max-detections",
    type=click.IntRange(1),
    help="Most objects in a picture; the model's own if not given.",
)
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
@click.option("--name", required=True, help="Registered model.")
@click.option(
    "--challenger",
    default="",
    help="Version, alias or URI that wants to be champion; the newest version if empty.",
)
@click.option("--annotation-path", required=True, help="List to compare on, unseen in training.")
@click.option(
    "--classes-path", default="", help="Names of the list's class ids; the models' own if empty."
)
@click.option(
    "--tolerance",
    default=0.01,
    type=FiniteRange(0, 1),
    help="AP50 that the challenger may lose.",
)
@click.option(
    "--class-tolerance",
    default=0.05,
    type=FiniteRange(0, 1),
    help="AP50 that it may lose in one class.",
)
@click.option(
    "--min-boxes",
    default=20,
    type=click.IntRange(1),
    help="A class with fewer boxes in the list is told, not judged.",
)
@click.option(
    "--latency-factor",
    default=1.5,
    type=FiniteRange(0, min_open=True),
    help="How many times as long as the champion it may take for a picture.",
)
@click.option(
    "--floor",
    default=0.1,
    type=FiniteRange(0, 1),
    help="AP50 that is asked where there is no champion yet.",
)
@click.option(
    "--resamples",
    default=2000,
    type=click.IntRange(100),
    help="Draws of the bootstrap over pictures.",
)
@click.option("--seed", default=1, type=click.IntRange(0), help="Seed of the bootstrap.")
@click.option(
    "--force",
    is_flag=False,
    flag_value="true",
    default="false",
    type=click.Choice(["true", "false"]),
    help="Move the alias whatever the comparison says; recorded.",
)
@click.pass_context
def promote(context, **options):
    """Make a version of a registered model its champion, if it is not worse than the present one.

    Exit status: 0, it is champion; 1, refused, the alias stays; 2, nothing could be compared.
    """
    from yolo3.commands.promote import run_promote

    context.exit(run_promote(**options))


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
@click.option("--batch-size", default=16, type=click.IntRange(1), help="Scenes per step.")
@click.option(
    "--initial-lr", default=1e-3, type=FiniteRange(0, min_open=True), help="Learning rate."
)
@click.option(
    "--anchors-path",
    default="model_data/yolo_tiny_anchors.txt",
    help="Six anchors, in pixels of the input.",
)
@click.option(
    "--log-dir",
    default="logs/pretrain",
    help="Folder for checkpoints and TensorBoard, one folder per run.",
)
@click.option(
    "--seed",
    default=1,
    type=click.IntRange(0, 2**32 - 1),  # as train.py has it
    help="Where every random draw begins.",
)
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
@click.argument("path", required=False, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    help="Format of the labels, where several are there; found by itself else.",
)
@click.option(
    "--voc",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="As FOLDER --format voc: XML files.",
)
@click.option(
    "--coco",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="As FILE --format coco: a COCO JSON.",
)
@click.option(
    "--yolo",
    type=click.Path(exists=True, path_type=Path),
    help="As PATH --format yolo: a folder, or its data.yaml.",
)
@click.option(
    "--list",
    "listed",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Write this annotation list in another format, see --to.",
)
@click.option("--to", type=click.Choice(["voc", "coco", "yolo"]), help="With --list: the format.")
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="List to write; with --list a new folder, which gets copies of the pictures.",
)
@click.option(
    "--classes",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Class names: read where the file exists, else written with the names found.",
)
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the images, if they are not in the folder of the labels.",
)
@click.option(
    "--names",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With YOLO: class names, if not in data.yaml, classes.txt or obj.names.",
)
@click.option("--split", help="With VOC: ImageSets/Main/SPLIT.txt; with YOLO: train, val, …")
@click.option(
    "--keep-difficult/--drop-difficult",
    default=None,
    help="With VOC: boxes marked difficult (kept if not said).",
)
@click.option(
    "--keep-crowd", is_flag=True, default=None, help="Boxes of crowds, which are left out else."
)
@click.option(
    "--keep-unlabelled",
    is_flag=True,
    default=None,
    help="With YOLO: images without label file hold nothing, instead of being left out.",
)
@click.option(
    "--labelled-unrotated",
    is_flag=True,
    default=None,
    help="Boxes were drawn on images as they are stored, before EXIF turned them: turn them too.",
)
@click.option(
    "--follow-links",
    is_flag=True,
    default=None,
    help="Read what symbolic links in the folder lead to, wherever that is.",
)
@click.option(
    "--strict", is_flag=True, default=None, help="Stop at the first kind of unusable images."
)
@click.option(
    "--left-out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write: kind, name and reason of each image that is left out.",
)
@explain_errors
def annotations(output, classes, **options):
    """Turn labels of other tools into an annotation list and a classes file, or back.

    PATH is a folder or file of labels. What cannot be used is left out and counted; what puts
    all in doubt stops, as does more than half of the images being unusable.
    """
    from yolo3.commands.annotations import convert_annotations

    convert_annotations(output, classes, **options)


@main.command(context_settings=DEFAULTS)
@click.option(
    "--cfg", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Darknet's .cfg."
)
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --cfg: .weights, or a file of the first layers such as yolov3-tiny.conv.15.",
)
@click.option(
    "--classes-path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --cfg: class names, one per line; class_0, class_1, … without.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="With --cfg: new folder for an MLflow model, or FILE.keras for the bare network.",
)
@click.option(
    "--partial", is_flag=True, help="With --cfg: the weights hold fewer layers, or more, than it."
)
@click.option("--model", help="The other way: MLflow model URI (runs:/…, models:/…) or a folder.")
@click.option(
    "--to-darknet",
    type=click.Path(file_okay=False, path_type=Path),
    help="With --model: folder for yolov3.cfg, yolov3.weights and yolov3.names.",
)
@explain_errors
def convert(cfg, weights, classes_path, output, partial, model, to_darknet):
    """Turn Darknet's .cfg and .weights into a model of this project, or a model into these."""
    there, back = (cfg, weights, output), (model, to_darknet)
    if all(there) and not any(back):
        from yolo3.commands.convert import convert_from_darknet

        convert_from_darknet(cfg, weights, classes_path, output, partial)
    elif all(back) and not any((*there, classes_path, partial)):
        from yolo3.commands.convert import convert_to_darknet

        convert_to_darknet(model, to_darknet)
    else:
        raise click.UsageError(
            "expected --cfg, --weights and --output, or --model and --to-darknet"
        )


@main.command()
@click.argument("name", type=click.Choice(["yolov3-tiny", "yolov3"]))
@explain_errors
def weights(name):
    """Download official weights in advance, for trainings without network."""
    from yolo3.tracking.download import OFFICIAL, cache_folder, cached, described, fetch

    official, folder = OFFICIAL[name], cache_folder()
    if path := cached(official, folder):
        click.echo(f"{path}: there already, {described(official)}")
    else:
        fetch(official, folder)


_FOLDER = click.Path(file_okay=False, path_type=Path)
_LIST = click.Path(dir_okay=False, path_type=Path)
_LABELS = click.Path(path_type=Path)


@main.command(context_settings=DEFAULTS)
@click.option(
    "--annotation-path", required=True, type=_LABELS, help="List, or folder or file of labels."
)
@click.option(
    "--classes-path",
    default="auto",
    help="Class names, one per line; auto: those of the labels, or classes.txt next to the list.",
)
@click.option(
    "--val-annotation-path",
    type=_LABELS,
    help="List or labels to validate on, instead of a part of the first.",
)
@click.option(
    "--val-split",
    default=0.1,
    type=FiniteRange(0, 1, max_open=True),
    help="Part of the pictures to validate on, without a list of its own.",
)
@click.option(
    "--seed",
    default=1,
    type=click.IntRange(0),
    help="Seed of the training: it divides the pictures.",
)
@click.option(
    "--anchors-path",
    default="model_data/yolo_tiny_anchors.txt",
    type=_LIST,
    help="Anchors to hold the boxes against, in pixels of the network's input.",
)
@click.option("--input-size", default="416", help="Network input, a multiple of 32, or WxH.")
@click.option("--output", default="check.html", type=_LIST, help="Report to write.")
@click.option(
    "--fix",
    "fixed_path",
    type=_LIST,
    help="Write a cleaned list here, without what is unusable; the originals stay as they are.",
)
@click.option("--log/--no-log", default=True, help="Record an MLflow run with the report.")
@click.pass_context
def check(context, **options):
    """Tell what a labelled data set is like and what is wrong with it, before training.

    Exit status: 0, clean; 1, findings that deserve a look; 2, unusable, no training would start.
    """
    from yolo3.commands.check import run_check

    context.exit(run_check(**options))


@main.command(context_settings=DEFAULTS)
@click.option("--annotation-path", required=True, type=_LIST, help="List with the boxes.")
@click.option("--classes-path", required=True, type=_LIST, help="Class names, one per line.")
@click.option("--input-size", default="416", help="Network input, a multiple of 32, or WxH.")
@click.option(
    "--count",
    default="6",
    type=click.Choice(["6", "9"]),
    help="Anchors to make: 6 for Tiny YOLOv3, 9 for YOLOv3.",
)
@click.option(
    "--anchors-path",
    type=_LIST,
    help="Present anchors to compare with; those of model_data for that count if not given.",
)
@click.option("--output", type=_LIST, help="File to write, for a training's anchors_path.")
@explain_errors
def anchors(count, **options):
    """Make anchors that fit the boxes of a list at an input size: k-means with IoU distance."""
    from yolo3.commands.anchors import make_anchors

    make_anchors(count=int(count), **options)


@main.command(context_settings=DEFAULTS)
@click.option("--run-id", required=True, help="Run to repeat, in MLFLOW_TRACKING_URI.")
@click.option("--annotation-path", default="", help="Where the run's list lies now, if it moved.")
@click.option("--val-annotation-path", default="", help="Where its list to validate on lies now.")
@click.option("--weights-path", default="", help="Where the weights that it began with lie now.")
@click.option(
    "--environment",
    default="auto",
    type=click.Choice(["auto", "new", "present"]),
    help="auto: the present one if it holds every pin of the run's lock, else a new one.",
)
@click.option(
    "--threads",
    default=0,
    type=click.IntRange(0),
    help="Threads per operation in place of the run's; 0: the run's.",
)
@click.pass_context
def reproduce(context, **options):
    """Train again what a run recorded, log it as a new run, and compare the two.

    Runs the code that the run recorded: name runs of servers that you trust.
    Exit status: 0, identical; 1, differs; 2, could not be tried.
    """
    from yolo3.commands.reproduce import run_reproduce

    context.exit(run_reproduce(**options))


@main.command(context_settings=DEFAULTS)
@click.option("--model", required=True, help="MLflow model URI (runs:/…, models:/…) or a folder.")
@click.option("--folder", default="", help="Folder of pictures, or its URI.")
@click.option(
    "--table",
    default="",
    help="Instead: a .parquet, a .csv or a table of Spark's catalog, with a column `path`, and "
    "`content` if the pictures themselves stand there.",
)
@click.option("--output", required=True, help="Folder of Parquet; what it has is not done again.")
@click.option("--master", default="", help="Spark master, e.g. local[4]; Spark's setting if empty.")
@click.option("--conf", multiple=True, help="Spark setting KEY=VALUE; may be repeated.")
@click.option(
    "--env-manager",
    default="local",
    type=click.Choice(["local", "uv", "virtualenv", "conda"]),
    help="The workers' own packages, or an environment that MLflow makes there for the model.",
)
@click.option(
    "--chunk",
    default=500,
    type=click.IntRange(1),
    help="Pictures that each core scores before they are written.",
)
@click.option(
    "--score-threshold",
    type=FiniteRange(0, 1),
    help="Lowest score to report; the model's own if not given.",
)
@click.option(
    "--iou-threshold",
    type=FiniteRange(0, 1),
    help="IoU above which the weaker of two boxes of a class goes; the model's own if not given.",
)
@click.option(
    "--max-detections",
    type=click.IntRange(1),
    help="Most objects in a picture; the model's own if not given.",
)
@explain_errors
def score_spark(**options):
    """Find objects in many pictures on Spark: a row of Parquet for each."""
    from yolo3.commands.score_spark import score_pictures

    score_pictures(**options)


@main.command(context_settings=DEFAULTS)
@click.option("--model", required=True, help="MLflow model URI (runs:/…, models:/…) or a folder.")
@click.option(
    "--format",
    "kind",
    required=True,
    type=click.Choice(["onnx", "openvino", "litert", "saved_model"]),
    help="What to write.",
)
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="New file: .onnx, .xml (with a .bin beside it) or .tflite; a folder for saved_model.",
)
@click.option(
    "--pictures",
    "pictures_path",
    default="voc/JPEGImages",
    type=_FOLDER,
    help="Folder whose pictures the file is checked on, 32 at most.",
)
@click.option("--log/--no-log", default=True, help="Log file and check to the model's run.")
@explain_errors
def export(**options):
    """Write a logged model as a file for another runtime, and check it against Keras."""
    from yolo3.commands.export import export_model

    export_model(**options)


for _command in azureml.COMMANDS:
    main.add_command(_command)
