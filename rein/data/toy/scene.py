"""What a toy scene is and how one is drawn: camera, parts, painter; geometry and classes without any look.

A pinhole camera of height `eye` looks down a straight street. World axes are metres: X right, Y up from the ground,
Z ahead; a point lands on pixel `(u, v) = (cx + f X / Z, cy + f (eye - Y) / Z)`; `(cx, cy)` is the vanishing point.
Everything is drawn far to near as flat parts into ONE map of part numbers, so labels are exact by construction: a
pixel's class, material, depth and texture coordinates are all read from the part that owns it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from PIL import Image, ImageDraw

HEIGHT, WIDTH = 96, 192
#: The twelve of the 19 classes that a toy street has, as Cityscapes train ids.
ROAD, SIDEWALK, BUILDING, FENCE, POLE, SIGN, VEGETATION, TERRAIN, SKY, PERSON, CAR, BUS = (
    0,
    1,
    2,
    4,
    5,
    7,
    8,
    9,
    10,
    11,
    13,
    15,
)
_MATERIALS = """
sky asphalt marking paving kerb grass facade window roof door fencing metal sign
foliage bark skin cloth trousers paint glass tyre taillight coach"""
MATERIALS = tuple(_MATERIALS.split())
M = {name: i for i, name in enumerate(MATERIALS)}
GROUND, FRONTAL, LEFT, RIGHT, FAR = range(5)  # the planes that a part can lie in
Range = tuple[float, float]
Point = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """Statistics of streets: the ranges that scenes draw from uniformly; the defaults are the source's, narrow ones."""

    horizon: Range = (37, 41)  # row of the vanishing point
    vanish: Range = (90, 102)  # its column
    focal: Range = (105, 115)  # pixels
    eye: Range = (1.4, 1.6)  # metres
    road: Range = (4.5, 6.0)  # half width
    walk: Range = (2.2, 3.0)  # width of a sidewalk
    setback: Range = (1.0, 3.0)  # from sidewalk to facade
    floors: Range = (3, 6)
    built: Range = (0.55, 0.7)  # share of the blocks that are buildings; the rest is green behind fences
    trees: Range = (3, 5)
    poles: Range = (3, 5)
    cars: Range = (3, 5)
    heavy: Range = (0.15, 0.25)  # share of buses among the vehicles
    people: Range = (3, 6)

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """One value per statistic."""
        return {f.name: float(rng.uniform(*getattr(self, f.name))) for f in fields(self)}


@dataclass
class Scene:
    """A drawn layout.

    `index` (H, W) holds part numbers, `shadow` (H, W) the contact shadows on the ground. A part is (label, material,
    plane, offset, thing, shade); a lamp is (u, v, radius in pixels, kind: 0 street, 1 head, 2 tail).
    """

    cx: float
    cy: float
    focal: float
    eye: float
    index: np.ndarray = field(default_factory=lambda: np.zeros((HEIGHT, WIDTH), np.int32))
    shadow: np.ndarray = field(default_factory=lambda: np.zeros((HEIGHT, WIDTH), np.uint8))
    parts: list[tuple[int, int, int, float, int, float]] = field(default_factory=list)
    lamps: list[tuple[float, float, float, int]] = field(default_factory=list)

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
        self.pen.line(
            [self.at(x, y, z) for x, y in points], fill=part, width=max(1, round(width * self.scene.focal / z))
        )

    def shade(self, x: float, z: float, rx: float, rz: float) -> None:
        """A contact shadow on the ground."""
        (u0, v0), (u1, _), (_, v1) = self.at(x - rx, 0, z), self.at(x + rx, 0, z), self.at(x, 0, max(z - rz, 1.0))
        self.dark_pen.ellipse([u0, v0 - 1, u1, v1 + 1], fill=255)

    def lamp(self, x: float, y: float, z: float, radius: float, kind: int) -> None:
        self.scene.lamps.append((*self.at(x, y, z), radius * self.scene.focal / z, kind))

    def finish(self) -> Scene:
        self.scene.index, self.scene.shadow = np.asarray(self.map), np.asarray(self.dark)
        return self.scene
