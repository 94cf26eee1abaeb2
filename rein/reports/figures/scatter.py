"""The paper's figure 1b: target mIoU over trainable parameters, with what was published."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rein.config import Figure
from rein.reports.figures import labels
from rein.reports.figures.beside import about
from rein.reports.figures.parameter_axis import parameter_axis
from rein.reports.figures.picture import COLUMN, TEXT, Look, Picture, Point, columns
from rein.reports.figures.variants import (
    Variant,
    aim,
    left_out,
    looks_of,
    published_note,
    spread_note,
    variants,
)
from rein.reports.markup import join
from rein.reports.statistics import log_parameters
from rein.reports.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

    from rein.reports.figures.labels import Bar


def scatter(study: Study, wanted: Figure) -> Picture | str:
    """A filled point a variant, with its spread over seeds; hollow, joined by a thin line, the published one."""
    import matplotlib.pyplot as plt

    every = variants(study, wanted)
    column, title = aim(study, wanted.rename)
    found = [one for one in every if one.trainable == one.trainable and one.scores[column].notna().any()]
    if not found:
        return "no finished run with a recorded number of parameters"
    there = [one for one in found if one.published == one.published]
    counts = [one.trainable for one in found] + [_printed(one) for one in there]
    x = log_parameters(counts)
    # Without a hue the names beside the points say all, and one look does.
    look = looks_of([one.hue if wanted.hue else "" for one in every])
    wide = len(found) > 6
    canvas, axes = plt.subplots(figsize=(TEXT if wide else COLUMN, 3.4 if wide else 2.8), layout="constrained")
    points, bars = [], []
    for one, at in zip(found, x, strict=False):
        bars.append(_measured(axes, at, one.mean(column), one.sd(column), look[one.hue if wanted.hue else ""]))
        points.append(Point(axes, at, one.mean(column), one.said(column)))
    for one, at in zip(there, x[len(found) :], strict=True):
        own = points[found.index(one)]
        bars += _published(axes, at, one.published, own, look[one.hue if wanted.hue else ""])
        points.append(Point(axes, at, one.published, one.said_there(one.published)))
    axes.set_ylabel(title)
    axes.grid(axis="y", alpha=0.4)
    axes.margins(y=0.12)
    parameter_axis(axes, x, zero=0 in counts)
    if wanted.hue and len(look) > 1:
        _legend(canvas, look, 6 if wide else 3)
    names = [one.rest if wanted.hue else one.label for one in found]
    named = [labels.Named(point.x, point.y, name) for point, name in zip(points, names, strict=False) if name]
    labels.name(axes, named, bars)
    zero = "A frozen backbone trains 0 parameters, drawn one decade below the smallest other count."
    drawn = f"Filled: means over seeds. {spread_note(found)}"
    hollow = published_note(study, wanted, [one.row for one in there if one.row], about(study))
    caption = join(wanted.caption, drawn, hollow, zero if 0 in counts else "", left_out(every))
    return Picture(caption, canvas, points=tuple(points))


def _measured(axes: Axes, x: float, mean: float, sd: float, look: Look) -> Bar:
    """A filled point with its error bar, of which no name may cover what is returned."""
    spread = 0.0 if math.isnan(sd) else sd
    axes.errorbar(x, mean, yerr=spread or None, capsize=1.5, elinewidth=0.8, linestyle="none", color=look.colour,
                  marker=look.marker, markersize=5, markeredgecolor="white", markeredgewidth=0.4,
                  zorder=4)  # fmt: skip
    return x, mean - spread, mean + spread


def _published(axes: Axes, x: float, value: float, own: Point, look: Look) -> list[Bar]:
    """A hollow point, joined to the measured one."""
    axes.plot([own.x, x], [own.y, value], color=look.colour, linewidth=0.5, zorder=2)
    axes.plot(x, value, color=look.colour, marker=look.marker, markersize=5, markerfacecolor="white",
              linestyle="none", zorder=3)  # fmt: skip
    return [(x, value, value), (x, min(own.y, value), max(own.y, value))]


def _legend(canvas: Canvas, look: Mapping[str, Look], most: int) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=one.colour, marker=one.marker, markersize=5, linestyle="none", label=name)
        for name, one in look.items()
    ]
    canvas.legend(handles=handles, loc="outside lower center", ncols=columns(len(look), most))


def _printed(one: Variant) -> float:
    """The published count, or, where none is printed, that of the own runs."""
    millions = one.row.trainable_params_m if one.row else None
    return one.trainable if millions is None else 1e6 * millions
