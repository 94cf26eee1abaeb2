"""Batches of training crops: which crop stands at which step depends on the seed alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from rein import seeds
from rein.config import Data
from rein.data.dataset import DomainDataset
from rein.data.transforms import match_label, training_crop


class Crops(Dataset[tuple[Tensor, Tensor]]):
    """An endless sequence of crops over all sources; item `i` is the same however a run was cut or spread."""

    def __init__(self, data: Data, root: Path, seed: int) -> None:
        sources = [DomainDataset(source, "train", root) for source in data.sources]
        self.images: ConcatDataset[tuple[Tensor, Tensor]] = ConcatDataset(sources)
        self.data, self.seed = data, seed

    def __getitem__(self, ordinal: int) -> tuple[Tensor, Tensor]:
        epoch, place = divmod(ordinal, len(self.images))
        order = torch.randperm(len(self.images), generator=seeds.generator(self.seed, seeds.ORDER, epoch))
        image, label = self.images[int(order[place])]
        label = match_label(label, image)
        return training_crop(image, label, self.data, seeds.generator(self.seed, seeds.CROP, ordinal))


def processes(asked: int | None, device: torch.device) -> int:
    """How many loader processes to use: as many as were asked for, else four beside a GPU and none on the CPU."""
    return asked if asked is not None else 4 if device.type == "cuda" else 0


def training_batches(
    data: Data, root: Path, seed: int, steps: range, workers: int = 0, pin: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """uint8 images (B, 3, C, C) and int64 train ids (B, C, C) for a range of steps."""
    ordinals = range(steps.start * data.batch_size, steps.stop * data.batch_size)
    return iter(
        DataLoader(
            Crops(data, root, seed),
            batch_size=data.batch_size,
            sampler=ordinals,
            num_workers=workers,
            pin_memory=pin,
            persistent_workers=workers > 0,
        )
    )
