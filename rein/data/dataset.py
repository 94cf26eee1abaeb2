"""The labelled images of a domain, whole: what a network is scored on."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.utils.data import Dataset

from rein.config import Data
from rein.data.domain import DataError, Sample
from rein.data.whole import whole_image, whole_label


class WholeImages(Dataset[tuple[Tensor, Tensor]]):
    """uint8 image (3, H, W) and uint8 train ids (h, w) of every file.

    A label may have another size than its image, as KITTI's do, but not another shape.
    """

    def __init__(self, files: Sequence[Sample], data: Data) -> None:
        self.files, self.data = files, data

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample = self.files[index]
        image = whole_image(sample)
        label, _ = whole_label(sample, self.data)
        check_pair(tuple(image.shape[1:]), tuple(label.shape), sample)
        return image, label


def check_pair(image: tuple[int, ...], label: tuple[int, ...], sample: Sample) -> None:
    """Raise DataError where image and label, each (height, width), differ in shape."""
    (height, width), (label_height, label_width) = image, label
    if abs(width * label_height / (height * label_width) - 1) > 0.02:
        raise DataError(
            f"{sample.label}: {label_width}x{label_height} pixels, its image {sample.image.name} has {width}x{height}; "
            f"they do not belong together"
        )
