"""Fieller's interval of a vertex: what it holds, how often it covers, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rein.reports.statistics import peak
from rein.reports.statistics.peak import vertices
from tests.reports.statistics.made_up_curves import design, sweeps

TOP = 6.2


def parabola(x: np.ndarray) -> np.ndarray:
    return 60 - 2 * (x - TOP) ** 2


@pytest.mark.parametrize("noise", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("points", [5, 9, 12])
def test_the_interval_covers_in_93_to_97_percent(points: int, seeds: int, noise: float) -> None:
    x = design(points, seeds)
    vertex, low, high = vertices(x, sweeps(parabola, x, noise, 4000))
    given = ~np.isnan(vertex)
    assert given.mean() > 0.8
    assert 0.93 < ((low <= TOP) & (high >= TOP))[given].mean() < 0.97


def test_its_ends_are_where_the_slope_is_just_not_distinct_from_zero() -> None:
    x = np.repeat([4.0, 5.1, 5.5, 6.9, 7.2], [3, 4, 3, 5, 3])
    y = sweeps(parabola, x, 0.8, 1)[:, 0]
    found = peak(x, y)
    assert found is not None and found.low < found.vertex < found.high
    for end in (found.low, found.high):
        moved = np.stack([np.ones_like(x), x - end, (x - end) ** 2], axis=1)  # the slope at `end` is its second number
        fitted = np.linalg.lstsq(moved, y)[0]
        variance = ((y - moved @ fitted) ** 2).sum() / (len(x) - 3) * np.linalg.inv(moved.T @ moved)[1, 1]
        assert abs(fitted[1]) / np.sqrt(variance) == pytest.approx(stats.t.ppf(0.975, len(x) - 3))


def test_no_interval_where_the_curvature_is_not_clear() -> None:
    x = design(8, 3)
    vertex, low, high = vertices(x, sweeps(lambda x: 60 + x, x, 0.4, 2000))
    assert np.isnan(vertex).mean() > 0.95
    assert (np.isnan(vertex) == np.isnan(low)).all() and (np.isnan(vertex) == np.isnan(high)).all()
    assert peak(x, parabola(x) * -1) is None


def test_a_parabola_without_noise_has_its_vertex() -> None:
    x = design(5, 3)
    found = peak(x, parabola(x))
    assert found is not None
    assert (found.vertex, found.low, found.high) == pytest.approx((TOP, TOP, TOP), abs=1e-5)
