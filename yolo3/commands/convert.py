"""Turn Darknet's files into a model of this project, and back."""

import hashlib
from dataclasses import replace
from pathlib import Path

import click
import keras

from yolo3.data.annotations import read_classes
from yolo3.detector.engines import NETWORK_FILE
from yolo3.detector.load import DATA_FOLDER, model_folder
from yolo3.detector.mlflow_model import save_detector
from yolo3.detector.pyfunc import read_settings
from yolo3.network.darknet.build import build_from_cfg
from yolo3.network.darknet.cfg import cfg_text, read_cfg, spec_of
from yolo3.network.darknet.graph import describe_network
from yolo3.network.darknet.weights import (
    PARTIAL_NAME,
    read_darknet_weights,
    unused_bytes,
    write_darknet_weights,
)
from yolo3.network.keras2 import TINY_MASK
from yolo3.network.keras_file import load_network
from yolo3.network.spec import MASKS, NetworkSpec
from yolo3.network.weights import fill
from yolo3.tracking.download import OFFICIAL
from yolo3.tracking.run import LOCK

DARKNET_FILES = ("yolov3.cfg", "yolov3.weights", "yolov3.names")


def convert_from_darknet(
    cfg_path: Path, weights_path: Path, classes_path: Path | None, output: Path, partial: bool
) -> NetworkSpec:
    """Write a model of this project: an MLflow model's folder, or the bare network as `.keras`.

    partial: the weights hold the first layers only, or more than the network takes.
    Prints what was filled and the mask. Raises CfgError, WeightsError, DataError for the names,
    and ValueError where the output exists.
    """
    _refuse_existing(output)
    cfg = read_cfg(cfg_path)
    names = read_classes(classes_path) if classes_path else ()
    digest = hashlib.sha256(weights_path.read_bytes()).hexdigest()
    spec = _with_trained_mask(spec_of(cfg, names), digest)
    network = build_from_cfg(cfg)
    arrays = read_darknet_weights(weights_path, cfg, partial)
    loaded = str(fill(network, arrays, str(weights_path)))
    if (partial or PARTIAL_NAME.search(weights_path.name)) and unused_bytes(weights_path, cfg):
        loaded += f"; left out {unused_bytes(weights_path, cfg):,} bytes after the last layer"
    click.echo(f"{weights_path}: {loaded}")
    click.echo(f"{cfg_path}: {_in_words(spec)}")
    if output.suffix == ".keras":
        output.parent.mkdir(parents=True, exist_ok=True)
        network.save(output)
        click.echo(f"{output}: the network alone, without classes, anchors and mask")
        return spec
    story = {
        "cfg": cfg_path.name,
        "weights": weights_path.name,
        "weights_sha256": digest,
        "loaded": loaded.replace(str(weights_path), weights_path.name),
    }
    save_detector(network, spec, output, lock=LOCK, metadata={"converted_from": story})
    click.echo(f"{output}: an MLflow model; python -m yolo3 detect --model {output} …")
    return spec


def convert_to_darknet(model: str, folder: Path) -> None:
    """Write a logged model as `yolov3.cfg`, `yolov3.weights` and `yolov3.names`.

    Raises ModelError for the model, GraphError for a layer that no cfg can express, and ValueError
    where one of the files exists.
    """
    paths = [folder / name for name in DARKNET_FILES]
    for path in paths:
        _refuse_existing(path)
    network, spec = _load(model)
    cfg = describe_network(network, spec)
    folder.mkdir(parents=True, exist_ok=True)
    cfg_file, weights_file, names_file = paths
    cfg_file.write_text(cfg_text(cfg), "utf-8", newline="\n")
    write_darknet_weights(weights_file, cfg, network)
    names_file.write_text("".join(f"{name}\n" for name in spec.class_names), "utf-8", newline="\n")
    parameters = sum(layer.numbers for layer in cfg.convolutions)
    click.echo(
        f"{folder}: {', '.join(DARKNET_FILES)}: {len(cfg.convolutions)} convolutions, "
        f"{parameters:,} numbers"
    )
    click.echo(f"{cfg_file}: {_in_words(spec)}")


def _refuse_existing(path: Path) -> None:
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ValueError(f"{path} exists; give another place, or remove it")


def _with_trained_mask(spec: NetworkSpec, sha256: str) -> NetworkSpec:
    """Give the published tiny weights the mask that they were trained with."""
    if sha256 == OFFICIAL["yolov3-tiny"].sha256 and spec.mask == MASKS[6]:
        return replace(spec, mask=TINY_MASK)
    return spec


def _load(model: str) -> tuple[keras.Model, NetworkSpec]:
    """Load the bare network of a logged model, and its spec."""
    with model_folder(model) as folder:
        spec = read_settings(folder / DATA_FOLDER).spec
        return load_network(folder / DATA_FOLDER / NETWORK_FILE), spec


def _in_words(spec: NetworkSpec) -> str:
    width, height = spec.input_wh
    scales = ", ".join(
        f"anchors {','.join(map(str, owned))} at stride {stride}"
        for owned, stride in zip(spec.mask, spec.strides, strict=True)
    )
    return f"{width}x{height}, {len(spec.class_names)} classes, {scales}"
