"""Streets of the toy world: ground, rows of buildings, and what stands and drives there, drawn far to near."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rein.data.toy.scene import (
    BUILDING,
    FAR,
    FENCE,
    FRONTAL,
    HEIGHT,
    LEFT,
    RIGHT,
    ROAD,
    SIDEWALK,
    SKY,
    TERRAIN,
    VEGETATION,
    WIDTH,
    Layout,
    Painter,
    Scene,
)
from rein.data.toy.things import person, pole, tree, vehicle


def build(layout: Layout, rng: np.random.Generator) -> Scene:
    """Draws one street of these statistics."""
    d = layout.draw(rng)
    p = Painter(Scene(d["vanish"], d["horizon"], d["focal"], d["eye"]))
    shift = float(rng.uniform(-0.4, 0.4)) * d["road"]  # the camera drives in a lane, not in the middle
    left, right = -d["road"] - shift, d["road"] - shift
    p.pen.rectangle([0, 0, WIDTH, HEIGHT], fill=p.part(SKY, "sky", FAR, 0.0))
    _ground(p, left, right, d["walk"], rng)
    _skyline(p, rng)
    for sign, edge in ((-1, left), (1, right)):
        _blocks(p, sign, edge + sign * (d["walk"] + d["setback"]), d, rng)
    tasks: list[tuple[float, Callable[[], None]]] = []  # upright things, to be drawn far to near

    def scatter(
        count: float, draw: Callable[..., None], xs: Callable[[], float], near: float, far: float, *extra: object
    ) -> None:
        for _ in range(round(count)):
            z = near * (far / near) ** float(rng.random())  # uniform in log depth
            x = xs()
            tasks.append((z, lambda z=z, x=x: draw(p, x, z, rng, *extra)))

    def beside(inner: float, outer: float) -> Callable[[], float]:
        def pick() -> float:
            sign, edge = ((-1, left), (1, right))[int(rng.integers(2))]
            return edge + sign * float(rng.uniform(inner, outer))

        return pick

    walk = d["walk"]
    lanes = np.linspace(left, right, 2 + round((right - left) / 3.2))
    scatter(d["trees"], tree, beside(0.6 * walk, walk + d["setback"]), 7, 40)
    scatter(d["poles"], pole, beside(0.2, 0.5), 6, 22)
    scatter(d["people"], person, beside(0.3, walk), 5, 16)
    scatter(0.3 * d["people"], person, lambda: float(rng.uniform(left, right)), 7, 16)
    scatter(d["cars"], vehicle, lambda: float(rng.choice(lanes[:-1] + 1.6)), 6, 30, d["heavy"])
    for _, task in sorted(tasks, key=lambda item: -item[0]):
        task()
    return p.finish()


def _ground(p: Painter, left: float, right: float, walk: float, rng: np.random.Generator) -> None:
    near, far = 1.2, 400.0
    p.ground(TERRAIN, "grass", -600, 600, near, far)
    p.ground(SIDEWALK, "paving", left - walk, right + walk, near, far)
    p.ground(SIDEWALK, "kerb", left - 0.25, right + 0.25, near, far)
    p.ground(ROAD, "asphalt", left, right, near, far)
    count = max(2, round((right - left) / 3.4))
    phase = float(rng.uniform(0, 6))
    for line in range(1, count):
        x = left + (right - left) * line / count
        for k in range(12):
            z = max(near, 6.0 * k - phase)
            p.ground(ROAD, "marking", x - 0.09, x + 0.09, z, z + 3.0)
    if rng.random() < 0.3:  # a zebra crossing
        z = float(rng.uniform(7, 18))
        for x in np.arange(left + 0.5, right - 0.5, 1.1):
            p.ground(ROAD, "marking", float(x), float(x) + 0.55, z, z + 2.5)


def _skyline(p: Painter, rng: np.random.Generator) -> None:
    """What closes the street at the horizon: far houses and trees."""
    x = -160.0
    while x < 160:
        width, high = float(rng.uniform(10, 35)), float(rng.uniform(4, 22))
        green = rng.random() < 0.45
        label, material = (VEGETATION, "foliage") if green else (BUILDING, "facade")
        part = p.part(label, material, FRONTAL, 110.0, p.thing())
        if green:
            (u0, v1), (u1, v0) = p.at(x - 0.2 * width, -0.8 * high, 110), p.at(x + 1.2 * width, 0.8 * high, 110)
            p.pen.pieslice([u0, v0, u1, v1], 180, 360, fill=part)
        else:
            p.front(part, x, x + width, 0, high, 110)
        x += 0.8 * width


def _blocks(p: Painter, sign: int, x: float, d: dict[str, float], rng: np.random.Generator) -> None:
    """The row of buildings, fences and gaps along one side, far to near."""
    plane = LEFT if sign < 0 else RIGHT
    ends, z = [], float(rng.uniform(1.5, 6))
    while z < 90:
        length = float(rng.uniform(7, 20))
        ends.append((z, z + length))
        z += length
    ends = [(1.2, ends[0][0]), *ends]
    for z0, z1 in reversed(ends):
        if rng.random() < d["built"]:
            _building(p, plane, sign, x, z0, z1, max(1, round(d["floors"] + rng.uniform(-1.5, 1.5))), rng)
            continue
        thing = p.thing()
        if rng.random() < 0.8:
            high = float(rng.uniform(1.4, 2.2))
            p.side(p.part(FENCE, "fencing", plane, x, thing, 0.55), x, 0, high, z0, z1)
            bars = p.part(FENCE, "fencing", plane, x, thing, 1.2)
            for z in np.arange(z0, min(z1, 30.0), 0.5):
                p.pen.line([p.at(x, 0, float(z)), p.at(x, high, float(z))], fill=bars)
        for _ in range(int(rng.integers(0, 3))):
            tree(p, x + sign * float(rng.uniform(1, 5)), float(rng.uniform(max(z0, 5), max(z1, 6))), rng)


def _building(
    p: Painter, plane: int, sign: int, x: float, z0: float, z1: float, floors: int, rng: np.random.Generator
) -> None:
    thing, storey = p.thing(), float(rng.uniform(2.8, 3.6))
    high = floors * storey + 0.6
    p.side(p.part(BUILDING, "facade", plane, x, thing), x, 0, high, z0, z1)
    p.front(p.part(BUILDING, "facade", FRONTAL, z0, thing, 0.85), x, x + sign * 12, 0, high, z0)
    p.side(p.part(BUILDING, "roof", plane, x, thing), x, high - 0.5, high, z0, z1)
    if z0 > 55:
        return
    bay, margin = float(rng.uniform(1.8, 3.6)), float(rng.uniform(0.2, 0.35))
    for floor in range(floors):
        y = floor * storey
        for k in range(int((z1 - z0) / bay)):
            a = z0 + k * bay
            if floor == 0 and k % 3 == 1:
                p.side(p.part(BUILDING, "door", plane, x, thing), x, 0, 2.2, a + 0.3 * bay, a + 0.7 * bay)
            else:
                part = p.part(BUILDING, "window", plane, x, p.thing())
                p.side(part, x, y + 0.9, y + storey - 0.5, a + margin * bay, a + (1 - margin) * bay)
