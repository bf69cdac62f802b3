"""What each kind of finding does to a training, and what to do about it, for the report."""

from typing import NamedTuple


class Advice(NamedTuple):
    """Explain one kind of finding to a person, in HTML."""

    title: str
    effect: str
    remedy: str


ADVICE = {
    "boxes_clipped": Advice(
        "Boxes past the edge",
        "They were clipped to the picture, and are learnt as they are then.",
        "Little needs doing where the overhang is small. A large one hints at labels of another"
        " size of the picture, or of a turned one.",
    ),
    "boxes_swapped": Advice(
        "Boxes with exchanged corners",
        "They were read with their corners in the right order.",
        "Nothing has to be done where they lie as they should below.",
    ),
    "boxes_degenerate": Advice(
        "Boxes without width or height",
        "They were left out: a box without area makes a loss that is no number.",
        "Usually clicks by mistake; remove them in the labelling tool, or with --fix.",
    ),
    "boxes_outside": Advice(
        "Boxes outside their picture",
        "They were left out.",
        "Look whether these labels belong to another picture, or to another size of it.",
    ),
    "images_left_out": Advice(
        "Images that cannot be used",
        "They, or their labels, are missing or broken, and they were left out.",
        "Repair those that matter: python -m yolo3 annotations --left-out FILE writes each name and"
        " reason. A few less do no harm.",
    ),
    "boxes_repeated": Advice(
        "One thing boxed twice",
        "A detector that finds the thing once is told that it missed one.",
        "Remove one of the two. --fix removes those that are equal to the digit.",
    ),
    "boxes_conflicting": Advice(
        "One thing, two classes",
        "The network learns both, and is sure of neither.",
        "Decide for one class, unless both are meant.",
    ),
    "boxes_tiny": Advice(
        "Boxes too small to see",
        "After resizing to the network's input hardly a pixel of the thing is left, and the"
        " network learns to find what cannot be seen.",
        "Train with a larger input_size, cut the pictures into parts, or leave these boxes out.",
    ),
    "boxes_colliding": Advice(
        "Boxes that share a cell and an anchor",
        "The network has one answer for both; the later box of the list is the one learnt.",
        "A larger input_size or anchors of your own (<code>python -m yolo3 anchors</code>) part"
        " them. A few such boxes do no harm.",
    ),
    "pictures_duplicate": Advice(
        "The same file twice",
        "It counts twice in training. A split keeps copies on one side.",
        "Keep one. --fix does where the boxes are the same.",
    ),
    "pictures_relabelled": Advice(
        "The same file, contradicting boxes",
        "What is an object in one copy is background in the other.",
        "Keep the copy with the right boxes.",
    ),
    "pictures_alike": Advice(
        "Pictures that look nearly alike",
        "Copies in another size or quality, or neighbouring frames of a film, add little. A split"
        " keeps them on one side, unless most of the data look alike.",
        "Nothing has to be done.",
    ),
    "pictures_shared": Advice(
        "Training pictures in validation",
        "Their validation figures tell what was memorised, not what was learnt.",
        "Remove them from one of the two lists.",
    ),
    "pictures_leaked": Advice(
        "Validation pictures that look like training pictures",
        "Figures measured on them are better than those on new pictures will be.",
        "Put all pictures of one scene or film into the same list.",
    ),
    "pictures_few": Advice(
        "Few boxes to validate on",
        "One box found more or less moves AP50 by several hundredths.",
        "Label more images, raise val_split, or give a val_annotation_path; and believe figures of"
        " images that were used for neither training nor validation.",
    ),
    "pictures_misnamed": Advice(
        "Files of another format than their name says",
        "Read here by their content; tools that go by the name refuse them.",
        "Rename or convert them.",
    ),
    "pictures_turned": Advice(
        "Pictures with an EXIF orientation",
        "They are turned as a viewer shows them, and boxes are read in the turned picture. Nothing"
        " shows whether they were drawn there.",
        "See whether the boxes below lie where they should. If they do, all is well. If they were"
        " drawn on the unturned picture, import the labels again with"
        " <code>python -m yolo3 annotations FOLDER --labelled-unrotated</code>, which turns them.",
    ),
    "pictures_unturned": Advice(
        "Boxes drawn on the unturned picture",
        "The labelling tool seems to have ignored the EXIF orientation, so these boxes lie wrong.",
        "Import the labels again with"
        " <code>python -m yolo3 annotations FOLDER --labelled-unrotated</code>, which turns them.",
    ),
    "classes_absent": Advice(
        "Classes without a box",
        "The network has an output for them that nothing trains.",
        "Remove them from the classes file, or label some.",
    ),
    "classes_untrained": Advice(
        "Classes only in validation",
        "They cannot be learnt, and lower the measured AP.",
        "Move some of their pictures to the training list.",
    ),
    "classes_unvalidated": Advice(
        "Classes without a validation box",
        "Nothing measures how well they are found.",
        "Label more of them, raise val_split, or move pictures to the validation list.",
    ),
    "classes_rare": Advice(
        "Classes with few boxes",
        "A class is hardly learnt from fewer than ten boxes.",
        "Label more of them if they matter.",
    ),
    "anchors_unfit": Advice(
        "Anchors that do not fit",
        "The network starts far from the sizes of the boxes, and learns them more slowly.",
        "<code>python -m yolo3 anchors</code> makes anchors of your boxes; train with"
        " <code>-P anchors_path=FILE</code>. The outputs of start weights mean something only with"
        " their own anchors: where images are few, keeping these is worth more.",
    ),
}
