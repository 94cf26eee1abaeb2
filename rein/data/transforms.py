"""The recipe's augmentation: random size, class-limited random crop, flip, photometric distortion.

The transforms are those of mmsegmentation in the configs of the reference code (github.com/w1oves/Rein).
Every random draw comes from the generator that is passed in, so a sample is a function of its seed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int64, UInt8
from torch import Generator, Tensor

from rein.config import Data
from rein.data.classes import VOID
from rein.data.pasta import pasta

#: Pixel statistics of ImageNet, which the recipe uses for every foundation model (its reference code).
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def training_crop(
    image: UInt8[Tensor, "3 h w"], label: UInt8[Tensor, "h w"], data: Data, generator: Generator
) -> tuple[UInt8[Tensor, "3 c c"], Int64[Tensor, "c c"]]:
    """A crop of `data.crop_size` from an image and its train ids.

    Equal to resizing everything and cutting the crop out of it, but only the crop's own pixels are computed.
    """
    size = random_size(label.shape, data, generator)
    rows, cols = random_window(label, size, data.crop_size, data.max_class_share, generator)
    image, label = resize_window(image, size, rows, cols), nearest_window(label, size, rows, cols)
    if _uniform(generator) < data.flip:
        image, label = image.flip(-1), label.flip(-1)
    if data.photometric:
        image = photometric_distortion(image, generator)
    if data.augmentation == "pasta":
        image = pasta(image, generator)
    # A border of the mean colour is next to nothing once it is normalised.
    mean = torch.tensor(MEAN).round().to(torch.uint8)[:, None, None]
    return _padded(image, data.crop_size, mean), _padded(label, data.crop_size, torch.tensor(VOID)).long()


def match_label(label: Tensor, image: Tensor) -> Tensor:
    """The label at its image's size, by nearest neighbour where they differ."""
    height, width = image.shape[1:]
    if label.shape == (height, width):
        return label
    return nearest_window(label, (height, width), range(height), range(width))


def random_size(shape: Sequence[int], data: Data, generator: Generator) -> tuple[int, int]:
    """(height, width) with a short side drawn from the scales' multiples of the crop, the long side at most 4 crops."""
    low, high = (round(10 * scale) for scale in data.scale)
    short = int(data.crop_size * (low + _integer(high - low + 1, generator)) / 10)
    factor = min(short / min(shape), 4 * data.crop_size / max(shape))
    height, width = (int(length * factor + 0.5) for length in shape)
    return height, width


def random_window(
    label: Tensor, size: tuple[int, int], side: int, max_class_share: float, generator: Generator, tries: int = 10
) -> tuple[range, range]:
    """Rows and columns, in the resized image, of a square in which no class covers more than a share of the labelled
    pixels; the last try is taken anyway."""
    rows = cols = range(0)
    for _ in range(tries):
        rows, cols = (_window(length, side, generator) for length in size)
        if max_class_share >= 1:
            break
        counts = torch.bincount(nearest_window(label, size, rows, cols).flatten())[:VOID]
        # A crop of one class alone is drawn again as well, as the reference does.
        if (counts > 0).sum() > 1 and counts.max() < max_class_share * counts.sum():
            break
    return rows, cols


def resize_window(
    image: UInt8[Tensor, "3 h w"], size: tuple[int, int], rows: range, cols: range
) -> UInt8[Tensor, "3 r c"]:
    """Rows and columns of an image resized bilinearly (no antialiasing, align_corners False) to `size`."""
    (top, bottom, down), (left, right, across) = (
        _neighbours(places, length, resized)
        for places, length, resized in zip((rows, cols), image.shape[1:], size, strict=True)
    )
    lines = torch.lerp(image[:, top].float(), image[:, bottom].float(), down[:, None])  # (3, rows, W)
    return torch.lerp(lines[..., left], lines[..., right], across).round_().to(torch.uint8)


def nearest_window(label: Tensor, size: tuple[int, int], rows: range, cols: range) -> Tensor:
    """Rows and columns of a label (H, W) resized by nearest neighbour to `size`."""
    y, x = (
        ((_places(places) + 0.5) * (length / resized)).long().clamp_(max=length - 1)
        for places, length, resized in zip((rows, cols), label.shape, size, strict=True)
    )
    return label[y[:, None], x]


def photometric_distortion(image: Tensor, generator: Generator) -> Tensor:
    """Brightness, contrast, saturation and hue, each with probability a half; contrast first or last of the four.

    Ranges of the recipe: +-32, 0.5..1.5, 0.5..1.5, and +-18 of the 180 hue steps of an 8-bit HSV image, in
    which the reference counts: 2 degrees each.
    """
    pixels = image.float()
    contrast_first = _integer(2, generator)
    if _integer(2, generator):
        pixels = _clip(pixels + 64 * _uniform(generator) - 32)
    contrast = 0.5 + _uniform(generator) if _integer(2, generator) else 1.0
    if contrast_first:
        pixels = _clip(pixels * contrast)
    if _integer(2, generator):
        pixels = saturate(pixels, 0.5 + _uniform(generator))
    if _integer(2, generator):
        pixels = rotate_hue(pixels, 72 * _uniform(generator) - 36)
    if not contrast_first:
        pixels = _clip(pixels * contrast)
    return pixels.round_().to(torch.uint8)


def saturate(pixels: Tensor, factor: float) -> Tensor:
    """Multiply the saturation of HSV, at most to 1, with hue and value kept; pixels (3, H, W) in 0..255."""
    value, lowest = pixels.amax(0), pixels.amin(0)
    saturation = (value - lowest) / value.clamp(min=1e-6)
    # With hue and value fixed, a channel's distance from the value is proportional to the saturation.
    stretch = (saturation * factor).clamp(max=1) / saturation.clamp(min=1e-6)
    return value - (value - pixels) * stretch


def rotate_hue(pixels: Tensor, degrees: float) -> Tensor:
    """Add an angle to the hue of HSV with saturation and value kept; pixels (3, H, W) in 0..255."""
    value, lowest = pixels.amax(0), pixels.amin(0)
    chroma = (value - lowest).clamp(min=1e-6)
    red, green, blue = pixels
    sector = torch.where(
        value == red,
        (green - blue) / chroma % 6,
        torch.where(value == green, (blue - red) / chroma + 2, (red - green) / chroma + 4),
    )
    sector = sector + degrees / 60
    # Each channel as a function of the hue: full within a sector of its own, falling to the lowest value beyond.
    offset = torch.tensor([5.0, 3.0, 1.0]).view(3, 1, 1)
    position = (sector + offset) % 6
    share = torch.minimum(position, 4 - position).clamp(0, 1)
    return value - (value - lowest) * share


def _neighbours(places: range, length: int, resized: int) -> tuple[Tensor, Tensor, Tensor]:
    """For places on a resized axis: the two source pixels that each lies between, and how near it is to the second."""
    source = ((_places(places) + 0.5) * (length / resized) - 0.5).clamp_(0, length - 1)
    low = source.floor()
    return low.long(), (low.long() + 1).clamp_(max=length - 1), source - low


def _places(places: range) -> Tensor:
    return torch.arange(places.start, places.stop, dtype=torch.float32)


def _window(length: int, side: int, generator: Generator) -> range:
    start = _integer(max(length - side, 0) + 1, generator)
    return range(start, min(start + side, length))


def _padded(pixels: Tensor, side: int, border: Tensor) -> Tensor:
    """Pixels (..., h, w) in the upper left corner of a square whose rest is `border`, which is broadcast."""
    height, width = pixels.shape[-2:]
    square = border.to(pixels.dtype).expand(*pixels.shape[:-2], side, side).clone()
    square[..., :height, :width] = pixels
    return square


def _clip(pixels: Tensor) -> Tensor:
    return pixels.clamp_(0, 255)


def _uniform(generator: Generator) -> float:
    return float(torch.rand((), generator=generator))


def _integer(below: int, generator: Generator) -> int:
    return int(torch.randint(below, (), generator=generator))
