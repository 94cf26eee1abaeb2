"""Random streams: each place of each stream has its own seed, the same in every process."""

from __future__ import annotations

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
    # SeedSequence((0, 1, 2)) by numpy's documented, versioned algorithm; another value would change every finished run.
    assert seeds.derive(0, 1, 2) == 1535930435702422785


def test_a_generator_draws_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = torch.rand(4, generator=seeds.generator(0, seeds.CROP, 7))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, torch.rand(4, generator=seeds.generator(0, seeds.CROP, 7)))
    assert not torch.equal(first, torch.rand(4, generator=seeds.generator(0, seeds.CROP, 8)))
