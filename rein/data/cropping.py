"""One training crop, from the files of one sample."""

from __future__ import annotations

from torch import Generator, Tensor

from rein.config import Data
from rein.data.classes import CLASSES
from rein.data.dataset import check_pair
from rein.data.domain import Sample
from rein.data.reading import read_image, read_label
from rein.data.transforms import match_label, training_crop


def read_crop(sample: Sample, data: Data, generator: Generator) -> tuple[Tensor, Tensor, dict[int, int]]:
    """uint8 image (3, C, C), int64 train ids (C, C), and the unknown ids of the label file with their pixels."""
    image = read_image(sample.image)
    label, unknown = read_label(sample.label, sample.table, data.classes or CLASSES, data.unknown_ids)
    check_pair(tuple(image.shape[1:]), tuple(label.shape), sample)
    return *training_crop(image, match_label(label, image), data, generator), unknown
