"""Draw what is behind and below the figures: BACKGROUNDS maps a name to its painter.

A painter takes (rng, size_wh, horizon), the horizon being the share of the height above which there
is no ground (0: ground everywhere), and returns an RGB picture.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from yolo3.scenes.colours import pick

BILINEAR, BICUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC


def _image(pixels):
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _colour(rng, low=30, high=235):
    return rng.uniform(low, high, 3)


def _muted(rng):
    grey = rng.uniform(70, 225)
    return np.clip(grey + rng.normal(0, 26, 3), 15, 245)


def _noise(rng, size_wh, cells_xy, octaves=3):
    """Return smooth noise (H, W), about -1 to 1."""
    total = np.zeros((size_wh[1], size_wh[0]), np.float32)
    for octave in range(octaves):
        cells = [
            min(max(2, int(c * 2**octave)), side) for c, side in zip(cells_xy, size_wh, strict=True)
        ]
        grid = rng.uniform(-1, 1, (cells[1], cells[0])).astype(np.float32)
        total += np.asarray(Image.fromarray(grid).resize(size_wh, BICUBIC)) * (0.5**octave)
    return total


def _ramp(size_wh, first, last, angle):
    x = np.linspace(-0.5, 0.5, size_wh[0])[None, :] * np.cos(angle)
    y = np.linspace(-0.5, 0.5, size_wh[1])[:, None] * np.sin(angle)
    share = np.clip(x + y + 0.5, 0, 1)[..., None]
    return first * (1 - share) + last * share


def _mix(low, high, share):
    return low + (high - low) * np.clip(share, 0, 1)[..., None]


def _ground_xz(size_wh, horizon):
    """Return coordinates on the ground (H, W) in perspective."""
    width, height = size_wh
    top = horizon * height if horizon > 0 else -0.7 * height
    y = np.arange(height, dtype=np.float32)
    below = np.maximum(y - top, 1.0) / (height - top)
    depth = 1.0 / np.maximum(below, 0.03)
    x = (np.arange(width, dtype=np.float32) - width / 2) / height
    flatness = 2.0 if horizon > 0 else 3.0
    return x[None, :] * depth[:, None], np.repeat(flatness * depth[:, None], width, axis=1)


def _above(rng, ground, size_wh, horizon):
    """Put a wall, sky or haze above the horizon."""
    rows = int(horizon * size_wh[1])
    if rows <= 0:
        return _image(ground)
    first, last = _muted(rng), _muted(rng)
    wall = _ramp((size_wh[0], rows), first, 0.5 * (first + last), np.pi / 2)
    return _image(np.concatenate([wall, ground[rows:]]))


def gradient(rng, size_wh, horizon):
    """Paint a sweep of one colour into another, as a studio's paper."""
    first, last = _colour(rng, 60, 240), _colour(rng, 40, 240)
    return _image(_ramp(size_wh, first, 0.5 * (first + last), rng.uniform(0, 2 * np.pi)))


def cloud(rng, size_wh, horizon):
    """Paint blotches, as a far and blurred room."""
    share = 0.5 + 0.5 * _noise(rng, size_wh, rng.integers(2, 6, 2), 4)
    pixels = _mix(_muted(rng), _muted(rng), share)
    tone = _noise(rng, size_wh, (3, 3), 2)[..., None]
    return _image(pixels + tone * rng.normal(0, 22, 3))


def bokeh(rng, size_wh, horizon):
    """Paint out-of-focus shapes and lights."""
    width, height = size_wh[0] // 2, size_wh[1] // 2
    image = Image.new("RGB", (width, height), tuple(_muted(rng).astype(int)))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(8, 26))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        rx, ry = rng.uniform(0.04, 0.25, 2) * height
        shape = pick(rng, (draw.ellipse, draw.rectangle))
        shape((x - rx, y - ry, x + rx, y + ry), fill=tuple(_colour(rng, 20, 240).astype(int)))
    image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(4, 14))))
    return image.resize(size_wh, BILINEAR)


def wood(rng, size_wh, horizon):
    """Paint a table of planks with grain."""
    x, z = _ground_xz(size_wh, horizon)
    tone = np.array(
        pick(rng, ((188, 140, 92), (150, 100, 60), (212, 176, 130), (110, 72, 46), (172, 150, 128)))
    )
    across, along = (x, z) if rng.random() < 0.5 else (z, x)
    plank = np.floor(across * rng.uniform(3, 6))
    grain = np.sin(
        across * rng.uniform(40, 90) + 3.5 * np.sin(along * rng.uniform(1, 4) + 2.1 * plank)
    )
    fleck = _noise(rng, size_wh, (8, 60), 2)
    level = 1 + 0.07 * np.sin(12.9898 * plank) + 0.05 * grain + 0.05 * fleck
    ground = tone * level[..., None]
    seam = np.zeros_like(plank, bool)
    seam[:, 1:] = plank[:, 1:] != plank[:, :-1]
    seam[1:] |= plank[1:] != plank[:-1]
    ground[seam] *= 0.62
    return _above(rng, ground, size_wh, horizon)


def grass(rng, size_wh, horizon):
    """Paint a meadow: mottled green with blades."""
    base = np.array([rng.uniform(60, 110), rng.uniform(120, 165), rng.uniform(40, 75)])
    patches = _noise(rng, size_wh, (6, 6), 3)
    blades = _noise(rng, size_wh, (size_wh[0] // 3, size_wh[1] // 8), 1)
    ground = base * (1 + 0.16 * patches + 0.2 * blades)[..., None]
    return _above(rng, ground, size_wh, horizon)


def check(rng, size_wh, horizon):
    """Paint a carpet or floor of squares."""
    x, z = _ground_xz(size_wh, horizon)
    turn, pitch = rng.uniform(-0.7, 0.7), rng.uniform(3, 9)
    u = (x * np.cos(turn) + z * np.sin(turn)) * pitch
    v = (z * np.cos(turn) - x * np.sin(turn)) * pitch
    fade = np.clip(1.5 - z * pitch / 70, 0, 1)  # far squares melt together
    share = 0.5 + fade * ((np.floor(u) + np.floor(v)) % 2 - 0.5)
    ground = _mix(_muted(rng), _muted(rng), share)
    ground *= (1 + 0.07 * _noise(rng, size_wh, (50, 50), 2))[..., None]
    return _above(rng, ground, size_wh, horizon)


def baseplate(rng, size_wh, horizon):
    """Paint a building plate with rows of studs, seen at an angle."""
    x, z = _ground_xz(size_wh, horizon)
    pitch = rng.uniform(7, 14)
    u, v = (x * pitch) % 1 - 0.5, (z * pitch) % 1 - 0.5
    base = np.array(
        pick(rng, ((58, 140, 66), (40, 110, 60), (150, 154, 158), (60, 110, 180), (205, 180, 130)))
    )
    away = np.hypot(u, v)
    fade = np.clip(3.2 - z * pitch / 44, 0, 1)  # far studs melt together
    top = away < 0.31
    side = (np.hypot(u, v + 0.14) < 0.31) & ~top
    level = 1 + fade * (0.1 * top - 0.3 * side + 0.12 * (top & (away > 0.25) & (v + u < 0)))
    ground = base * level[..., None]
    return _above(rng, ground, size_wh, horizon)


def tiles(rng, size_wh, horizon):
    """Paint a tiled wall above a plain floor, or tiles all over."""
    width, height = size_wh
    size, tone, joint = rng.uniform(0.07, 0.2) * height, _muted(rng), _muted(rng)
    shift = rng.uniform(0, size, 2)
    ratio = pick(rng, (1.0, 1.0, 2.0))
    x = ((np.arange(width) + shift[0]) / (size * ratio))[None, :]
    y = ((np.arange(height) + shift[1]) / size)[:, None]
    row, column = np.floor(y), np.floor(x + 0.5 * (ratio > 1) * (np.floor(y) % 2))
    vary = np.sin(row * 12.9 + column * 78.2) * 0.06
    gap = (np.minimum(y % 1, 1) < 0.05) | (((x + 0.5 * (ratio > 1) * (row % 2)) % 1) < 0.05 / ratio)
    pixels = np.where(gap[..., None], joint, tone * (1 + vary)[..., None])
    if horizon > 0:
        floor = int(height * horizon)
        pixels[floor:] = _ramp((width, height - floor), _muted(rng), _muted(rng), np.pi / 2)
    return _image(pixels)


def sky(rng, size_wh, horizon):
    """Paint sky with clouds over hills and a field."""
    width, height = size_wh
    line = max(horizon, 0.25)
    share = np.linspace(0, 1 / line, height, dtype=np.float32)[:, None] * np.ones(
        (1, width), np.float32
    )
    pixels = _mix(
        np.array([80, 150, 225.0]) * rng.uniform(0.6, 1.1), np.array([205, 228, 245.0]), share
    )
    puffs = np.clip(_noise(rng, size_wh, (4, 6), 3) - 0.1, 0, 1)
    pixels = _mix(pixels, np.array([250.0, 250, 252]), puffs)
    x = np.arange(width)
    for step in range(3):
        wave = np.sin(x / width * rng.uniform(3, 9) + rng.uniform(0, 6)) * 0.04 * (2 - step)
        edge = (line - 0.06 * (2 - step) + wave) * height
        hill = np.array([rng.uniform(50, 110), rng.uniform(105, 160), rng.uniform(50, 90)])
        pixels = np.where((np.arange(height)[:, None] > edge[None, :])[..., None], hill, pixels)
    pixels *= (1 + 0.04 * _noise(rng, size_wh, (40, 60), 1))[..., None]
    return _image(pixels)


def sand(rng, size_wh, horizon):
    """Paint dunes with ripples."""
    x, z = _ground_xz(size_wh, horizon)
    bend = _noise(rng, size_wh, (4, 4), 2)
    ripple = np.sin(z * rng.uniform(20, 45) + x * rng.uniform(-6, 6) + 4 * bend)
    tone = np.array([rng.uniform(205, 235), rng.uniform(175, 205), rng.uniform(120, 160)])
    return _above(rng, tone * (1 + 0.05 * ripple + 0.05 * bend)[..., None], size_wh, horizon)


def water(rng, size_wh, horizon):
    """Paint water with glints."""
    waves = _noise(rng, size_wh, (10, 40), 3)
    pixels = _mix(np.array([20, 70, 120.0]), np.array([90, 170, 190.0]), 0.5 + 0.45 * waves)
    return _above(rng, pixels + 90 * (waves > 1.0)[..., None], size_wh, horizon)


def wall(rng, size_wh, horizon):
    """Paint a wall of bricks above a pavement."""
    width, height = size_wh
    course = rng.uniform(0.04, 0.1) * height
    y = np.arange(height)[:, None] / course
    x = np.arange(width)[None, :] / (2.4 * course) + 0.5 * (np.floor(y) % 2)
    tone = np.array(pick(rng, ((165, 80, 62), (140, 100, 80), (190, 180, 165), (120, 62, 52))))
    vary = 0.12 * np.sin(np.floor(y) * 91.7 + np.floor(x) * 47.3)
    pixels = tone * (1 + vary + 0.08 * _noise(rng, size_wh, (60, 60), 1))[..., None]
    pixels[(y % 1 < 0.12) | (x % 1 < 0.05)] = np.array([196, 190, 180]) * rng.uniform(0.6, 1.1)
    if horizon > 0:
        pixels[int(height * horizon) :] = _muted(rng)
    return _image(pixels)


def stripes(rng, size_wh, horizon):
    """Paint cloth or wall paper with stripes of several colours."""
    width, height = size_wh
    angle, period = rng.uniform(0, np.pi), rng.uniform(0.05, 0.25) * height
    along = np.arange(width)[None, :] * np.cos(angle) + np.arange(height)[:, None] * np.sin(angle)
    palette = np.stack([_muted(rng) for _ in range(int(rng.integers(2, 5)))])
    return _image(palette[np.floor(along / period).astype(int) % len(palette)])


def leaves(rng, size_wh, horizon):
    """Paint fallen leaves or foliage."""
    image = Image.new("RGB", size_wh, tuple(int(c) for c in (60, 75, 40)))
    draw = ImageDraw.Draw(image)
    warm = rng.random() < 0.5
    for _ in range(260):
        x, y = rng.uniform(0, size_wh[0]), rng.uniform(0, size_wh[1])
        r, a = rng.uniform(0.02, 0.06) * size_wh[1], rng.uniform(0, np.pi)
        dx, dy = r * np.cos(a), r * np.sin(a)
        colour = (
            rng.uniform((120, 60, 20), (220, 140, 60))
            if warm
            else rng.uniform((30, 80, 30), (110, 160, 70))
        )
        draw.polygon([(x - dx, y - dy), (x - 0.4 * dy, y + 0.4 * dx), (x + dx, y + dy),
                      (x + 0.4 * dy, y - 0.4 * dx)], fill=tuple(colour.astype(int)))  # fmt: skip
    return image


def night(rng, size_wh, horizon):
    """Paint a starry night over dark ground."""
    width, height = size_wh
    pixels = _ramp(size_wh, np.array([12, 14, 40.0]), np.array([60, 40, 90.0]), np.pi / 2)
    stars = rng.integers(0, (height, width), (140, 2))
    pixels[stars[:, 0], stars[:, 1]] = rng.uniform(130, 255, (140, 1))
    pixels[int(height * max(horizon, 0.3)) :] = rng.uniform(20, 90, 3)
    return _image(pixels)


def snow(rng, size_wh, horizon):
    """Paint snow with blue hollows."""
    hollow = _noise(rng, size_wh, (4, 7), 4)
    pixels = _mix(np.array([175, 195, 220.0]), np.array([248, 250, 252.0]), 0.65 + 0.45 * hollow)
    return _above(rng, pixels, size_wh, horizon)


def marble(rng, size_wh, horizon):
    """Paint polished stone with veins."""
    bend = _noise(rng, size_wh, (5, 5), 4)
    x = np.linspace(0, rng.uniform(4, 12), size_wh[0])[None, :]
    vein = np.abs(np.sin(x + 3.2 * bend)) ** 0.5
    return _image(_mix(_muted(rng), np.array([235.0, 232, 228]), vein))


BACKGROUNDS = {
    painter.__name__: painter
    for painter in (
        gradient, cloud, bokeh, wood, grass, check, baseplate, tiles, sky,
        sand, water, wall, stripes, leaves, night, snow, marble,
    )
}  # fmt: skip


def paint_background(rng, name, size_wh, horizon):
    """Paint a background by name."""
    return BACKGROUNDS[name](rng, size_wh, horizon)
