"""Training crops: which one stands where in the endless sequence depends on the seed alone."""

from __future__ import annotations

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
from rein.data.domain import Sample
from rein.data.selection import training_files
from rein.data.transforms import training_crop


class Crops(Dataset[tuple[Tensor, Tensor]]):
    """An endless sequence of crops over all sources; item `i` is the same however a run was cut or spread.

    The sources are one pool, each of whose images is seen once an epoch. With `data.weights` each source is a pool of
    its own, and which one a crop is of is drawn. `cache` is the folder of `data.cache`, by default a temporary one.
    """

    def __init__(self, data: Data, root: Path, seed: int, cache: Path | None = None) -> None:
        files = training_files(data, root)
        self.pools = files if data.weights else [list(chain.from_iterable(files))]
        self.data, self.seed = data, seed
        self.cache = prepare(cache) if data.cache else None
        self._turns = _Turns(data.weights or (1.0,), seed)
        self._orders: dict[int, tuple[int, Tensor]] = {}

    def __getitem__(self, ordinal: int) -> tuple[Tensor, Tensor]:
        image, label, _ = self._read(self.sample(ordinal), seeds.generator(self.seed, seeds.CROP, ordinal))
        return image, label

    def sample(self, ordinal: int) -> Sample:
        """The file that crop `ordinal` is cut from."""
        pool, turn = self._turns[ordinal]
        epoch, place = divmod(turn, len(self.pools[pool]))
        return self.pools[pool][int(self._order(pool, epoch)[place])]

    def _read(self, sample: Sample, generator: Generator) -> tuple[Tensor, Tensor, dict[int, int]]:
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
