"""Name what a set of scenes is made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """Hold the classes that are labelled, and what else is drawn.

    A class is either headgear, then the head is labelled with what it wears, or a thing, or
    `whole_class`, which labels each figure once more as a whole. Clutter is drawn and not labelled,
    so it is never a class. An arrangement is a share of the pictures, the least and the greatest
    number of labelled things, and the range of a figure's height as a share of the picture's.
    """

    name: str
    head_classes: tuple[str, ...]
    thing_classes: tuple[str, ...]
    clutter: tuple[str, ...]
    backgrounds: tuple[str, ...]
    arrangements: tuple[tuple[float, tuple[int, int], tuple[float, float]], ...]
    whole_class: str | None = None

    @property
    def drawn_classes(self):
        """Return the names of what is placed, in the order of their ids."""
        return self.head_classes + self.thing_classes

    @property
    def class_names(self):
        """Return the names in the order of their ids."""
        return self.drawn_classes + ((self.whole_class,) if self.whole_class else ())


SAMPLE = Theme(
    name="sample",
    head_classes=("helmet", "hat", "bare"),
    thing_classes=(),
    clutter=("brick", "brick", "ball", "mug", "crate", "tree", "column"),
    backgrounds=(
        "gradient",
        "wood",
        "grass",
        "check",
        "baseplate",
        "tiles",
        "bokeh",
        "sky",
        "cloud",
    ),
    arrangements=(
        (0.20, (1, 2), (0.45, 0.85)),
        (0.44, (3, 6), (0.34, 0.56)),
        (0.28, (4, 8), (0.25, 0.40)),
        (0.08, (2, 4), (0.30, 0.70)),
    ),
)
PRETRAIN = Theme(
    name="pretrain",
    head_classes=("crown", "cap", "cone", "horns", "hood", "hair", "ears"),
    thing_classes=("brick", "car", "tree", "dog", "house"),
    clutter=("ball", "mug", "crate", "flower", "column"),
    backgrounds=("gradient", "bokeh", "sand", "water", "wall", "stripes", "leaves", "night", "snow",
                 "cloud", "marble"),
    arrangements=(
        (0.24, (1, 1), (0.50, 0.90)),
        (0.34, (2, 4), (0.32, 0.60)),
        (0.30, (2, 6), (0.18, 0.36)),
        (0.12, (1, 3), (0.25, 0.80)),
    ),
    whole_class="figure",
)  # fmt: skip
THEMES = {theme.name: theme for theme in (SAMPLE, PRETRAIN)}
