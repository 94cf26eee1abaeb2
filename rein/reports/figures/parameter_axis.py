"""A logarithmic axis of trainable parameters that has a place for 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rein.reports.statistics import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def parameter_axis(axes: Axes, x: np.ndarray, zero: bool) -> None:
    """Decades written as counts, and for a frozen backbone a 0 behind a cut in the axis.

    `x` is what `log_parameters` made of the counts; `zero` says whether there is a count of 0, then the lowest.
    """
    low, high = x.min(), x.max()
    margin = max(0.08 * (high - low), 0.25)
    axes.set_xlim(low - margin, high + margin)
    axes.set_xlabel("trainable parameters in the backbone")
    first = low + 0.5 if zero else low - margin
    # Where all counts lie within one decade, decades alone would leave the axis without a number.
    fine = high - first < 1.2
    ticks = [
        e + np.log10(m)
        for e in range(0, 11)
        for m in ((1, 2, 5) if fine else (1,))
        if first <= e + np.log10(m) <= high + margin
    ]
    texts = [count(round(10**tick)).replace(".00", "").replace(".0", "") for tick in ticks]
    if zero:
        ticks, texts = [low, *ticks], ["0", *texts]
        at = (low + 0.35 - axes.get_xlim()[0]) / np.ptp(axes.get_xlim())
        if high > low:
            axes.text(at, 0, "//", transform=axes.transAxes, ha="center", va="center", fontsize=8,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
    axes.set_xticks(ticks, texts)
