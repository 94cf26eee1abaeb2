"""The whole image and label of one sample, as a network sees them."""

from __future__ import annotations

from torch import Tensor

from rein.config import Data
from rein.data.classes import CLASSES
from rein.data.corruptions import corrupt
from rein.data.domain import DataError, Sample
from rein.data.halving import half, halved_image, halved_label
from rein.data.reading import image_size, read_image, read_label
from rein.data.unknown import Unknown


def whole_size(sample: Sample) -> tuple[int, int]:
    """(height, width) of the image, from its file's header."""
    size = image_size(sample.image)
    return half(size) if sample.halve else size


def whole_image(sample: Sample) -> Tensor:
    """uint8 (3, H, W), corrupted at the file's own size where the sample says so."""
    image = read_image(sample.image)
    if sample.corruption:
        image = corrupt(image, sample.corruption, sample.image.stem)
    return halved_image(image) if sample.halve else image


def whole_label(sample: Sample, data: Data) -> tuple[Tensor, Unknown]:
    """uint8 train ids (h, w), and the unknown ids of the file."""
    label, unknown = read_label(sample.label, sample.table, data.classes or CLASSES, data.unknown_ids)
    return halved_label(label) if sample.halve else label, Unknown.of(unknown, sample.table.coloured)


def check_pair(image: tuple[int, ...], label: tuple[int, ...], sample: Sample) -> None:
    """Raise DataError where image and label, each (height, width), differ in shape."""
    (height, width), (label_height, label_width) = image, label
    if abs(width * label_height / (height * label_width) - 1) > 0.02:
        raise DataError(
            f"{sample.label}: {label_width}x{label_height} pixels, its image {sample.image.name} has {width}x{height}; "
            f"they do not belong together; replace one of them, or remove both"
        )
