"""Spatter: drops of water on the lens (severities 1 to 3), or of mud (4 and 5)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rein.data.corruptions.pixels import Pixels, Values, filtered, gaussian_kernel, quantised

_WATER = np.array([175, 238, 238], np.float32).reshape(3, 1, 1)
_MUD = np.array([63, 42, 20], np.float32).reshape(3, 1, 1)


def spatter(pixels: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """Drops lie where smoothed noise exceeds a threshold; water adds its light, mud hides what is behind it."""
    mean, spread, sigma, threshold = (
        (0.65, 0.3, 4, 0.69),
        (0.65, 0.3, 3, 0.68),
        (0.65, 0.3, 2, 0.68),
        (0.65, 0.3, 1, 0.65),
        (0.67, 0.4, 1, 0.65),
    )[severity - 1]
    noise = rng.standard_normal(pixels.shape[1:], np.float32) * np.float32(spread) + np.float32(mean)
    liquid = filtered(noise, gaussian_kernel(sigma), "edge")
    if severity > 3:
        cover = filtered((liquid > threshold).astype(np.float32), gaussian_kernel(1.5), "edge")
        cover[cover < 0.8] = 0
        return quantised(pixels * (1 - cover) + _MUD * cover)
    drops = quantised(np.where(liquid < threshold, np.float32(0), liquid * 255))
    shine = drops * relief(drops)
    shine *= (0.6, 0.6, 0.5)[severity - 1] / max(float(shine.max()), 1e-9)
    return quantised(pixels + shine * _WATER)


def relief(drops: Pixels) -> Values:
    """(H, W) The light on drops: an embossed map of how far each point is from their rims, 0 to 255."""
    distance = ndimage.distance_transform_edt(~rims(drops))
    assert isinstance(distance, np.ndarray)
    depth = ndimage.uniform_filter(np.minimum(distance, 20).astype(np.float32), 3, mode="mirror")
    even = _equalised(quantised(depth)).astype(np.float32)
    emboss = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32)
    lit = np.clip(ndimage.correlate(even, emboss, mode="mirror"), 0, 255)
    return np.rint(ndimage.uniform_filter(lit, 3, mode="mirror"))


def rims(grey: Pixels, low: int = 50, high: int = 150) -> NDArray[np.bool_]:
    """(H, W) Canny's edges: ridges of the gradient above `high`, and those above `low` that touch such ones.

    The gradient is Sobel's, its size the sum of the two absolute parts, its direction one of four.
    """
    right, down = (ndimage.sobel(grey.astype(np.int16), axis, mode="nearest") for axis in (1, 0))
    size = np.pad(np.abs(right) + np.abs(down), 1)
    ridge = np.zeros(grey.shape, bool)
    rows, columns = np.nonzero(size[1:-1, 1:-1] > low)
    row, column = _direction(right[rows, columns], down[rows, columns])
    here = size[rows + 1, columns + 1]
    before, behind = size[rows + 1 - row, columns + 1 - column], size[rows + 1 + row, columns + 1 + column]
    # A plateau of two is one ridge, unless it runs diagonally.
    highest = (here > before) & ((here > behind) | ((here == behind) & ((row == 0) | (column == 0))))
    ridge[rows[highest], columns[highest]] = True
    groups, number = ndimage.label(ridge, np.ones((3, 3)))
    strong = np.zeros(number + 1, bool)
    strong[groups[ridge & (size[1:-1, 1:-1] > high)]] = True
    return strong[groups]


def _direction(right: NDArray[Any], down: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The step (rows, columns) to the neighbour that a gradient points at, of eight, up to its sign."""
    flat, steep = np.tan(np.pi / 8), np.tan(3 * np.pi / 8)
    x, y = np.abs(right), np.abs(down)
    row = (y >= flat * x).astype(int)
    column = np.where(y > steep * x, 0, np.where((row == 1) & ((right < 0) != (down < 0)), -1, 1))
    return row, column


def _equalised(grey: Pixels) -> Pixels:
    """Levels spread such that their cumulative histogram is a straight line from the darkest one on."""
    counts = np.bincount(grey.ravel(), minlength=256)
    first = int(counts.nonzero()[0][0])
    rest = grey.size - counts[first]
    if rest == 0:
        return grey
    return np.rint((np.cumsum(counts) - counts[: first + 1].sum()).clip(0) * (255 / rest)).astype(np.uint8)[grey]
