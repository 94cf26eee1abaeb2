"""The labelled images of a domain, whole: what a network is scored on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from rein.config import Data
from rein.data.domain import DataError, Sample
from rein.data.remarks import Remark, skipped, unknown_ids
from rein.data.whole import whole_image, whole_label


class Item(NamedTuple):
    """An image, its train ids, and what there is to say of their files."""

    image: Tensor
    label: Tensor
    remarks: tuple[Remark, ...] = ()


class WholeImages(Dataset[Item]):
    """uint8 image (3, H, W) and uint8 train ids (h, w) of every file.

    A label may have another size than its image, as KITTI's do, but not another shape. An image that cannot be used
    raises DataError, or has no pixels where `data.on_error` is `skip`.
    """

    def __init__(self, files: Sequence[Sample], data: Data) -> None:
        self.files, self.data = files, data

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Item:
        sample = self.files[index]
        try:
            return self._read(sample)
        except DataError as error:
            if self.data.on_error == "raise":
                raise
            nothing = torch.zeros(3, 0, 0, dtype=torch.uint8)
            return Item(nothing, nothing[0], (skipped(sample.image, error),))

    def _read(self, sample: Sample) -> Item:
        image = whole_image(sample)
        label, unknown = whole_label(sample, self.data)
        check_pair(tuple(image.shape[1:]), tuple(label.shape), sample)
        return Item(image, label, unknown_ids(sample.label, unknown))


def check_pair(image: tuple[int, ...], label: tuple[int, ...], sample: Sample) -> None:
    """Raise DataError where image and label, each (height, width), differ in shape."""
    (height, width), (label_height, label_width) = image, label
    if abs(width * label_height / (height * label_width) - 1) > 0.02:
        raise DataError(
            f"{sample.label}: {label_width}x{label_height} pixels, its image {sample.image.name} has {width}x{height}; "
            f"they do not belong together; replace one of them, or remove both"
        )
