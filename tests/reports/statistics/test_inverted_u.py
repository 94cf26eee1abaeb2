"""The whole test of an inverted U: what it asks for, and what it finds."""

from __future__ import annotations

import pytest

from rein.reports.statistics import inverted_u, power
from tests.reports.statistics.made_up_curves import SATURATING, design, sweeps


def test_a_clear_rise_and_fall() -> None:
    x = design(8, 5)
    found = inverted_u(x, sweeps(lambda x: 60 - 4 * (x - 6.2) ** 2, x, 0.1, 1)[:, 0])
    assert found.claimed
    assert (found.points, found.runs, found.seeds) == (8, 40, 5)
    assert (found.smallest, found.largest) == (5, 7)
    assert found.peak is not None
    assert found.peak.low < 6.2 < found.peak.high
    assert found.peak.high - found.peak.low < 0.2
    assert found.spread == pytest.approx(0.1, rel=0.3)
    assert found.power == power(x, found.spread) == 1


def test_a_quadratic_would_have_claimed_the_saturating_truth() -> None:
    """Why the vertex alone is no evidence: it lies inside the range of a curve that only saturates."""
    x = design(8, 3)
    found = inverted_u(x, sweeps(SATURATING["exponential"], x, 0.4, 1, seed=1)[:, 0])
    assert not found.claimed
    assert found.peak is not None and 5 < found.peak.vertex < 7


@pytest.mark.parametrize("x", [[], [5.0] * 9, [5.0, 6.0, 7.0] * 5, [5.0, 6.0, 7.0, 8.0] * 2])
def test_too_little_data_is_not_tested(x: list[float]) -> None:
    found = inverted_u(x, [float(i) for i in range(len(x))])
    assert found.below is None and found.peak is None and not found.claimed
    assert found.points == len(set(x)) and found.runs == len(x)
