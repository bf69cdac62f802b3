"""Light meshes, and give a picture the look of a camera."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter


@dataclass(frozen=True)
class Light:
    """Hold where light comes from and how hard it is."""

    towards: np.ndarray  # (3,), unit, from the scene to the light
    ambient: float
    diffuse: float
    gloss: float
    tint: np.ndarray  # (3,), factor of each colour channel
    shadow: float  # 0..1, how dark a shadow is


def random_light(rng):
    """Draw a light from above and in front, from the left or the right."""
    towards = np.array([rng.uniform(-0.8, 0.8), rng.uniform(0.7, 1.3), rng.uniform(0.25, 1.0)])
    ambient = rng.uniform(0.42, 0.62)
    warmth = rng.normal(0, 0.04)
    return Light(
        towards=towards / np.linalg.norm(towards),
        ambient=ambient,
        diffuse=1.12 - ambient,
        gloss=rng.uniform(0.2, 0.6),
        tint=np.array([1 + warmth, 1.0, 1 - warmth]),
        shadow=rng.uniform(0.25, 0.6),
    )


def shaded(colours, normals, light, view, gloss):
    """Return colours (N, 3) of faces with unit normals (N, 3), seen from direction view (3,)."""
    facing = np.maximum(normals @ light.towards, 0.0)
    half = light.towards + view
    half = half / np.linalg.norm(half)
    shine = np.maximum(normals @ half, 0.0) ** 24 * (light.gloss * gloss * 150)
    sky = 0.06 * normals[:, 1]
    bright = light.ambient + light.diffuse * facing + sky
    return np.clip(colours * bright[:, None] * light.tint + shine[:, None], 0, 255)


def finished(image, rng):
    """Return the picture with exposure, tint, vignette, blur and noise of a camera."""
    look = image
    if rng.random() < 0.3:
        look = look.filter(ImageFilter.BoxBlur(float(rng.uniform(0.3, 1.2))))
    look = look.point(_curves(rng))
    pixels = np.asarray(look).astype(np.float32)
    if rng.random() < 0.5:
        pixels *= _vignette(image.size, rng.uniform(0.08, 0.4))[..., None]
    if rng.random() < 0.7:
        grain = rng.standard_normal(pixels.shape[:2], dtype=np.float32)
        pixels += (grain * np.float32(rng.uniform(0.8, 4.5)))[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _curves(rng):
    level = np.arange(256) / 255.0
    gamma, contrast = np.exp(rng.normal(0, 0.16)), np.exp(rng.normal(0, 0.1))
    bright, warmth = np.exp(rng.normal(0, 0.12)), rng.normal(0, 0.045)
    tables = []
    for factor in (1 + warmth, 1.0, 1 - warmth):
        curve = 0.5 + (level**gamma * bright * factor - 0.5) * contrast
        tables += list(np.clip(curve * 255, 0, 255).astype(int))
    return [int(value) for value in tables]


def _vignette(size_wh, strength):
    x = np.linspace(-1, 1, size_wh[0], dtype=np.float32) ** 2
    y = np.linspace(-1, 1, size_wh[1], dtype=np.float32) ** 2
    return 1 - np.float32(strength / 2) * (y[:, None] + x[None, :])
