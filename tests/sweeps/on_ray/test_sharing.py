"""What a share of a GPU leaves for tensors."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rein.sweeps.on_ray.sharing import for_tensors
from rein.sweeps.resources import CONTEXT_MIB


@given(runs=st.integers(2, 10), total=st.integers(16_000, 200_000))
def test_the_runs_of_a_gpu_fit_on_it_with_their_contexts(runs: int, total: int) -> None:
    assert runs * (for_tensors(1 / runs, total) * total + CONTEXT_MIB) <= total * (1 + 1e-9)


def test_a_share_smaller_than_a_context_keeps_something() -> None:
    assert for_tensors(0.1, 2_000) == 0.05
