"""Render scenes of toy minifigures and write them as a data set in VOC shape.

Everything is drawn from numbers: small meshes, flat-shaded with a highlight and painted back to
front with Pillow. There are no pictures, fonts or models on disk. A scene depends on its random
generator alone, so that the same seed gives the same bytes with the same versions of NumPy and
Pillow.
"""

from yolo3.scenes.dataset import Summary, write_dataset
from yolo3.scenes.scene import Scene, render_scene
from yolo3.scenes.theme import PRETRAIN, SAMPLE, THEMES, Theme

__all__ = [
    "PRETRAIN",
    "SAMPLE",
    "THEMES",
    "Scene",
    "Summary",
    "Theme",
    "render_scene",
    "write_dataset",
]
