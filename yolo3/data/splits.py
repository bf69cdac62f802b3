"""Divide pictures into training and validation, and hold two given lists apart."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from yolo3.data.likeness import alike_groups
from yolo3.data.pictures import DataError, Findings, Picture

EMPTY = -1  # the class, for balancing only, of a picture without boxes


def split_pictures(
    pictures: Sequence[Picture], val_split: float, seed: int
) -> tuple[list[Picture], list[Picture]]:
    """Divide into training and validation pictures, both in their given order.

    About `val_split` of the pictures go to validation, and at least one to each side; fewer where
    training would lose the last picture of a class. Pictures of the same content stay together, and
    so do those that look nearly alike, unless so many do (a fixed camera, a film) that validation
    would get less than half of its share, or more than twice as much. Rare classes choose first,
    and get at least one validation picture while there is room. The same pictures and seed give
    the same sides, whatever the order of the list.
    After iterative stratification (Sechidis et al., ECML PKDD 2011), made greedy.
    Raises DataError if there is too little to divide.
    """
    if not 0 <= val_split < 1:
        raise DataError(f"val_split is {val_split}, expected at least 0 and less than 1")
    contents = _groups(pictures)
    if len(contents) < 2:
        raise DataError(
            f"{len(pictures)} pictures with {len(contents)} different contents are too few to"
            " split, expected at least 2: add pictures, or give val_annotation_path"
        )
    goal = min(max(1, round(val_split * len(pictures))), len(pictures) - 1)
    joined = _joined(contents)
    chosen = _choose(joined, goal, val_split, seed)
    taken = sum(picture.digest in chosen for picture in pictures)
    if len(joined) < 2 or not goal <= 2 * taken <= 4 * goal:
        chosen = _choose(contents, goal, val_split, seed)
    train = [picture for picture in pictures if picture.digest not in chosen]
    val = [picture for picture in pictures if picture.digest in chosen]
    return train, val


def check_apart(train: Sequence[Picture], val: Sequence[Picture]) -> Findings:
    """Hold a validation list of its own against the training list.

    Raises DataError for each picture that stands in both; the same content under two paths is
    found and kept.
    """
    train_paths = {picture.path.resolve(): picture for picture in train}
    twice = [picture for picture in val if picture.path.resolve() in train_paths]
    if twice:
        raise DataError(
            *(
                f"{picture.source}: validation picture {picture.path} is a training picture too,"
                f" at {train_paths[picture.path.resolve()].source}, expected it in one list"
                for picture in twice
            )
        )
    digests = {picture.digest: picture for picture in train}
    return Findings(
        tuple(
            (
                "pictures_shared",
                f"{picture.source}: validation picture has the content of the training picture at"
                f" {digests[picture.digest].source}",
            )
            for picture in val
            if picture.digest in digests
        )
    )


def _groups(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """Group by content, in an order that does not depend on the list's."""
    by_digest: dict[str, list[Picture]] = {}
    for picture in pictures:
        by_digest.setdefault(picture.digest, []).append(picture)
    return [by_digest[digest] for digest in sorted(by_digest)]


def _joined(contents: list[list[Picture]]) -> list[list[Picture]]:
    """Join groups that look alike, in the order of their first members."""
    looks = [group[0].fingerprint for group in contents]
    return [[one for index in near for one in contents[index]] for near in alike_groups(looks)]


def _choose(given: list[list[Picture]], goal: int, val_split: float, seed: int) -> set[str]:
    """Choose groups of at most `goal` pictures in all for validation; returns their digests."""
    groups = [given[index] for index in np.random.default_rng(seed).permutation(len(given))]
    choice = _Choice(groups, goal)
    have = Counter(choice.left)
    for class_id in sorted(have, key=lambda key: (have[key], key)):
        choice.take(max(1, round(val_split * have[class_id])), wanted=class_id)
    choice.take(goal)
    if not choice.chosen:  # no class has a picture to spare, or every group is above the goal
        choice.chosen.append(min(range(len(groups)), key=lambda index: len(groups[index])))
    return {picture.digest for index in choice.chosen for picture in groups[index]}


class _Choice:
    """The groups chosen so far, and what they leave of each class."""

    def __init__(self, groups: list[list[Picture]], goal: int):
        self.sizes = [len(group) for group in groups]
        self.classes = [_classes(group) for group in groups]
        self.left = Counter(class_id for present in self.classes for class_id in present)
        self.taken: Counter[int] = Counter()
        self.room = goal  # pictures
        self.chosen: list[int] = []

    def take(self, share: int, wanted: int | None = None) -> None:
        """Take groups until the wanted class has its share, or of any class while there is room.

        Leaves the last group of each class where it is.
        """
        chosen = set(self.chosen)
        for index in (index for index in range(len(self.sizes)) if index not in chosen):
            if self.room == 0 or (wanted is not None and self.taken[wanted] >= share):
                return
            present = self.classes[index]
            spared = all(self.left[class_id] > 1 for class_id in present)
            offered = wanted is None or wanted in present
            if offered and spared and self.sizes[index] <= self.room:
                self.chosen.append(index)
                self.room -= self.sizes[index]
                self.left.subtract(present)
                self.taken.update(present)


def _classes(group: list[Picture]) -> set[int]:
    present = {int(class_id) for picture in group for class_id in picture.class_ids}
    return present or {EMPTY}
