"""Brightness, contrast, saturation and JPEG."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from rein.data.corruptions.pixels import Pixels, quantised


def brightness(pixels: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """HSV's value is raised by c: every pixel keeps the proportions of its colours."""
    raised = np.minimum(np.arange(256) + 255 * (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1], 255)
    value = pixels.max(0)
    gain = (raised / np.maximum(np.arange(256), 1)).astype(np.float32)
    return np.where(value == 0, np.uint8(raised[0]), quantised(pixels * gain[value]))


def contrast(pixels: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """Each colour is drawn towards its mean over the image."""
    kept = (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1]
    means = pixels.mean((1, 2), keepdims=True)
    levels = quantised(((np.arange(256) - means[:, 0]) * kept + means[:, 0]).astype(np.float32))
    return np.stack([level[colour] for level, colour in zip(levels, pixels, strict=True)])


def saturate(pixels: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """HSV's saturation becomes a s + b: paler at severities 1 and 2, more colourful at 3 to 5. Grey turns to red."""
    factor, offset = ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))[severity - 1]
    value = pixels.max(0).astype(np.float32)
    chroma = value - pixels.min(0)
    wanted = np.minimum(factor * chroma + offset * value, value)
    result = quantised(value - (value - pixels) * (wanted / np.maximum(chroma, 1)))
    if offset:
        grey = chroma == 0
        result[1:, grey] = quantised((value - wanted)[grey])
    return result


def jpeg(pixels: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """Saved as JPEG and read again."""
    file = BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(file, "JPEG", quality=(25, 18, 15, 10, 7)[severity - 1])
    return np.ascontiguousarray(np.array(Image.open(file, formats=("JPEG",))).transpose(2, 0, 1))
