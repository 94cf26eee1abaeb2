"""Fog, snow and frost."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import from_numpy

from rein.data.corruptions.pixels import Pixels, Values, filtered, motion_kernel, quantised
from rein.data.frost_photographs import FROST, frost_photographs

_GREY = np.array([0.299, 0.587, 0.114], np.float32).reshape(3, 1, 1)


def fog(pixels: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """A plasma fractal is added, and the sum scaled to what was the image's brightest value."""
    depth, decay = ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))[severity - 1]
    height, width = pixels.shape[1:]
    clouds = plasma(1 << (max(height, width) - 1).bit_length(), decay, rng)[:height, :width]
    brightest = pixels.max() / 255
    return quantised((pixels + clouds * np.float32(255 * depth)) * np.float32(brightest / (brightest + depth)))


def snow(pixels: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """The image turns pale, and flakes fall over it: bright spots of noise, enlarged and smeared downwards."""
    mean, spread, zoom, threshold, radius, sigma, kept = (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    )[severity - 1]
    height, width = pixels.shape[1:]
    small = [int(np.ceil(length / zoom)) for length in (height, width)]
    noise = rng.standard_normal(small, np.float32) * np.float32(spread) + np.float32(mean)
    large = F.interpolate(
        from_numpy(noise)[None, None], [round(length * zoom) for length in small], mode="bilinear", align_corners=True
    )
    flakes = large[0, 0].numpy().clip(0, 1)
    flakes[flakes < threshold] = 0
    flakes = filtered(flakes, motion_kernel(radius, sigma, rng.uniform(-135, -45)), "edge")[:height, :width]
    flakes = np.rint(flakes * 255)
    pale = np.maximum(pixels, (pixels * _GREY).sum(0) * np.float32(1.5) + np.float32(127.5))
    return quantised(np.float32(kept) * pixels + np.float32(1 - kept) * pale + (flakes + flakes[::-1, ::-1]))


def frost(pixels: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """A piece of a photograph of frost is added. Raises DataError where the photographs are not installed."""
    kept, added = ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[severity - 1]
    height, width = pixels.shape[1:]
    name = FROST[rng.integers(len(FROST))]
    ice = _enlarged(frost_photographs() / name, height, width)
    top, left = rng.integers(ice.shape[1] - height), rng.integers(ice.shape[2] - width)
    return quantised(np.float32(kept) * pixels + np.float32(added) * ice[:, top : top + height, left : left + width])


def plasma(side: int, decay: float, rng: np.random.Generator) -> Values:
    """(side, side) A fractal in 0..1 that repeats itself without a seam, by the diamond-square algorithm.

    `side` is a power of two. Points halfway between known ones are their mean plus uniform noise, whose bounds begin
    at 100^2 and shrink by decay^2 with every halving.
    """
    ground = np.zeros((side, side), np.float32)
    bound = 1e4
    while side > 1:
        half = side // 2
        corners, centres = ground[::side, ::side], ground[half::side, half::side]
        edges = corners + np.roll(corners, -1, 1)

        def between(total: Values, bound: float = bound) -> Values:
            return total / 4 + np.float32(bound) * (2 * rng.random(total.shape, np.float32) - 1)

        centres[:] = between(edges + np.roll(edges, -1, 0))
        ground[::side, half::side] = between(edges + centres + np.roll(centres, 1, 0))
        ground[half::side, ::side] = between(corners + np.roll(corners, -1, 0) + centres + np.roll(centres, 1, 1))
        side, bound = half, bound / decay**2
    ground -= ground.min()
    return ground / max(ground.max(), np.float32(1e-9))


@lru_cache(maxsize=len(FROST))
def _enlarged(path: Path, height: int, width: int) -> Pixels:
    """(3, h, w) A photograph at 1.1 times the smallest size that covers an image; a larger one is enlarged by 1.1."""
    with Image.open(path, formats=("PNG", "JPEG")) as image:
        pixels = np.array(image.convert("RGB")).transpose(2, 0, 1)
    factor = 1.1 * max(1, height / pixels.shape[1], width / pixels.shape[2])
    size = [int(np.ceil(length * factor)) for length in pixels.shape[1:]]
    large = F.interpolate(from_numpy(pixels[None].astype(np.float32)), size, mode="bicubic")
    return np.rint(large[0].numpy().clip(0, 255)).astype(np.uint8)
