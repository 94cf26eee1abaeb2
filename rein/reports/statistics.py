"""Means over seeds, and the test behind the word "inverted U".

The claim comes from Simonsohn's two-lines test (doi 10.1177/2515245918805755): a line below a break rises, a line above
it falls, both significantly. A quadratic fit is no such test, since a curve that merely saturates is concave too; its
vertex only says where the peak of a claimed inverted U lies.

What the test cannot know: runs count as independent. Where every point is off the trend for reasons of its own, as
unlike methods are, several seeds repeat that offset; with offsets as large as the noise between seeds (8 points, 3
seeds, no trend) a rise and fall is claimed in 10 % of simulated sweeps, with twice that in 19 %, without any in 1 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

#: With fewer distinct parameter counts, or fewer seeds at any of them, nothing is tested.
MIN_POINTS, MIN_SEEDS = 4, 3

#: Significance level of each of the two lines.
ALPHA = 0.05


def summarise(frame: pd.DataFrame, by: Sequence[str], value: str = "value") -> pd.DataFrame:
    """Mean, sample standard deviation (nan for one seed) and n of `value` in every group, in order of appearance."""
    groups = frame.dropna(subset=[value]).groupby(list(by), sort=False, dropna=False)[value]
    return groups.agg(mean="mean", sd="std", n="count").reset_index()


def log_parameters(counts: Sequence[float] | np.ndarray) -> np.ndarray:
    """log10 of parameter counts; a count of 0 is placed one decade below the smallest other one.

    A logarithmic axis has no place for zero. Where all counts are zero, all are placed at 0.
    """
    counts = np.asarray(counts, dtype=float)
    positive = counts[counts > 0]
    if not positive.size:
        return np.zeros_like(counts)
    return np.log10(np.where(counts > 0, counts, positive.min() / 10))


@dataclass(frozen=True)
class Line:
    """An ordinary least squares line with an HC3 standard error, which allows points of unequal spread."""

    slope: float
    #: Two-sided, from Student's t with n - 2 degrees of freedom.
    p: float
    z: float


@dataclass(frozen=True)
class Peak:
    """The vertex of a quadratic in log10(parameters), with a 95 % interval from resampling seeds within points."""

    vertex: float
    low: float
    high: float


@dataclass(frozen=True)
class InvertedU:
    """What the two-lines test found; slopes are in units of y for every tenfold increase of the parameters."""

    points: int
    runs: int
    #: Fewest seeds at any point.
    seeds: int
    #: log10(parameters) of the break; None where nothing was tested.
    break_at: float | None = None
    below: Line | None = None
    above: Line | None = None
    peak: Peak | None = None

    @property
    def claimed(self) -> bool:
        """True only for a significant rise followed by a significant fall."""
        if self.below is None or self.above is None:
            return False
        return self.below.slope > 0 > self.above.slope and max(self.below.p, self.above.p) < ALPHA


def inverted_u(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> InvertedU:
    """Test whether y rises and then falls over x = log10(parameters); one entry a run (point and seed)."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    places, sizes = np.unique(x, return_counts=True)
    found = InvertedU(len(places), len(x), int(sizes.min()) if len(sizes) else 0)
    if found.points < MIN_POINTS or found.seeds < MIN_SEEDS:
        return found
    break_at = robin_hood_break(x, y)
    below, above = two_lines(x, y, break_at)
    return InvertedU(found.points, found.runs, found.seeds, break_at, below, above, peak(x, y))


def two_lines(x: np.ndarray, y: np.ndarray, break_at: float) -> tuple[Line, Line]:
    """The lines below and above a break; the runs at the break belong to both, as in Simonsohn's own procedure."""
    return _line(x[x <= break_at], y[x <= break_at]), _line(x[x >= break_at], y[x >= break_at])


def robin_hood_break(x: np.ndarray, y: np.ndarray) -> float:
    """Where to break: within the flat top, moved towards the stronger line so that the weaker one gets more runs.

    The flat top are the neighbouring points whose mean is within one standard error of the highest mean. (Simonsohn
    smooths with a spline; with several seeds at each of a few points the means themselves are the better curve.) The
    break starts at its middle, and ends at the share |z above| / (|z below| + |z above|) of it.
    """
    places = np.unique(x)
    means = np.array([y[x == place].mean() for place in places])
    residuals = y - means[np.searchsorted(places, x)]
    pooled = math.sqrt((residuals**2).sum() / max(len(y) - len(places), 1))
    top = int(means[1:-1].argmax()) + 1  # an end cannot be the break: no line would be left on its outer side
    error = pooled / math.sqrt((x == places[top]).sum())
    first = last = top
    while first > 1 and means[first - 1] >= means[top] - error:
        first -= 1
    while last < len(places) - 2 and means[last + 1] >= means[top] - error:
        last += 1
    flat = places[first : last + 1]
    below, above = two_lines(x, y, flat[len(flat) // 2])
    share = abs(above.z) / ((abs(below.z) + abs(above.z)) or 1)
    return float(flat[round(share * (len(flat) - 1))])


def peak(x: np.ndarray, y: np.ndarray, draws: int = 1000, seed: int = 0) -> Peak | None:
    """The vertex of the quadratic; None where it opens upwards, or does so in over 5 % of the bootstrap draws."""
    vertex = _vertex(x, y[:, None])[0]
    generator = np.random.default_rng(seed)
    resampled = np.empty((len(x), draws))
    for place in np.unique(x):
        here = np.flatnonzero(x == place)
        resampled[here] = y[generator.choice(here, size=(len(here), draws))]
    vertices = _vertex(x, resampled)
    if math.isnan(vertex) or np.isnan(vertices).mean() > 0.05:
        return None
    low, high = np.nanquantile(vertices, (0.025, 0.975))
    return Peak(float(vertex), float(low), float(high))


@dataclass(frozen=True)
class Verdict:
    """A sentence that claims something, or says that nothing is claimed, and the numbers behind it."""

    claim: str
    evidence: str


def verdict(found: InvertedU, of: str, unit: str = "points") -> Verdict:
    """What may be said about a rise and fall of `of` (`average target mIoU`)."""
    if found.below is None or found.above is None or found.break_at is None:
        return Verdict(
            f"There is too little data to test whether {of} rises and falls with the trainable parameters.",
            f"Finished runs lie at {found.points} parameter counts (at least {MIN_POINTS} are needed), and the one "
            f"with the fewest has {found.seeds} (at least {MIN_SEEDS} are needed).",
        )
    below, above = (
        f"{line.slope:+.2f} {unit} per tenfold parameters {side} it (p {probability(line.p)})".replace("-", "−")
        for line, side in ((found.below, "below"), (found.above, "above"))
    )
    evidence = (
        f"Two-lines test on {found.runs} runs at {found.points} parameter counts, {found.seeds} or more at each: "
        f"break at {count(10**found.break_at)}, slope {below} and {above}."
    )
    if not found.claimed:
        return Verdict(
            f"There is no evidence that {of} rises and then falls with the trainable parameters.",
            f"{evidence} A claim asks for a significant rise and a significant fall (each p < {ALPHA}); their lack "
            f"does not show that there is none.",
        )
    place = "The data do not fix where the peak lies."
    if found.peak is not None:
        at, low, high = (count(10**value) for value in (found.peak.vertex, found.peak.low, found.peak.high))
        place = (
            f"The vertex of a quadratic in log10(parameters) lies at {at} (95 % bootstrap interval over seeds: {low} "
            f"to {high}; how well a quadratic fits at all is not in it)."
        )
    return Verdict(f"With more trainable parameters {of} rises and then falls.", f"{evidence} {place}")


def probability(p: float) -> str:
    """`= 0.013`, `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"


def count(number: float) -> str:
    """A number of parameters in three digits: `0`, `684 k`, `2.99 M`, `304 M`."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        scaled = number / size
        if scaled >= 0.9995:  # 999,600 rounds to 1.00 M, not to 1000 k
            digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
            return f"{scaled:.{digits}f}{unit}"
    return f"{number:.0f}"


def _line(x: np.ndarray, y: np.ndarray) -> Line:
    from scipy import stats

    centred = x - x.mean()
    spread = (centred**2).sum()
    slope = (centred * y).sum() / spread
    residuals = y - y.mean() - slope * centred
    leverage = 1 / len(x) + centred**2 / spread
    left = np.maximum(1 - leverage, 1e-9)  # a line through two runs leaves nothing
    error = math.sqrt((centred**2 * (residuals / left) ** 2).sum()) / spread
    # Runs without any spread have no error; their slope is then certain unless it is zero.
    z = slope / error if error > 0 else math.copysign(math.inf, slope) if abs(slope) > 1e-12 else 0.0
    finite = max(-1e6, min(1e6, z))
    return Line(float(slope), float(2 * stats.t.sf(abs(z), len(x) - 2)), finite)


def _vertex(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x of the maximum of a quadratic fitted to each column of y; nan where it has none."""
    middle = x.mean()
    design = np.stack([np.ones_like(x), x - middle, (x - middle) ** 2], axis=1)  # (runs, 3)
    _, linear, square = np.linalg.lstsq(design, y, rcond=None)[0]  # each (columns,)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(square < 0, middle - linear / (2 * square), np.nan)
