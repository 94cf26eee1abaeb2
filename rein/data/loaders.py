"""Batches of training crops, and whole images to score on, through loader processes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from rein.config import ConfigError, Data
from rein.data.crops import Crops
from rein.data.dataset import Item, WholeImages
from rein.data.domain import DataError
from rein.data.remarks import Remark


class Batch(NamedTuple):
    """uint8 images (B, 3, C, C), int64 train ids (B, C, C), and what there is to say of their files."""

    images: Tensor
    labels: Tensor
    remarks: Sequence[Remark]


def training_batches(
    data: Data,
    root: Path,
    seed: int,
    steps: range,
    device: torch.device,
    workers: int | None = None,
    shard: tuple[int, int] = (0, 1),
    cache: Path | None = None,
) -> Iterator[Batch]:
    """The training crops for a range of steps.

    `shard` is (rank, world): of every batch a rank gets the rows rank::world, so B is `data.batch_size` / world.
    Raises ConfigError where that is no whole number. `cache` is the folder of `data.cache`.
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
            collate_fn=_collate,
            persistent_workers=options["num_workers"] > 0,
            **options,
        )
    )


def whole_images(
    images: WholeImages, device: torch.device, workers: int | None = None, only: Sequence[int] | None = None
) -> Iterator[Item]:
    """Every image and label, or those at the places `only`, one at a time, in the order of their files."""
    return _read(DataLoader(images, batch_size=None, sampler=only, **_options(device, workers)))


def _collate(crops: Sequence[Item]) -> Batch:
    images, labels = default_collate([(crop.image, crop.label) for crop in crops])
    return Batch(images, labels, tuple(chain.from_iterable(crop.remarks for crop in crops)))


def loader_processes(device: torch.device, workers: int | None) -> int:
    """As many as were asked for, else four beside a GPU and none on the CPU."""
    return workers if workers is not None else 4 if device.type == "cuda" else 0


def _options(device: torch.device, workers: int | None) -> dict[str, Any]:
    return {
        "num_workers": loader_processes(device, workers),
        "pin_memory": device.type == "cuda",
        "worker_init_fn": _outlive_signals,
    }


def _outlive_signals(worker: int) -> None:
    """Leave Ctrl-C and the signals of a batch system, which reach a whole group of processes, to the one that trains.

    It needs its loader processes until it has written a checkpoint. They end when it says so, and with it, for torch
    has them watch whether it lives.
    """
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_at_the_parents_word, daemon=True).start()


def _end_at_the_parents_word() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass  # of somebody else, who means the parent
    os._exit(0)


def _read(loader: DataLoader[Any]) -> Iterator[Any]:
    try:
        yield from loader
    except DataError as error:
        # From a loader process it comes as the text of a whole traceback, with the message at its end.
        kind = type(error)
        raise kind(str(error).rpartition(f"{kind.__module__}.{kind.__name__}: ")[2].strip()) from None
