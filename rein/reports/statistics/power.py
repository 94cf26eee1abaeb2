"""What the two-lines test would find: its power, by simulation, at a design and spread at hand."""

from __future__ import annotations

import numpy as np

from rein.reports.statistics.two_lines import two_lines

#: The fall in points that a sweep should be able to see.
DROP = 2.0


def power(x: np.ndarray, sd: float, drop: float = DROP, sweeps: int = 1000, seed: int = 0) -> float:
    """The share of simulated sweeps in which a rise and fall is claimed that is there.

    The truth is a tent over x = log10(parameters), one entry a run: straight up by `drop` from the smallest count to
    the middle one (of an even number the upper), straight down by `drop` to the largest. Runs scatter by `sd`, normal.
    A peak nearer to an end, or a fall that only sets in at the last count, is found less often.
    """
    noise = np.random.default_rng(seed).normal(0, sd, (len(x), sweeps))
    return float(two_lines(x, tent(x, drop)[:, None] + noise).claimed.mean())


def tent(x: np.ndarray, drop: float) -> np.ndarray:
    """0 at the middle place of x, -drop at both ends."""
    places = np.unique(x)
    middle = places[len(places) // 2]
    return -drop * np.where(x < middle, (middle - x) / (middle - places[0]), (x - middle) / (places[-1] - middle))
