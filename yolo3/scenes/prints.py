"""Print clothes on torsos. The torso's front reaches from v = 40 to 72, 20 to 14.5 wide."""

import numpy as np

from yolo3.scenes.colours import INK, PLASTIC, WHITE, pick, shade
from yolo3.scenes.mesh import disc, on_plane, patch, stroke


def torso_prints(rng, torso, z=10.12):
    """Draw what is on a torso: pairs of quads and colour."""
    place = on_plane(z)
    accent = pick(rng, [colour for colour in PLASTIC if colour != torso])
    design = pick(
        rng, (_plain, _jacket, _stripes, _emblem, _shirt, _overalls, _space, _belt, _armour)
    )
    prints = design(rng, place, torso, accent)
    if design is not _belt and rng.random() < 0.2:
        prints += _belt(rng, place, torso, accent)
    return prints


def _half(v):
    """Return half the width of the torso's front at height v."""
    return 20.0 - 5.5 * (np.asarray(v) - 40.0) / 32.0


def _band(place, v_low, v_high, inset=0.0):
    low, high = _half(v_low) - inset, _half(v_high) - inset
    return place(np.array([[[-low, v_low], [low, v_low], [high, v_high], [-high, v_high]]]))


def _polygon(place, corners):
    return place(np.asarray([corners], float))


def _plain(rng, place, torso, accent):
    if rng.random() < 0.5:
        return []
    return [(_polygon(place, [(0, 66), (0, 66), (4.5, 72), (-4.5, 72)]), accent)]


def _jacket(rng, place, torso, accent):
    shirt = pick(rng, (WHITE, accent))
    prints = [(_polygon(place, [(0, 54), (0, 54), (6.5, 72), (-6.5, 72)]), shirt)]
    if rng.random() < 0.6:
        tie = pick(rng, ((180, 25, 30), (25, 45, 95), INK))
        prints.append((_polygon(place, [(0, 55), (1.9, 60), (1.1, 70), (-1.1, 70)]), tie))
        prints.append((_polygon(place, [(-1.9, 60), (0, 55), (1.1, 70), (-1.1, 70)]), tie))
    lapel = shade(torso, 0.7)
    prints.append((stroke(place, [(-6.5, 72), (0, 54), (0, 41)], 1.1), lapel))
    prints.append((stroke(place, [(6.5, 72), (0, 54)], 1.1), lapel))
    button = shade(torso, 0.45)
    return prints + [(disc(place, (2.4, v), (0.9, 0.9), 4), button) for v in (44, 49)]


def _stripes(rng, place, torso, accent):
    count = int(rng.integers(2, 5))
    height = 32.0 / (2 * count + 1)
    starts = 40 + height * (2 * np.arange(count) + 1)
    return [(_band(place, v, v + height), accent) for v in starts]


def _emblem(rng, place, torso, accent):
    u, v, r = rng.uniform(-4, 4), rng.uniform(54, 60), rng.uniform(4.5, 7.5)
    prints = [(disc(place, (u, v), (r, r), 8), accent)]
    inner = pick(rng, (WHITE, torso, (245, 200, 20)))
    if rng.random() < 0.5:
        prints.append((disc(place, (u, v), (0.55 * r, 0.55 * r), 6), inner))
    else:
        prints.append((_polygon(place, [(u - 0.3 * r, v - 0.7 * r), (u + 0.5 * r, v + 0.1 * r),
                                        (u + 0.3 * r, v + 0.7 * r), (u - 0.5 * r, v - 0.1 * r)]),
                       inner))  # fmt: skip
    return prints


def _shirt(rng, place, torso, accent):
    line = shade(torso, 0.72)
    prints = [(stroke(place, [(0, 41), (0, 68)], 0.9), line)]
    prints += [(disc(place, (0, v), (1.0, 1.0), 4), WHITE) for v in (46, 52, 58, 64)]
    for side in (-1, 1):
        points = [(side * 3, 55), (side * 9, 55), (side * 9, 61), (side * 3, 61), (side * 3, 55)]
        prints.append((stroke(place, points, 0.8), line))
    return prints


def _overalls(rng, place, torso, accent):
    prints = [(_band(place, 40, 50), accent)]
    prints.append((_polygon(place, [(-9, 50), (9, 50), (8, 61), (-8, 61)]), accent))
    for side in (-1, 1):
        prints.append((stroke(place, [(side * 7, 60), (side * 11, 72)], 3.0), accent))
        prints.append((disc(place, (side * 7, 59.5), (1.1, 1.1), 4), (215, 190, 90)))
    return prints


def _space(rng, place, torso, accent):
    prints = [(disc(place, (0, 57), (6.5, 6.5), 8), (235, 180, 40))]
    prints.append((disc(place, (0, 57), (5.2, 5.2), 8), (30, 60, 140)))
    prints.append((stroke(place, [(-9, 53), (-2, 59), (4, 60.5), (9, 62)], 1.5), (200, 30, 32)))
    return prints


def _belt(rng, place, torso, accent):
    buckle = (210, 180, 70)
    return [
        (_band(place, 40.3, 44.6), pick(rng, (INK, (92, 58, 30)))),
        (patch(place, -3.2, 3.2, 40, 45), buckle),
        (patch(place, -1.7, 1.7, 41.4, 43.6), INK),
    ]


def _armour(rng, place, torso, accent):
    prints = [(_band(place, 40, 72, inset=2.5), shade(accent, 0.9))]
    prints.append((stroke(place, [(-14, 56), (0, 52), (14, 56)], 1.2), shade(accent, 0.55)))
    prints.append((stroke(place, [(-13, 48), (0, 44), (13, 48)], 1.2), shade(accent, 0.55)))
    cross = pick(rng, PLASTIC)
    prints.append((patch(place, -1.4, 1.4, 56, 69), cross))
    prints.append((patch(place, -5, 5, 61.5, 64.3), cross))
    return prints
