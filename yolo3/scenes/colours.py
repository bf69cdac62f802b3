"""Name the colours of plastic that scenes are made of (RGB, 0..255)."""

PLASTIC = (
    (200, 30, 32), (20, 80, 180), (245, 200, 20), (30, 130, 60), (240, 240, 238), (38, 38, 42),
    (150, 154, 158), (96, 100, 104), (240, 120, 20), (100, 60, 35), (210, 180, 130), (130, 200, 60),
    (110, 170, 220), (120, 50, 130), (235, 140, 175), (25, 45, 95), (15, 110, 115), (110, 20, 35),
)  # fmt: skip
SKIN = ((247, 207, 40),) * 6 + ((240, 195, 150), (205, 150, 105), (145, 95, 60), (95, 60, 40))
GOLD = (196, 160, 70)
METAL = ((170, 175, 182), (120, 124, 130), GOLD, (72, 74, 80))
LEATHER = ((98, 60, 32), (130, 88, 48), (58, 40, 30), (35, 33, 34), (170, 130, 85))
STRAW = ((226, 192, 108), (212, 172, 86), (238, 212, 145))
INK = (28, 24, 24)
WHITE = (250, 250, 248)


def pick(rng, choices):
    """Draw one of a sequence."""
    return choices[int(rng.integers(len(choices)))]


def shade(colour, factor):
    """Return a colour made darker (below 1) or lighter."""
    return tuple(min(255.0, channel * factor) for channel in colour)
