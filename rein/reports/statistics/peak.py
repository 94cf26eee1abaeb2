"""Where the peak of a claimed inverted U lies: the vertex of a quadratic, with Fieller's interval.

The vertex is a ratio, -b / 2c. Fieller's interval holds every place at which the parabola's slope could be zero; under
normal noise it covers exactly, whatever the number of runs. Simulated (a true parabola that falls by 1.3 points, noise
of 0.3 to 1.5 points; 400 sweeps a cell for the bootstraps, 20,000 for Fieller):

| points | seeds | seeds resampled | residuals resampled, scaled | Fieller |
| ---: | ---: | ---: | ---: | ---: |
| 5 | 3 | 80 % | 90-91 % | 94-95 % |
| 5 | 5 | 88-89 % | 90-91 % | 95-96 % |
| 9 | 3 | 83-84 % | 92 % | 95 % |
| 9 | 5 | 91 % | 96 % | 95-96 % |
| 12 | 3 | 83-85 % | 92 % | 95-96 % |
| 12 | 5 | 90-91 % | 94 % | 95-96 % |

That is where the curvature is clear, as it must be for an interval to be given. Among the sweeps that claim a fall, it
covers 94 to 96 % where at least half do so, and 84 to 95 % where noise lets fewer: those are a lucky choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rein.reports.statistics.limits import ALPHA


@dataclass(frozen=True)
class Peak:
    """The vertex of a quadratic in log10(parameters), with Fieller's 95 % interval."""

    vertex: float
    low: float
    high: float


def peak(x: np.ndarray, y: np.ndarray) -> Peak | None:
    """The vertex over x, each of shape (runs,); None where the curvature is not clear: then no place is ruled out."""
    vertex, low, high = (float(found[0]) for found in vertices(x, y[:, None]))
    return None if np.isnan(vertex) else Peak(vertex, low, high)


def vertices(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertex, low and high, each (sweeps,), of every column of y, (runs, sweeps); nan where it does not clearly curve
    downwards, which is where Fieller's interval is unbounded.
    """
    from scipy.special import stdtrit

    middle = x.mean()
    design = np.stack([np.ones_like(x), x - middle, (x - middle) ** 2], axis=1)  # (runs, 3)
    inverse = np.linalg.inv(design.T @ design)
    _, b, c = fitted = inverse @ design.T @ y  # each (sweeps,)
    free = len(x) - 3
    # t² times the covariance of b and c.
    wide = stdtrit(free, 1 - ALPHA / 2) ** 2 * ((y - design @ fitted) ** 2).sum(0) / free
    bb, bc, cc = (b**2 - wide * inverse[1, 1], b * c - wide * inverse[1, 2], c**2 - wide * inverse[2, 2])
    # All v with (b + 2 c v)² <= t² var(b + 2 c v), which is 4 cc v² + 4 bc v + bb <= 0.
    clear = (c < 0) & (cc > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = np.sqrt(np.maximum(bc**2 - cc * bb, 0)) / (2 * cc)
        centre = -bc / (2 * cc)
        found = -b / (2 * c), centre - half, centre + half
    vertex, low, high = (np.where(clear, middle + one, np.nan) for one in found)
    return vertex, low, high
