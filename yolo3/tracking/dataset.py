"""A list of labelled pictures as an MLflow data set."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import mlflow
from mlflow.data.dataset import Dataset
from mlflow.data.filesystem_dataset_source import FileSystemDatasetSource
from mlflow.data.sources import LocalArtifactDatasetSource

from yolo3.data.annotations import Picture
from yolo3.data.pictures import pictures_digest


class LabelledPictures(Dataset):
    """Describe pictures and their boxes: a digest over both, and counts per class."""

    def __init__(self, pictures: Sequence[Picture], class_names: Sequence[str], source: Path):
        self.pictures = pictures
        self.class_names = class_names
        origin: FileSystemDatasetSource = LocalArtifactDatasetSource(str(source))
        super().__init__(source=origin, name=source.stem)

    def _compute_digest(self) -> str:
        return pictures_digest(self.pictures)[:8]

    @property
    def schema(self):
        return None

    @property
    def profile(self) -> dict:
        """Count pictures, and boxes per class."""
        return {
            "pictures": len(self.pictures),
            "pictures_without_boxes": sum(not len(p.boxes_xyxy) for p in self.pictures),
            "boxes": sum(len(p.boxes_xyxy) for p in self.pictures),
            "boxes_per_class": boxes_per_class(self.pictures, self.class_names),
            "sha256": pictures_digest(self.pictures),
        }

    def to_dict(self) -> dict[str, str]:
        return super().to_dict() | {"profile": json.dumps(self.profile, ensure_ascii=False)}


def boxes_per_class(pictures: Sequence[Picture], class_names: Sequence[str]) -> dict[str, int]:
    """Count boxes by class name, zeros included."""
    counts = Counter(int(class_id) for picture in pictures for class_id in picture.class_ids)
    return {name: counts[class_id] for class_id, name in enumerate(class_names)}


def boxes_digest(picture: Picture) -> str:
    """Digest a picture's boxes and their classes, as they were read."""
    boxes = picture.boxes_xyxy.astype("<f4").tobytes()
    return hashlib.sha256(boxes + picture.class_ids.astype("<i8").tobytes()).hexdigest()


def picture_line(picture: Picture) -> str:
    """Tell a picture in a line: digest of its file, digest of its boxes, where it is listed."""
    return f"{picture.digest} {boxes_digest(picture)} {picture.source}"


def log_pictures(pictures, class_names, source: Path, context: str) -> LabelledPictures:
    """Log pictures to the active run as a data set input, and return that."""
    counts = boxes_per_class(pictures, class_names)
    tags = {f"boxes.{name}": str(count) for name, count in counts.items()}
    data = LabelledPictures(pictures, class_names, source)
    mlflow.log_input(data, context=context, tags=tags)
    return data
