"""Paired comparison over shared seeds."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rein.reports.statistics import over_seeds


def test_it_is_the_paired_t_test() -> None:
    generator = np.random.default_rng(0)
    first, second = pd.Series(generator.normal(60, 1, 6)), pd.Series(generator.normal(59, 1, 6))
    found, known = over_seeds(first, second), stats.ttest_rel(first, second)
    interval = known.confidence_interval()
    assert found.value == pytest.approx((first - second).mean()) and found.n == 6
    assert (found.low, found.high, found.p) == pytest.approx((interval.low, interval.high, known.pvalue))


def test_only_the_same_seed_is_paired() -> None:
    first = pd.Series({0: 1.0, 1: 2.0, 2: 5.0, 7: 100.0})
    second = pd.Series({2: 3.0, 0: 0.5, 1: 1.0, 8: -100.0, 9: math.nan})
    found = over_seeds(first, second)
    assert found.n == 3 and found.value == pytest.approx((0.5 + 1 + 2) / 3)


def test_a_seed_without_a_value_is_none() -> None:
    found = over_seeds(pd.Series([1.0, 2.0, math.nan]), pd.Series([0.0, 0.0, 0.0]))
    assert (found.value, found.n, found.p) == (1.5, 2, None)


def test_with_two_shared_seeds_the_number_is_given_and_nothing_is_tested() -> None:
    found = over_seeds(pd.Series({0: 5.0, 1: 6.0}), pd.Series({0: 1.0, 1: 1.0, 2: 9.0}))
    assert found.value == 4.5 and found.n == 2
    assert found.p is found.low is found.high is None
    assert math.isnan(over_seeds(pd.Series({0: 5.0}), pd.Series({1: 5.0})).value)


def test_a_seed_that_occurs_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"seeds \[1\] occur more than once"):
        over_seeds(pd.Series([1.0, 2.0, 3.0], index=[0, 1, 1]), pd.Series([1.0, 2.0, 3.0]))


def test_differences_without_spread() -> None:
    same = pd.Series([1.0, 2.0, 3.0])
    assert over_seeds(same, same).p == 1
    assert over_seeds(same + 1, same).p == 0


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_covers_in_93_to_97_percent(seeds: int) -> None:
    """A seed's luck is shared by both variants, and each has some of its own."""
    generator = np.random.default_rng(0)
    covered = []
    for _ in range(2000):
        luck = generator.normal(60, 1, seeds)
        first, second = (pd.Series(luck + generator.normal(mean, 0.4, seeds)) for mean in (0.7, 0.0))
        found = over_seeds(first, second)
        assert found.low is not None and found.high is not None
        covered.append(found.low <= 0.7 <= found.high)
    assert 0.93 < np.mean(covered) < 0.97
