"""Build what a minifigure wears on its head: HEADGEAR maps a class to its builders.

A head is a cylinder of radius 13.2 from y = 74 to 97 with a stud (radius 6.4) up to 101; its eyes
are at y = 87. A builder draws its own colours and returns parts.
"""

import numpy as np

from yolo3.scenes.colours import GOLD, LEATHER, METAL, PLASTIC, STRAW, WHITE, pick, shade
from yolo3.scenes.mesh import (
    block,
    circle,
    loft,
    merged,
    on_cylinder,
    patch,
    revolve,
    rotation_x,
    rotation_z,
    tube,
    with_prints,
)

NEAR = {"is_head": True, "bias": 1.0}
SAFETY = ((245, 200, 20), (240, 120, 20), (240, 240, 238), (200, 30, 32), (20, 80, 180))
CLOTH = tuple(colour for colour in PLASTIC if colour != (245, 200, 20))


def _dome(radius, base, height, steps=7):
    """Return a profile (radius, y) of half an ellipsoid, listed upwards."""
    angle = np.linspace(0, np.pi / 2, steps)
    return [(max(radius * np.cos(a), 0.3), base + height * np.sin(a)) for a in angle]


def _shell(profile, colour, open_below, half_opening, points=28):
    """Turn a profile, leaving out the front below a height: a helmet's opening for the face."""
    whole = revolve(profile, colour, points, bottom=False)
    middle = whole.quads.mean(axis=1)
    angle = np.rad2deg(np.abs(np.arctan2(middle[:, 0], middle[:, 2])))
    keep = (middle[:, 1] > open_below) | (angle > half_opening)
    return merged([_subset(whole, keep)])


def _subset(base, keep):
    return type(base)(base.quads[keep], base.colours[keep], base.layers[keep])


def _brim(inner, outer, y, thickness, colour, side_curl=0.0, front_dip=0.0, points=30):
    """Build a brim whose sides curl up and whose front and back dip."""
    profile = [(inner, y), (outer, y), (outer, y + thickness), (inner, y + thickness)]
    brim = revolve(profile, colour, points, bottom=False, top=False)
    quads = brim.quads.copy()
    share = quads[..., [0, 2]] / outer
    quads[..., 1] += side_curl * np.abs(share[..., 0]) ** 3 - front_dip * share[..., 1] ** 2
    return type(brim)(quads, brim.colours, brim.layers)


# --- helmets -------------------------------------------------------------------------------------


def knight(rng):
    """Build a closed helmet with a slit visor, often with a plume."""
    metal = pick(rng, METAL)
    profile = [(14.6, 73), (15.2, 80), (15.2, 92), *_dome(15.2, 92, 12)[1:]]
    bowl = revolve(profile, metal, 28, bottom=False)
    place, dark = on_cylinder(15.35), (24, 24, 28)
    ridge = patch(place, -0.8, 0.8, 75, 92)
    slits = [(patch(place, -10, 10, 85.6, 88.6, 10), dark)]
    slits += [(patch(place, u - 0.7, u + 0.7, 76.5, 82), dark) for u in (-8, -4.8, 4.8, 8)]
    slits += [(patch(place, -18, 18, 91, 92.4, 14), shade(metal, 0.65)), (ridge, shade(metal, 1.2))]
    parts = [merged([with_prints(bowl, slits)], **NEAR)]
    return parts + ([_plume(rng)] if rng.random() < 0.6 else [])


def _plume(rng):
    colour = pick(rng, CLOTH)
    rise, back, t = rng.uniform(6, 12), rng.uniform(14, 22), np.linspace(0, 1, 6)
    knots = np.stack([0 * t, 103 + rise * np.sin(2.5 * t) - 7 * t**2, 3 - back * t**1.4], axis=1)
    width = np.interp(t, (0, 0.25, 0.7, 1), (1.8, 3.4, 3.8, 1.6))
    parts = [tube(knots[i], knots[i + 1], width[i], width[i + 1], colour, 10) for i in range(5)]
    return merged(parts, is_head=True, bias=1.5)


def _ridge(radius, base, height, colour, width=1.7):
    """Build a ridge from the front of a dome over its top to the back."""
    angle = np.deg2rad(np.linspace(5, 175, 9))
    knots = np.stack([0 * angle, base + height * np.sin(angle), radius * np.cos(angle)], axis=1)
    return [tube(a, b, width, width, colour, 8) for a, b in zip(knots, knots[1:], strict=False)]


def open_knight(rng):
    """Build a helmet that shows the face, with cheek guards and a nose guard."""
    metal = pick(rng, [colour for colour in METAL if colour != GOLD])
    profile = [(14.8, 73), (15.2, 79), (15.2, 86), (15.2, 91), *_dome(15.2, 91, 13)[1:]]
    bowl = _shell(profile, metal, 90.9, 52)
    place = on_cylinder(15.4)
    prints = [(patch(place, -1.5, 1.5, 83, 92), shade(metal, 0.9))]
    prints.append((patch(place, -16, 16, 90.5, 92.5, 14), shade(metal, 0.7)))
    parts = [merged([with_prints(bowl, prints)], **NEAR)]
    return parts + ([_plume(rng)] if rng.random() < 0.35 else [])


def construction(rng):
    """Build a hard hat with a ridge and a short peak."""
    colour = pick(rng, SAFETY)
    bowl = revolve([(14.9, 88.5), (14.9, 92), *_dome(14.9, 92, 12)[1:]], colour, 28, bottom=False)
    rim = revolve([(16.2, 88), (16.2, 89.8), (14.9, 90.2)], shade(colour, 0.95), 28, False, False)
    ridges = _ridge(15.2, 92, 12.3, colour)
    return [merged([bowl, rim, _peak(colour, 88.2, 14, 21.5), *ridges], **NEAR)]


def _peak(colour, y, inner, reach, half_degrees=62.0, drop=1.2):
    angle = np.deg2rad(np.linspace(-half_degrees, half_degrees, 11))
    fade = np.cos(angle * 90 / half_degrees)
    outer = inner + (reach - inner) * np.sqrt(np.maximum(fade, 0.02))
    around = np.stack([np.sin(angle), np.cos(angle)], axis=1)

    def ring(r, height):
        return np.stack([r * around[:, 0], height, r * around[:, 1]], axis=1)

    flat = np.zeros(11)
    low_in, high_in = ring(inner + flat, y + flat), ring(inner + flat, y + 1.4 + flat)
    low_out, high_out = ring(outer, y - drop * fade), ring(outer, y + 1.4 - drop * fade)
    bands = ((low_in, low_out), (low_out, high_out), (high_out, high_in))
    quads = [np.stack([a[:-1], a[1:], b[1:], b[:-1]], axis=1) for a, b in bands]
    quads[0] = quads[0][:, ::-1][:, [3, 2, 1, 0]]
    count = sum(len(q) for q in quads)
    base = loft([circle(1, 0, 4), circle(1, 1, 4)], colour)
    return type(base)(np.concatenate(quads), np.tile(np.asarray(colour, float), (count, 1)),
                      np.zeros(count, int))  # fmt: skip


def space(rng):
    """Build a round helmet with an opening for the face, or with a dark or golden visor."""
    colour = pick(rng, PLASTIC)
    profile = [(13.6, 71), (16.2, 74), (17.2, 79), (17.6, 85), *_dome(17.6, 90, 13.5)]
    bowl = _shell(profile, colour, 92.5, 56)
    if rng.random() < 0.45:
        tint = pick(rng, ((30, 34, 44), (205, 150, 40), (60, 110, 170), (40, 40, 46)))
        place = on_cylinder(17.3)
        glass = [(patch(place, -16.6, 16.6, 77, 93, 14), tint),
                 (patch(place, -11, -7.5, 82, 91, 2), shade(tint, 1.9)),
                 (patch(place, -5.5, -4.2, 84, 91, 1), shade(tint, 1.7))]  # fmt: skip
        bowl = with_prints(bowl, glass)
    elif rng.random() < 0.6:
        stripe = pick(rng, PLASTIC)
        place = on_cylinder(17.9)
        bowl = with_prints(bowl, [(patch(place, -3, 3, 92.6, 98, 3), stripe)])
    return [merged([_chin(colour), bowl], **NEAR)]


def _chin(colour):
    profile = [(13.4, 72.5), (15.8, 74), (16.6, 77.5)]
    return revolve(profile, shade(colour, 0.95), 28, bottom=False, top=False)


def guard(rng):
    """Build a helmet that flares over the neck and the ears, as guards and firemen wear."""
    colour = pick(rng, PLASTIC)
    profile = [(18.8, 84.5), (18.2, 86), (15.2, 90), *_dome(15.2, 92, 12)[1:]]
    bowl = _shell(profile, colour, 88.6, 50)
    crest = _ridge(15.0, 92, 12.6, shade(colour, 0.8), rng.uniform(1.6, 2.6))
    badge = (patch(on_cylinder(15.5), -3.4, 3.4, 91, 96.5, 3), pick(rng, SAFETY))
    return [merged([with_prints(bowl, [badge]), *crest], **NEAR)]


# --- hats with a brim ----------------------------------------------------------------------------


def top_hat(rng):
    """Build a tall hat with a narrow brim."""
    colour = pick(rng, ((36, 34, 38), (60, 50, 60), (92, 58, 34), (90, 24, 40), (240, 240, 238)))
    top = rng.uniform(112, 121)
    flare = rng.uniform(-0.6, 1.6)
    crown = revolve([(13.4, 93), (13.2, 97.5), (13.2 + flare, top)], colour, 26, bottom=False)
    band = revolve([(13.7, 94), (13.6, 98)], pick(rng, CLOTH), 26, False, False)
    return [merged([_brim(12, 20.5, 92.3, 1.6, colour, 2.0), crown], **NEAR),
            merged([band], is_head=True, bias=1.2)]  # fmt: skip


def cowboy(rng):
    """Build a wide hat with curled sides and a pinched crown."""
    colour = pick(rng, LEATHER)
    rings = []
    for radius, y in [(13.6, 91), (13.2, 97), (11.6, 104.5), (9.2, 107)]:
        ring = circle(radius, y, 26)
        pinch = (y - 91) / 16
        ring[:, 0] *= 1 - 0.28 * pinch
        ring[:, 1] += 1.5 * pinch * (ring[:, 2] / radius) ** 2
        rings.append(ring)
    crown = loft(rings, colour, bottom=False)
    brim = _brim(12, 25.5, 91, 1.5, colour, rng.uniform(6, 9), 2.0)
    band = revolve([(14.0, 91.6), (13.7, 95)], shade(colour, 0.55), 26, False, False)
    return [merged([brim, crown], **NEAR), merged([band], is_head=True, bias=1.2)]


def bowler(rng):
    """Build a round hat with a small brim."""
    colour = pick(rng, ((38, 36, 38), (70, 46, 32), (86, 88, 92), (30, 60, 48), (110, 20, 35)))
    crown = revolve([(13.6, 93), (13.8, 98), *_dome(13.8, 98, 9.5)[1:]], colour, 26, bottom=False)
    band = revolve([(14.0, 93.6), (14.1, 96.8)], shade(colour, 0.5), 26, False, False)
    return [merged([_brim(12, 19, 92.4, 1.7, colour, 2.2), crown], **NEAR),
            merged([band], is_head=True, bias=1.2)]  # fmt: skip


def straw(rng):
    """Build a straw hat: a wide flat brim and a low crown with a coloured band."""
    colour = pick(rng, STRAW)
    crown = revolve([(13.8, 92), (13.6, 99), (12.6, 101.5)], colour, 26, bottom=False)
    woven = [revolve([(r, y), (r, y + 0.7)], shade(colour, 0.78), 26, False, False)
             for r, y in ((13.95, 98.6), (13.9, 100.2))]  # fmt: skip
    band = revolve([(14.1, 92.7), (14.0, 96.6)], pick(rng, CLOTH), 26, False, False)
    brim = _brim(12, rng.uniform(22.5, 26), 91.2, 1.3, colour, rng.uniform(-2, 1.5), 1.0)
    return [merged([brim, crown], **NEAR), merged([band, *woven], is_head=True, bias=1.2)]


def fedora(rng):
    """Build a soft hat with a creased crown and a medium brim that dips in front."""
    colour = pick(rng, (*LEATHER, (96, 100, 104), (25, 45, 95), (56, 70, 50)))
    rings = []
    for radius, y in [(13.6, 92), (13.2, 98), (12.2, 104.5), (10, 105.5)]:
        ring = circle(radius, y, 26)
        ring[:, 0] *= 1 - 0.012 * (y - 92)
        ring[:, 1] -= 0.16 * (y - 92) * ring[:, 2] / radius
        rings.append(ring)
    band = revolve([(14.0, 92.6), (13.8, 96.4)], pick(rng, CLOTH), 26, False, False)
    return [merged([_brim(12, 21.5, 91.6, 1.5, colour, 2.5, 2.0), loft(rings, colour, False)],
                   **NEAR), merged([band], is_head=True, bias=1.2)]  # fmt: skip


def bare(rng):
    """Build nothing: the stud shows."""
    return []


# --- headgear of the pre-training scenes ---------------------------------------------------------


def crown(rng):
    """Build a ring with points and stones."""
    gold = pick(rng, ((238, 190, 50), (196, 200, 206), (214, 150, 60)))
    count = int(rng.integers(5, 9))
    low, high = circle(14.2, 92, 4 * count), circle(15.2, 97.5, 4 * count)
    level = np.tile((13.5, 3.0, 0.0, 3.0), count) * rng.uniform(0.6, 1.0)
    high[:, 1] += level
    outside = loft([low, high], gold, False, False)
    inside = loft([high * (0.96, 1, 0.96), low * (0.96, 1, 0.96)], shade(gold, 0.7), False, False)
    stones = [(patch(on_cylinder(14.75), u - 1.1, u + 1.1, 93.6, 95.8), pick(rng, PLASTIC))
              for u in (-8, 0, 8)]  # fmt: skip
    return [merged([inside, with_prints(outside, stones)], **NEAR)]


def cap(rng):
    """Build a soft cap with a long peak, sometimes worn backwards."""
    colour, peak = pick(rng, PLASTIC), pick(rng, PLASTIC)
    bowl = revolve([(14.4, 90.5), *_dome(14.4, 93, 8.5)], colour, 26, bottom=False)
    button = revolve([(1.8, 101.2), (1.8, 102.6)], peak, 8)
    badge = (patch(on_cylinder(14.6), -3.5, 3.5, 92, 96, 3), pick(rng, (WHITE, peak)))
    whole = merged(
        [with_prints(bowl, [badge]), _peak(peak, 90.6, 13.5, 28, 58, 2.0), button], **NEAR
    )
    return [whole]


def cone(rng):
    """Build a pointed hat without a brim: a wizard's or a party's, with dots or rings."""
    colour, accent = pick(rng, PLASTIC), pick(rng, PLASTIC)
    top = rng.uniform(120, 140)
    lean = rng.uniform(-5, 5)
    rings = []
    for t in np.linspace(0, 1, 7):
        ring = circle(14.6 * (1 - t) + 0.4, 91 + (top - 91) * t, 24, (lean * t * t, -3 * t * t))
        rings.append(ring)
    body = loft(rings, colour, bottom=False)
    if rng.random() < 0.6:
        body.colours[24 * int(rng.integers(0, 3)) :][:24] = accent
    ball = revolve(_ball(2.6, top), accent, 10).moved((lean, 0, -3))
    return [merged([body], **NEAR), merged([ball], is_head=True, bias=1.5)]


def _ball(radius, y, steps=6):
    angle = np.linspace(-np.pi / 2, np.pi / 2, steps)
    return [(max(radius * np.cos(a), 0.2), y + radius * np.sin(a)) for a in angle]


def horns(rng):
    """Build two horns that grow from a head band."""
    colour, tip = (
        pick(rng, METAL + LEATHER + PLASTIC),
        pick(rng, (WHITE, (232, 220, 190), (60, 40, 34))),
    )
    band = revolve([(14.0, 90.5), (14.2, 95)], colour, 26, False, False)
    spread, rise = rng.uniform(8, 12), rng.uniform(12, 20)
    parts = [band]
    for side in (-1, 1):
        knots = np.array(
            [(12.5, 93, 0), (12.5 + spread, 96, 1), (13 + spread, 93 + rise, 2)], float
        )
        knots[:, 0] *= side
        parts.append(tube(knots[0], knots[1], 4.2, 3.2, tip, 10))
        parts.append(tube(knots[1], knots[2], 3.2, 0.8, tip, 10))
    return [merged(parts, **NEAR)]


def hood(rng):
    """Build a cloth hood with a point behind and a collar on the shoulders."""
    colour = pick(rng, CLOTH)
    profile = [(17, 70), (15.2, 76), (15.6, 84), (15.6, 90), *_dome(15.6, 93, 12)]
    cloth = _shell(profile, colour, 93.5, 48)
    point = tube((0, 99, -8), (0, 104, -19), 8, 2.5, colour, 12)
    return [merged([point, cloth], **NEAR)]


def hair(rng):
    """Build hair: short, long, bunches or a bun."""
    colour = pick(
        rng,
        ((92, 58, 30), (50, 36, 28), (235, 190, 90), (176, 84, 32), (36, 32, 34), (200, 200, 198)),
    )
    low = pick(rng, (70.0, 78.0, 84.0))
    profile = [(15.0, low), (15.2, 86), (15.2, 91), *_dome(15.2, 93, 10.5)]
    cover = _shell(profile, colour, 92.6, 58)
    parts = [cover]
    if rng.random() < 0.35:
        for side in (-1, 1):
            parts.append(tube((side * 15, 90, -4), (side * 20, 78, -4), 4.5, 3, colour, 10))
    elif rng.random() < 0.4:
        parts.append(revolve(_ball(6.5, 107), colour, 14).moved((0, 0, -5)))
    fringe = rng.uniform(-25, 25)
    parts.append(block(11, 91, 95, 11, 15.2, colour).turned(rotation_z(fringe * 0.3), (0, 93, 0)))
    return [merged(parts, **NEAR)]


def ears(rng):
    """Build a band with two upright ears."""
    colour, inner = pick(rng, PLASTIC), pick(rng, ((240, 170, 190), WHITE, (60, 50, 50)))
    height = rng.uniform(10, 24)
    parts = [revolve([(14.0, 94), (14.0, 97)], colour, 22, False, False)]
    for side in (-1, 1):
        ear = loft([circle(r, y, 12) * (1, 1, 0.4) for r, y in
                    ((4, 96), (5.5, 98 + height * 0.4), (4, 98 + height * 0.8), (1, 98 + height))],
                   colour)  # fmt: skip
        inside = patch(lambda uv: np.stack([uv[..., 0], uv[..., 1], 0 * uv[..., 0] + 2.4], -1),
                       -2.2, 2.2, 99, 97 + height * 0.8)  # fmt: skip
        tilt = rotation_z(-side * 12) @ rotation_x(-4)
        parts.append(
            with_prints(ear, [(inside, inner)]).turned(tilt, (0, 96, 0)).moved((side * 7, 0, 0))
        )
    return [merged(parts, **NEAR)]


HEADGEAR = {
    "helmet": (knight, open_knight, construction, space, guard),
    "hat": (top_hat, cowboy, bowler, straw, fedora),
    "bare": (bare,),
    "crown": (crown,),
    "cap": (cap,),
    "cone": (cone,),
    "horns": (horns,),
    "hood": (hood,),
    "hair": (hair,),
    "ears": (ears,),
}
