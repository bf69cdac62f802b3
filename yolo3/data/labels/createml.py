"""CreateML JSON: a list of images, each with its annotations.

`x` and `y` are the centre of a box, all four numbers pixels, as CreateML takes them unless its
caller says otherwise, which no file does. Apple's own page calls the keys `imagefilename` and
`annotation`; CreateML's application and Roboflow write `image` and `annotations`.
Source of the format:
https://developer.apple.com/documentation/createml/building-an-object-detector-data-source
https://developer.apple.com/documentation/createml/mlobjectdetector/annotationtype
"""

from yolo3.data.labels.json_files import documents
from yolo3.data.labels.policy import Draft
from yolo3.data.labels.shapes import Shape, add_image, class_name, field, numbers

KEYS = (("image", "annotations"), ("imagefilename", "annotation"))


def is_createml(document: object) -> int:
    """Count the images of a CreateML document, 0 for what is none."""
    listed = document if isinstance(document, list) else []
    return sum(_entry(item) is not None for item in listed)


def read_createml(draft: Draft) -> None:
    """Read the CreateML files of a folder and its sub-folders, images in their order."""
    for path, document in documents(draft, is_createml, "CreateML"):
        shown = draft.tree.named(path)
        for number, item in enumerate(document, start=1):
            entry = _entry(item)
            if entry is None:
                draft.leave_out("label", f"{shown}: entry {number}", "has no image and annotations")
            else:
                image, annotations = entry
                add_image(draft, image, path, f"{shown}: image {image}", annotations, _shape)
    draft.leave_out_unlabelled("in no CreateML file")


def _entry(item: object) -> tuple[str, list] | None:
    """Give the image and the annotations of an entry, None where it has none."""
    if not isinstance(item, dict):
        return None
    for image, annotations in KEYS:
        if isinstance(item.get(image), str) and isinstance(item.get(annotations), list):
            return item[image], item[annotations]
    return None


def _shape(item: object) -> Shape:
    name = class_name(field(item, "label"))
    x, y, width, height = numbers(field(item, "coordinates"), "x", "y", "width", "height")
    return Shape(name, (x - width / 2, y - height / 2, x + width / 2, y + height / 2))
