"""Build things that are not figures, at the origin: OBJECTS maps a name to its builder."""

import numpy as np

from yolo3.scenes.colours import INK, LEATHER, PLASTIC, WHITE, pick, shade
from yolo3.scenes.mesh import (
    block,
    disc,
    loft,
    merged,
    on_plane,
    patch,
    rectangle,
    revolve,
    rotation_x,
    rotation_y,
    rotation_z,
    tube,
    with_prints,
)

GREEN = ((40, 120, 50), (70, 150, 60), (30, 95, 55), (120, 160, 50))


def _ball(radius, steps=9):
    angle = np.linspace(-np.pi / 2, np.pi / 2, steps)
    return [(max(radius * np.cos(a), 0.2), radius + radius * np.sin(a)) for a in angle]


def brick(rng):
    """Build a brick with studs."""
    colour = pick(rng, PLASTIC)
    across, along = int(rng.integers(1, 3)), int(rng.integers(1, 5))
    half_x, half_z, height = 10.0 * along, 10.0 * across, pick(rng, (24.0, 24.0, 8.0))
    body = block(half_x - 0.2, 0, height, -half_z, half_z, colour)
    studs = []
    for i in range(along):
        for j in range(across):
            centre = (20.0 * i + 10 - half_x, 20.0 * j + 10 - half_z)
            studs.append(revolve([(6, height), (6, height + 4)], colour, 14, False, True, centre))
    return [body, merged(studs, bias=2.0)]


def ball(rng):
    """Build a ball of two colours."""
    radius = rng.uniform(8, 22)
    profile = _ball(radius)
    body = revolve(profile, pick(rng, PLASTIC), 22)
    if rng.random() < 0.7:
        accent, segment = pick(rng, PLASTIC), np.arange(len(body.colours)) % 22
        body.colours[(segment // 4) % 2 == 0] = accent
    tilt = rotation_z(rng.uniform(-70, 70))
    return [merged([body]).turned(tilt, (0, radius, 0))]


def car(rng):
    """Build a little car with four wheels."""
    colour, long = pick(rng, PLASTIC), rng.uniform(38, 48)
    cabin_front, cabin_back = rng.uniform(2, 14), -rng.uniform(16, 30)
    body = block(21, 8, 25, -long, long, colour)
    nose = [
        (patch(on_plane(long + 0.15), u - 3.5, u + 3.5, 14, 20), (250, 240, 170)) for u in (-14, 14)
    ]
    nose.append((patch(on_plane(long + 0.15), -9, 9, 12, 18), shade(colour, 0.45)))
    glass = (150, 195, 220)
    cabin = loft([rectangle(19, 25, cabin_back, cabin_front), rectangle(16, 42, cabin_back + 5,
                  cabin_front - 9)], glass, has_edges=True)  # fmt: skip
    roof = block(16.4, 42, 45, cabin_back + 4.6, cabin_front - 8.6, colour)
    parts = [with_prints(body, nose), merged([cabin], bias=2, has_edges=True),
             merged([roof], bias=4, has_edges=True)]  # fmt: skip
    for side in (-1, 1):
        for z in (-0.6 * long, 0.6 * long):
            parts.append(_wheel(side, z))
    return parts


def _wheel(side, z):
    tyre = revolve([(10.5, -4.5), (10.5, 4.5)], (40, 40, 42), 20)
    hub = revolve([(5.5, 4.5), (5.0, 5.5)], (190, 192, 196), 14)
    turned = merged([tyre, hub]).turned(rotation_z(-90.0 * side))
    return turned.moved((side * 20, 10.5, z))


def tree(rng):
    """Build a fir or a round tree."""
    green, trunk = pick(rng, GREEN), pick(rng, LEATHER)
    stem = revolve([(6, 0), (4.5, 30)], trunk, 12)
    if rng.random() < 0.55:
        count = int(rng.integers(3, 5))
        parts = [stem]
        for i in range(count):
            low, size = 20 + 24 * i, 32 - 6 * i
            tier = revolve([(size, low), (0.5, low + 38)], shade(green, 1 - 0.04 * i), 16)
            parts.append(merged([tier], bias=4.0 * (i + 1)))
        return parts
    crowns = []
    for _ in range(int(rng.integers(3, 7))):
        centre = rng.uniform((-16, 30, -12), (16, 66, 12))
        crowns.append(revolve(_ball(rng.uniform(15, 24)), shade(green, rng.uniform(0.85, 1.15)), 12)
                      .moved(centre))  # fmt: skip
    return [stem, *[merged([c], bias=2.0) for c in crowns]]


def dog(rng):
    """Build a dog of blocks."""
    coat, patch_colour = pick(rng, (*LEATHER, (230, 225, 215), (70, 70, 74))), pick(rng, LEATHER)
    legs = [
        block(3.6, 0, 18, z - 3.6, z + 3.6, shade(coat, 0.92), x)
        for x in (-7, 7)
        for z in (-18, 18)
    ]
    body = merged([block(11, 16, 34, -24, 24, coat)], bias=2, has_edges=True)
    head = block(10, 32, 52, 18, 36, coat)
    eyes = [(disc(on_plane(36.15), (side * 4.5, 46), (1.7, 2.0), 5), INK) for side in (-1, 1)]
    muzzle = block(6, 33, 42, 36, 45, shade(patch_colour, 1.1))
    nose = [(patch(on_plane(45.15), -3, 3, 38.5, 42), INK)]
    ears = [block(2.0, 38, 53, 22, 31, patch_colour, side * 11.5) for side in (-1, 1)]
    tail = tube((0, 32, -23), (0, 46, -33), 3, 2, coat, 8)
    return [*legs, body, merged([tail]), merged([with_prints(head, eyes)], bias=5, has_edges=True),
            merged([with_prints(muzzle, nose)], bias=8, has_edges=True),
            *[merged([e], bias=7, has_edges=True) for e in ears]]  # fmt: skip


def house(rng):
    """Build a house with a pitched roof, a door and windows."""
    wall, roof = (
        pick(rng, (*PLASTIC, (236, 220, 190))),
        pick(rng, ((160, 50, 40), (80, 60, 56), (60, 80, 110))),
    )
    half_x, half_z, top = rng.uniform(28, 42), rng.uniform(24, 34), rng.uniform(36, 56)
    front, pane = on_plane(half_z + 0.15), (170, 210, 235)
    prints = [(patch(front, -7, 7, 0, 26), pick(rng, LEATHER))]
    for u in (-0.6 * half_x, 0.6 * half_x):
        prints += [
            (patch(front, u - 6.5, u + 6.5, 16, 31), WHITE),
            (patch(front, u - 5, u + 5, 17.5, 29.5), pane),
        ]
    body = with_prints(block(half_x, 0, top, -half_z, half_z, wall), prints)
    eaves = rectangle(half_x + 4, top, -half_z - 4, half_z + 4)
    ridge = rectangle(half_x + 2, top + half_z, -0.8, 0.8)
    cover = loft([eaves, ridge], roof, has_edges=True)
    return [body, merged([cover], bias=6, has_edges=True)]


def flower(rng):
    """Build a flower with petals."""
    green, petal = pick(rng, GREEN), pick(rng, PLASTIC)
    stem = tube((0, 1, 0), (0, 44, 0), 2.2, 1.8, green, 8)
    leaf = tube((0, 14, 0), (13, 24, 3), 2.2, 0.8, green, 8)
    count = int(rng.integers(5, 8))
    angles = np.arange(count) * (2 * np.pi / count)
    petals = [revolve(_ball(7.4, 6), petal, 10).moved((11 * np.sin(a), 46 + 11 * np.cos(a), 0))
              for a in angles]  # fmt: skip
    heart = revolve(_ball(7, 6), (245, 200, 40), 10).moved((0, 46, 4))
    bloom = [merged(petals, bias=2), merged([heart], bias=8)]
    tilt = rotation_x(rng.uniform(-30, 5))
    return [stem, leaf, *[p.turned(tilt, (0, 50, 0)) for p in bloom]]


def mug(rng):
    """Build a mug with a handle."""
    colour, height = pick(rng, PLASTIC), rng.uniform(30, 44)
    outside = revolve([(15, 0), (16, 2), (16, height)], colour, 22, top=False)
    inside = revolve([(14, height - 5), (14.2, height)], shade(colour, 0.5), 22, False, False)
    floor = revolve([(14, height - 5), (14, height - 4.9)], (70, 42, 28), 22, False, True)
    inside = merged([floor, type(inside)(inside.quads[:, ::-1], inside.colours, inside.layers)])
    t = np.deg2rad(np.linspace(-80, 80, 6))
    knots = np.stack([15 + 9 * np.cos(t), height / 2 + 11 * np.sin(t), 0 * t], axis=1)
    handle = [tube(a, b, 2.4, 2.4, colour, 8) for a, b in zip(knots, knots[1:], strict=False)]
    return [merged(handle), merged([outside]), merged([inside], bias=3)]


def crate(rng):
    """Build a wooden crate."""
    colour, half, top = (
        pick(rng, LEATHER + ((190, 150, 100),)),
        rng.uniform(13, 22),
        rng.uniform(20, 38),
    )
    front, line = on_plane(half + 0.12), shade(colour, 0.6)
    planks = [
        (patch(front, -half, half, v - 0.6, v + 0.6), line) for v in np.linspace(0, top, 4)[1:-1]
    ]
    return [with_prints(block(half, 0, top, -half, half, colour), planks)]


def column(rng):
    """Build a round post."""
    colour, radius, top = pick(rng, PLASTIC + LEATHER), rng.uniform(5, 12), rng.uniform(40, 120)
    return [
        revolve([(radius * 1.25, 0), (radius * 1.25, 5), (radius, 6), (radius, top)], colour, 18)
    ]


OBJECTS = {
    "brick": brick,
    "ball": ball,
    "car": car,
    "tree": tree,
    "dog": dog,
    "house": house,
    "flower": flower,
    "mug": mug,
    "crate": crate,
    "column": column,
}


def build_object(rng, name):
    """Build the parts of a thing, turned about its upright axis."""
    turn = rotation_y(rng.uniform(-70, 70))
    return [p.turned(turn) for p in OBJECTS[name](rng)]
