"""Reading one image and its label, with every refusal naming the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from rein.data.classes import LabelTable
from rein.data.domains import DOMAINS, DataError, samples


class DomainDataset(Dataset[tuple[Tensor, Tensor]]):
    """The labelled images of one split of one domain: uint8 image (3, H, W) and uint8 train ids (h, w).

    A label may have another size than its image, as KITTI's do, but not another shape.
    """

    def __init__(self, domain: str, split: str, root: Path, limit: int | None = None) -> None:
        self.domain = DOMAINS[domain]
        self.files = samples(self.domain, split, root)
        if limit is not None and limit < len(self.files):
            self.files = [self.files[i * len(self.files) // limit] for i in range(limit)]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image_file, label_file = self.files[index]
        image, label = read_image(image_file), read_label(label_file, self.domain.labels)
        _check_pair(image, label, image_file, label_file)
        return image, label


def read_image(path: Path) -> Tensor:
    """An image file as uint8 RGB (3, H, W)."""
    return torch.from_numpy(_pixels(path, "RGB")).permute(2, 0, 1)


def read_label(path: Path, table: LabelTable) -> Tensor:
    """A label file as uint8 train ids (H, W). Raises DataError for an id that the table does not know."""
    ids = _pixels(path, None)
    if ids.ndim == 3:
        if table.channel is None:
            raise DataError(f"{path}: {ids.shape[2]} channels; a label of this domain has one channel of ids")
        ids = ids[..., table.channel]
    train_ids = _lookup(table)[np.minimum(ids, np.int32(256))]
    if (train_ids < 0).any():
        unknown = sorted(np.unique(ids[train_ids < 0]).tolist())
        raise DataError(
            f"{path}: label ids {unknown} are not in the domain's table; is this file a label of this domain?"
        )
    return torch.from_numpy(train_ids.astype(np.uint8))


def _lookup(table: LabelTable) -> np.ndarray:
    train_ids = np.full(257, -1, np.int16)  # the last place stands for all ids that no 8-bit label has
    train_ids[list(table.ids)] = list(table.ids.values())
    return train_ids


def _pixels(path: Path, mode: str | None) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.array(image if mode is None else image.convert(mode))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; complete the folder, or remove the image that it belongs to") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: not a readable image ({error}); replace or remove the file") from None


def _check_pair(image: Tensor, label: Tensor, image_file: Path, label_file: Path) -> None:
    (height, width), (label_height, label_width) = image.shape[1:], label.shape
    if abs(width * label_height / (height * label_width) - 1) > 0.02:
        raise DataError(
            f"{label_file}: {label_width}x{label_height} pixels, its image {image_file.name} has {width}x{height}; "
            f"they do not belong together"
        )
