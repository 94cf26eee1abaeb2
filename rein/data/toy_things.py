"""The things of the toy world's streets: trees, poles, people, cycles, vehicles; each draws itself at (x, z)."""

from __future__ import annotations

import numpy as np

from rein.data.toy_scene import (
    BICYCLE,
    BUS,
    CAR,
    FRONTAL,
    LEFT,
    LIGHT,
    MOTORCYCLE,
    PERSON,
    POLE,
    RIDER,
    RIGHT,
    SIGN,
    TRUCK,
    VEGETATION,
    Painter,
)


def tree(p: Painter, x: float, z: float, rng: np.random.Generator) -> None:
    thing, crown, high = p.thing(), float(rng.uniform(1.0, 2.2)), float(rng.uniform(2.6, 4.5))
    p.shade(x, z, crown, 1.0)
    p.stroke(p.part(VEGETATION, "bark", FRONTAL, z, thing), [(x, 0), (x, high)], z, 0.25)
    for shade in (0.75, 0.9, 1.0, 1.15):
        part = p.part(VEGETATION, "foliage", FRONTAL, z, thing, shade)
        r = crown * float(rng.uniform(0.5, 0.8))
        p.blob(part, x + crown * float(rng.uniform(-0.6, 0.6)), high + crown * float(rng.uniform(-0.4, 0.7)), z, r, r)


def pole(p: Painter, x: float, z: float, rng: np.random.Generator) -> None:
    """A street lamp, a traffic sign or a traffic light."""
    kind, thing, inward = rng.random(), p.thing(), -np.sign(x)
    high = float(rng.uniform(5, 7)) if kind < 0.35 else float(rng.uniform(2.4, 3.4))
    metal = p.part(POLE, "metal", FRONTAL, z, thing)
    p.stroke(metal, [(x, 0), (x, high)], z, 0.16)
    if kind < 0.35:
        p.stroke(metal, [(x, high), (x + 1.4 * inward, high + 0.1)], z, 0.14)
        p.lamp(x + 1.4 * inward, high, z, 2.2, 0)
    elif kind < 0.75:
        part, size = p.part(SIGN, "sign", FRONTAL, z, thing), float(rng.uniform(0.4, 0.6))
        shape = rng.integers(3)
        if shape == 0:
            p.blob(part, x, high, z, size, size)
            p.blob(p.part(SIGN, "marking", FRONTAL, z, thing), x, high, z, 0.5 * size, 0.5 * size)
        elif shape == 1:
            corners = [(x - size, high - size), (x + size, high - size), (x, high + size)]
            p.pen.polygon([p.at(*corner, z) for corner in corners], fill=part)
        else:
            p.front(part, x - 1.4 * size, x + 1.4 * size, high - 0.7 * size, high + 0.7 * size, z)
    else:
        p.front(p.part(LIGHT, "housing", FRONTAL, z, thing), x - 0.25, x + 0.25, high - 0.6, high + 0.6, z)
        y = high + float(rng.choice([-0.38, 0.0, 0.38]))
        p.blob(p.part(LIGHT, "bulb", FRONTAL, z, thing), x, y, z, 0.18, 0.18)


def person(p: Painter, x: float, z: float, rng: np.random.Generator, label: int = PERSON, seat: float = 0.0) -> None:
    thing, tall, step = p.thing(), float(rng.uniform(1.5, 1.9)), float(rng.uniform(0.05, 0.28))
    p.shade(x, z, 0.35, 0.5)
    legs = p.part(label, "trousers", FRONTAL, z, thing)
    p.stroke(legs, [(x - step, seat * 0.6), (x, 0.5 * tall + seat * 0.3)], z, 0.17)
    p.stroke(legs, [(x + step, seat * 0.6), (x, 0.5 * tall + seat * 0.3)], z, 0.17)
    base = seat * 0.3
    p.front(p.part(label, "cloth", FRONTAL, z, thing), x - 0.24, x + 0.24, 0.46 * tall + base, 0.84 * tall + base, z)
    p.blob(p.part(label, "skin", FRONTAL, z, thing), x, 0.92 * tall + base, z, 0.13, 0.15)


def cycle(p: Painter, x: float, z: float, rng: np.random.Generator) -> None:
    """A bicycle or motorcycle seen from the side, three in four with a rider."""
    motor, thing = rng.random() < 0.35, p.thing()
    label, r = (MOTORCYCLE if motor else BICYCLE), 0.36
    p.shade(x, z, 0.9, 0.5)
    if rng.random() < 0.75:
        person(p, x, z, rng, RIDER, 1.0)
    frame, tyre = p.part(label, "frame", FRONTAL, z, thing), p.part(label, "tyre", FRONTAL, z, thing)
    for side in (-0.55, 0.55):
        p.blob(tyre, x + side, r, z, r, r)
        if not motor:
            p.blob(frame, x + side, r, z, 0.5 * r, 0.5 * r)
    p.stroke(frame, [(x - 0.55, r), (x - 0.1, 0.85), (x + 0.45, 0.85), (x + 0.55, r)], z, 0.28 if motor else 0.12)


def vehicle(p: Painter, x: float, z: float, rng: np.random.Generator, heavy: float) -> None:
    """A car, van, truck or bus from behind or ahead, with the flank that the camera sees."""
    kind, thing, face = rng.random(), p.thing(), int(rng.integers(1, 3))
    if kind < heavy:
        bus = rng.random() < 0.5
        label, body = (BUS, "coach") if bus else (TRUCK, "cargo")
        wide, high, long, glass = 1.25, float(rng.uniform(2.8, 3.4)), float(rng.uniform(7, 10)), 0.45 if bus else 0.62
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
    if label != TRUCK:
        sill = max(waist if label == CAR else 0, 0.52 * high)
        p.front(p.part(label, "glass", FRONTAL, z, thing), x - 0.66 * wide, x + 0.66 * wide, sill, 0.9 * high, z)
    light = p.part(label, "taillight" if face == 2 else "marking", FRONTAL, z, thing)
    for s in (-1, 1):
        lx = x + s * 0.75 * wide
        p.front(light, lx - 0.13, lx + 0.13, 0.6, 0.8, z)
        p.lamp(lx, 0.7, z, 0.55 if face == 1 else 0.35, face)
