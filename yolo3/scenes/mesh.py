"""Build solids from rings of points: y is up, z looks out of a figure's chest, x is its left.

Units are those of a minifigure of about 100. Every face is a quad (N, 4, 3), counter-clockwise
seen from outside; a triangle is a quad with a point twice.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Part:
    """Hold the faces that are painted together, as one step of the painter's order."""

    quads: np.ndarray  # (N, 4, 3)
    colours: np.ndarray  # (N, 3), 0..255
    layers: np.ndarray  # (N,), painted in rising order inside the part: prints lie on layer 1
    bias: float = 0.0  # added to the part's depth; more is nearer
    is_head: bool = False
    has_edges: bool = False  # edges catch light, as those of a moulded block do
    gloss: float = 1.0

    def moved(self, offset):
        """Return the part, shifted."""
        return replace(self, quads=self.quads + np.asarray(offset, float))

    def turned(self, matrix, centre=(0.0, 0.0, 0.0)):
        """Return the part, rotated about a point."""
        origin = np.asarray(centre, float)
        return replace(self, quads=(self.quads - origin) @ matrix.T + origin)


def part(quads, colour, **options):
    """Make a part of one colour."""
    colours = np.empty((len(quads), 3))
    colours[:] = colour
    return Part(quads, colours, np.zeros(len(quads), int), **options)


def merged(parts, **options):
    """Join parts into one, which is painted in order of depth."""
    return Part(
        np.concatenate([p.quads for p in parts]),
        np.concatenate([p.colours for p in parts]),
        np.concatenate([p.layers for p in parts]),
        **options,
    )


def with_prints(base, prints):
    """Lay prints, pairs of quads and colour, on a part in the order given."""
    quads, colours, layers = [base.quads], [base.colours], [base.layers]
    for layer, (shape, colour) in enumerate(prints, start=1):
        quads.append(shape)
        colours.append(np.tile(np.asarray(colour, float), (len(shape), 1)))
        layers.append(np.full(len(shape), layer))
    return replace(
        base,
        quads=np.concatenate(quads),
        colours=np.concatenate(colours),
        layers=np.concatenate(layers),
    )


def rotation_x(degrees):
    """Return the matrix of a turn about x; positive swings what hangs down forwards."""
    c, s = _cos_sin(degrees)
    return np.array([[1, 0, 0], [0, c, s], [0, -s, c]])


def rotation_y(degrees):
    """Return the matrix of a turn about y; positive turns the front towards +x."""
    c, s = _cos_sin(degrees)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def rotation_z(degrees):
    """Return the matrix of a turn about z; positive leans the top towards -x."""
    c, s = _cos_sin(degrees)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _cos_sin(degrees):
    angle = np.deg2rad(degrees)
    return np.cos(angle), np.sin(angle)


@lru_cache(maxsize=64)
def _unit_circle(points):
    angle = np.arange(points) * (2 * np.pi / points)
    return np.stack([np.sin(angle), np.zeros(points), np.cos(angle)], axis=1)


def circle(radius, y, points=16, centre_xz=(0.0, 0.0)):
    """Return a ring (points, 3) that starts at the front."""
    return _unit_circle(points) * radius + np.array([centre_xz[0], y, centre_xz[1]], float)


def rectangle(half_x, y, z_back, z_front, centre_x=0.0):
    """Return a ring (4, 3)."""
    left, right = centre_x - half_x, centre_x + half_x
    return np.array(
        [[left, y, z_front], [right, y, z_front], [right, y, z_back], [left, y, z_back]]
    )


def loft(rings, colour, bottom=True, top=True, **options):
    """Span a skin over rings (M, K, 3), listed upwards, and close its ends."""
    stack = np.asarray(rings, float)
    following = np.concatenate([stack[:, 1:], stack[:, :1]], axis=1)
    sides = np.empty((len(stack) - 1, stack.shape[1], 4, 3))
    sides[:, :, 0], sides[:, :, 1] = stack[:-1], following[:-1]
    sides[:, :, 2], sides[:, :, 3] = following[1:], stack[1:]
    quads = [sides.reshape(-1, 4, 3)]
    if bottom:
        quads.append(_cap(stack[0][::-1]))
    if top:
        quads.append(_cap(stack[-1]))
    return part(np.concatenate(quads), colour, **options)


def _cap(ring):
    if len(ring) == 4:
        return ring[None]
    quads = np.empty((len(ring) // 2, 4, 3))
    quads[:, 0], quads[:, 1], quads[:, 2] = ring.mean(axis=0), ring[0::2], ring[1::2]
    quads[:-1, 3], quads[-1, 3] = ring[2::2], ring[0]
    return quads


def revolve(profile, colour, points=20, bottom=True, top=True, centre_xz=(0.0, 0.0), **options):
    """Turn a profile of (radius, y), listed upwards, about the vertical axis."""
    radius, y = np.asarray(profile, float).T
    rings = _unit_circle(points) * radius[:, None, None]  # (M, points, 3)
    rings += np.array([centre_xz[0], 0.0, centre_xz[1]])
    rings[..., 1] += y[:, None]
    return loft(rings, colour, bottom, top, **options)


def block(half_x, y_low, y_high, z_back, z_front, colour, centre_x=0.0, **options):
    """Make an upright box."""
    rings = [rectangle(half_x, y, z_back, z_front, centre_x) for y in (y_low, y_high)]
    return loft(rings, colour, has_edges=True, **options)


def tube(start, end, radius_start, radius_end, colour, points=12, **options):
    """Make a round bar between two points, with rounded ends."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    length = float(np.linalg.norm(b - a))
    profile = [
        (0.6 * radius_start, -0.7 * radius_start),
        (radius_start, 0.0),
        (radius_end, length),
        (0.6 * radius_end, length + 0.7 * radius_end),
    ]
    upright = revolve(profile, colour, points, **options)
    return upright.turned(_from_y_axis((b - a) / length)).moved(a)


def _from_y_axis(direction):
    """Return the rotation that takes +y to a unit vector."""
    x, y, z = direction
    if y < -0.9999:
        return np.diag([1.0, -1.0, -1.0])
    k = 1.0 / (1.0 + y)
    return np.array([[1 - x * x * k, x, -x * z * k], [-x, y, -z], [-x * z * k, z, 1 - z * z * k]])


def clasp(centre, radius, thickness, width, colour, opening_degrees=90.0, points=10):
    """Make a C of a minifigure's hand, its axis along y, open to the front."""
    half = opening_degrees / 2
    angle = np.deg2rad(np.linspace(half, 360 - half, points))
    around = np.stack([np.sin(angle), np.cos(angle)], axis=1)

    def ring(r, y):
        return np.stack([r * around[:, 0], np.full(points, y), r * around[:, 1]], axis=1)

    inner, outer = radius - thickness, radius
    section = [ring(outer, -width / 2), ring(outer, width / 2), ring(inner, width / 2),
               ring(inner, -width / 2)]  # fmt: skip
    quads = []
    for low, high in zip(section, section[1:] + section[:1], strict=True):
        quads.append(np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1))
    ends = np.stack(section, axis=1)  # (points, 4, 3)
    quads.append(np.stack([ends[0][::-1], ends[-1]]))
    return part(np.concatenate(quads), colour).moved(centre)


def on_plane(z):
    """Return a map from flat (u, v) to points on an upright plane."""
    return lambda uv: np.stack([uv[..., 0], uv[..., 1], np.full(uv.shape[:-1], float(z))], axis=-1)


def on_cylinder(radius):
    """Return a map from (u along the arc, v up) to points on an upright cylinder's front."""

    def place(uv):
        angle = uv[..., 0] / radius
        return np.stack([radius * np.sin(angle), uv[..., 1], radius * np.cos(angle)], axis=-1)

    return place


def disc(place, centre_uv, radius_uv, strips=6):
    """Return the quads of an ellipse printed on a surface."""
    level = np.linspace(-np.pi / 2, np.pi / 2, strips + 1)
    half = radius_uv[0] * np.cos(level)
    v = centre_uv[1] + radius_uv[1] * np.sin(level)
    left = np.stack([centre_uv[0] - half, v], axis=1)
    right = np.stack([centre_uv[0] + half, v], axis=1)
    return place(np.stack([left[:-1], right[:-1], right[1:], left[1:]], axis=1))


def stroke(place, points_uv, width):
    """Return the quads of a line (K, 2) printed on a surface; width may vary along it."""
    line = np.asarray(points_uv, float)
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1)
    half = np.broadcast_to(np.asarray(width, float) / 2, len(line))[:, None]
    above, below = line + normal * half, line - normal * half
    return place(np.stack([below[:-1], below[1:], above[1:], above[:-1]], axis=1))


def patch(place, u_left, u_right, v_low, v_high, columns=1):
    """Return the quads of a rectangle printed on a surface."""
    u = np.linspace(u_left, u_right, columns + 1)
    low = np.stack([u, np.full_like(u, v_low)], axis=1)
    high = np.stack([u, np.full_like(u, v_high)], axis=1)
    return place(np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1))
