"""The recipe written out plainly: resize the whole image, cut, flip, distort. An oracle, slow, without any shortcut.

Every draw is made, and in the order, that runs have been made with; it shares no code with the package.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from rein.config import Data
from rein.data.pasta import pasta

VOID = 255


def plain_crop(image: Tensor, label: Tensor, data: Data, generator: Generator) -> tuple[Tensor, Tensor]:
    side = data.crop_size

    def uniform() -> float:
        return float(torch.rand((), generator=generator))

    def integer(below: int) -> int:
        return int(torch.randint(below, (), generator=generator))

    low, high = round(10 * data.scale[0]), round(10 * data.scale[1])
    short = int(side * (low + integer(high - low + 1)) / 10)
    factor = min(short / min(label.shape), 4 * side / max(label.shape))
    height, width = (int(length * factor + 0.5) for length in label.shape)
    image, label = bilinear(image, height, width), nearest(label, height, width)

    for _ in range(10):
        top = integer(max(height - side, 0) + 1)
        left = integer(max(width - side, 0) + 1)
        pixels, target = (x[..., top : top + side, left : left + side] for x in (image, label))
        if data.max_class_share >= 1:
            break
        counts = torch.stack([(target == value).sum() for value in range(VOID)])
        if (counts > 0).sum() > 1 and counts.max() < data.max_class_share * counts.sum():
            break

    if uniform() < data.flip:
        pixels, target = pixels.flip(-1), target.flip(-1)
    if data.photometric:
        pixels = distorted(pixels.float(), uniform, integer).round().to(torch.uint8)
    if data.augmentation == "pasta":
        pixels = pasta(pixels, generator)
    crop = torch.tensor([124, 116, 104], dtype=torch.uint8)[:, None, None].repeat(1, side, side)
    ids = torch.full((side, side), VOID, dtype=torch.int64)
    crop[:, : pixels.shape[1], : pixels.shape[2]], ids[: target.shape[0], : target.shape[1]] = pixels, target.long()
    return crop, ids


def bilinear(image: Tensor, height: int, width: int) -> Tensor:
    def neighbours(length: int, resized: int) -> tuple[Tensor, Tensor, Tensor]:
        place = ((torch.arange(resized, dtype=torch.float32) + 0.5) * (length / resized) - 0.5).clamp(0, length - 1)
        return place.floor().long(), (place.floor().long() + 1).clamp(max=length - 1), place - place.floor()

    (top, bottom, down), (left, right, across) = (
        neighbours(length, resized) for length, resized in zip(image.shape[1:], (height, width), strict=True)
    )
    image = image.float()
    lines = torch.lerp(image[:, top], image[:, bottom], down[:, None])
    return torch.lerp(lines[..., left], lines[..., right], across).round().to(torch.uint8)


def nearest(label: Tensor, height: int, width: int) -> Tensor:
    rows, cols = (
        ((torch.arange(resized, dtype=torch.float32) + 0.5) * (length / resized)).long().clamp(max=length - 1)
        for length, resized in zip(label.shape, (height, width), strict=True)
    )
    return label[rows][:, cols]


def distorted(pixels: Tensor, uniform, integer) -> Tensor:
    contrast_first = integer(2)
    if integer(2):
        pixels = (pixels + (64 * uniform() - 32)).clamp(0, 255)
    contrast = 0.5 + uniform() if integer(2) else 1.0
    if contrast_first:
        pixels = (pixels * contrast).clamp(0, 255)
    if integer(2):
        factor = 0.5 + uniform()
        value, lowest = pixels.amax(0), pixels.amin(0)
        saturation = (value - lowest) / value.clamp(min=1e-6)
        pixels = value - (value - pixels) * ((saturation * factor).clamp(max=1) / saturation.clamp(min=1e-6))
    if integer(2):
        degrees = 72 * uniform() - 36
        value, lowest = pixels.amax(0), pixels.amin(0)
        chroma = (value - lowest).clamp(min=1e-6)
        red, green, blue = pixels
        sector = torch.where(value == green, (blue - red) / chroma + 2, (red - green) / chroma + 4)
        sector = torch.where(value == red, (green - blue) / chroma % 6, sector) + degrees / 60
        place = (sector + torch.tensor([5.0, 3.0, 1.0]).view(3, 1, 1)) % 6
        pixels = value - (value - lowest) * torch.minimum(place, 4 - place).clamp(0, 1)
    return pixels if contrast_first else (pixels * contrast).clamp(0, 255)
