"""Mean, spread and number of runs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd


def summarise(frame: pd.DataFrame, by: Sequence[str], value: str = "value") -> pd.DataFrame:
    """Mean, sample standard deviation (nan for one seed) and n of `value` in every group, in order of appearance."""
    groups = frame.dropna(subset=[value]).groupby(list(by), sort=False, dropna=False)[value]
    return groups.agg(mean="mean", sd="std", n="count").reset_index()
