"""How much a table flatters itself that chooses its checkpoints on the test set."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from rein.config import Figure
from rein.config.report import Selection
from rein.reports.figures.picture import COLUMN, Picture, Point, folded
from rein.reports.figures.variants import aim, left_out, variants
from rein.reports.markup import join
from rein.reports.study import Study, miou
from rein.reports.tables.numbers import number


def selection(study: Study, wanted: Figure) -> Picture | str:
    """A row a variant: target mIoU of the checkpoint that each rule chooses, and `oracle` − `last` beside it."""
    import matplotlib.pyplot as plt

    column, title = aim(study, wanted.rename)
    rules: list[Selection] = ["last", *(["source_val"] if study.sources else []), "oracle"]  # type: ignore[list-item]
    chosen = pd.DataFrame({rule: miou(study, rule=rule)[column] for rule in rules}).dropna()
    every = variants(study, wanted)
    found = [one for one in every if chosen.index.isin(one.scores.index).any()]
    if not found:
        return "no run has finished"
    done = study.results[study.results["run_id"].isin(chosen.index) & (study.results["metric"] == "miou")]
    if done.groupby("run_id")["step"].nunique().max() == 1:
        return "every finished run was scored at one checkpoint alone, so that there is nothing to choose"
    # Of unlike size and hollow, so that all are seen where they coincide.
    marks = {"last": ("o", "black", 3.5), "source_val": ("D", "#0173b2", 5), "oracle": ("v", "#d55e00", 8)}
    longest = min(max(len(one.label) for one in found), 30)
    height = 0.75 + 0.19 * len(found)
    canvas, axes = plt.subplots(figsize=(COLUMN if longest < 18 else COLUMN + 1, height), layout="constrained")
    beside: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "fontsize": 6.5, "annotation_clip": False}
    points, gains = [], []
    for row, one in enumerate(found):
        own = chosen.loc[chosen.index.isin(one.scores.index)]
        gain = own["oracle"] - own["last"]
        gains.append(gain)
        means = own.mean()
        axes.plot([means.min(), means.max()], [row, row], color="0.75", linewidth=2, zorder=1, solid_capstyle="butt")
        for rule in rules:
            marker, colour, size = marks[rule]
            axes.plot(means[rule], row, marker=marker, color=colour, markersize=size, linestyle="none", zorder=3,
                      markerfacecolor=colour if rule == "last" else "none",
                      label=rule if row == 0 else None)  # fmt: skip
            text = f"{one.label}, {rule}: {number(means[rule], own[rule].std(), 1)} (n {len(own)})"
            points.append(Point(axes, means[rule], row, text))
        added = f"+{gain.mean():.1f}" if gain.mean() >= 0.05 else "0"
        axes.annotate(added, (1.02, row), va="center_baseline", **beside)
    axes.annotate("oracle − last", (1.02, -0.8), va="bottom", color="0.4", **beside)
    axes.set_yticks(np.arange(len(found)), [folded(one.label, 30) for one in found])
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.set_xlabel(title)
    axes.grid(axis="x", alpha=0.4)
    axes.tick_params(axis="y", length=0)
    canvas.legend(loc="outside lower center", ncols=3, handletextpad=0.2)
    drawn = (
        "Means over seeds of the checkpoint that each rule chooses. `oracle` chooses on the test labels; what it adds "
        f"to `last` is no merit of a method: {_flattery(pd.concat(gains))}."
    )
    if not study.sources:
        drawn += " `source_val` is not drawn: no source is scored."
    return Picture(join(wanted.caption, drawn, left_out(every)), canvas, points=tuple(points))


def _flattery(gains: pd.Series) -> str:
    """`1.3 points in the mean of 12 runs, 2.4 at most`."""
    runs = f"{len(gains)} runs" if len(gains) > 1 else "one run"
    return f"{gains.mean():.1f} points in the mean of {runs}, {math.ceil(10 * gains.max() - 1e-9) / 10:.1f} at most"
