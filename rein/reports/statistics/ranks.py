"""Ranks of variants over domains (Demšar 2006, Statistical comparisons of classifiers over multiple data sets)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from rein.reports.statistics.limits import ALPHA


@dataclass(frozen=True)
class Ranking:
    """Average ranks, and which of them the domains can tell apart."""

    #: Variant to average rank, best (1) first; ties share the mean of their ranks.
    ranks: pd.Series
    #: The domains that count: those on which every variant is scored.
    blocks: tuple[str, ...]
    #: Friedman's test that all variants rank alike.
    p: float
    #: Average ranks that differ by more are told apart (Nemenyi).
    critical_difference: float
    #: The bars of the diagram: maximal groups of two variants or more that are not told apart, best first.
    groups: tuple[tuple[str, ...], ...]


def over_shared_seeds(scores: Mapping[str, pd.DataFrame]) -> tuple[pd.DataFrame, list[int]]:
    """What `ranking` takes, means over the seeds that all variants have, and those seeds.

    Of every variant come its scores, a row a seed and a column a domain; a seed that lacks one (nan) is left out. Over
    unlike seeds a variant could rank high by its luck, or by one seed more. Where none is shared all means are nan.
    """
    whole = {name: one.dropna() for name, one in scores.items()}
    seeds = sorted(set.intersection(*({*one.index} for one in whole.values()))) if whole else []
    return pd.DataFrame({name: one.loc[seeds].mean() for name, one in whole.items()}), seeds


def ranking(scores: pd.DataFrame) -> Ranking:
    """Rank variants (columns) by their scores, higher is better, on every domain (rows), as `over_shared_seeds`.

    A block is a domain, not a domain and seed. The seeds of a domain meet the same images and the same shift, and
    mostly repeat one order of the variants; counted as blocks they would pass for new domains. What the test knows of a
    few domains is little: with 3 of them and 4 variants even one same order everywhere is told apart only between best
    and worst. Nor are domains quite independent, since the same nets are scored on all.

    p is of Friedman's chi-square, not of the sharper F of Iman and Davenport: where nothing differs, that one finds
    something in 17 to 19 % of cases with 3 variants on 2 or 3 domains.

    Rows with a nan are left out. Raises ValueError for fewer than two variants or blocks.
    """
    from scipy.stats import chi2

    scores = scores.dropna()
    n, k = scores.shape
    if n < 2 or k < 2:
        raise ValueError(f"{k} variants on {n} domains cannot be ranked against each other: two of each are needed")
    ranks = scores.rank(axis=1, ascending=False).mean().sort_values(kind="stable")
    statistic = 12 * n / (k * (k + 1)) * float(((ranks - (k + 1) / 2) ** 2).sum())
    cd = critical_difference(k, n)
    return Ranking(ranks, tuple(map(str, scores.index)), float(chi2.sf(statistic, k - 1)), cd, groups(ranks, cd))


def critical_difference(variants: int, blocks: int) -> float:
    """Nemenyi: q sqrt(k (k + 1) / 6 N), q the studentized range at ALPHA over the square root of 2."""
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - ALPHA, variants, math.inf)) / math.sqrt(2)
    return q * math.sqrt(variants * (variants + 1) / (6 * blocks))


def groups(ranks: pd.Series, difference: float) -> tuple[tuple[str, ...], ...]:
    """Maximal runs of variants, in the order of their ranks, whose ranks span no more than `difference`."""
    ranks = ranks.sort_values(kind="stable")
    ends = [int((ranks <= first + difference + 1e-9).sum()) for first in ranks]
    found = []
    for start, end in enumerate(ends):
        if end - start > 1 and (start == 0 or end > ends[start - 1]):
            found.append(tuple(map(str, ranks.index[start:end])))
    return tuple(found)
