"""A critical-difference diagram (Demšar, JMLR 2006): mean ranks over the targets, and what they cannot tell apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rein.reports.figures.picture import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Ranked:
    """Names with their mean ranks (1 is best), the critical difference, and the groups within it, as first and last
    place in the order of ranks."""

    names: Sequence[str]
    means: Sequence[float]
    critical: float
    groups: Sequence[tuple[int, int]]

    @property
    def height(self) -> float:
        """Inches that a diagram of it needs."""
        return 0.75 + 0.16 * math.ceil(len(self.names) / 2) + 0.09 * len(self.groups)


def diagram(axes: Axes, ranked: Ranked) -> list[Point]:
    """Draw it: the best on the left, names on both sides, a thick line for each group, above the critical difference.

    The axes' height must be `ranked.height` inches.
    """
    number = len(ranked.names)
    order = sorted(range(number), key=lambda one: ranked.means[one])
    axes.set(xlim=(1, max(number, 2)), ylim=(-ranked.height + 0.45, 0.45))  # inches below the scale
    axes.axis("off")
    axes.plot([1, number], [0, 0], color="black", linewidth=0.8, clip_on=False)
    for rank in range(1, number + 1):
        axes.plot([rank, rank], [0, 0.05], color="black", linewidth=0.8, clip_on=False)
        axes.text(rank, 0.07, str(rank), ha="center", va="bottom", fontsize=7)
    _critical(axes, ranked.critical, number)
    bars = -0.1
    for first, last in ranked.groups:
        left, right = ranked.means[order[first]], ranked.means[order[last]]
        axes.plot([left - 0.03, right + 0.03], [bars, bars], color="black", linewidth=2.6, solid_capstyle="butt")
        bars -= 0.09
    half = math.ceil(number / 2)
    points = []
    for place, one in enumerate(order):
        left = place < half
        line = place if left else number - 1 - place
        y, mean = bars - 0.08 - 0.16 * line, ranked.means[one]
        edge, to = (0.0, "right") if left else (1.0, "left")
        side = axes.get_xlim()[int(edge)]
        axes.plot([mean, mean, side], [0, y, y], color="0.35", linewidth=0.6, clip_on=False)
        text = f"{ranked.names[one]} ({mean:.2f})" if left else f"({mean:.2f}) {ranked.names[one]}"
        axes.annotate(text, (side, y), (-3 if left else 3, 0), textcoords="offset points", ha=to, va="center",
                      fontsize=7, annotation_clip=False)  # fmt: skip
        points.append(Point(axes, mean, 0, f"{ranked.names[one]}: mean rank {mean:.2f}"))
    return points


def _critical(axes: Axes, critical: float, number: int) -> None:
    """The critical difference as a length on the scale, cut off where it is longer."""
    end = min(1 + critical, number)
    axes.plot([1, end], [0.28, 0.28], color="black", linewidth=0.8)
    for at in (1, end) if 1 + critical <= number else (1,):
        axes.plot([at, at], [0.25, 0.31], color="black", linewidth=0.8, clip_on=False)
    axes.text((1 + end) / 2, 0.31, f"critical difference {critical:.2f}", ha="center", va="bottom", fontsize=7)
