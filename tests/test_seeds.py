"""Random streams: each place of each stream has its own seed, the same in every process."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rein import seeds

PLACES = st.tuples(st.integers(0, 2**31), st.sampled_from((0, 1, 2, 3, 4)), st.integers(0, 2**40))


@given(PLACES, PLACES)
def test_two_places_share_a_seed_only_if_they_are_one(
    first: tuple[int, int, int], second: tuple[int, int, int]
) -> None:
    assert (seeds.derive(*first) == seeds.derive(*second)) == (first == second)


@given(PLACES)
def test_a_seed_fits_torch(place: tuple[int, int, int]) -> None:
    assert 0 <= seeds.derive(*place) < 2**63


def test_purposes_are_streams_of_their_own() -> None:
    assert len({seeds.BACKBONE, seeds.HEAD, seeds.ORDER, seeds.CROP, seeds.STEP}) == 5


def test_seeds_are_the_same_for_ever() -> None:
    # Of position 0 it is SeedSequence's own state, by numpy's documented, versioned algorithm; other values would
    # change every finished run.
    assert seeds.derive(0, 1) == int(np.random.SeedSequence((0, 1, 0)).generate_state(1, np.uint64)[0] >> 1)
    assert (seeds.derive(0, 1), seeds.derive(0, 1, 2)) == (2918264622725855778, 1535930432801814820)


def test_no_two_positions_of_a_stream_draw_alike_on_the_cpu() -> None:
    # torch's CPU generator, a Mersenne Twister, is seeded by the low 32 bits alone.
    draws = [torch.rand(2, generator=torch.Generator().manual_seed(5 + high)) for high in (0, 2**32)]
    assert torch.equal(*draws)
    low = {seeds.derive(3, seeds.CROP, position) % 2**32 for position in range(20_000)}
    assert len(low) == 20_000


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_the_low_bits_are_a_permutation_of_the_positions(first: int, second: int) -> None:
    low = [seeds.derive(7, seeds.CROP, position) % 2**32 for position in (first, second)]
    assert (low[0] == low[1]) == (first == second)


def test_the_seeds_of_neighbouring_positions_differ_in_half_of_the_bits() -> None:
    low = np.array([seeds.derive(0, seeds.CROP, position) % 2**32 for position in range(2_000)], np.uint32)
    flipped = [(int(a) ^ int(b)).bit_count() for a, b in itertools.pairwise(low)]
    assert np.mean(flipped) == pytest.approx(16, abs=0.3)  # standard error: sqrt(8 / 2000) = 0.06


def test_a_generator_draws_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = torch.rand(4, generator=seeds.generator(0, seeds.CROP, 7))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, torch.rand(4, generator=seeds.generator(0, seeds.CROP, 7)))
    assert not torch.equal(first, torch.rand(4, generator=seeds.generator(0, seeds.CROP, 8)))
