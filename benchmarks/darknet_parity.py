"""Convert a trained Darknet network, and compare it with OpenCV's reading of the same files.

    pip install "opencv-python-headless<5"
    python -m benchmarks.darknet_parity --cfg FILE --weights FILE --names FILE --labels FOLDER

Runs what a user runs: `convert`, `annotations --yolo` and `evaluate`; then lets OpenCV's DNN module
run and decode the network on the same letterboxed pictures, and measures its boxes in the same way.
Prints AP50 and AP of both, and the largest difference of the raw outputs, there and back again.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

import click
import numpy as np

from yolo3.evaluation.machine import describe

LEAST_SCORE = 1e-4
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(context_settings={"show_default": True})
@click.option("--cfg", required=True, type=FILE)
@click.option("--weights", required=True, type=FILE)
@click.option("--names", required=True, type=FILE, help="Class names, one per line.")
@click.option("--labels", required=True, type=click.Path(exists=True, path_type=Path))
def main(cfg, weights, names, labels):
    """Measure a network on labelled pictures (YOLO txt), converted and in OpenCV."""
    print(describe())
    with tempfile.TemporaryDirectory() as folder:
        _measure(cfg, weights, names, labels, Path(folder))


def _measure(cfg, weights, names, labels, folder):
    from yolo3.commands.main import main as yolo3
    from yolo3.data.annotations import read_annotations, read_classes
    from yolo3.detector.load import load_detector
    from yolo3.evaluation.evaluate import evaluate
    from yolo3.tracking.evaluate import evaluate_model

    def run(*words):
        print("$ python -m yolo3", *words)
        yolo3.main([str(word) for word in words], standalone_mode=False)

    model, listed, back = folder / "model", folder / "list.txt", folder / "darknet"
    source = ("--cfg", cfg, "--weights", weights, "--classes-path", names)
    run("convert", *source, "--output", model)
    run("annotations", "--yolo", labels, "--names", names, "--output", listed, "--classes", names)
    converted = evaluate_model(str(model), str(listed), str(names), "")
    run("convert", "--model", model, "--to-darknet", back)

    class_names = read_classes(names)
    pictures, _ = read_annotations(listed, class_names, folder)
    detector = load_detector(str(model))
    for title, files in (
        ("OpenCV, the original files", (cfg, weights)),
        ("OpenCV, written back", (back / "yolov3.cfg", back / "yolov3.weights")),
    ):
        detect = partial(_detect, _opencv(_keeping_all(files[0], folder), files[1]), detector)
        found = evaluate(detect, pictures, class_names).metrics()
        print(f"{title:28} AP50 {found['AP50']:.4f}  AP {found['AP']:.4f}")
        differences = _differences(files, model, detector, pictures)
        print(f"{'':28} raw outputs differ by at most {max(differences):.1e} of the largest")
    print(f"{'this project, converted':28} AP50 {converted['AP50']:.4f}  AP {converted['AP']:.4f}")


def _keeping_all(cfg, folder):
    """Copy a cfg for OpenCV, which else leaves out every box below 0.2 while it decodes."""
    copy = folder / "keeping_all.cfg"
    text = cfg.read_text("utf-8").replace("[yolo]", f"[yolo]\nthresh={LEAST_SCORE}")
    copy.write_text(text, "utf-8")
    return copy


def _opencv(cfg, weights):
    import cv2

    network = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    network.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    return network


def _detect(network, detector, images):
    """Find objects with OpenCV's own decoding; thresholds and suppression are this project's."""
    from yolo3.detector.detector import in_picture
    from yolo3.training.validation import THRESHOLDS

    found = []
    scale = np.array([*detector.spec.input_wh, *detector.spec.input_wh], np.float32)
    for image in images:
        pixels, placed = detector.prepare(image)
        network.setInput(_blob(pixels))
        rows = np.concatenate(network.forward(network.getUnconnectedOutLayersNames()))
        centres, sizes = rows[:, :2], rows[:, 2:4]  # parts of the input's width and height
        boxes_xyxy = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1) * scale
        found.append(in_picture(boxes_xyxy, rows[:, 5:], placed, THRESHOLDS))
    return found


def _differences(files, model, detector, pictures):
    """Compare raw outputs picture by picture, each with OpenCV's largest number."""
    import keras
    import mlflow.keras

    from yolo3.data.images import read_image
    from yolo3.network.darknet.cfg import read_cfg

    names = [f"conv_{yolo.inputs[0]}" for _, yolo in read_cfg(files[0]).yolos]
    network, opencv = mlflow.keras.load_model(str(model)), _opencv(*files)
    for picture in pictures[:8]:
        pixels, _ = detector.prepare(read_image(picture.path))
        blob = _blob(pixels)
        opencv.setInput(blob)
        expected = opencv.forward(names)
        found = keras.tree.flatten(network.predict_on_batch(blob.transpose(0, 2, 3, 1)))
        for ours, theirs in zip(found, expected, strict=True):
            difference = np.abs(ours.transpose(0, 3, 1, 2) - theirs).max()
            yield float(difference / np.abs(theirs).max())


def _blob(pixels):
    """Turn letterboxed pixels (H, W, 3) into what OpenCV takes (1, 3, H, W), 0..1."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255)


if __name__ == "__main__":
    sys.exit(main())
