"""Data sets with random defects, for the readers of labels: what is clean must come out exactly.

A test gives a `write(path, samples)` that writes the label file of some samples in its format, with
the defects of `LABEL_DEFECTS` that their last objects have; the rest is made here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image

from yolo3.data.labels.policy import Draft, Imported, ImportOptions, finish
from yolo3.data.labels.tree import FileTree

CLASSES = ("hat", "traffic light", "Ünder & 'q'")
KIND_OF = {  # defect -> the kind that it is counted as
    "missing": "missing",
    "truncated": "unreadable",
    "ambiguous": "ambiguous",
    "outside": "outside",
    "no box": "object",
    "no name": "object",
    "not a number": "object",
    "cut short": "label",
}
LABEL_DEFECTS = ("no box", "no name", "not a number")
LABEL_FOLDERS = ("", "images", "labels")
quick = settings(max_examples=25, deadline=None)


@dataclass(frozen=True)
class Sample:
    """An image, its objects (class, x1, y1, x2, y2 in pixels), and what is wrong with it."""

    name: str  # of the file, without folders
    size_wh: tuple[int, int]
    objects: tuple[tuple[str, tuple[float, float, float, float]], ...]
    defect: str = ""

    @property
    def stem(self) -> str:
        return Path(self.name).stem

    def broken(self, number: int) -> str:
        """Give the defect of an object: of the last one, if the label file has the defect."""
        last = number == len(self.objects) - 1
        return self.defect if last and self.defect in LABEL_DEFECTS else ""


@st.composite
def _objects(draw, size_wh, at_least):
    boxes = []
    for _ in range(draw(st.integers(at_least, 3))):
        (x1, x2), (y1, y2) = (draw(_pair(side)) for side in size_wh)
        boxes.append((draw(st.sampled_from(CLASSES)), (x1, y1, x2, y2)))
    return tuple(boxes)


@st.composite
def _pair(draw, side):
    """Draw two places on a side, 2 pixels apart or more, in quarters so that halves are exact."""
    first = draw(st.integers(0, 4 * (side - 2)))
    return first / 4, draw(st.integers(first + 8, 4 * side)) / 4


@st.composite
def data_sets(draw, defects=tuple(KIND_OF), at_least=0):
    """Draw 6 to 12 samples, fewer than half with a defect; each has `at_least` so many objects."""
    count = draw(st.integers(6, 12))
    broken = draw(st.sets(st.integers(1, count - 1), max_size=(count - 1) // 2))
    samples = []
    for number in range(count):
        name = f"img {number}{draw(st.sampled_from(['.jpg', '.png', '.JPEG']))}"
        size_wh = draw(st.tuples(st.integers(16, 40), st.integers(16, 40)))
        defect = draw(st.sampled_from(defects)) if number in broken else ""
        objects = draw(_objects(size_wh, 1 if defect or not number else at_least))
        samples.append(Sample(name, size_wh, objects, defect))
    return samples


def cut_short(path: Path) -> None:
    """Keep the first half of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def build(
    folder: Path,
    samples: Sequence[Sample],
    write: Callable[[Path, Sequence[Sample]], None],
    suffix: str,
    labels: str = "labels",
    single: bool = False,
    cut: Callable[[Path], None] = cut_short,
) -> Path:
    """Write the images below folder/data/images and their label files; returns folder/data.

    labels: the folder of the label files. single: each image has its own; otherwise only those
    have that are cut short.
    """
    root = folder / "data"
    for number, sample in enumerate(samples):
        _save_image(folder, root, sample, number)
    (root / labels).mkdir(parents=True, exist_ok=True)
    together = [sample for sample in samples if not single and sample.defect != "cut short"]
    if together:
        write(root / labels / f"all{suffix}", together)
    for sample in samples:
        if sample not in together:
            path = root / labels / f"{sample.stem}{suffix}"
            write(path, [sample])
            if sample.defect == "cut short":
                cut(path)
    return root


def _save_image(folder: Path, root: Path, sample: Sample, number: int) -> None:
    places = {"ambiguous": ["data/one", "data/two"], "missing": [], "outside": ["elsewhere"]}
    for place in places.get(sample.defect, ["data/images"]):
        path = folder / place / sample.name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", sample.size_wh, (number * 20, 90, 0)).save(path)
        if sample.defect == "truncated":
            cut_short(path)
    (root / "images").mkdir(parents=True, exist_ok=True)
    if sample.defect == "outside":
        (root / "images" / sample.name).symlink_to(folder / "elsewhere" / sample.name)


def read_folder(
    folder: Path, read: Callable[[Draft], None], title: str = "", **options: object
) -> Imported:
    """Import a folder with one reader."""
    draft = Draft(FileTree(folder), ImportOptions(**options))
    read(draft)
    return finish(draft, title)


def boxes_of(imported: Imported) -> dict[str, list]:
    """Give the boxes of each image by its name: class, x1, y1, x2, y2."""
    return {
        picture.path.name: [
            (imported.class_names[class_id], tuple(box))
            for class_id, box in zip(
                picture.class_ids.tolist(), picture.boxes_xyxy.tolist(), strict=True
            )
        ]
        for picture in imported.pictures
    }


def assert_clean_part(imported: Imported, samples: Sequence[Sample]) -> None:
    """Assert that what is clean came out exactly, and that all else is counted, each image once."""
    clean = {sample.name: list(sample.objects) for sample in samples if not sample.defect}
    assert boxes_of(imported) == clean
    wanted = sorted(KIND_OF[sample.defect] for sample in samples if sample.defect)
    assert sorted(one.kind for one in imported.left_out) == wanted
    assert imported.total == len(samples)
    assert not {"boxes_clipped", "boxes_swapped"} & {kind for kind, _ in imported.findings.found}
