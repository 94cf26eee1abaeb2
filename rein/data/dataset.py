"""The labelled images of a domain, whole: what a network is scored on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from rein.config import Data
from rein.data.cache import cached_image, prepare
from rein.data.domain import DataError, MachineError, Sample
from rein.data.remarks import Remark, skipped, unknown_ids
from rein.data.whole import check_pair, whole_image, whole_label


class Item(NamedTuple):
    """An image, its train ids, and what there is to say of their files."""

    image: Tensor
    label: Tensor
    remarks: tuple[Remark, ...] = ()


def left_out(sample: Sample, error: DataError, data: Data) -> Remark:
    """The remark on an image that cannot be used, where `data.on_error` is `skip`; else the error, with the way out.

    A machine's trouble is raised always: another try may well read the file.
    """
    if isinstance(error, MachineError):
        raise error
    if data.on_error == "raise":
        raise DataError(
            f"{error}; `rein check` lists all such files, data.on_error=skip goes on without them"
        ) from error
    return skipped(sample.image, error)


class WholeImages(Dataset[Item]):
    """uint8 image (3, H, W) and uint8 train ids (h, w) of every file.

    A label may have another size than its image, as KITTI's do, but not another shape. An image that cannot be used
    raises DataError, or has no pixels where `data.on_error` is `skip`. Corrupted images are kept in the folder `cache`,
    if there is one.
    """

    def __init__(self, files: Sequence[Sample], data: Data, cache: Path | None = None) -> None:
        self.files, self.data = files, data
        self.cache = prepare(cache) if cache and any(sample.corruption for sample in files) else None

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Item:
        sample = self.files[index]
        try:
            return self._read(sample)
        except DataError as error:
            remark = left_out(sample, error, self.data)
            nothing = torch.zeros(3, 0, 0, dtype=torch.uint8)
            return Item(nothing, nothing[0], (remark,))

    def _read(self, sample: Sample) -> Item:
        image = cached_image(sample, self.cache) if self.cache and sample.corruption else whole_image(sample)
        label, unknown = whole_label(sample, self.data)
        check_pair(tuple(image.shape[1:]), tuple(label.shape), sample)
        return Item(image, label, unknown_ids(sample.label, unknown))
