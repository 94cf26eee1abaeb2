"""The paper's figure 4: target mIoU over a number such as the tokens' length or rank, with what was published."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import pandas as pd

from rein.config import ConfigError, Figure, nearest
from rein.reports.figures.beside import about
from rein.reports.figures.picture import COLUMN, Look, Picture, Point, columns
from rein.reports.figures.variants import (
    Variant,
    aim,
    left_out,
    looks_of,
    measured_first,
    published_note,
    spread_note,
    variants,
)
from rein.reports.markup import join
from rein.reports.names import written
from rein.reports.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def lines(study: Study, wanted: Figure) -> Picture | str:
    """A line for every value of `hue` through the means over seeds; hollow and dashed the published ones.

    Raises ConfigError where `x` is no number of the runs, or one line would join variants that differ in more.
    """
    import matplotlib.pyplot as plt

    _check(study, wanted)
    column, title = aim(study, wanted.rename)
    every = [one for one in variants(study, wanted, without={wanted.x}) if pd.notna(one.run[wanted.x])]
    found = [one for one in every if one.scores[column].notna().any()]
    if not found:
        return f"no finished run has a `{wanted.x}`"
    _check_lines(study, wanted, every)
    look = looks_of([one.hue for one in every])
    canvas, axes = plt.subplots(figsize=(COLUMN, 2.5), layout="constrained")
    ordered = sorted(found, key=lambda one: (list(look).index(one.hue), float(one.run[wanted.x])))
    there = [one for one in ordered if one.published == one.published]
    points = []
    for hue, group in groupby(ordered, key=lambda one: one.hue):
        line = [Point(axes, float(one.run[wanted.x]), one.mean(column), one.said(column)) for one in group]
        _measured(axes, line, [one.sd(column) for one in ordered if one.hue == hue], look[hue], hue or "measured")
        points += line
    for hue, group in groupby(there, key=lambda one: one.hue):
        line = [Point(axes, float(one.run[wanted.x]), one.published, one.said_there(one.published)) for one in group]
        _published(axes, line, look[hue], f"{hue}, published" if hue else "published")
        points += line
    axes.set(xlabel=written(wanted.x, wanted.rename), ylabel=title)
    _scale(axes, sorted({float(one.run[wanted.x]) for one in every}))
    axes.grid(axis="y", alpha=0.4)
    handles, texts = measured_first(*axes.get_legend_handles_labels())
    if len(handles) > 1 or texts != ["measured"]:
        canvas.legend(handles, texts, loc="outside lower center", ncols=columns(len(texts), 2))
    drawn = f"Means over seeds. {spread_note(found)}"
    hollow = published_note(study, wanted, [one.row for one in there if one.row], about(study), "Hollow and dashed")
    return Picture(join(wanted.caption, drawn, hollow, left_out(every)), canvas, points=tuple(points))


def _measured(axes: Axes, line: Sequence[Point], sd: Sequence[float], look: Look, name: str) -> None:
    """Filled points with error bars, joined."""
    x, y = [point.x for point in line], [point.y for point in line]
    bars = axes.errorbar(x, y, yerr=sd, capsize=2, elinewidth=0.8, color=look.colour, marker=look.marker,
                         markersize=4, zorder=4)  # fmt: skip
    bars.set_label(name)


def _published(axes: Axes, line: Sequence[Point], look: Look, name: str) -> None:
    """Hollow points, dashed between them."""
    axes.plot([point.x for point in line], [point.y for point in line], color=look.colour, marker=look.marker,
              markersize=4, markerfacecolor="white", linestyle="--", linewidth=0.9, label=name, zorder=3)  # fmt: skip


def _check(study: Study, wanted: Figure) -> None:
    where = f"figure {wanted.name!r}: `x`"
    if not wanted.x:
        raise ConfigError(f"{where} is missing: the dotted key along the horizontal axis, such as tuning.rank")
    if wanted.x not in study.runs:
        raise ConfigError(f"{where}: `{wanted.x}` is no column of the results{nearest(wanted.x, map(str, study.runs))}")
    values = study.runs[wanted.x].dropna()
    if len(values) and not pd.api.types.is_numeric_dtype(values.infer_objects()):
        raise ConfigError(
            f"{where}: `{wanted.x}` is no number in these runs; a table with `columns: {wanted.x}` shows it"
        )


def _check_lines(study: Study, wanted: Figure, every: list[Variant]) -> None:
    """A line goes through one variant at a place."""
    settings = study.settings
    seen: dict[tuple[str, float], Variant] = {}
    for one in every:
        other = seen.setdefault((one.hue, float(one.run[wanted.x])), one)
        if other is not one:
            pair = settings[study.runs["point"].isin([one.point, other.point])]
            differing = [str(key) for key, column in pair.items() if column.nunique() > 1]
            raise ConfigError(
                f"figure {wanted.name!r}: one line of `hue` {wanted.hue!r} has several variants at {wanted.x} "
                f"{one.run[wanted.x]:g}, which differ in {', '.join(differing)}; take one by `filter`, or no `hue`"
            )


def _scale(axes: Axes, values: list[float]) -> None:
    """A tick at every value; logarithmic where the values grow by factors (4, 8, 16, …)."""
    if values[0] > 0 and len(values) > 2 and values[-1] / values[0] >= 8:
        axes.set_xscale("log", base=2)
    if len(values) <= 10:
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.minorticks_off()
