"""What fixes a network's shape and the meaning of its outputs, in one value that travels along."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

MASKS = {
    6: ((3, 4, 5), (0, 1, 2)),
    9: ((6, 7, 8), (3, 4, 5), (0, 1, 2)),
}
"""Anchors of each scale, coarse (stride 32) first, by the number of anchors: each has one owner."""


@dataclass(frozen=True)
class NetworkSpec:
    """Describe a YOLOv3 network.

    class_names: one per class id, counted from 0.
    anchors_wh: widths and heights in pixels of the network's input, as Darknet's cfg has them.
    mask: anchor numbers of each scale, coarse first.
    input_wh: width and height of the network's input in pixels, multiples of 32.

    Raises ValueError for a combination that no network has.
    """

    class_names: tuple[str, ...]
    anchors_wh: tuple[tuple[float, float], ...]
    mask: tuple[tuple[int, ...], ...]
    input_wh: tuple[int, int]

    def __post_init__(self):
        if not self.class_names:
            raise ValueError("expected at least one class, got none")
        if len(self.anchors_wh) not in MASKS:
            raise ValueError(
                f"expected 6 anchors (Tiny YOLOv3) or 9 (YOLOv3), got {len(self.anchors_wh)}"
            )
        if len(self.mask) != len(MASKS[len(self.anchors_wh)]):
            raise ValueError(
                f"{len(self.anchors_wh)} anchors need {len(MASKS[len(self.anchors_wh)])} scales, "
                f"the mask {self.mask} has {len(self.mask)}"
            )
        for anchor in (anchor for owned in self.mask for anchor in owned):
            if not 0 <= anchor < len(self.anchors_wh):
                raise ValueError(
                    f"the mask names anchor {anchor}, expected 0 to {len(self.anchors_wh) - 1}"
                )
        for side in self.input_wh:
            if side < 32 or side % 32:
                raise ValueError(f"input_size must be a multiple of 32, got {side}")

    @property
    def strides(self) -> tuple[int, ...]:
        """Give pixels per grid cell of each scale, coarse first."""
        return tuple(32 >> scale for scale in range(len(self.mask)))

    @property
    def grids_hw(self) -> tuple[tuple[int, int], ...]:
        """Give rows and columns of each scale's grid, coarse first."""
        width, height = self.input_wh
        return tuple((height // stride, width // stride) for stride in self.strides)

    def scale_anchors_wh(self, scale: int) -> tuple[tuple[float, float], ...]:
        """Give the anchors that one scale owns, in pixels."""
        return tuple(self.anchors_wh[anchor] for anchor in self.mask[scale])

    def to_json(self) -> str:
        """Write the spec as JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "NetworkSpec":
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        return cls(
            class_names=tuple(fields["class_names"]),
            anchors_wh=tuple((float(w), float(h)) for w, h in fields["anchors_wh"]),
            mask=tuple(tuple(anchors) for anchors in fields["mask"]),
            input_wh=(fields["input_wh"][0], fields["input_wh"][1]),
        )


def make_spec(class_names, anchors_wh, input_wh) -> NetworkSpec:
    """Make a spec with the usual mask for its number of anchors."""
    anchors = tuple((float(w), float(h)) for w, h in anchors_wh)
    return NetworkSpec(tuple(class_names), anchors, MASKS.get(len(anchors), ()), tuple(input_wh))


def read_anchors(path: Path) -> tuple[tuple[float, float], ...]:
    """Read `w,h, w,h, …` in pixels of the network's input, over one line or several.

    Raises ValueError that names the file and, where it can, the line.
    """
    try:
        text = Path(path).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is no text in UTF-8"
        raise ValueError(f"{path}: cannot read the anchors: {reason}") from None
    numbers = []
    for number, line in enumerate(text.splitlines(), 1):
        for word in re.split(r"[,\s]+", line.split("#")[0].strip()):
            if not word:
                continue
            try:
                value = float(word)
            except ValueError:
                raise ValueError(f"{path}:{number}: expected a number, got {word!r}") from None
            if not 0 < value < 1e5:
                raise ValueError(f"{path}:{number}: expected a size in pixels, got {word!r}")
            numbers.append(value)
    if len(numbers) not in (12, 18):
        raise ValueError(
            f"{path}: expected 6 anchors (12 numbers, Tiny YOLOv3) or 9 (18 numbers, YOLOv3), "
            f"got {len(numbers)} numbers"
        )
    return tuple(zip(numbers[0::2], numbers[1::2], strict=True))


def parse_input_size(text: str) -> tuple[int, int]:
    """Read `416` or `WxH` as width and height in pixels; ValueError unless multiples of 32."""
    match = re.fullmatch(r"\s*(\d+)(?:\s*[xX]\s*(\d+))?\s*", str(text))
    if not match:
        raise ValueError(f"input_size must be a number or WxH, got {text!r}")
    width = int(match[1])
    height = int(match[2] or match[1])
    for side in (width, height):
        if side < 32 or side % 32:
            raise ValueError(f"input_size must be a multiple of 32, got {text!r}")
    return width, height
