"""Print faces on heads."""

import numpy as np

from yolo3.scenes.colours import INK, WHITE, pick, shade
from yolo3.scenes.mesh import disc, on_cylinder, patch, stroke

EYE_U, EYE_V, MOUTH_V = 5.2, 87.0, 80.5


def face_prints(rng, skin, radius=13.35):
    """Draw a face: pairs of quads and colour, to be laid on the head in this order."""
    place = on_cylinder(radius)
    prints = []
    if rng.random() < 0.22:
        prints += _beard(rng, place)
    prints += _eyes(rng, place) + _brows(rng, place) + _mouth(rng, place, skin)
    if rng.random() < 0.15:
        prints += _glasses(rng, place)
    elif rng.random() < 0.15:
        blush = shade(skin, 0.82)
        prints += [(disc(place, (side * 8.5, 82.5), (1.6, 1.1)), blush) for side in (-1, 1)]
    return prints


def _eyes(rng, place):
    size = rng.uniform(1.5, 2.3)
    prints = []
    wink = rng.random() < 0.07
    for side in (-1, 1):
        centre = (side * EYE_U, EYE_V)
        if wink and side == 1:
            prints.append((_arc(place, centre, 2.4, -1.2, 0.9), INK))
            continue
        prints.append((disc(place, centre, (size, size * 1.15)), INK))
        glint = (centre[0] + 0.35 * size, centre[1] + 0.4 * size)
        prints.append((disc(place, glint, (0.32 * size, 0.32 * size), 3), WHITE))
    return prints


def _brows(rng, place):
    if rng.random() < 0.25:
        return []
    tilt, lift = rng.uniform(-1.1, 1.1), rng.uniform(3.2, 4.4)
    colour = pick(rng, (INK, (92, 58, 30), (60, 40, 26)))
    prints = []
    for side in (-1, 1):
        u = side * EYE_U + np.array([-2.4, 0.0, 2.4])
        v = EYE_V + lift + np.array([-1.0, 0.0, 1.0]) * tilt * side + np.array([-0.3, 0.3, -0.3])
        prints.append((stroke(place, np.stack([u, v], axis=1), 0.95), colour))
    return prints


def _arc(place, centre, half_width, sag, width):
    t = np.linspace(-1, 1, 8)
    points = np.stack([centre[0] + half_width * t, centre[1] + sag * (t * t - 0.5)], axis=1)
    return stroke(place, points, width)


def _mouth(rng, place, skin):
    kind = rng.random()
    if kind < 0.5:  # a smile, often with a dimple at one end
        half, sag = rng.uniform(3.2, 5.4), rng.uniform(1.4, 3.0)
        return [(_arc(place, (0, MOUTH_V), half, sag, rng.uniform(0.8, 1.2)), INK)]
    if kind < 0.75:  # an open smile with teeth
        half, depth = rng.uniform(3.4, 4.8), rng.uniform(2.4, 3.6)
        t = np.linspace(-1, 1, 9)
        level = MOUTH_V + 1.0 - 0.5 * depth * (1 - t * t)
        line = np.stack([half * t, level], axis=1)
        opening = stroke(place, line, 0.3 + depth * (1 - t * t))
        teeth = patch(place, -0.7 * half, 0.7 * half, MOUTH_V - 0.1, MOUTH_V + 0.9, 4)
        return [(opening, (110, 20, 24)), (teeth, WHITE)]
    if kind < 0.84:  # a smirk
        line = [
            (-2.5, MOUTH_V - 0.6),
            (0, MOUTH_V - 0.8),
            (2.4, MOUTH_V - 0.2),
            (4.4, MOUTH_V + 1.4),
        ]
        return [(stroke(place, line, 1.0), INK)]
    if kind < 0.91:  # surprise
        return [(disc(place, (0, MOUTH_V), (1.6, 2.0)), (90, 20, 24))]
    if kind < 0.96:
        return [(_arc(place, (0, MOUTH_V), 3.4, -1.5, 1.0), INK)]
    return [(_arc(place, (0, MOUTH_V), 3.6, 2.0, 1.6), (190, 40, 50))]


def _beard(rng, place):
    colour = pick(rng, ((92, 58, 30), (50, 38, 30), (150, 84, 36), (190, 188, 184)))
    if rng.random() < 0.5:  # moustache
        t = np.linspace(-1, 1, 9)
        points = np.stack([5.0 * t, MOUTH_V + 2.6 - 1.4 * t * t], axis=1)
        return [(stroke(place, points, 0.6 + 1.6 * (1 - np.abs(t))), colour)]
    t = np.linspace(-1, 1, 11)
    points = np.stack([9.5 * t, 77.6 + 5.4 * t**4], axis=1)
    return [(stroke(place, points, 2.0 + 2.0 * (1 - t * t)), colour)]


def _glasses(rng, place):
    colour = pick(rng, (INK, (150, 30, 30), (30, 60, 130)))
    t = np.linspace(0, 2 * np.pi, 15)
    prints = []
    for side in (-1, 1):
        ring = np.stack([side * EYE_U + 3.6 * np.cos(t), EYE_V + 3.1 * np.sin(t)], axis=1)
        prints.append((stroke(place, ring, 0.9), colour))
    prints.append((stroke(place, [(-1.7, EYE_V), (1.7, EYE_V)], 0.9), colour))
    return prints
