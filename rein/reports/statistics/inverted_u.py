"""The test behind the word "inverted U".

The claim comes from Simonsohn's two-lines test: a line below a break rises, a line above it falls, both significantly.
A quadratic fit is no such test, since a curve that merely saturates is concave too; its vertex only says where the peak
of a claimed inverted U lies.

What the test cannot know: runs count as independent. Where every point is off the trend for reasons of its own, as
unlike methods are, all seeds repeat that offset; with offsets as large as the noise between seeds (9 points, 5 seeds,
no trend) a rise and fall is claimed in 12 % of simulated sweeps, with twice that in 24 %, without any in under 1 %. Of
3 seeds at 8 points it is 5, 12 and under 1 %: more seeds do not help against it. On a curve that saturates it is more:
`figures.one_axis.caveat` says how much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rein.reports.statistics.limits import MIN_SEEDS
from rein.reports.statistics.peak import Peak, peak
from rein.reports.statistics.power import power
from rein.reports.statistics.two_lines import LINE_ALPHA, Lines, spread, two_lines

#: With fewer distinct parameter counts nothing is tested.
MIN_POINTS = 4


@dataclass(frozen=True)
class Line:
    """One of the two lines; its slope is in units of y for every tenfold increase of the parameters."""

    slope: float
    p: float


@dataclass(frozen=True)
class InvertedU:
    """What the two-lines test found."""

    points: int
    runs: int
    #: Fewest seeds at any point.
    seeds: int
    #: log10(parameters) of the break; None where nothing was tested.
    break_at: float | None = None
    below: Line | None = None
    above: Line | None = None
    peak: Peak | None = None
    #: True only for a significant rise followed by a significant fall.
    claimed: bool = False
    #: Standard deviation between the seeds of a point, pooled over points.
    spread: float = math.nan
    #: The chance that a fall of `power.DROP` points is claimed with this design and spread.
    power: float = math.nan
    #: log10(parameters) of the first and last point.
    smallest: float = math.nan
    largest: float = math.nan

    @property
    def rises(self) -> bool:
        """Whether the line below the break rises, by its own test."""
        return self.below is not None and self.below.slope > 0 and self.below.p < LINE_ALPHA

    @property
    def falls(self) -> bool:
        """Whether the line above the break falls, by its own test."""
        return self.above is not None and self.above.slope < 0 and self.above.p < LINE_ALPHA


def inverted_u(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> InvertedU:
    """Test whether y rises and then falls over x = log10(parameters); one entry a run (point and seed)."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    places, sizes = np.unique(x, return_counts=True)
    found = InvertedU(len(places), len(x), int(sizes.min()) if len(sizes) else 0)
    if found.points < MIN_POINTS or found.seeds < MIN_SEEDS:
        return found
    tested = two_lines(x, y[:, None])
    sd = float(spread(x, y[:, None])[0])
    return replace(
        found,
        break_at=float(tested.break_at[0]),
        below=_first(tested.below),
        above=_first(tested.above),
        peak=peak(x, y),
        claimed=bool(tested.claimed[0]),
        spread=sd,
        power=power(x, sd),
        smallest=float(places[0]),
        largest=float(places[-1]),
    )


def _first(lines: Lines) -> Line:
    return Line(float(lines.slope[0]), float(lines.p[0]))
