"""The labelled images of a domain, whole: what a network is scored on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from rein.config import Data
from rein.data.cache import cached_image, prepare
from rein.data.corruptions import require
from rein.data.domain import Sample
from rein.data.whole import check_pair, whole_image, whole_label


class WholeImages(Dataset[tuple[Tensor, Tensor]]):
    """uint8 image (3, H, W) and uint8 train ids (h, w) of every file.

    A label may have another size than its image, as KITTI's do, but not another shape. Corrupted images are kept in
    the folder `cache`, if there is one. Raises DataError at once where a corruption needs what is not installed.
    """

    def __init__(self, files: Sequence[Sample], data: Data, cache: Path | None = None) -> None:
        corruptions = {sample.corruption for sample in files if sample.corruption}
        for corruption in corruptions:
            require(corruption)
        self.files, self.data = files, data
        self.cache = prepare(cache) if cache and corruptions else None

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample = self.files[index]
        image = cached_image(sample, self.cache) if self.cache and sample.corruption else whole_image(sample)
        label, _ = whole_label(sample, self.data)
        check_pair(tuple(image.shape[1:]), tuple(label.shape), sample)
        return image, label
