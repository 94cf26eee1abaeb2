"""What corruptions work on, and the two steps that most of them share: a filter, and whole grey levels at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

#: uint8 RGB, (3, H, W), contiguous.
Pixels = NDArray[np.uint8]
#: Grey levels or a layer's values, (..., H, W): float32, which numpy's stubs lose sight of.
Values = NDArray[np.floating[Any]]
#: Pixels, severity 1 to 5, a random stream -> corrupted pixels of the same shape.
Corruption = Callable[[Pixels, int, np.random.Generator], Pixels]


def quantised(values: Values) -> Pixels:
    """Grey levels as uint8: clipped and, as the published images, rounded down.

    A thousandth of a level is forgiven, so that float32 does not turn 100 into 99.
    """
    return np.clip(values + np.float32(1e-3), 0, 255).astype(np.uint8)


def filtered(image: NDArray[Any], kernel: Values, border: str) -> Values:
    """An image (..., H, W) convolved with a kernel of odd sides; beyond its edge it goes on by a mode of `np.pad`."""
    height, width = kernel.shape
    pad = [(0, 0)] * (image.ndim - 2) + [(height // 2,) * 2, (width // 2,) * 2]
    padded = np.pad(image, pad, mode=border).astype(np.float32, copy=False)  # pyright: ignore[reportCallIssue, reportArgumentType]
    rows, columns = (fft.next_fast_len(length, real=True) for length in padded.shape[-2:])
    spectrum = fft.rfft2(padded, (rows, columns))
    spectrum *= fft.rfft2(kernel, (rows, columns))
    result = fft.irfft2(spectrum, (rows, columns), overwrite_x=True)
    return result[..., height - 1 : height - 1 + image.shape[-2], width - 1 : width - 1 + image.shape[-1]]


def gaussian_kernel(sigma: float, radius: int | None = None) -> Values:
    """A normalised Gaussian, by default cut at four standard deviations."""
    radius = int(4 * sigma + 0.5) if radius is None else radius
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    return np.outer(weights, weights).astype(np.float32)


def motion_kernel(radius: int, sigma: float, degrees: float) -> Values:
    """One half of a Gaussian, laid over the pixels that lie on a ray to the upper left at an angle."""
    reach = 2 * radius
    steps = np.arange(reach + 1)
    weights = np.exp(-0.5 * (steps / sigma) ** 2)
    rows, columns = (
        reach - np.ceil(steps * part - 0.5).astype(int)
        for part in (np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees)))
    )
    kernel = np.zeros((2 * reach + 1,) * 2, np.float32)
    np.add.at(kernel, (rows, columns), weights / weights.sum())
    return kernel
