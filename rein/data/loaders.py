"""Batches of training crops: which crop stands at which step depends on the seed alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from rein import seeds
from rein.config import Data
from rein.data.dataset import DomainDataset
from rein.data.domains import DataError
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


def training_batches(
    data: Data, root: Path, seed: int, steps: range, device: torch.device, workers: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """uint8 images (B, 3, C, C) and int64 train ids (B, C, C) for a range of steps."""
    ordinals = range(steps.start * data.batch_size, steps.stop * data.batch_size)
    options = _options(device, workers)
    return _read(
        DataLoader(
            Crops(data, root, seed),
            batch_size=data.batch_size,
            sampler=ordinals,
            persistent_workers=options["num_workers"] > 0,
            **options,
        )
    )


def whole_images(
    dataset: DomainDataset, device: torch.device, workers: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image and label of a split, one at a time, in the order of its files."""
    return _read(DataLoader(dataset, batch_size=None, **_options(device, workers)))


def _options(device: torch.device, workers: int | None) -> dict[str, Any]:
    """As many loader processes as were asked for, else four beside a GPU and none on the CPU."""
    on_gpu = device.type == "cuda"
    return {"num_workers": workers if workers is not None else 4 if on_gpu else 0, "pin_memory": on_gpu}


def _read(loader: DataLoader[Any]) -> Iterator[Any]:
    try:
        yield from loader
    except DataError as error:
        # From a loader process it comes as the text of a whole traceback, with the message at its end.
        raise DataError(
            str(error).strip().splitlines()[-1].removeprefix(f"{DataError.__module__}.DataError: ")
        ) from None
