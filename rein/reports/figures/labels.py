"""Names of points: beside them, where they cover no other name and no point, or above the axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Where a name may stand: the side that it turns to its point, tried in this order, and the distances in points.
_SIDES = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)]
_FAR = (5, 8, 12, 16, 20, 26, 32, 40, 50)


#: x, lowest and highest y of an error bar, or of a point where these are one.
Bar = tuple[float, float, float]


class Named(NamedTuple):
    """A place in the axes' data, and what is written beside it."""

    x: float
    y: float
    text: str


class _Box(NamedTuple):
    """Pixels: left, bottom, right, top."""

    left: float
    bottom: float
    right: float
    top: float

    def shared(self, other: _Box) -> float:
        """The area of the overlap."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0) * max(height, 0)

    def nearest(self, at: np.ndarray) -> tuple[float, float]:
        """Its place that is nearest to another."""
        return float(np.clip(at[0], self.left, self.right)), float(np.clip(at[1], self.bottom, self.top))

    def far(self, at: np.ndarray) -> float:
        """The distance of a place from it."""
        return math.dist(self.nearest(at), at)


def name(axes: Axes, named: Sequence[Named], spared: Sequence[Bar] = (), size: float = 6.5) -> None:
    """Write the names; a name that had to move away has a thin line to its point.

    A name whose points all stand above each other, with no other's among them, is written once, at the highest.

    `spared` is what no name may cover beside the points. The axes' limits must be final. Places are tried in a fixed
    order, so that the same points give the same picture.
    """
    canvas = axes.get_figure(root=True)
    assert canvas is not None
    canvas.draw_without_rendering()  # a layout engine moves the axes only now
    pixels = canvas.dpi / 72
    frame = _Box(*axes.get_window_extent().extents)
    places = [axes.transData.transform((one.x, one.y)) for one in named]
    bars = [*((one.x, one.y, one.y) for one in named), *spared]
    points = [axes.transData.transform(bar[:2]) for bar in bars if bar[1] == bar[2]]
    taken = [_around(axes, bar, (3 if bar[1] == bar[2] else 2.5) * pixels) for bar in bars]
    for one, at in sorted(_once(list(zip(named, places, strict=True)), 8 * pixels), key=lambda pair: pair[0]):
        text = axes.annotate(one.text, (one.x, one.y), (0, 0), textcoords="offset points", fontsize=size, zorder=6)
        extent = text.get_window_extent()
        boxes = [_beside(at, side, far * pixels, extent.width, extent.height) for far in _FAR for side in _SIDES]
        # Covering anything is worst, then to stand where another point is as near, then to be far away.
        costs = [
            _overlap(box, taken, frame) + pixels * (2 * box.far(at) + 25 * _rivals(box, at, points)) for box in boxes
        ]
        box = boxes[int(np.argmin(costs))]
        text.set_position(((box.left - at[0]) / pixels, (box.bottom - at[1]) / pixels))
        if box.far(at) > 8 * pixels or _rivals(box, at, points):
            to = axes.transData.inverted().transform(box.nearest(at))
            axes.plot([one.x, to[0]], [one.y, to[1]], color="0.45", linewidth=0.4, zorder=5, scalex=False, scaley=False)
        taken.append(box)


def _once(named: list[tuple[Named, np.ndarray]], near: float) -> list[tuple[Named, np.ndarray]]:
    """Without names that the highest point of their column says for all; `near` is a column's width in pixels."""
    found = []
    for text in dict.fromkeys(one.text for one, _ in named):
        same = [(one, at) for one, at in named if one.text == text]
        highest = max(same, key=lambda pair: pair[1][1])
        column = {one.text for one, at in named if abs(at[0] - highest[1][0]) < near}
        together = all(abs(at[0] - highest[1][0]) < near for _, at in same)
        found += [highest] if together and column == {text} else same
    return found


def above(axes: Axes, places: Sequence[tuple[str, float]], width: float, narrow: bool) -> float:
    """Write names with their x above the axes, moved sideways where neighbours are close, with lines to their places.

    `width` is the axes' in inches, about; the limits must be final. Returns how far up the names reach, in points.
    """
    left, right = axes.get_xlim()
    angle, size = (55, 6) if narrow else (35, 7)
    gap = (0.13 if narrow else 0.25) * (right - left) / width
    at: list[float] = []
    ordered = sorted(places, key=lambda one: one[1])
    for _, x in ordered:
        at.append(max(x, at[-1] + gap) if at else x)
    shift = sum(a - x for a, (_, x) in zip(at, ordered, strict=True)) / len(at)
    shift = min(shift, at[0] - left)  # the first name stands above the axes, not beside them
    upwards = axes.get_xaxis_transform()
    for (name, x), label in zip(ordered, (a - shift for a in at), strict=True):
        axes.text(label, 1.06, name, transform=upwards, rotation=angle, rotation_mode="anchor", fontsize=size)
        axes.plot([x, label], [1, 1.05], transform=upwards, color="0.5", linewidth=0.5, clip_on=False)
        axes.axvline(x, color="0.85", linewidth=0.5, zorder=0)
    return 14 + 0.6 * size * max(len(name) for name, _ in places) * math.sin(math.radians(angle))


def _around(axes: Axes, bar: Bar, half: float) -> _Box:
    x, low = axes.transData.transform(bar[:2])
    high = axes.transData.transform((bar[0], bar[2]))[1]
    return _Box(x - half, low - half, x + half, high + half)


def _beside(at: np.ndarray, side: tuple[int, int], far: float, width: float, height: float) -> _Box:
    """A name's box on one side of a point, its nearest edge or corner that far away."""
    if 0 not in side:
        far *= 0.8  # a side is nearer
    left = at[0] + {1: far, 0: -width / 2, -1: -far - width}[side[0]]
    bottom = at[1] + {1: far, 0: -height / 2, -1: -far - height}[side[1]]
    return _Box(left, bottom, left + width, bottom + height)


def _rivals(box: _Box, at: np.ndarray, points: Sequence[np.ndarray]) -> int:
    """How many points are about as near to a name as its own."""
    return sum(box.far(other) < 1.3 * box.far(at) for other in points) - 1


def _overlap(box: _Box, taken: Sequence[_Box], frame: _Box) -> float:
    """What speaks against a place: covered area, and many times that what would lie outside of the axes."""
    area = (box.right - box.left) * (box.top - box.bottom)
    return 20 * sum(box.shared(other) for other in taken) + 100 * (area - box.shared(frame))
