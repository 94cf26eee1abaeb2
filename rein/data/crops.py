"""Training crops: which one stands where in the endless sequence depends on the seed alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset

from rein import seeds
from rein.config import Data
from rein.data.cache import cached_pair, prepare
from rein.data.cropping import read_crop
from rein.data.dataset import Item, left_out
from rein.data.domain import DataError, Sample
from rein.data.remarks import Remark, unknown_ids
from rein.data.selection import training_files
from rein.data.transforms import training_crop
from rein.data.unknown import Unknown

#: Unreadable images in a row after which `data.on_error: skip` gives up: not some files are bad then, but all.
MOST_SKIPPED = 100


class Crops(Dataset[Item]):
    """An endless sequence of crops over all sources; item `i` is the same however a run was cut or spread.

    The sources are one pool, each of whose images is seen once an epoch. With `data.weights` each source is a pool of
    its own, and which one a crop is of is drawn. An image that cannot be used raises DataError, or gives way to the
    next one of its epoch where `data.on_error` is `skip`. `cache` is the folder of `data.cache`, by default a temporary
    one.
    """

    def __init__(self, data: Data, root: Path, seed: int, cache: Path | None = None) -> None:
        files = training_files(data, root)
        self.pools = files if data.weights else [list(chain.from_iterable(files))]
        self.data, self.seed = data, seed
        self.cache = prepare(cache) if data.cache else None
        self._turns = _Turns(data.weights or (1.0,), seed)
        self._orders: dict[int, tuple[int, Tensor]] = {}

    def __getitem__(self, ordinal: int) -> Item:
        remarks: list[Remark] = []
        for sample in self.candidates(ordinal):
            generator = seeds.generator(self.seed, seeds.CROP, ordinal)
            try:
                image, label, unknown = self._read(sample, generator)
            except DataError as error:
                remarks.append(left_out(sample, error, self.data))
                continue
            return Item(image, label, (*remarks, *unknown_ids(sample.label, unknown)))
        raise DataError(
            f"{remarks[0].text}; {len(remarks)} images in a row cannot be used: `rein check` lists them all"
        )

    def candidates(self, ordinal: int) -> Iterator[Sample]:
        """The file that crop `ordinal` is cut from, then those that stand in for it, in the epoch's order."""
        pool, turn = self._turns[ordinal]
        files = self.pools[pool]
        epoch, place = divmod(turn, len(files))
        for further in range(min(MOST_SKIPPED, len(files))):
            yield files[int(self._order(pool, epoch)[(place + further) % len(files)])]

    def _read(self, sample: Sample, generator: Generator) -> tuple[Tensor, Tensor, Unknown]:
        if self.cache is None:
            return read_crop(sample, self.data, generator)
        image, label, unknown = cached_pair(sample, self.data, self.cache)
        return *training_crop(image, label, self.data, generator), unknown

    def _order(self, pool: int, epoch: int) -> Tensor:
        if pool not in self._orders or self._orders[pool][0] != epoch:
            generator = seeds.generator(self.seed, seeds.ORDER, epoch * len(self.pools) + pool)
            self._orders[pool] = epoch, torch.randperm(len(self.pools[pool]), generator=generator)
        return self._orders[pool][1]


class _Turns:
    """For every ordinal: the pool that its turn falls to, and how many turns that pool had before."""

    def __init__(self, weights: tuple[float, ...], seed: int) -> None:
        self.bounds = np.cumsum(weights) / sum(weights)
        self.seed = seed
        self.pools, self.before = np.zeros(0, np.int64), np.zeros(0, np.int64)

    def __getitem__(self, ordinal: int) -> tuple[int, int]:
        if len(self.bounds) == 1:
            return 0, ordinal
        if ordinal >= len(self.pools):
            self._draw(max(1024, 2 * ordinal))
        return int(self.pools[ordinal]), int(self.before[ordinal])

    def _draw(self, number: int) -> None:
        # Of one generator the first draws are the same however many follow.
        draws = np.random.default_rng(seeds.derive(self.seed, seeds.SOURCE)).random(number)
        self.pools = np.minimum(np.searchsorted(self.bounds, draws, side="right"), len(self.bounds) - 1)
        self.before = np.zeros(number, np.int64)
        for pool in range(len(self.bounds)):
            mine = self.pools == pool
            self.before[mine] = np.arange(mine.sum())
