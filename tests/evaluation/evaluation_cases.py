"""Pictures with boxes, and detections, in a line."""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from yolo3.data.annotations import Picture
from yolo3.evaluation.evaluate import Evaluation
from yolo3.network.postprocess import Detections


def picture_of(boxes, name="picture.jpg", size_wh=(100, 100)):
    """Build a labelled picture from rows of xmin, ymin, xmax, ymax, class; no file is written."""
    rows = np.array(boxes, np.float32).reshape(-1, 5)
    return Picture(
        path=Path("/pictures") / name,
        boxes_xyxy=rows[:, :4],
        class_ids=rows[:, 4].astype(np.int64),
        size_wh=size_wh,
        digest=hashlib.sha256(name.encode()).hexdigest(),
        source=f"list.txt:{name}",
    )


def found(boxes):
    """Build detections from rows of xmin, ymin, xmax, ymax, class, score."""
    rows = np.array(boxes, np.float32).reshape(-1, 6)
    rows = rows[np.argsort(-rows[:, 5], kind="stable")]
    return Detections(rows[:, :4], rows[:, 5], rows[:, 4].astype(np.int64))


def random_pictures(rng, count, class_count, boxes=3, extra=4):
    """Build pictures and imperfect detections of them with distinct scores."""
    pictures, detections = [], []
    scores = rng.permutation(count * (boxes + extra)) / (count * (boxes + extra)) * 0.99 + 0.005
    for index, own_scores in enumerate(scores.reshape(count, boxes + extra)):
        corners = rng.uniform(0, 300, (boxes + extra, 2))
        rows = np.concatenate([corners, corners + rng.uniform(8, 120, corners.shape)], axis=1)
        ids = rng.integers(0, class_count, boxes + extra)
        truth_rows = np.concatenate([rows, ids[:, None]], axis=1)[:boxes]
        pictures.append(picture_of(truth_rows, f"{index:04d}.jpg", (420, 420)))
        moved = rows + rng.normal(0, 4, rows.shape)
        detections.append(found(np.concatenate([moved, ids[:, None], own_scores[:, None]], 1)))
    return pictures, detections


def evaluation_on_disk(folder):
    """Build an evaluation of six real picture files: right, missed, extra, confused, empty."""
    cases = [
        ("right", [(10, 10, 50, 50, 0)], [(11, 10, 50, 50, 0, 0.9)]),
        ("missed", [(10, 10, 50, 50, 0)], []),
        ("extra", [], [(60, 20, 90, 60, 1, 0.8)]),
        ("confused", [(10, 10, 50, 50, 0)], [(10, 10, 50, 50, 1, 0.85)]),
        ("empty", [], []),
        ("two wrong", [(5, 5, 40, 40, 1), (50, 50, 90, 70, 1)], [(0, 50, 40, 90, 0, 0.95)]),
    ]
    pictures, detections = [], []
    for name, truths, answers in cases:
        path = folder / "pictures" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (120, 100), (90, 120, 150)).save(path)
        listed = picture_of(truths, size_wh=(120, 100))
        pictures.append(
            Picture(path, listed.boxes_xyxy, listed.class_ids, (120, 100), "0" * 64, f"l:{name}")
        )
        detections.append(found(answers))
    return Evaluation(("helmet", "hat"), tuple(pictures), tuple(detections))
