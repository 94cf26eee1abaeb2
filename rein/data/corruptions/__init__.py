"""The corruptions of Cityscapes-C: images with noise, blur, weather and digital faults, made from the clean ones.

ImageNet-C's corruptions (arXiv 1903.12261) in the form of the package `imagecorruptions` 1.1.2 (arXiv 1907.07484),
which takes images of any size: noise, blur and colours have the constants of 224x224 images whatever an image's size,
while fog, frost, snow and spatter cover it. Of its 19 corruptions Cityscapes-C (arXiv 1908.05005) has these 16;
`zoom_blur`, `elastic_transform` and `pixelate` are not among them. They are applied to the whole image as it is read,
2048x1024 for Cityscapes, before anything is resized. What is averaged differs between papers: SegFormer (arXiv
2105.15203) takes severities 1 to 3 of the four noises and all five of the others, HGFormer (arXiv 2305.13031)
severity 5 alone; where 15 corruptions are named, they are another list.

Random draws follow from corruption, severity and the file's name alone, so an image is the same in any process and
order. They are not the draws of the published images, of which no seed is known. Given the same draws, values lie
within one grey level of the package's, but for single pixels of snow, for the water of spatter (exact distances to a
drop's rim, where the package has approximate ones: up to 2 % of the values, 0.2 levels on average), and for glass blur
and the noises, which draw in another way from the same distributions. As in the package, neighbouring severities of
fog, snow, motion and glass blur may change places in how far an image departs from the clean one, water of spatter
turns to mud at 4, and `saturate` is pale at 1 and 2 and gaudy at 3 to 5. Arithmetic is float32: another version of
numpy, scipy or torch may change a value by one level.

Frost is made of photographs, which come with the optional package and not with this one.

Kept in a cache folder, an image is what its pixels are: 6.3 MB, 3.1 GB for one corruption and severity of Cityscapes
val, 252 GB for all 80.
"""

from __future__ import annotations

import hashlib

import numpy as np
from torch import Tensor, from_numpy

from rein.data.corruptions import blur, digital, noise, spatter, weather
from rein.data.corruptions.pixels import Corruption

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
    "spatter": spatter.spatter,
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


def _stream(kind: str, severity: int, name: str) -> np.random.Generator:
    seed = hashlib.sha256(f"{VERSION}/{kind}/{severity}/{name}".encode()).digest()
    return np.random.Generator(np.random.SFC64(int.from_bytes(seed)))
