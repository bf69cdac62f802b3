"""Tell pictures that look nearly alike, by a fingerprint of 64 bytes each.

The fingerprint is a difference hash (dHash: is each pixel of a small grey copy darker than its
right neighbour?) in 256 places, made ternary: where neighbours hardly differ it says so, since
there noise decides which is brighter. Two pictures look alike when they disagree in at most an
eighth of the places where either has a slope. That finds copies that were resized, compressed
again or brightened a little, and neighbouring frames of a film; not crops, turns and mirrors.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

FINGERPRINT_BYTES = 64
_GRID_WH = (17, 16)
_LEVEL = 4  # grey levels of 256 that neighbours may differ by and still count as even
_MOST_DISAGREEING = 8  # an eighth of the places with a slope
_FEWEST_SLOPES = 16  # a picture that is nearly of one colour is like no other


def fingerprint(image: Image.Image) -> bytes:
    """Compute the fingerprint of an upright RGB picture: 32 bytes of falls, then 32 of rises."""
    small = image.resize(_GRID_WH, Image.Resampling.BILINEAR, reducing_gap=3.0).convert("L")
    grey = np.asarray(small, np.int16)  # (16, 17)
    slope = np.diff(grey, axis=1)  # (16, 16)
    return np.packbits([slope < -_LEVEL, slope > _LEVEL]).tobytes()


def first_alike(fingerprints: Sequence[bytes], among: Sequence[bytes]) -> list[int | None]:
    """Give for each fingerprint the position of the first in `among` that looks alike, or None.

    An empty fingerprint, of a picture that was not looked at, is like no other.
    """
    others = _words(among)
    return [_first(_alike(one, others)) for one in _words(fingerprints).T]


def earlier_alike(fingerprints: Sequence[bytes]) -> list[int | None]:
    """Give for each fingerprint the position of the first before it that looks alike, or None."""
    words = _words(fingerprints)
    return [_first(_alike(one, words[:, :position])) for position, one in enumerate(words.T)]


def alike_groups(fingerprints: Sequence[bytes]) -> list[list[int]]:
    """Group positions so that what looks alike, directly or through others, is together.

    Returns groups in the order of their first members, singles included. Needs time that grows
    with the square of the number (seconds for 20,000), and memory that does not.
    """
    words = _words(fingerprints)
    label = np.arange(words.shape[1])
    for position, one in enumerate(words.T):
        near = _alike(one, words[:, :position])
        if near.any():
            joined = np.unique(label[:position][near])
            label[position] = joined[0]
            if len(joined) > 1:
                label[np.isin(label, joined)] = joined[0]
    groups: dict[int, list[int]] = {}
    for position, first in enumerate(label.tolist()):
        groups.setdefault(first, []).append(position)
    return list(groups.values())


def _first(hits: np.ndarray) -> int | None:
    return int(hits.argmax()) if hits.any() else None


def _words(fingerprints: Sequence[bytes]) -> np.ndarray:
    """Lay fingerprints out as (4 words of falls and 4 of rises, N); empty ones have no slope."""
    whole = b"".join(text or bytes(FINGERPRINT_BYTES) for text in fingerprints)
    return np.frombuffer(whole, np.uint64).reshape(-1, 8).T.copy()


def _alike(one: np.ndarray, many: np.ndarray) -> np.ndarray:
    """Compare one fingerprint (8,) with many (8, N): (N,) bool."""
    unlike = one[:, None] ^ many
    sloping = one[:, None] | many
    disagreeing = _count(unlike[:4] | unlike[4:])
    slopes = _count(sloping[:4] | sloping[4:])
    return (slopes >= _FEWEST_SLOPES) & (disagreeing * _MOST_DISAGREEING <= slopes)


def _count(words: np.ndarray) -> np.ndarray:
    """Count the set bits of each column of words (4, N): (N,) uint16, at most 256."""
    return np.bitwise_count(words).sum(axis=0, dtype=np.uint16)
