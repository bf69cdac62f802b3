"""Name what a set of scenes is made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """Hold the classes that are labelled, and what else is drawn.

    A class is either headgear, then the head is labelled with what it wears, or a thing, or
    `whole_class`, which labels each figure once more as a whole. Clutter is drawn and not labelled,
    so it is never a class.
    """

    name: str
    head_classes: tuple[str, ...]
    thing_classes: tuple[str, ...]
    clutter: tuple[str, ...]
    backgrounds: tuple[str, ...]
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
)
PRETRAIN = Theme(
    name="pretrain",
    head_classes=("crown", "cap", "cone", "horns", "hood", "hair", "ears"),
    thing_classes=("brick", "car", "tree", "dog", "house"),
    clutter=("ball", "mug", "crate", "flower", "column"),
    backgrounds=("gradient", "bokeh", "sand", "water", "wall", "stripes", "leaves", "night", "snow",
                 "cloud", "marble"),
    whole_class="figure",
)  # fmt: skip
THEMES = {theme.name: theme for theme in (SAMPLE, PRETRAIN)}
