"""Motion, defocus, frosted-glass and Gaussian blur."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate

from rein.data.corruptions.pixels import Pixels, Values, filtered, gaussian_kernel, motion_kernel, quantised


def motion(pixels: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """Smeared along a line that lies within 45 degrees of the horizontal."""
    radius, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[severity - 1]
    return quantised(filtered(pixels, motion_kernel(radius, sigma, rng.uniform(-45, 45)), "edge"))


def defocus(pixels: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """Every point becomes a disk."""
    radius, softness = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))[severity - 1]
    return quantised(filtered(pixels, _disk(radius, softness), "reflect"))


def glass(pixels: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """Blurred, then every pixel takes the value of a random near one, then blurred again."""
    sigma, reach, passes = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[severity - 1]
    soft = quantised(filtered(pixels, gaussian_kernel(sigma), "edge"))
    height, width = pixels.shape[1:]
    origin = copied_from(height, width, reach, rng)
    for _ in range(passes - 1):
        origin = origin[copied_from(height, width, reach, rng)]
    shuffled = soft.reshape(3, -1).take(origin, axis=1).reshape(pixels.shape)
    return quantised(filtered(shuffled, gaussian_kernel(sigma), "edge"))


def gaussian(pixels: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """An isotropic Gaussian."""
    return quantised(filtered(pixels, gaussian_kernel((1, 2, 3, 4, 6)[severity - 1]), "edge"))


def _disk(radius: int, softness: float) -> Values:
    side = np.arange(-max(8, radius), max(8, radius) + 1)
    disk = (side[:, None] ** 2 + side**2 <= radius**2).astype(np.float32)
    return correlate(disk / disk.sum(), gaussian_kernel(softness, 1 if radius <= 8 else 2), mode="mirror")


def copied_from(height: int, width: int, reach: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """(H * W) For every pixel in reading order: the pixel whose former value it has after one pass.

    The pass goes from the last pixel to the first, and each takes the value of one that lies up to `reach` before or
    `reach - 1` behind it on either axis. What lies behind may itself have been overwritten by then, so the value came
    from further still: such chains are followed for all pixels at once, and half of them end with every step.
    """
    place = np.arange(height * width, dtype=np.int32).reshape(height, width)
    inside = (slice(reach + 1, height - reach + 1), slice(reach + 1, width - reach + 1))
    shift = rng.integers(-reach, reach, (2, *place[inside].shape), dtype=np.int8).astype(np.int32)
    taken = place.copy()  # pixels near the edge keep their values
    taken[inside] += shift[0] * width + shift[1]
    taken, place = taken.ravel(), place.ravel()
    origin = taken.copy()
    going = np.flatnonzero(taken > place)
    here = taken[going]
    while going.size:
        further = taken[here]
        origin[going] = further
        going, here = going[further > here], further[further > here]
    return origin
