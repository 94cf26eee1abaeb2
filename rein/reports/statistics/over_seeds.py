"""Two variants compared over the seeds that both were trained with."""

from __future__ import annotations

import math

import pandas as pd

from rein.reports.statistics.difference import Difference
from rein.reports.statistics.limits import ALPHA, MIN_SEEDS


def over_seeds(first: pd.Series, second: pd.Series) -> Difference:
    """Paired Student's t of values indexed by seed; tested from MIN_SEEDS shared seeds on.

    A seed sets the order of crops and the start of what is trained, so one seed's runs of two variants share part of
    their luck; only the same seed is paired, a seed that one lacks (or has as nan) is left out. The interval speaks of
    training anew, on the same images. Raises ValueError for a seed that occurs twice.
    """
    from scipy.special import stdtr, stdtrit

    for values in (first, second):
        if not values.index.is_unique:
            raise ValueError(f"seeds {values.index[values.index.duplicated()].unique().tolist()} occur more than once")
    first, second = first.dropna(), second.dropna()
    shared = first.index.intersection(second.index)
    differences = (first[shared] - second[shared]).to_numpy(float)
    n = len(differences)
    if n < MIN_SEEDS:
        return Difference(float(differences.mean()) if n else math.nan, n)
    mean, error = float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(n)
    half = float(stdtrit(n - 1, 1 - ALPHA / 2)) * error
    # Differences without any spread are certain, unless they are none.
    t = abs(mean) / error if error > 0 else math.inf if mean else 0.0
    return Difference(mean, n, mean - half, mean + half, float(2 * stdtr(n - 1, -t)))
