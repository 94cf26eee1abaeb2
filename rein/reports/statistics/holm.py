"""Many comparisons, one table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(ps: Sequence[float] | np.ndarray) -> np.ndarray:
    """Holm's step-down correction: with it the chance of any false claim among them is at most the level asked for.

    The i-th smallest of m is multiplied by m - i + 1, is at least the one before it and at most 1. A nan, where nothing
    was tested, stays nan and does not count: no claim can come of it.
    """
    ps = np.asarray(ps, dtype=float)
    corrected = np.full(ps.shape, np.nan)
    order = ps.argsort()[: np.isfinite(ps).sum()]  # nan sorts last
    steps = ps[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.maximum.accumulate(steps).clip(max=1)
    return corrected
