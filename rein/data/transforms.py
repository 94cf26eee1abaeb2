"""The recipe's augmentation: random size, class-limited random crop, flip, photometric distortion.

The transforms are those of mmsegmentation in the configs of the reference code (github.com/w1oves/Rein).
Every random draw comes from the generator that is passed in, so a sample is a function of its seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int64, UInt8
from torch import Generator, Tensor

from rein.config import Data
from rein.data.classes import VOID
from rein.data.pasta import pasta

#: Pixel statistics of ImageNet, which the recipe uses for every foundation model (its reference code).
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Window:
    """A crop before it is cut: rows and columns of the image once it is resized to `size` (height, width)."""

    size: tuple[int, int]
    rows: range
    cols: range

    def last_row(self, height: int) -> int:
        """How many rows of an image of that height the crop is made of, counted from the top."""
        return int(_neighbours(self.rows[-1:], height, self.size[0])[1]) + 1


def training_crop(
    image: UInt8[Tensor, "3 h w"], label: UInt8[Tensor, "h w"], data: Data, generator: Generator
) -> tuple[UInt8[Tensor, "3 c c"], Int64[Tensor, "c c"]]:
    """A crop of `data.crop_size` from an image and its train ids.

    Equal to resizing everything and cutting the crop out of it, but only the crop's own pixels are computed.
    """
    return cut(image, label, draw_window(label, data, generator), data, generator)


def draw_window(label: UInt8[Tensor, "h w"], data: Data, generator: Generator) -> Window:
    """Where a crop lies: a random size, and within it a place that the class limit allows."""
    size = random_size(label.shape, data, generator)
    return Window(size, *random_window(label, size, data.crop_size, data.max_class_share, generator))


def cut(
    image: UInt8[Tensor, "3 top w"], label: UInt8[Tensor, "h w"], window: Window, data: Data, generator: Generator
) -> tuple[UInt8[Tensor, "3 c c"], Int64[Tensor, "c c"]]:
    """The crop of a window, flipped and distorted; of the image its rows down to the window's last one are enough."""
    size, rows, cols = window.size, window.rows, window.cols
    image, label = resize_window(image, size, rows, cols, len(label)), nearest_window(label, size, rows, cols)
    if _uniform(generator) < data.flip:
        image, label = image.flip(-1), label.flip(-1)
    if data.photometric:
        image = photometric_distortion(image, generator)
    if data.augmentation == "pasta":
        image = pasta(image, generator)
    # A border of the mean colour is next to nothing once it is normalised.
    mean = torch.tensor(MEAN).round().to(torch.uint8)[:, None, None]
    return _padded(image, data.crop_size, mean), _padded(label, data.crop_size, torch.tensor(VOID)).long()


def match_label(label: Tensor, size: tuple[int, int]) -> Tensor:
    """The label at its image's (height, width), by nearest neighbour where they differ."""
    if label.shape == size:
        return label
    return nearest_window(label, size, range(size[0]), range(size[1]))


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
    image: UInt8[Tensor, "3 h w"], size: tuple[int, int], rows: range, cols: range, height: int | None = None
) -> UInt8[Tensor, "3 r c"]:
    """Rows and columns of an image resized bilinearly (no antialiasing, align_corners False) to `size`.

    `height` is the whole image's, where the rows below the last one needed are left out.
    """
    top, bottom, down = _neighbours(rows, height or image.shape[1], size[0])
    left, right, across = _neighbours(cols, image.shape[2], size[1])
    first = int(left[0])
    # Files are decoded pixel by pixel (H, W, 3): rows of them are whole stretches of memory.
    pixels = image.permute(1, 2, 0)[:, first : int(right[-1]) + 1]
    above, below = (pixels.index_select(0, places).flatten(1).float() for places in (top, bottom))
    lines = above.lerp_(below, down[:, None])  # (r, W x 3); in place: fresh memory costs more than the arithmetic
    channel = torch.arange(3)[:, None]
    before, behind = (lines.index_select(1, (3 * (places - first) + channel).flatten()) for places in (left, right))
    crop = before.lerp_(behind, across.repeat(3)).round_().to(torch.uint8)  # (r, 3 x c)
    return crop.view(len(rows), 3, len(cols)).permute(1, 0, 2).contiguous()


def nearest_window(label: Tensor, size: tuple[int, int], rows: range, cols: range) -> Tensor:
    """Rows and columns of a label (H, W) resized by nearest neighbour to `size`."""
    y, x = (
        ((_places(places) + 0.5) * (length / resized)).long().clamp_(max=length - 1)
        for places, length, resized in zip((rows, cols), label.shape, size, strict=True)
    )
    # numpy gathers bytes several times faster than torch, and rows before columns.
    return torch.from_numpy(label.numpy()[y.numpy()][:, x.numpy()])


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
    """Add an angle of at most 60 degrees to the hue of HSV, saturation and value kept; pixels (3, H, W) in 0..255."""
    value, lowest = pixels.amax(0), pixels.amin(0)
    chroma = value - lowest
    divisor = chroma.clamp(min=1e-6)
    red, green, blue = pixels
    from_red = (green - blue).div_(divisor)
    sector = torch.where(
        value == red,
        torch.where(from_red < 0, from_red + 6, from_red),
        torch.where(value == green, (blue - red).div_(divisor).add_(2), (red - green).div_(divisor).add_(4)),
    ).add_(degrees / 60)
    rotated = torch.empty_like(pixels)
    # Each channel as a function of the hue: full within a sector of its own, falling to the lowest value beyond.
    for channel, offset in zip(rotated, (5.0, 3.0, 1.0), strict=True):
        position = sector + offset
        position = torch.where(position >= 6, position - 6, position)  # exactly what `% 6` is, in a tenth of its time
        share = torch.minimum(position, 4 - position).clamp_(0, 1)
        torch.sub(value, share.mul_(chroma), out=channel)
    return rotated


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
