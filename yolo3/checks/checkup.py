"""The check of a whole data set: measures, cases, and what they come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from yolo3.checks.anchors import AnchorFit, fit_of, network_sizes_wh
from yolo3.checks.cases import Case, leaked_pictures, picture_cases, repeated_pictures
from yolo3.data.pictures import FINDINGS, UNLABELLED, Findings, LeftOut, Picture
from yolo3.network.spec import NetworkSpec

NOTES = frozenset({"pictures_turned", "pictures_alike", "pictures_few", "classes_rare"})
"""Kinds that are told and call for nothing; every other one deserves a look."""

OF_READERS = frozenset(
    {
        "boxes_clipped",
        "boxes_swapped",
        "boxes_degenerate",
        "boxes_outside",
        "pictures_duplicate",
        "pictures_shared",
        "images_left_out",
    }
)
"""Kinds that reading a list or dividing it finds already."""

FEW_BOXES = 10  # of a class, in training
FEW_VALIDATION_BOXES = 20
LEAST_RECALL = 0.9


@dataclass(frozen=True)
class Checkup:
    """Hold the pictures of a data set and all cases found in them."""

    train: tuple[Picture, ...]
    val: tuple[Picture, ...]
    spec: NetworkSpec
    cases: tuple[Case, ...]

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Give training and validation pictures."""
        return self.train + self.val

    @cached_property
    def sizes_wh(self) -> np.ndarray:
        """Give the sizes (N, 2) of all boxes in pixels of the network's input."""
        return network_sizes_wh(self.pictures, self.spec.input_wh)

    @cached_property
    def fit(self) -> AnchorFit:
        """Measure how well the anchors that some scale owns fit the boxes."""
        return fit_of(self.sizes_wh, owned_anchors_wh(self.spec))

    @property
    def deserve_a_look(self) -> bool:
        """Tell whether any finding is more than a note."""
        return any(case.kind not in NOTES for case in self.cases)

    @property
    def findings(self) -> Findings:
        """Give all cases as findings."""
        return Findings(tuple((case.kind, case.message) for case in self.cases))

    @property
    def new_findings(self) -> Findings:
        """Give the findings that reading and dividing the list did not tell already."""
        return Findings(tuple(one for one in self.findings.found if one[0] not in OF_READERS))

    def by_kind(self) -> dict[str, list[Case]]:
        """Give the cases of each kind that occurs, notes last."""
        found: dict[str, list[Case]] = {}
        for kind in sorted(FINDINGS, key=lambda kind: kind in NOTES):
            own = [case for case in self.cases if case.kind == kind]
            if own:
                found[kind] = own
        return found

    def lines(self) -> list[str]:
        """Tell each kind in a line, with its first case in another, then the anchors' fit."""
        lines = []
        for kind, cases in self.by_kind().items():
            lines += [f"{len(cases)} {FINDINGS[kind]}", f"  {cases[0].message}"]
        return [*lines, self.anchor_line()]

    def anchor_line(self) -> str:
        """Tell how well the anchors fit."""
        width, height = self.spec.input_wh
        if not len(self.sizes_wh):
            return "anchors: there is no box to fit"
        return f"anchors at {width}x{height}: {self.fit}"


def check_up(
    train: Sequence[Picture],
    val: Sequence[Picture],
    spec: NetworkSpec,
    left_out: Sequence[LeftOut] = (),
) -> Checkup:
    """Check training and validation pictures; `val` may be empty.

    left_out: what reading them left out; images without labels are no case.
    No picture is opened again: this takes milliseconds for hundreds of pictures, and some seconds
    for tens of thousands.
    """
    cases = [
        *(Case("images_left_out", one.reason) for one in left_out if one.kind != UNLABELLED),
        *(case for picture in (*train, *val) for case in picture_cases(picture, spec)),
        *repeated_pictures(train),
        *repeated_pictures(val),
        *leaked_pictures(train, val),
        *_classes(train, val, spec),
        *_few(val),
        *_anchors((*train, *val), spec),
    ]
    return Checkup(tuple(train), tuple(val), spec, tuple(cases))


def boxes_per_class(pictures: Sequence[Picture], class_count: int) -> np.ndarray:
    """Count boxes (class_count,) by class id."""
    ids = [picture.class_ids for picture in pictures]
    return np.bincount(np.concatenate([np.zeros(0, np.int64), *ids]), minlength=class_count)


def owned_anchors_wh(spec: NetworkSpec) -> tuple[tuple[float, float], ...]:
    """Give the anchors that some scale owns, in their order."""
    owned = sorted({anchor for anchors in spec.mask for anchor in anchors})
    return tuple(spec.anchors_wh[anchor] for anchor in owned)


def _few(val: Sequence[Picture]) -> list[Case]:
    boxes = sum(len(picture.class_ids) for picture in val)
    if not val or boxes >= FEW_VALIDATION_BOXES:
        return []
    text = f"validation: {boxes} boxes in {len(val)} pictures"
    return [Case("pictures_few", f"{text}, expected {FEW_VALIDATION_BOXES} boxes or more")]


def _classes(train: Sequence[Picture], val: Sequence[Picture], spec: NetworkSpec) -> list[Case]:
    own, others = (boxes_per_class(side, len(spec.class_names)) for side in (train, val))
    cases = []
    for class_id, name in enumerate(spec.class_names):
        learnt, checked = int(own[class_id]), int(others[class_id])
        if not learnt and not checked:
            cases.append(Case("classes_absent", f"class {name}: no box"))
        elif not learnt:
            text = f"class {name}: {checked} boxes in validation, none in training"
            cases.append(Case("classes_untrained", text))
        elif val and not checked:
            text = f"class {name}: {learnt} boxes in training, none in validation"
            cases.append(Case("classes_unvalidated", text))
        if 0 < learnt < FEW_BOXES:
            cases.append(Case("classes_rare", f"class {name}: {learnt} boxes in training"))
    return cases


def _anchors(pictures: Sequence[Picture], spec: NetworkSpec) -> list[Case]:
    fit = fit_of(network_sizes_wh(pictures, spec.input_wh), owned_anchors_wh(spec))
    if not fit.recall < LEAST_RECALL:  # NaN without boxes
        return []
    text = f"{fit}, expected a recall of {LEAST_RECALL:g} or more: `python -m yolo3 anchors`"
    return [Case("anchors_unfit", f"anchors: {text} makes closer ones")]
