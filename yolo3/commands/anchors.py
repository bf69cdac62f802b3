"""Make anchors of the boxes of a list."""

from pathlib import Path

import click

from yolo3.checks.anchors import cluster_anchors, fit_of, network_sizes_wh, write_anchors
from yolo3.commands.files import keep_apart
from yolo3.data.annotations import read_annotations, read_classes
from yolo3.data.project import PROJECT_DIR, find_file
from yolo3.network.spec import parse_input_size, read_anchors

PRESENT = {6: "yolo_tiny_anchors.txt", 9: "yolo_anchors.txt"}  # in model_data


def make_anchors(
    annotation_path: Path,
    classes_path: Path,
    input_size: str,
    count: int,
    anchors_path: Path | None,
    output: Path | None,
) -> None:
    """Tell new anchors and the present ones with their fit; write the new ones if asked to.

    Raises ValueError for bad files, and for fewer boxes than anchors.
    """
    input_wh = parse_input_size(input_size)
    present = anchors_path or Path("model_data") / PRESENT[count]
    keep_apart([output], [annotation_path, classes_path, present])
    present_wh = read_anchors(find_file(present))
    class_names = read_classes(find_file(classes_path))
    pictures, _ = read_annotations(find_file(annotation_path), class_names, PROJECT_DIR)
    sizes_wh = network_sizes_wh(pictures, input_wh)
    anchors_wh = cluster_anchors(sizes_wh, count)
    fit = fit_of(sizes_wh, anchors_wh)
    size = f"{input_wh[0]}x{input_wh[1]}"
    click.echo(f"{len(sizes_wh)} boxes at {size}")
    click.echo(f"present anchors ({present}): {fit_of(sizes_wh, present_wh)}")
    click.echo(f"new anchors: {fit}")
    click.echo("  " + ", ".join(f"{width:g}x{height:g}" for width, height in anchors_wh))
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_anchors(anchors_wh, output, f"for {annotation_path} at {size}: {fit}")
        click.echo(f"{output}: train with -P anchors_path={output} -P input_size={input_size}")
