"""The peer: the same recipe as one writes it with Pillow and numpy. Decode, resize everything, cut, flip, distort."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from rein.config import Data
from rein.data.classes import CLASSES, VOID
from rein.data.domain import Sample
from rein.data.transforms import MEAN

Box = tuple[int, int, int, int]


class PeerCrops(Dataset[tuple[Tensor, Tensor]]):
    """uint8 image (3, C, C) and int64 train ids (C, C) of an endless sequence over some files."""

    def __init__(self, files: Sequence[Sample], data: Data) -> None:
        self.files, self.data = files, data
        self.train_ids = files[0].table.lookup(data.classes or CLASSES)

    def __getitem__(self, ordinal: int) -> tuple[Tensor, Tensor]:
        sample, rng = self.files[ordinal % len(self.files)], np.random.default_rng(ordinal)
        image, label = open_image(sample), open_label(sample)
        size = random_size(image.size, self.data, rng)
        image, label = image.resize(size, Image.Resampling.BILINEAR), label.resize(size, Image.Resampling.NEAREST)
        ids = np.asarray(label)
        left, upper, right, lower = box = random_box(ids, self.train_ids, self.data, rng)
        pixels, target = np.asarray(image.crop(box)), self.train_ids[ids[upper:lower, left:right]]
        if rng.random() < self.data.flip:
            pixels, target = pixels[:, ::-1], target[:, ::-1]
        if self.data.photometric:
            pixels = distort(pixels, rng)
        return as_tensors(pixels, target, self.data.crop_size)


def open_image(sample: Sample) -> Image.Image:
    """The decoded image, RGB."""
    image = Image.open(sample.image)
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


def open_label(sample: Sample) -> Image.Image:
    """The decoded label, ids as they are stored."""
    label = Image.open(sample.label)
    label.load()
    return label


def random_size(size: tuple[int, int], data: Data, rng: np.random.Generator) -> tuple[int, int]:
    """(width, height) with one of sixteen short sides."""
    low, high = (round(10 * scale) for scale in data.scale)
    short = int(data.crop_size * rng.integers(low, high + 1) / 10)
    factor = min(short / min(size), 4 * data.crop_size / max(size))
    return int(size[0] * factor + 0.5), int(size[1] * factor + 0.5)


def random_box(ids: np.ndarray, train_ids: np.ndarray, data: Data, rng: np.random.Generator) -> Box:
    """A square (left, upper, right, lower) that is no class's to more than the limit, or the tenth."""
    height, width = ids.shape
    box = (0, 0, 0, 0)
    for _ in range(10):
        left, upper = (rng.integers(max(length - data.crop_size, 0) + 1) for length in (width, height))
        box = (left, upper, min(left + data.crop_size, width), min(upper + data.crop_size, height))
        found, counts = np.unique(ids[box[1] : box[3], box[0] : box[2]], return_counts=True)
        counts = counts[train_ids[found] != VOID]
        if len(counts) > 1 and counts.max() < data.max_class_share * counts.sum():
            break
    return box


def distort(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast, saturation and hue of uint8 (H, W, 3); through HSV only where it is needed, and once."""
    image = pixels.astype(np.float32)
    contrast_first, brighter, contrasted, saturated, turned = rng.random(5) < 0.5
    if brighter:
        image = np.clip(image + np.float32(rng.uniform(-32, 32)), 0, 255)
    contrast = np.float32(rng.uniform(0.5, 1.5))
    if contrasted and contrast_first:
        image = np.clip(image * contrast, 0, 255)
    if saturated or turned:
        hue, saturation, value = to_hsv(image)
        if saturated:
            saturation = np.clip(saturation * np.float32(rng.uniform(0.5, 1.5)), 0, 1)
        if turned:
            hue = (hue + np.float32(rng.uniform(-36, 36) / 60)) % np.float32(6)
        image = to_rgb(hue, saturation, value)
    if contrasted and not contrast_first:
        image = np.clip(image * contrast, 0, 255)
    return np.rint(image).astype(np.uint8)


def to_hsv(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hue in sectors 0..6, saturation 0..1 and value 0..255 of float32 (H, W, 3)."""
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    safe = np.maximum(chroma, np.float32(1e-6))
    hue = np.where(
        value == red,
        ((green - blue) / safe) % np.float32(6),
        np.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    return hue, chroma / np.maximum(value, np.float32(1e-6)), value


def to_rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """float32 (H, W, 3) of what `to_hsv` gives."""
    chroma = value * saturation
    image = np.empty((*hue.shape, 3), np.float32)
    for channel, offset in enumerate((5, 3, 1)):
        place = (hue + np.float32(offset)) % np.float32(6)
        image[..., channel] = value - chroma * np.clip(np.minimum(place, 4 - place), 0, 1)
    return image


def as_tensors(pixels: np.ndarray, target: np.ndarray, side: int) -> tuple[Tensor, Tensor]:
    """uint8 (3, side, side) and int64 (side, side), what is missing filled with the mean colour and void."""
    height, width = target.shape
    if (height, width) == (side, side):
        image, label = np.ascontiguousarray(pixels.transpose(2, 0, 1)), target.astype(np.int64)
    else:
        image = np.empty((3, side, side), np.uint8)
        image[:] = np.rint(MEAN).astype(np.uint8)[:, None, None]
        image[:, :height, :width] = pixels.transpose(2, 0, 1)
        label = np.full((side, side), VOID, np.int64)
        label[:height, :width] = target
    return torch.from_numpy(image), torch.from_numpy(label)
