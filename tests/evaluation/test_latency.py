import time
from pathlib import Path

import numpy as np
from evaluation_cases import picture_of
from PIL import Image

from yolo3.data.annotations import Picture
from yolo3.evaluation.latency import latency


def pictures(folder: Path, count: int) -> list[Picture]:
    """Write pictures, each one pixel wider than the last."""
    listed = []
    for number in range(count):
        path = folder / f"{number}.png"
        Image.new("RGB", (20 + number, 10)).save(path)
        blank = picture_of([])
        listed.append(Picture(path, blank.boxes_xyxy, blank.class_ids, (20 + number, 10), "", ""))
    return listed


class Waiting:
    """Wait so many milliseconds, and note who was asked in what order."""

    def __init__(self, name, milliseconds, asked):
        self.name, self.milliseconds, self.asked = name, milliseconds, asked

    def __call__(self, images):
        [image] = images
        self.asked.append((self.name, image.width))
        time.sleep(self.milliseconds / 1000)
        return [None]


def test_the_slower_one_takes_longer_on_every_picture(tmp_path):
    asked = []
    quick, slow = Waiting("quick", 1, asked), Waiting("slow", 8, asked)
    times = latency([quick, slow], pictures(tmp_path, 3))
    assert times.shape == (2, 3)
    assert (times[0] >= 1).all() and (times[1] >= 8).all()
    assert np.median(times[1]) > 2 * np.median(times[0])


def test_they_take_turns_on_each_picture_and_neither_is_always_first(tmp_path):
    asked = []
    latency([Waiting("a", 0, asked), Waiting("b", 0, asked)], pictures(tmp_path, 2))
    names = "".join(name for name, _ in asked)
    assert names == "aabb" + "abbaab" + "baabba"
    assert [width for _, width in asked] == [20] * 10 + [21] * 6


def test_a_slow_first_call_is_not_counted(tmp_path):
    asked = []

    def detect(images):
        time.sleep(0 if asked else 0.2)
        asked.append(images)
        return [None]

    assert latency([detect], pictures(tmp_path, 1)).max() < 150


def test_a_long_list_is_sampled_evenly(tmp_path):
    asked = []
    times = latency([Waiting("a", 0, asked)], pictures(tmp_path, 100), rounds=1)
    widths = [width for _, width in asked][2:]
    assert times.shape == (1, 32) and len(widths) == 32
    assert (widths[0], widths[-1]) == (20, 119) and set(np.diff(widths)) == {3, 4}
