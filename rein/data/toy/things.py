"""The things of the toy world's streets: trees, poles, people, vehicles; each draws itself at (x, z).

They are plumper than life, so that a person at ten metres still fills a few patches of a small ViT.
"""

from __future__ import annotations

import numpy as np

from rein.data.toy.scene import (
    BUS,
    CAR,
    FRONTAL,
    LEFT,
    PERSON,
    POLE,
    RIGHT,
    SIGN,
    VEGETATION,
    Painter,
)


def tree(p: Painter, x: float, z: float, rng: np.random.Generator) -> None:
    thing, crown, high = p.thing(), float(rng.uniform(1.4, 2.6)), float(rng.uniform(2.6, 4.5))
    p.shade(x, z, crown, 1.0)
    p.stroke(p.part(VEGETATION, "bark", FRONTAL, z, thing), [(x, 0), (x, high)], z, 0.5)
    for shade in (0.75, 0.9, 1.0, 1.15):
        part = p.part(VEGETATION, "foliage", FRONTAL, z, thing, shade)
        r = crown * float(rng.uniform(0.5, 0.8))
        p.blob(part, x + crown * float(rng.uniform(-0.6, 0.6)), high + crown * float(rng.uniform(-0.4, 0.7)), z, r, r)


def pole(p: Painter, x: float, z: float, rng: np.random.Generator) -> None:
    """A street lamp or a traffic sign."""
    lamp, thing, inward = rng.random() < 0.4, p.thing(), -np.sign(x)
    high = float(rng.uniform(4.5, 6)) if lamp else float(rng.uniform(2.4, 3.0))
    metal = p.part(POLE, "metal", FRONTAL, z, thing)
    p.stroke(metal, [(x, 0), (x, high)], z, 0.45)
    if lamp:
        p.stroke(metal, [(x, high), (x + 1.4 * inward, high + 0.1)], z, 0.4)
        p.lamp(x + 1.4 * inward, high, z, 2.2, 0)
    else:
        part, size = p.part(SIGN, "sign", FRONTAL, z, thing), float(rng.uniform(0.8, 1.1))
        shape = rng.integers(3)
        if shape == 0:
            p.blob(part, x, high, z, size, size)
            p.blob(p.part(SIGN, "marking", FRONTAL, z, thing), x, high, z, 0.5 * size, 0.5 * size)
        elif shape == 1:
            corners = [(x - size, high - size), (x + size, high - size), (x, high + size)]
            p.pen.polygon([p.at(*corner, z) for corner in corners], fill=part)
        else:
            p.front(part, x - 1.4 * size, x + 1.4 * size, high - 0.7 * size, high + 0.7 * size, z)


def person(p: Painter, x: float, z: float, rng: np.random.Generator) -> None:
    thing, tall, step = p.thing(), float(rng.uniform(1.6, 2.0)), float(rng.uniform(0.1, 0.35))
    p.shade(x, z, 0.5, 0.5)
    legs = p.part(PERSON, "trousers", FRONTAL, z, thing)
    for side in (-step, step):
        p.stroke(legs, [(x + side, 0), (x, 0.5 * tall)], z, 0.34)
    p.front(p.part(PERSON, "cloth", FRONTAL, z, thing), x - 0.42, x + 0.42, 0.4 * tall, 0.8 * tall, z)
    p.blob(p.part(PERSON, "skin", FRONTAL, z, thing), x, 0.9 * tall, z, 0.24, 0.26)


def vehicle(p: Painter, x: float, z: float, rng: np.random.Generator, heavy: float) -> None:
    """A car, van or bus from behind or ahead, with the flank that the camera sees."""
    kind, thing, face = rng.random(), p.thing(), int(rng.integers(1, 3))
    if kind < heavy:
        label, body, wide, glass = BUS, "coach", 1.25, 0.45
        high, long = float(rng.uniform(2.8, 3.4)), float(rng.uniform(7, 10))
    else:
        label, body, wide, long, glass = CAR, "paint", 0.9, float(rng.uniform(3.6, 4.6)), 0.55
        high = float(rng.uniform(1.4, 1.9))
    p.shade(x, z, 1.2 * wide, 1.2)
    flank = x + wide if x < 0 else x - wide
    plane = LEFT if x < 0 else RIGHT
    y0 = 0.25
    waist = high * glass if label == CAR else high
    if abs(flank) > 0.3 and flank * x > 0:  # beside the camera: one flank shows
        p.side(p.part(label, body, plane, flank, thing, 0.8), flank, y0, waist, z, z + long)
        if label == CAR:
            p.side(p.part(label, "glass", plane, flank, thing, 0.8), flank, waist, 0.96 * high, z + 0.5, z + 0.8 * long)
        elif label == BUS:
            p.side(p.part(label, "glass", plane, flank, thing, 0.8), flank, 0.5 * high, 0.85 * high, z + 0.3, z + long)
        tyre = p.part(label, "tyre", plane, flank, thing)
        for a in (0.2, 0.8):
            p.side(tyre, flank, 0.0, 0.6, z + a * long - 0.3, z + a * long + 0.3)
    for s in (-1, 1):
        wheel = x + s * 0.75 * wide
        p.front(p.part(label, "tyre", FRONTAL, z, thing), wheel - 0.14, wheel + 0.14, 0, 0.4, z)
    p.front(p.part(label, body, FRONTAL, z, thing), x - wide, x + wide, y0, waist, z)
    if label == CAR:
        roof = ((-0.9, waist), (-0.7, high), (0.7, high), (0.9, waist))
        cabin = p.part(label, body, FRONTAL, z, thing, 0.95)
        p.pen.polygon([p.at(x + share * wide, y, z) for share, y in roof], fill=cabin)
    sill = max(waist if label == CAR else 0, 0.52 * high)
    p.front(p.part(label, "glass", FRONTAL, z, thing), x - 0.66 * wide, x + 0.66 * wide, sill, 0.9 * high, z)
    light = p.part(label, "taillight" if face == 2 else "marking", FRONTAL, z, thing)
    for s in (-1, 1):
        lx = x + s * 0.75 * wide
        p.front(light, lx - 0.13, lx + 0.13, 0.6, 0.8, z)
        p.lamp(lx, 0.7, z, 0.55 if face == 1 else 0.35, face)
