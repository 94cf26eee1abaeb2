"""Toy street scenes: geometry and classes, before any look is given to them.

A pinhole camera of height `eye` looks down a straight street. World axes are metres: X right, Y up from the ground, Z ahead; a point lands on pixel
`(u, v) = (cx + f X / Z, cy + f (eye - Y) / Z)`, where `(cx, cy)` is the vanishing point. Everything is drawn far to near as flat parts into ONE map of
part numbers, so labels are exact by construction: a pixel's class, material, depth and texture coordinates are all read from the part that owns it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields

import numpy as np
from PIL import Image, ImageDraw

HEIGHT, WIDTH = 96, 192
(ROAD, SIDEWALK, BUILDING, WALL, FENCE, POLE, LIGHT, SIGN, VEGETATION, TERRAIN, SKY, PERSON, RIDER, CAR, TRUCK, BUS,
 TRAIN, MOTORCYCLE, BICYCLE) = range(19)
MATERIALS = ("sky", "asphalt", "marking", "paving", "kerb", "grass", "facade", "window", "roof", "door", "stone", "fencing", "metal",
             "sign", "housing", "bulb", "foliage", "bark", "skin", "cloth", "trousers", "paint", "glass", "tyre", "taillight",
             "coach", "cargo", "frame")  # fmt: skip
M = {name: i for i, name in enumerate(MATERIALS)}
GROUND, FRONTAL, LEFT, RIGHT, FAR = range(5)  # the planes a part can lie in: what its depth, texture and light follow from
Range = tuple[float, float]
Point = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """Statistics of streets: each field is the range from which a scene draws uniformly (defaults: the source domain's narrow ones)."""

    horizon: Range = (37, 41)  # row of the vanishing point
    vanish: Range = (90, 102)  # its column
    focal: Range = (105, 115)  # pixels
    eye: Range = (1.4, 1.6)  # metres
    road: Range = (4.5, 6.0)  # half width
    walk: Range = (2.2, 3.0)  # width of a sidewalk
    setback: Range = (0.5, 2.0)  # from sidewalk to facade
    floors: Range = (3, 6)
    built: Range = (0.75, 0.9)  # share of the blocks that are buildings; the rest is green, walls, fences
    trees: Range = (3, 6)
    poles: Range = (4, 7)
    cars: Range = (4, 7)
    heavy: Range = (0.1, 0.25)  # share of trucks and buses among the vehicles
    people: Range = (4, 8)
    cycles: Range = (1, 3)

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """One value per statistic."""
        return {f.name: float(rng.uniform(*getattr(self, f.name))) for f in fields(self)}


@dataclass
class Scene:
    """A drawn layout. `index` (H, W) holds part numbers; the lists run over parts."""

    cx: float
    cy: float
    focal: float
    eye: float
    index: np.ndarray = field(default_factory=lambda: np.zeros((HEIGHT, WIDTH), np.int32))
    shadow: np.ndarray = field(default_factory=lambda: np.zeros((HEIGHT, WIDTH), np.uint8))  # contact shadows, only the ground takes them
    parts: list[tuple[int, int, int, float, int, float]] = field(default_factory=list)  # label, material, plane, offset, thing, shade
    lamps: list[tuple[float, float, float, int]] = field(default_factory=list)  # u, v, radius in pixels, kind (0 street, 1 head, 2 tail)

    @property
    def label(self) -> np.ndarray:
        """(H, W) uint8 of train ids."""
        return np.array([part[0] for part in self.parts], np.uint8)[self.index]


class Painter:
    """Draws flat parts, in the order of the calls, into the part map of a scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.things = scene, 0
        self.map, self.dark = Image.new("I", (WIDTH, HEIGHT)), Image.new("L", (WIDTH, HEIGHT))
        self.pen, self.dark_pen = ImageDraw.Draw(self.map), ImageDraw.Draw(self.dark)

    def at(self, x: float, y: float, z: float) -> Point:
        s = self.scene
        return s.cx + s.focal * x / z, s.cy + s.focal * (s.eye - y) / z

    def thing(self) -> int:
        """A new object: its parts of one material share a colour."""
        self.things += 1
        return self.things

    def part(self, label: int, material: str, plane: int, offset: float, thing: int = 0, shade: float = 1.0) -> int:
        """Number of a new part; `offset` is the depth of a FRONTAL plane, the X of a LEFT or RIGHT one."""
        self.scene.parts.append((label, M[material], plane, offset, thing, shade))
        return len(self.scene.parts) - 1

    def ground(self, label: int, material: str, x0: float, x1: float, z0: float, z1: float) -> None:
        corners = [self.at(x0, 0, z0), self.at(x1, 0, z0), self.at(x1, 0, z1), self.at(x0, 0, z1)]
        self.pen.polygon(corners, fill=self.part(label, material, GROUND, 0.0))

    def side(self, part: int, x: float, y0: float, y1: float, z0: float, z1: float) -> None:
        self.pen.polygon([self.at(x, y0, z0), self.at(x, y1, z0), self.at(x, y1, z1), self.at(x, y0, z1)], fill=part)

    def front(self, part: int, x0: float, x1: float, y0: float, y1: float, z: float) -> None:
        (u0, v1), (u1, v0) = self.at(min(x0, x1), y0, z), self.at(max(x0, x1), y1, z)
        if u1 >= 0 and u0 < WIDTH and v1 >= 0 and v0 < HEIGHT:
            self.pen.rectangle([u0, v0, max(u0, u1 - 0.5), max(v0, v1 - 0.5)], fill=part)

    def blob(self, part: int, x: float, y: float, z: float, rx: float, ry: float) -> None:
        (u0, v1), (u1, v0) = self.at(x - rx, y - ry, z), self.at(x + rx, y + ry, z)
        self.pen.ellipse([u0, v0, u1, v1], fill=part)

    def stroke(self, part: int, points: list[tuple[float, float]], z: float, width: float) -> None:
        """A line through world (x, y) points at depth z, at least a pixel wide."""
        self.pen.line([self.at(x, y, z) for x, y in points], fill=part, width=max(1, round(width * self.scene.focal / z)))

    def shade(self, x: float, z: float, rx: float, rz: float) -> None:
        """A contact shadow on the ground."""
        (u0, v0), (u1, _), (_, v1) = self.at(x - rx, 0, z), self.at(x + rx, 0, z), self.at(x, 0, max(z - rz, 1.0))
        self.dark_pen.ellipse([u0, v0 - 1, u1, v1 + 1], fill=255)

    def lamp(self, x: float, y: float, z: float, radius: float, kind: int) -> None:
        self.scene.lamps.append((*self.at(x, y, z), radius * self.scene.focal / z, kind))

    def finish(self) -> Scene:
        self.scene.index, self.scene.shadow = np.asarray(self.map), np.asarray(self.dark)
        return self.scene


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

    def scatter(count: float, draw: Callable[..., None], xs: Callable[[], float], near: float, far: float, *extra: object) -> None:
        for _ in range(round(count)):
            z = near * (far / near) ** float(rng.random())  # uniform in log depth: near things matter, far ones are many
            x = xs()
            tasks.append((z, lambda z=z, x=x: draw(p, x, z, rng, *extra)))

    def beside(inner: float, outer: float) -> Callable[[], float]:
        def pick() -> float:
            sign, edge = ((-1, left), (1, right))[int(rng.integers(2))]
            return edge + sign * float(rng.uniform(inner, outer))

        return pick

    walk = d["walk"]
    lanes = np.linspace(left, right, 2 + round((right - left) / 3.2))
    scatter(d["trees"], tree, beside(0.6 * walk, walk + d["setback"]), 7, 60)
    scatter(d["poles"], pole, beside(0.2, 0.5), 6, 45)
    scatter(d["people"], person, beside(0.3, walk), 5, 30)
    scatter(0.25 * d["people"], person, lambda: float(rng.uniform(left, right)), 8, 35)
    scatter(d["cycles"], cycle, beside(-2.0, 0.4), 6, 25)
    scatter(d["cars"], vehicle, lambda: float(rng.choice(lanes[:-1] + 1.6)), 6, 60, d["heavy"])
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
        part = p.part(VEGETATION, "foliage", FRONTAL, 110.0, p.thing()) if green else p.part(BUILDING, "facade", FRONTAL, 110.0, p.thing())
        if green:
            (u0, v1), (u1, v0) = p.at(x - 0.2 * width, -0.8 * high, 110), p.at(x + 1.2 * width, 0.8 * high, 110)
            p.pen.pieslice([u0, v0, u1, v1], 180, 360, fill=part)
        else:
            p.front(part, x, x + width, 0, high, 110)
        x += 0.8 * width


def _blocks(p: Painter, sign: int, x: float, d: dict[str, float], rng: np.random.Generator) -> None:
    """The row of buildings, walls, fences and gaps along one side, far to near."""
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
        kind = rng.random()
        thing = p.thing()
        if kind < 0.35:
            p.side(p.part(WALL, "stone", plane, x, thing), x, 0, float(rng.uniform(1.0, 2.4)), z0, z1)
        elif kind < 0.8:
            high = float(rng.uniform(1.0, 1.9))
            p.side(p.part(FENCE, "fencing", plane, x, thing, 0.55), x, 0, high, z0, z1)
            bars = p.part(FENCE, "fencing", plane, x, thing, 1.2)
            for z in np.arange(z0, min(z1, 30.0), 0.5):
                p.pen.line([p.at(x, 0, float(z)), p.at(x, high, float(z))], fill=bars)
        for _ in range(int(rng.integers(0, 3))):
            tree(p, x + sign * float(rng.uniform(1, 5)), float(rng.uniform(max(z0, 5), max(z1, 6))), rng)


def _building(p: Painter, plane: int, sign: int, x: float, z0: float, z1: float, floors: int, rng: np.random.Generator) -> None:
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
                p.side(p.part(BUILDING, "window", plane, x, p.thing()), x, y + 0.9, y + storey - 0.5, a + margin * bay, a + (1 - margin) * bay)


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
            p.pen.polygon([p.at(x - size, high - size, z), p.at(x + size, high - size, z), p.at(x, high + size, z)], fill=part)
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
        p.front(p.part(label, "tyre", FRONTAL, z, thing), x + s * 0.75 * wide - 0.14, x + s * 0.75 * wide + 0.14, 0, 0.4, z)
    p.front(p.part(label, body, FRONTAL, z, thing), x - wide, x + wide, y0, waist, z)
    if label == CAR:
        top = [p.at(x - 0.9 * wide, waist, z), p.at(x - 0.7 * wide, high, z), p.at(x + 0.7 * wide, high, z), p.at(x + 0.9 * wide, waist, z)]
        p.pen.polygon(top, fill=p.part(label, body, FRONTAL, z, thing, 0.95))
    if label != TRUCK:
        p.front(p.part(label, "glass", FRONTAL, z, thing), x - 0.66 * wide, x + 0.66 * wide, max(waist if label == CAR else 0, 0.52 * high), 0.9 * high, z)
    light = p.part(label, "taillight" if face == 2 else "marking", FRONTAL, z, thing)
    for s in (-1, 1):
        lx = x + s * 0.75 * wide
        p.front(light, lx - 0.13, lx + 0.13, 0.6, 0.8, z)
        p.lamp(lx, 0.7, z, 0.55 if face == 1 else 0.35, face)
