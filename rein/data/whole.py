"""The whole image and label of one sample, as a network sees them."""

from __future__ import annotations

from torch import Tensor

from rein.config import Data
from rein.data.classes import CLASSES
from rein.data.domain import Sample
from rein.data.halving import half, halved_image, halved_label
from rein.data.reading import image_size, read_image, read_label


def whole_size(sample: Sample) -> tuple[int, int]:
    """(height, width) of the image, from its file's header."""
    size = image_size(sample.image)
    return half(size) if sample.halve else size


def whole_image(sample: Sample) -> Tensor:
    """uint8 (3, H, W)."""
    image = read_image(sample.image)
    # Here, at the file's own size, stands `sample.corruption`.
    return halved_image(image) if sample.halve else image


def whole_label(sample: Sample, data: Data) -> tuple[Tensor, dict[int, int]]:
    """uint8 train ids (h, w), and the unknown ids of the file with their pixels."""
    label, unknown = read_label(sample.label, sample.table, data.classes or CLASSES, data.unknown_ids)
    return halved_label(label) if sample.halve else label, unknown
