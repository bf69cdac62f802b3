"""What fixes a network's shape and the meaning of its outputs, in one value that travels along."""

import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path

MASKS = {
    6: ((3, 4, 5), (0, 1, 2)),
    9: ((6, 7, 8), (3, 4, 5), (0, 1, 2)),
}
"""Anchors of each scale, coarse (stride 32) first, by the number of anchors: each has one owner."""

MAX_SIDE = 4096
"""Pixels of the network's input: a larger one needs gigabytes for its first layer alone."""


@dataclass(frozen=True)
class NetworkSpec:
    """Describe a YOLOv3 network.

    class_names: one per class id, counted from 0.
    anchors_wh: widths and heights in pixels of the network's input, as Darknet's cfg has them.
    mask: anchor numbers of each scale, coarse first. An anchor may belong to two scales or none, as
    in some of Darknet's files.
    input_wh: width and height of the network's input in pixels, multiples of the largest stride.
    strides: pixels per grid cell of each scale, coarse first; 32, 16, 8, … where left out.

    Raises ValueError for a combination that no network has.
    """

    class_names: tuple[str, ...]
    anchors_wh: tuple[tuple[float, float], ...]
    mask: tuple[tuple[int, ...], ...]
    input_wh: tuple[int, int]
    strides: tuple[int, ...] = ()

    def __post_init__(self):
        if not self.strides:
            usual = tuple(32 >> scale for scale in range(len(self.mask)))
            object.__setattr__(self, "strides", usual)
        if not self.class_names:
            raise ValueError("expected at least one class, got none")
        if not self.mask or not all(self.mask):
            raise ValueError(f"expected an anchor or more for each scale, got the mask {self.mask}")
        if len(self.strides) != len(self.mask):
            raise ValueError(
                f"the mask {self.mask} has {len(self.mask)} scales, expected as many strides, "
                f"got {self.strides}"
            )
        if min(self.strides) < 1 or list(self.strides) != sorted(self.strides, reverse=True):
            raise ValueError(f"expected strides from 1, coarse first, got {self.strides}")
        for anchor in (anchor for owned in self.mask for anchor in owned):
            if not 0 <= anchor < len(self.anchors_wh):
                raise ValueError(
                    f"the mask names anchor {anchor}, expected 0 to {len(self.anchors_wh) - 1}"
                )
        unit = math.lcm(*self.strides)  # the largest stride, as long as each is twice the next
        for side in self.input_wh:
            if side < unit or side % unit:
                raise ValueError(f"input_size must be a multiple of {unit}, got {side}")
            if side > MAX_SIDE:
                raise ValueError(f"input_size must be at most {MAX_SIDE}, got {side}")

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
        """Read what `to_json` wrote; raises ValueError for anything else."""
        try:
            fields = json.loads(text)
            width, height = fields["input_wh"]
            return cls(
                class_names=tuple(_text(name) for name in fields["class_names"]),
                anchors_wh=tuple((_size(w), _size(h)) for w, h in fields["anchors_wh"]),
                mask=tuple(tuple(map(_whole, anchors)) for anchors in fields["mask"]),
                input_wh=(_whole(width), _whole(height)),
                # none in files of before cfgs were read
                strides=tuple(map(_whole, fields.get("strides", ()))),
            )
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"expected what the project writes, got {error!r}") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected the name of a class, got {value!r}")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"expected a whole number, got {value!r}")
    return value


def _size(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e5:
        raise ValueError(f"expected a size in pixels, got {value!r}")
    return float(value)


def make_spec(class_names, anchors_wh, input_wh) -> NetworkSpec:
    """Make a spec of Tiny YOLOv3 or YOLOv3 with the usual mask for its number of anchors."""
    anchors = tuple((float(w), float(h)) for w, h in anchors_wh)
    if len(anchors) not in MASKS:
        raise ValueError(f"expected 6 anchors (Tiny YOLOv3) or 9 (YOLOv3), got {len(anchors)}")
    return NetworkSpec(tuple(class_names), anchors, MASKS[len(anchors)], tuple(input_wh))


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
