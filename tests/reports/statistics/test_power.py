"""The power that the sentence states, against sweeps simulated on their own."""

from __future__ import annotations

import numpy as np
import pytest

from rein.reports.statistics import power, two_lines
from rein.reports.statistics.power import tent
from tests.reports.statistics.made_up_curves import FALLING, design, sweeps


@pytest.mark.parametrize(("points", "seeds", "noise"), [(9, 5, 1.0), (9, 3, 0.8), (5, 3, 0.5)])
def test_power_is_the_share_of_claims_over_a_tent(points: int, seeds: int, noise: float) -> None:
    x = design(points, seeds)
    claimed = two_lines(x, sweeps(FALLING["tent"], x, noise, 4000, seed=7)).claimed.mean()
    assert 0.3 < claimed < 0.98
    assert power(x, noise) == pytest.approx(claimed, abs=0.04)  # over twice the standard error of 1,000 draws


def test_power_grows_with_the_fall_and_the_seeds_and_shrinks_with_the_spread() -> None:
    x = design(9, 3)
    assert power(x, 0.8, drop=1) < power(x, 0.8) < power(x, 0.8, drop=3)
    assert power(x, 1.2) < power(x, 0.8) < power(design(9, 5), 0.8)
    assert power(x, 0) == 1 and power(x, 100) < 0.05


def test_the_truth_rises_to_the_middle_count_and_falls_to_the_largest() -> None:
    assert tent(np.array([4.0, 4, 5, 6, 9]), 2) == pytest.approx([-2, -2, -1, 0, -2])  # of four the upper middle
    assert tent(np.array([4.0, 5, 7]), 3) == pytest.approx([-3, 0, -3])
