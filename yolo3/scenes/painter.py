"""Paint parts as a sprite: a picture with transparency, its outline and its shadow."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from yolo3.scenes.light import shaded
from yolo3.scenes.mesh import rotation_x

SUPERSAMPLING = 2


@dataclass(frozen=True)
class Sprite:
    """Hold a painted thing; offsets are pixels from the point where it stands."""

    image: Image.Image  # RGBA
    offset_xy: tuple[int, int]  # of the image's left upper corner
    box_xyxy: tuple[float, float, float, float]  # tight, in the image
    head_xyxy: tuple[float, float, float, float] | None  # in the image
    shadow: Image.Image  # L
    shadow_offset_xy: tuple[int, int]


def paint(parts, pitch_degrees, light, scale):
    """Paint parts, seen from pitch_degrees above, at scale pixels per unit."""
    camera = rotation_x(-pitch_degrees)
    quads = np.concatenate([p.quads for p in parts])
    seen = quads @ camera.T  # (N, 4, 3), z towards the viewer
    order = _painters_order(parts, seen)
    flat = np.stack([seen[..., 0], -seen[..., 1]], axis=-1) * scale  # (N, 4, 2), y down
    low = np.floor(flat.min(axis=(0, 1))).astype(int) - 2
    high = np.ceil(flat.max(axis=(0, 1))).astype(int) + 3
    image = _painted(parts, quads, flat - low, order, high - low, light, camera)
    mask = image.getchannel("A").point(lambda a: 255 if a >= 96 else 0)
    box = tuple(edge / SUPERSAMPLING for edge in mask.getbbox())
    shadow, shadow_offset = _shadow(quads, camera, light, scale)
    return Sprite(
        image=image.reduce(SUPERSAMPLING),
        offset_xy=(int(low[0]), int(low[1])),
        box_xyxy=box,
        head_xyxy=_head_box(parts, flat - low),
        shadow=shadow,
        shadow_offset_xy=shadow_offset,
    )


def _painters_order(parts, seen):
    """Return the indexes of the faces towards the viewer, far parts first.

    Headgear is as far as the head that it covers; its bias alone puts it in front.
    """
    sizes = [len(p.quads) for p in parts]
    middles = [float(faces[..., 2].mean()) for faces in np.split(seen, np.cumsum(sizes)[:-1])]
    head = next((z for z, p in zip(middles, parts, strict=True) if p.is_head), 0.0)
    depths = [(head if p.is_head else z) + p.bias for z, p in zip(middles, parts, strict=True)]
    layers = [p.layers for p in parts]
    rank = np.argsort(np.argsort(depths, kind="stable"))
    owner = np.repeat(rank, sizes)
    towards = _normals(seen)[:, 2] > 0.01
    order = np.lexsort((seen[..., 2].mean(axis=1), np.concatenate(layers), owner))
    return order[towards[order]]


def _normals(quads):
    normal = np.cross(quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1])
    return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)


def _painted(parts, quads, flat, order, size_wh, light, camera):
    colours = np.concatenate([p.colours for p in parts])
    edged = np.repeat([p.has_edges for p in parts], [len(p.quads) for p in parts])
    edged &= np.concatenate([p.layers for p in parts]) == 0
    gloss = np.repeat([p.gloss for p in parts], [len(p.quads) for p in parts])
    ground = np.clip(0.8 + quads[..., 1].mean(axis=1) / 120, 0.8, 1.0)
    view = camera.T @ np.array([0.0, 0.0, 1.0])
    lit = shaded(colours * ground[:, None], _normals(quads), light, view, gloss)[order]
    lit = lit.astype(np.uint8)
    glint = np.minimum(lit.astype(int) + 28, 255)
    size = tuple(int(side) * SUPERSAMPLING for side in size_wh)
    image = Image.new("RGBA", size)
    draw = ImageDraw.Draw(image)
    points = (flat[order] * SUPERSAMPLING).reshape(-1, 8).tolist()
    for corners, fill, bright, edge in zip(
        points, lit.tolist(), glint.tolist(), edged[order].tolist(), strict=True
    ):
        outline = (*bright, 255) if edge else None
        draw.polygon(corners, fill=(*fill, 255), outline=outline)
    return image


def _head_box(parts, flat):
    owner = np.repeat([p.is_head for p in parts], [len(p.quads) for p in parts])
    if not owner.any():
        return None
    head = flat[owner]
    return (*head.min(axis=(0, 1)).tolist(), *head.max(axis=(0, 1)).tolist())


def _shadow(quads, camera, light, scale):
    """Throw the faces on the ground, along the light and a little straight down."""
    thinned = quads[_normals(quads) @ light.towards > 0.05]
    along = light.towards / light.towards[1]
    fallen = thinned - thinned[..., 1:2] * along
    seen = fallen @ camera.T
    coarse = min(1.0, 60.0 / (100 * scale)) * scale
    blur = float(2.6 * coarse)
    flat = np.stack([seen[..., 0], -seen[..., 1]], axis=-1) * coarse
    margin = int(3 * blur) + 2
    low = np.floor(flat.min(axis=(0, 1))).astype(int) - margin
    high = np.ceil(flat.max(axis=(0, 1))).astype(int) + margin
    mask = Image.new("L", tuple(int(side) for side in high - low))
    draw = ImageDraw.Draw(mask)
    for corners in (flat - low).reshape(-1, 8).tolist():
        draw.polygon(corners, fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(blur))
    grow = scale / coarse
    size = tuple(max(1, round(side * grow)) for side in mask.size)
    offset = tuple(int(edge * grow) for edge in low)
    return (mask if grow == 1 else mask.resize(size, Image.Resampling.BILINEAR)), offset
