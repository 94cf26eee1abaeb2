"""Simonsohn's two-lines test (doi 10.1177/2515245918805755): a line below a break rises, a line above it falls.

Everything here takes many sweeps of one design at once, one a column of y, so that its power can be simulated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rein.reports.statistics.limits import ALPHA

#: Level of each of the two lines. The break is chosen on the same runs, so that the line above it tends to begin with
#: the highest mean, which falls off by itself: at level 0.05 a curve that only saturates is claimed to fall in 6 to 9 %
#: of simulated sweeps where it goes flat at once (9 points, 5 seeds). At half of it the worst shape, a single step, is
#: claimed in 2, 4 and 5 % at 5, 9 and 12 points, and in 6 % at 20; a gradual one in 0 to 2 % at 9.
LINE_ALPHA = ALPHA / 2


@dataclass(frozen=True)
class Lines:
    """Ordinary least squares lines with HC3 standard errors, which allow points of unequal spread; each (sweeps,)."""

    slope: np.ndarray
    #: Slope by standard error, kept within a million.
    z: np.ndarray
    #: Two-sided, from Student's t with n - 2 degrees of freedom.
    p: np.ndarray


@dataclass(frozen=True)
class TwoLines:
    """The lines below and above a break; the runs at the break belong to both, as in Simonsohn's own procedure."""

    #: Of shape (sweeps,), as all arrays here.
    break_at: np.ndarray
    below: Lines
    above: Lines

    @property
    def claimed(self) -> np.ndarray:
        """True only for a significant rise followed by a significant fall."""
        turns = (self.below.slope > 0) & (self.above.slope < 0)
        return turns & (np.maximum(self.below.p, self.above.p) < LINE_ALPHA)


def two_lines(x: np.ndarray, y: np.ndarray) -> TwoLines:
    """The test on every column of y, of shape (runs, sweeps), over x, of shape (runs,), at 4 places or more.

    The break lies within the flat top, moved towards the stronger line so that the weaker one gets more runs: it
    starts at the top's middle, and ends at the share |z above| / (|z below| + |z above|) of it ("Robin Hood").
    """
    places = np.unique(x)
    breaks = places[1:-1]  # an end cannot be the break: no line would be left on its outer side
    below = [line(x[x <= place], y[x <= place]) for place in breaks]
    above = [line(x[x >= place], y[x >= place]) for place in breaks]
    first, last = flat_top(x, y)
    middle = first + (last - first + 1) // 2
    lower, upper = (abs(_taken(lines, middle).z) for lines in (below, above))
    share = np.divide(upper, lower + upper, out=np.zeros_like(upper), where=lower + upper > 0)
    at = first + np.rint(share * (last - first)).astype(int)
    return TwoLines(breaks[at], _taken(below, at), _taken(above, at))


def flat_top(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last of the neighbouring inner places whose mean is within one standard error of the highest mean.

    They count from the second place of x on; each is of shape (sweeps,). Simonsohn smooths with a spline; with several
    seeds at each of a few points the means themselves are the better curve.
    """
    places, place, sizes = np.unique(x, return_inverse=True, return_counts=True)
    means = (place == np.arange(len(places))[:, None]) @ y / sizes[:, None]  # (places, sweeps)
    pooled = spread(x, y)
    inner = means[1:-1]
    top = inner.argmax(0)
    error = pooled / np.sqrt(sizes[1:-1][top])
    lower = inner < inner.max(0) - error
    at = np.arange(len(inner))[:, None]
    first = np.where(lower & (at < top), at, -1).max(0) + 1
    last = np.where(lower & (at > top), at, len(inner)).min(0) - 1
    return first, last


def spread(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The standard deviation between seeds, pooled over places, of every column of y; of shape (sweeps,)."""
    places, place, sizes = np.unique(x, return_inverse=True, return_counts=True)
    means = (place == np.arange(len(places))[:, None]) @ y / sizes[:, None]
    return np.sqrt(((y - means[place]) ** 2).sum(0) / max(len(y) - len(places), 1))


def line(x: np.ndarray, y: np.ndarray) -> Lines:
    """One line through the runs of every column of y, of shape (runs, sweeps)."""
    from scipy.special import stdtr

    centred = x - x.mean()
    extent = (centred**2).sum()
    slope = centred @ y / extent
    residuals = y - y.mean(0) - np.outer(centred, slope)
    leverage = 1 / len(x) + centred**2 / extent
    left = np.maximum(1 - leverage, 1e-9)  # a line through two runs leaves nothing
    error = np.sqrt((centred / left) ** 2 @ residuals**2) / extent
    # Runs without any spread have no error; their slope is then certain unless it is zero.
    certain = np.where(abs(slope) > 1e-12, np.copysign(np.inf, slope), 0.0)
    z = np.divide(slope, error, out=certain, where=error > 0)
    return Lines(slope, z.clip(-1e6, 1e6), 2 * stdtr(len(x) - 2, -abs(z)))


def _taken(lines: list[Lines], at: np.ndarray) -> Lines:
    """Of every sweep the line at its own place in the list."""
    sweeps = np.arange(len(at))
    slope, z, p = (np.stack([getattr(one, name) for one in lines])[at, sweeps] for name in ("slope", "z", "p"))
    return Lines(slope, z, p)
