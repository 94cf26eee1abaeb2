"""Ranks over domains against the worked example and the table of Demšar 2006."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rein.reports.statistics import critical_difference, over_shared_seeds, ranking
from rein.reports.statistics.ranks import groups

#: Table 6: AUC of C4.5 and three variants on 14 data sets. Of the two 0.975 it ranks the first higher, by digits that
#: it does not print.
DEMSAR = pd.DataFrame(
    [
        (0.763, 0.768, 0.771, 0.798), (0.599, 0.591, 0.590, 0.569), (0.954, 0.971, 0.968, 0.967),
        (0.628, 0.661, 0.654, 0.657), (0.882, 0.888, 0.886, 0.898), (0.936, 0.931, 0.916, 0.931),
        (0.661, 0.668, 0.609, 0.685), (0.583, 0.583, 0.563, 0.625), (0.775, 0.838, 0.866, 0.875),
        (1.000, 1.000, 1.000, 1.000), (0.940, 0.962, 0.965, 0.962), (0.619, 0.666, 0.614, 0.669),
        (0.972, 0.981, 0.97501, 0.975), (0.957, 0.978, 0.946, 0.970),
    ],
    columns=["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"],
)  # fmt: skip


def test_the_worked_example() -> None:
    found = ranking(DEMSAR)
    assert found.ranks.index.tolist() == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    assert found.ranks.tolist() == pytest.approx([1.964, 2.000, 2.893, 3.143], abs=5e-4)
    assert stats.chi2.isf(found.p, 3) == pytest.approx(9.28, abs=0.01)
    assert found.critical_difference == pytest.approx(1.25, abs=5e-3)
    assert len(found.blocks) == 14


@pytest.mark.parametrize(
    ("variants", "q"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)],
)
def test_critical_values_are_those_of_the_table(variants: int, q: float) -> None:
    known = q * math.sqrt(variants * (variants + 1) / (6 * 30))
    assert critical_difference(variants, 30) == pytest.approx(known, rel=3e-4)


def test_friedmans_test_is_that_of_scipy_where_nothing_ties() -> None:
    scores = pd.DataFrame(np.random.default_rng(0).normal(size=(6, 4)), columns=list("abcd"))
    known = stats.friedmanchisquare(*(scores[name] for name in scores))
    assert ranking(scores).p == pytest.approx(known.pvalue)


def test_bars_join_what_is_not_told_apart() -> None:
    ranks = pd.Series({"c": 2.6, "a": 1.0, "b": 1.9, "e": 5.0, "d": 2.7})
    assert groups(ranks, 1.0) == (("a", "b"), ("b", "c", "d"))
    assert groups(ranks, 0.05) == ()
    assert groups(ranks, 9.0) == (("a", "b", "c", "d", "e"),)


def test_three_domains_tell_only_best_from_worst() -> None:
    order = pd.DataFrame([[4.0, 3, 2, 1]] * 3, columns=list("abcd"))
    found = ranking(order)
    assert found.ranks.to_dict() == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert found.groups == (("a", "b", "c"), ("b", "c", "d"))


def test_a_domain_that_a_variant_lacks_is_no_block() -> None:
    scores = pd.DataFrame({"a": [1.0, 2, 3], "b": [2.0, 1, math.nan]}, index=["city", "night", "fog"])
    found = ranking(scores)
    assert found.blocks == ("city", "night")
    assert found.ranks.tolist() == [1.5, 1.5] and found.p == pytest.approx(1)


def test_means_are_over_the_seeds_that_all_variants_have() -> None:
    a = pd.DataFrame({"city": [1.0, 3, 9], "night": [2.0, 4, 9]}, index=[0, 1, 2])
    b = pd.DataFrame({"city": [5.0, 1, 3], "night": [math.nan, 2, 6]}, index=[2, 1, 0])
    means, seeds = over_shared_seeds({"a": a, "b": b})
    assert seeds == [0, 1]
    assert means.to_dict() == {"a": {"city": 2, "night": 3}, "b": {"city": 2, "night": 4}}
    means, seeds = over_shared_seeds({"a": a, "b": b[:1]})
    assert seeds == [] and means.isna().all(axis=None)


@pytest.mark.parametrize("scores", [{"a": [1.0, 2.0]}, {"a": [1.0], "b": [2.0]}, {"a": [1.0, 2], "b": [1.0, math.nan]}])
def test_nothing_to_rank_is_refused(scores: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="two of each are needed"):
        ranking(pd.DataFrame(scores))
