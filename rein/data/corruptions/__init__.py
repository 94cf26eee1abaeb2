"""The corruptions of Cityscapes-C: images with noise, blur, weather and digital faults, made from the clean ones.

ImageNet-C's corruptions (arXiv 1903.12261) in the form of the package `imagecorruptions` 1.1.2 (arXiv 1907.07484),
which takes images of any size: noise, blur and colours have the constants of 224x224 images whatever an image's size,
while fog, frost, snow and spatter cover it. Of its 19 corruptions Cityscapes-C (arXiv 1908.05005) has these 16;
`zoom_blur`, `elastic_transform` and `pixelate` are not among them. They are applied to the whole image as it is read,
2048x1024 for Cityscapes, before anything is resized.

Random draws follow from corruption, severity and the file's name alone, so an image is the same in any process and
order. They are not the draws of the published images, of which no seed is known. Beside that, values lie within one
grey level of the published package's, but for glass blur (whose first blur is rounded, and that twice), the rims of
`spatter`'s water (exact distances here, approximate ones there) and `frost` (which is resized by another library):
these differ by a few levels in few pixels. Arithmetic is float32: another version of numpy, scipy or
torch may change a value by one level.
"""

from __future__ import annotations

import hashlib

import numpy as np
from torch import Tensor, from_numpy

from rein.data.corruptions import blur, digital, noise, weather
from rein.data.corruptions.pixels import Corruption
from rein.data.corruptions.spatter import spatter

#: Raised with every change to a corruption's values: stored images are then made anew.
VERSION = 1

CORRUPTIONS: dict[str, Corruption] = {
    "motion-blur": blur.motion,
    "defocus-blur": blur.defocus,
    "glass-blur": blur.glass,
    "gaussian-blur": blur.gaussian,
    "gaussian-noise": noise.gaussian,
    "impulse-noise": noise.impulse,
    "shot-noise": noise.shot,
    "speckle-noise": noise.speckle,
    "brightness": digital.brightness,
    "contrast": digital.contrast,
    "saturate": digital.saturate,
    "jpeg-compression": digital.jpeg,
    "snow": weather.snow,
    "spatter": spatter,
    "fog": weather.fog,
    "frost": weather.frost,
}


def corrupt(image: Tensor, corruption: tuple[str, int], name: str) -> Tensor:
    """A uint8 image (3, H, W) with a corruption of severity 1 to 5; `name` is its file's, without folder and ending.

    Raises DataError where frost is asked for and its photographs are not installed.
    """
    kind, severity = corruption
    pixels = np.ascontiguousarray(image.numpy())
    return from_numpy(CORRUPTIONS[kind](pixels, severity, _stream(kind, severity, name)))


def require(corruption: tuple[str, int]) -> None:
    """Raise DataError where an image could not be corrupted for want of what is not installed."""
    if corruption[0] == "frost":
        weather.photographs()


def _stream(kind: str, severity: int, name: str) -> np.random.Generator:
    seed = hashlib.sha256(f"{VERSION}/{kind}/{severity}/{name}".encode()).digest()
    return np.random.Generator(np.random.SFC64(int.from_bytes(seed)))
