"""Which crop stands where: a function of the config, the seed and the place alone, for every worker, rank and start."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from torch import Tensor
from torch.utils.data import DataLoader

from rein import seeds
from rein.config import ConfigError, Data
from rein.data.cropping import read_crop
from rein.data.crops import Crops, _Turns
from rein.data.domain import Sample
from rein.data.domains import find
from rein.data.label_tables import TRAIN_IDS
from rein.data.listing import samples
from rein.data.loaders import Batch, training_batches

DATA = Data(sources=("toy-game",), crop_size=32, batch_size=4)
IMAGES = 7


def batches(root: Path, steps: range, workers: int = 0, shard: tuple[int, int] = (0, 1)) -> list[Batch]:
    return list(training_batches(DATA, root, 3, steps, torch.device("cpu"), workers, shard))


def same(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> bool:
    return torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def made_up(sizes: list[int], weights: tuple[float, ...] | None = None, seed: int = 0) -> Crops:
    """Crops of sources that have only names."""
    crops = Crops.__new__(Crops)
    crops.data, crops.seed, crops.cache = DATA, seed, None
    crops.pools = [
        [Sample(Path(f"{source}/{i}"), Path("x"), TRAIN_IDS) for i in range(n)] for source, n in enumerate(sizes)
    ]
    crops._turns, crops._orders = _Turns(weights or (1.0,), seed), {}
    return crops


def file_of(crops: Crops, ordinal: int) -> str:
    return str(next(crops.candidates(ordinal)).image)


# ------------------------------------------------------------------------------------------------ one place, one crop


def test_a_crop_is_drawn_from_its_own_place_of_the_streams(toy_data: Path) -> None:
    train = samples(find("toy-game"), "train", toy_data)
    order = torch.randperm(IMAGES, generator=seeds.generator(5, seeds.ORDER, 1))
    expected = read_crop(train[int(order[2])], DATA, seeds.generator(5, seeds.CROP, 9))
    assert same(Crops(DATA, toy_data, 5)[9], expected[:2])


@given(st.lists(st.integers(0, 60), min_size=1, max_size=20))
def test_the_order_of_asking_changes_nothing(ordinals: list[int]) -> None:
    fresh, asked = made_up([5, 3], (2.0, 1.0)), made_up([5, 3], (2.0, 1.0))
    for ordinal in ordinals:
        file_of(asked, ordinal)
    assert [file_of(asked, ordinal) for ordinal in ordinals] == [
        file_of(made_up([5, 3], (2.0, 1.0)), ordinal) for ordinal in ordinals
    ]
    assert file_of(asked, 7) == file_of(fresh, 7)


def test_the_same_images_are_cut_elsewhere_in_every_epoch(toy_data: Path) -> None:
    crops = Crops(replace(DATA, photometric=False), toy_data, 0)
    assert len({crops[ordinal][0].numpy().tobytes() for ordinal in range(2 * IMAGES)}) == 2 * IMAGES


def test_the_global_random_states_are_neither_read_nor_moved(toy_data: Path) -> None:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)  # that it is left alone cannot be seen here: beartype, which checks the tests, draws from it
        before = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
        found.append(Crops(replace(DATA, augmentation="pasta"), toy_data, 0)[3])
        assert torch.equal(before[0], torch.get_rng_state()) and before[1] == str(np.random.get_state())  # noqa: NPY002
    assert same(*found)


def test_no_two_places_of_a_run_draw_alike() -> None:
    """Every crop's CPU generator starts from a state of its own."""
    starts = [seeds.derive(0, seeds.CROP, place) % 2**32 for place in range(0, 160_000, 16)]
    assert len(set(starts)) == len(starts)
    draws = {
        float(torch.rand((), generator=seeds.generator(0, seeds.CROP, i), dtype=torch.float64)) for i in range(2000)
    }
    assert len(draws) == 2000


def test_epochs_and_sources_have_orders_of_their_own() -> None:
    crops = made_up([40, 40], (1.0, 1.0))
    orders = [tuple(crops._order(pool, epoch).tolist()) for epoch, pool in product(range(10), range(2))]
    assert len(set(orders)) == 20


# ------------------------------------------------------------------------------------------------ workers and ranks


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_nothing(toy_data: Path, workers: int) -> None:
    pairs = zip(batches(toy_data, range(3)), batches(toy_data, range(3), workers), strict=True)
    assert all(same(*pair) for pair in pairs)


@pytest.mark.parametrize("world", [1, 2, 4])
def test_the_ranks_share_every_batch_row_by_row(toy_data: Path, world: int) -> None:
    whole = batches(toy_data, range(2, 4))
    ranks = [batches(toy_data, range(2, 4), shard=(rank, world)) for rank in range(world)]
    for step, batch in enumerate(whole):
        for rank in range(world):
            part = ranks[rank][step]
            assert len(part.images) == 4 // world
            assert same(part, (batch.images[rank::world], batch.labels[rank::world]))


def test_a_rank_that_resumes_goes_on_as_it_would_have(toy_data: Path) -> None:
    uncut = batches(toy_data, range(4), shard=(1, 2))
    resumed = batches(toy_data, range(3), shard=(1, 2)) + batches(toy_data, range(3, 4), workers=1, shard=(1, 2))
    assert all(same(*pair) for pair in zip(uncut, resumed, strict=True))


@pytest.mark.parametrize("shard", [(0, 3), (2, 2), (-1, 2), (0, 0), (0, 8)])
def test_ranks_that_cannot_share_a_batch_are_refused(toy_data: Path, shard: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=r"data\.batch_size is 4 for rank"):
        batches(toy_data, range(1), shard=shard)


@pytest.mark.slow
def test_however_processes_are_started_the_crops_are_the_same(toy_data: Path, tmp_path: Path) -> None:
    data = replace(DATA, cache=48)
    crops = Crops(data, toy_data, 0, tmp_path)
    found = {
        start: list(DataLoader(crops, batch_size=None, sampler=range(4), num_workers=1, multiprocessing_context=start))
        for start in ("fork", "spawn")
    }
    for ordinal in range(4):
        assert same(found["fork"][ordinal][:2], found["spawn"][ordinal][:2])
        assert same(found["fork"][ordinal][:2], crops[ordinal][:2])


# ------------------------------------------------------------------------------------------------ several sources


def test_without_weights_the_sources_are_one_pool_each_image_once_an_epoch() -> None:
    crops = made_up([0])
    crops.pools = [[*made_up([30]).pools[0], *made_up([0, 6]).pools[1]]]
    for epoch in range(3):
        seen = [file_of(crops, ordinal) for ordinal in range(36 * epoch, 36 * epoch + 36)]
        assert sorted(seen) == sorted(str(sample.image) for sample in crops.pools[0])


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.integers(1, 12), st.floats(0.05, 20)), min_size=2, max_size=4),
    st.integers(0, 2**31),
)
def test_weighted_sources_come_as_often_as_stated_and_go_by_epochs_of_their_own(
    sources: list[tuple[int, float]], seed: int
) -> None:
    sizes, weights = [size for size, _ in sources], tuple(weight for _, weight in sources)
    crops, number = made_up(sizes, weights, seed), 1_000
    seen = [file_of(crops, ordinal) for ordinal in range(number)]
    for source, size in enumerate(sizes):
        mine = [name for name in seen if name.startswith(f"{source}/")]
        share = weights[source] / sum(weights)
        # One in a thousand million by chance, were the draws as stated.
        low, high = binom.ppf([5e-10, 1 - 5e-10], number, share)
        assert low <= len(mine) <= high
        for start in range(0, len(mine) - size + 1, size):
            assert len(set(mine[start : start + size])) == size
        counts = Counter(mine)
        assert max(counts.values(), default=0) - min((counts[f"{source}/{i}"] for i in range(size)), default=0) <= 1


def test_weights_are_relative() -> None:
    one, other = made_up([5, 5], (1.0, 3.0)), made_up([5, 5], (0.25, 0.75))
    assert [file_of(one, i) for i in range(200)] == [file_of(other, i) for i in range(200)]


def test_a_late_start_has_the_places_of_an_early_one() -> None:
    late, early = made_up([5, 3], (2.0, 1.0)), made_up([5, 3], (2.0, 1.0))
    last = file_of(late, 5_000)  # asked for first
    names = [file_of(early, ordinal) for ordinal in range(5_001)]
    assert names[-1] == last
    assert [file_of(late, ordinal) for ordinal in range(0, 5_001, 50)] == names[::50]


def test_weights_make_pools_of_the_sources(toy_data: Path) -> None:
    twice = Data(sources=("toy-game", "toy-game"), crop_size=32)
    assert [len(pool) for pool in Crops(twice, toy_data, 0).pools] == [2 * IMAGES]
    assert [len(pool) for pool in Crops(replace(twice, weights=(1.0, 2.0)), toy_data, 0).pools] == [IMAGES, IMAGES]
