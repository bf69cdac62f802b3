"""Name what a set of scenes is made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """Hold the classes that are labelled, and what else is drawn.

    A class is either headgear, then the whole figure is labelled with it, or a thing. Clutter is
    drawn and not labelled, so it is never a class.
    """

    name: str
    head_classes: tuple[str, ...]
    thing_classes: tuple[str, ...]
    clutter: tuple[str, ...]
    backgrounds: tuple[str, ...]

    @property
    def class_names(self):
        """Return the names in the order of their ids."""
        return self.head_classes + self.thing_classes


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
)
PRETRAIN = Theme(
    name="pretrain",
    head_classes=("crown", "cap", "cone", "horns", "hood", "hair", "ears"),
    thing_classes=("brick", "car", "tree", "dog", "house"),
    clutter=("ball", "mug", "crate", "flower", "column"),
    backgrounds=("gradient", "bokeh", "sand", "water", "wall", "stripes", "leaves", "night", "snow",
                 "cloud", "marble"),
)  # fmt: skip
THEMES = {theme.name: theme for theme in (SAMPLE, PRETRAIN)}
