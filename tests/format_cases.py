"""Pictures and boxes that a format must carry there and back."""

import numpy as np
import pytest
from PIL import ExifTags, Image

from yolo3.data.annotations import read_annotations, write_annotations
from yolo3.data.pictures import DataError

CLASSES = ("yes", "traffic light", "010", "never seen", "Ünder & <b> 'q' \"p\"")
NAMES = (
    "a.jpg",
    "a.png",  # shares its label file with a.jpg, unless one is renamed
    "A.JPG",
    "deep er/a.jpg",
    "deep er/images/labels/a.jpg",
    "annotations/x.jpg",
    "Grüße 世界.jpg",
    'it\'s "q" #1, 100%.jpg',
    "back\\slash: c.jpg",
    "no ending",
    " space.jpg ",
    ".hidden.jpg",
    "turned.jpg",
    "empty.jpg",
)


def save_picture(path, size=(100, 80), shade=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade * 16, 0, 0)).save(path, **options)
    return path


def save_turned(path, size=(100, 80), shade=0):
    """A picture that a viewer turns: stored 100x80, shown 80x100."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return save_picture(path, size, shade, format="JPEG", exif=exif)


def random_boxes(rng, size_wh, count):
    """Draw float32 boxes inside a picture; some touch its edges."""
    corners = np.sort(rng.uniform(0, 1, (count, 2, 2)), axis=1) * np.array(size_wh)
    boxes = corners.reshape(count, 4).astype(np.float32)
    boxes[::5, 0] = 0
    boxes[::7, 2] = size_wh[0]
    boxes[::3] = np.round(boxes[::3])
    return boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]


def make_list(folder):
    """Write the pictures with random boxes, and return them as read from a list."""
    rng = np.random.default_rng(3)
    lines = []
    for shade, name in enumerate(NAMES):
        path = folder / name
        size = (83, 61) if shade % 2 else (1920, 1080)
        if name == "turned.jpg":
            save_turned(path, size, shade)
            size = size[::-1]
        else:
            save_picture(path, size, shade, format="PNG" if name == "A.JPG" else "JPEG")
        boxes = random_boxes(rng, size, 0 if name == "empty.jpg" else 12)
        ids = [0, 1, 2, 4]  # class 3 has no box
        fields = [",".join(map(repr, box)) + f",{rng.choice(ids)}" for box in boxes.tolist()]
        quote = "'" if '"' in name else '"'
        lines.append(" ".join([f"{quote}{path}{quote}", *fields]))
    (folder / "list.txt").write_text("\n".join(lines), "utf-8")
    return read_annotations(folder / "list.txt", CLASSES, folder)[0]


def assert_list_survives(pictures, imported, folder):
    """Assert that what was imported is the same list, also after it was written as one."""
    again, class_names = imported.pictures, imported.class_names
    assert class_names == CLASSES
    assert [kind for kind, _ in imported.findings.found] == [] and not imported.left_out
    write_annotations(again, folder / "again.txt")
    listed, _ = read_annotations(folder / "again.txt", class_names, folder)
    for versions in zip(pictures, again, listed, strict=True):
        assert len({picture.digest for picture in versions}) == 1
        assert len({picture.size_wh for picture in versions}) == 1
        for picture in versions[1:]:
            np.testing.assert_array_equal(picture.boxes_xyxy, versions[0].boxes_xyxy)
            np.testing.assert_array_equal(picture.class_ids, versions[0].class_ids)


def left_out_of(imported, folder):
    """Give kind and reason of what an import left out, with the folder left out of the texts."""
    return [(one.kind, one.reason.replace(f"{folder}/", "")) for one in imported.left_out]


def problems_in(folder, read, *args, **options):
    """Return the problems that `read` raises, with the folder left out of their texts."""
    with pytest.raises(DataError) as caught:
        read(*args, **options)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def link(path, target):
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("links cannot be made here")
