"""Batches of training crops, and whole images to score on, through loader processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from rein.config import ConfigError, Data
from rein.data.crops import Crops
from rein.data.dataset import WholeImages
from rein.data.domain import DataError


def training_batches(
    data: Data,
    root: Path,
    seed: int,
    steps: range,
    device: torch.device,
    workers: int | None = None,
    shard: tuple[int, int] = (0, 1),
    cache: Path | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """uint8 images (B, 3, C, C) and int64 train ids (B, C, C) for a range of steps.

    `shard` is (rank, world): of every batch a rank gets the rows rank::world, so B is `data.batch_size` / world.
    Raises ConfigError where that is no whole number.
    """
    rank, world = shard
    if not 0 <= rank < world or data.batch_size % world:
        raise ConfigError(
            f"data.batch_size is {data.batch_size} for rank {rank} of {world}: ranks count from 0, and as many crops "
            f"go to each; take a multiple of {world}"
        )
    ordinals = range(steps.start * data.batch_size + rank, steps.stop * data.batch_size, world)
    options = _options(device, workers)
    return _read(
        DataLoader(
            Crops(data, root, seed, cache),
            batch_size=data.batch_size // world,
            sampler=ordinals,
            persistent_workers=options["num_workers"] > 0,
            **options,
        )
    )


def whole_images(
    images: WholeImages, device: torch.device, workers: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image and label, one at a time, in the order of their files."""
    return _read(DataLoader(images, batch_size=None, **_options(device, workers)))


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
