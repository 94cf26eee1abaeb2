"""A critical-difference diagram (Demšar, JMLR 2006): mean ranks over the targets, and what they cannot tell apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING

import pandas as pd

from rein.config import Figure
from rein.reports.figures.picture import COLUMN, Picture, Point, folded
from rein.reports.figures.variants import Variant, left_out, variants
from rein.reports.markup import join
from rein.reports.names import written
from rein.reports.statistics import ALPHA, Ranking, over_shared_seeds, probability, ranking
from rein.reports.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches: between two bars, and between two lines of names (of one line of text each).
_BAR, _LINE = 0.09, 0.15


def ranks(study: Study, wanted: Figure) -> Picture | str:
    """The variants on a scale of their mean ranks over the targets; bars join those that are not told apart."""
    import matplotlib.pyplot as plt

    every = variants(study, wanted)
    found = [one for one in every if len(one.scores)]
    own = {one.point: _scores(study, one) for one in found}
    targets = [name for name in study.targets if all(one[name].notna().any() for one in own.values())]
    scores, seeds = over_shared_seeds({point: one[targets] for point, one in own.items()})
    if found and targets and not seeds:
        return f"the {len(found)} variants with runs share no seed, so that they cannot be ranked against each other"
    if min(scores.shape) < 2:
        return f"ranks need two variants on two targets, and there are {len(own)} on {len(targets)}"
    ranked = ranking(scores)
    names = {one.point: folded(one.label, 24) for one in found}
    side = 0.075 + 0.062 * (max(len(line) for name in names.values() for line in name.split("\n")) + 7)
    height = 0.5 + _below(ranked, names)[-1]
    width = max(COLUMN, 2 * side + 1.5)
    canvas, axes = plt.subplots(figsize=(width, height))
    canvas.subplots_adjust(left=side / width, right=1 - side / width, bottom=0, top=1)
    points = diagram(axes, ranked, names)
    count = len(ranked.blocks)
    domains = ", ".join(written(name, wanted.rename) for name in ranked.blocks)
    drawn = (
        f"Mean ranks over {count} targets ({domains}), 1 is best; every target ranks the means over "
        f"{_seeds(own, seeds)}. A bar joins variants whose ranks differ by no more than the critical difference "
        f"({ranked.critical_difference:.2f}, Nemenyi at {100 * ALPHA:g} %): they are not told apart. Friedman's test "
        f"that all rank alike: p {probability(ranked.p)}."
    )
    if ranked.critical_difference >= len(names) - 1:
        drawn += f" {count} targets are too few to tell any of {len(names)} variants apart, whatever their ranks."
    return Picture(join(wanted.caption, drawn, left_out(every)), canvas, points=tuple(points))


def _scores(study: Study, one: Variant) -> pd.DataFrame:
    """Its mIoU, a row a seed and a column a target."""
    wide = one.scores[[("target", name) for name in study.targets]].set_axis(study.targets, axis=1)
    return wide.set_axis(study.runs.set_index("run_id")["seed"][wide.index].to_numpy())


def _seeds(own: Mapping[str, pd.DataFrame], seeds: list[int]) -> str:
    """`3 seeds`; `the 2 seeds that all have (of 2–4)`."""
    numbers = [len(one) for one in own.values()]
    text = f"{len(seeds)} seed{'' if len(seeds) == 1 else 's'}"
    if max(numbers) == len(seeds):
        return text
    low, high = min(numbers), max(numbers)
    return f"the {text} that all have (of {high if low == high else f'{low}–{high}'})"


def diagram(axes: Axes, ranked: Ranking, names: Mapping[str, str]) -> list[Point]:
    """Draw it: the best on the left, names on both sides, a bar for each group, above the critical difference.

    Upwards the axes' data are inches from the scale.
    """
    number, below = len(ranked.ranks), _below(ranked, names)
    axes.set(xlim=(1, number), ylim=(-below[-1], 0.5))
    axes.axis("off")
    axes.plot([1, number], [0, 0], color="black", linewidth=0.8, clip_on=False)
    for rank in range(1, number + 1):
        axes.plot([rank, rank], [0, 0.05], color="black", linewidth=0.8, clip_on=False)
        axes.text(rank, 0.07, str(rank), ha="center", va="bottom", fontsize=7)
    _critical(axes, ranked.critical_difference, number)
    reach = 0.012 * (number - 1)
    for row, group in enumerate(ranked.groups, start=1):
        ends = [ranked.ranks[group[0]] - reach, ranked.ranks[group[-1]] + reach]
        axes.plot(ends, [-row * _BAR] * 2, color="black", linewidth=2.6, solid_capstyle="butt", clip_on=False)
    half, points = math.ceil(number / 2), []
    for place, (point, mean) in enumerate(ranked.ranks.items()):
        left = place < half
        row = place if left else number - 1 - place
        y = -below[row]
        edge = 1 if left else number
        axes.plot([mean, mean, edge], [0, y, y], color="0.35", linewidth=0.6, clip_on=False)
        name = names[str(point)]
        axes.annotate(f"{name} ({mean:.2f})" if left else f"({mean:.2f}) {name}", (edge, y), (-3 if left else 3, 0),
                      textcoords="offset points", ha="right" if left else "left", va="center", fontsize=7,
                      annotation_clip=False)  # fmt: skip
        points.append(Point(axes, mean, 0, f"{' '.join(name.split())}: mean rank {mean:.2f}"))
    return points


def _below(ranked: Ranking, names: Mapping[str, str]) -> list[float]:
    """How far below the scale the middle of each line of names lies, and at last the end of all; inches."""
    order = [names[str(point)].count("\n") + 1 for point in ranked.ranks.index]
    half = math.ceil(len(order) / 2)
    rows = [max(pair) for pair in zip_longest(order[:half], order[: half - 1 : -1], fillvalue=1)]
    places, at = [], (len(ranked.groups) + 1) * _BAR
    for row in rows:
        places.append(at + row * _LINE / 2)
        at += row * _LINE
    return [*places, at + 0.03]


def _critical(axes: Axes, difference: float, number: int) -> None:
    """The critical difference as a length on the scale; without an end where the scale is shorter."""
    end = min(1 + difference, number)
    axes.plot([1, end], [0.27, 0.27], color="black", linewidth=0.8, clip_on=False)
    for at in (1, end) if 1 + difference <= number else (1,):
        axes.plot([at, at], [0.24, 0.3], color="black", linewidth=0.8, clip_on=False)
    axes.text(1, 0.31, f"critical difference {difference:.2f}", ha="left", va="bottom", fontsize=7)
