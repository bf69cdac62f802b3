"""Build a minifigure: feet on the ground at the origin, about 101 units tall without headgear."""

from dataclasses import dataclass

import numpy as np

from yolo3.scenes.colours import PLASTIC, SKIN, pick, shade
from yolo3.scenes.face import face_prints
from yolo3.scenes.headgear import HEADGEAR
from yolo3.scenes.mesh import (
    block,
    clasp,
    loft,
    merged,
    rectangle,
    revolve,
    rotation_x,
    rotation_y,
    rotation_z,
    tube,
    with_prints,
)
from yolo3.scenes.prints import torso_prints

HIP = (0.0, 31.0, 0.0)
SHOULDER_XY = (16.5, 67.0)


@dataclass(frozen=True)
class Pose:
    """Hold the joints' angles in degrees; positive arms and legs swing forwards."""

    leg_left: float
    leg_right: float
    arm_left: float
    arm_right: float
    spread_left: float
    spread_right: float
    head_turn: float
    lean: float
    turn: float


def random_pose(rng):
    """Draw a pose: most stand, some walk, wave or cheer, some lean."""
    step = rng.uniform(12, 42) * rng.choice((-1, 1)) if rng.random() < 0.35 else 0.0
    arms = [_random_arm(rng, step * side) for side in (-1, 1)]
    turn = float(np.clip(rng.normal(0, 32), -80, 80))
    lean = rng.uniform(-25, 25) if rng.random() < 0.25 else rng.normal(0, 2.5)
    return Pose(
        leg_left=step + rng.normal(0, 2),
        leg_right=-step + rng.normal(0, 2),
        arm_left=arms[0],
        arm_right=arms[1],
        spread_left=_random_spread(rng, arms[0]),
        spread_right=_random_spread(rng, arms[1]),
        head_turn=float(np.clip(rng.normal(0, 14), -35, 35)),
        lean=float(lean),
        turn=turn,
    )


def _random_arm(rng, swing):
    kind = rng.random()
    if kind < 0.5:
        return swing * 0.8 + rng.uniform(-12, 30)
    if kind < 0.72:
        return rng.uniform(35, 95)
    return rng.uniform(135, 195)


def _random_spread(rng, angle):
    return rng.uniform(8, 32) if angle > 110 else rng.uniform(2, 12)


def build_figure(rng, head_class):
    """Build the parts of a figure that wears headgear of a class, in a random pose."""
    pose = random_pose(rng)
    skin, torso = pick(rng, SKIN), pick(rng, PLASTIC)
    legs = torso if rng.random() < 0.15 else pick(rng, PLASTIC)
    hips = legs if rng.random() < 0.7 else pick(rng, PLASTIC)
    sleeves = torso if rng.random() < 0.7 else pick(rng, PLASTIC)
    hands = skin if rng.random() < 0.75 else pick(rng, PLASTIC)
    parts = _legs(pose, legs, hips) + [_torso(rng, torso)]
    parts += _arm(1, pose.arm_left, pose.spread_left, sleeves, hands)
    parts += _arm(-1, pose.arm_right, pose.spread_right, sleeves, hands)
    parts += _head(rng, pose, skin, head_class)
    lowest = min(float(p.quads[..., 1].min()) for p in parts)
    stand = rotation_z(pose.lean) @ rotation_y(pose.turn)
    return [p.moved((0, -lowest, 0)).turned(stand) for p in parts]


def _legs(pose, colour, hips):
    parts = [
        merged([
            block(19.5, 35, 40, -9, 9, hips),
            block(3.0, 26, 36, -7, 8.5, hips),
        ], has_edges=True, gloss=0.4)
    ]  # fmt: skip
    for side, angle in ((1, pose.leg_left), (-1, pose.leg_right)):
        parts.append(_leg(side, colour).turned(rotation_x(angle), HIP))
    return parts


def _leg(side, colour):
    x, half = side * 10.4, 8.9
    outline = [(35, -5, 5), (38, -2, 2)]
    rings = [rectangle(half, y, b, f, x) for y, b, f in [(9.5, -8.5, 8), (30, -9, 8.5), *outline]]
    foot = loft([rectangle(half, y, b, f, x) for y, b, f in [(0, -8.5, 13), (8, -8.5, 12.6),
                 (9.8, -8.5, 11.5)]], shade(colour, 0.97))  # fmt: skip
    return merged([foot, loft(rings, colour)], has_edges=True, gloss=0.4, bias=-2.0)


def _torso(rng, colour):
    levels = np.linspace(0, 1, 6)
    rings = [rectangle(20 - 5.5 * t, 40 + 32 * t, -10, 10) for t in levels]
    body = loft(rings, colour)
    ordered = with_prints(body, torso_prints(rng, colour))
    return merged([ordered], gloss=0.4)


def _arm(side, angle, spread, sleeve, hand):
    x, y = SHOULDER_XY
    shoulder, elbow = np.array([side * x, y, 0.0]), np.array([side * (x + 5.5), y - 12.0, 0.5])
    wrist = np.array([side * (x + 6.5), y - 21.5, 5.5])
    down = (wrist - elbow) / np.linalg.norm(wrist - elbow)
    limb = merged([
        tube(shoulder, elbow, 6.2, 5.6, sleeve, 16),
        tube(elbow, wrist, 5.6, 4.9, sleeve, 16),
    ])  # fmt: skip
    stub = tube(wrist, wrist + 5 * down, 3.2, 3.2, hand, 8)
    fist = clasp((0, 0, 0), 6.2, 2.6, 7.0, hand).turned(rotation_x(-30)).moved(wrist + 9.5 * down)
    matrix = rotation_x(angle) @ rotation_z(side * spread)
    grip = merged([stub, fist], bias=0.5)
    return [p.turned(matrix, shoulder) for p in (grip, limb)]


def _head(rng, pose, skin, head_class):
    neck = revolve([(8, 71), (8, 75)], shade(skin, 0.8), 14)
    profile = [(9.5, 73.6), (12.2, 75), (13.2, 78), (13.2, 91.5), (12.2, 95), (9.6, 97)]
    skull = revolve(profile, skin, 28)
    stud = revolve([(6.4, 97), (6.4, 101)], skin, 18)
    head = with_prints(merged([skull, stud]), face_prints(rng, skin))
    turn = rotation_y(pose.head_turn)
    worn = pick(rng, HEADGEAR[head_class])(rng)
    parts = [merged([head], is_head=True), *worn]
    return [neck] + [p.turned(turn) for p in parts]
