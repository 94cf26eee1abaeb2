"""The paper's figure 1b: target mIoU over trainable parameters, with what was published."""

from __future__ import annotations

import numpy as np

from rein.config import Figure
from rein.reports.figures import labels
from rein.reports.figures.beside import about
from rein.reports.figures.parameter_axis import parameter_axis
from rein.reports.figures.picture import COLUMN, TEXT, Picture, Point, columns, join
from rein.reports.figures.variants import (
    Variant,
    aim,
    left_out,
    looks_of,
    published_note,
    spread_note,
    variants,
)
from rein.reports.statistics import log_parameters
from rein.reports.study import Study


def scatter(study: Study, wanted: Figure) -> Picture | str:
    """A filled point a variant, with its spread over seeds; hollow, joined by a thin line, the published one."""
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    every = variants(study, wanted)
    column, title = aim(study, wanted.rename)
    found = [one for one in every if one.trainable == one.trainable and one.scores[column].notna().any()]
    if not found:
        return "no finished run with a recorded number of parameters"
    there = [one for one in found if one.published == one.published]
    counts = [one.trainable for one in found] + [_printed(one) for one in there]
    x = log_parameters(counts)
    # Without a hue the names beside the points say all, and one look does.
    looks = looks_of([one.hue if wanted.hue else "" for one in every])
    wide = len(found) > 6
    canvas, axes = plt.subplots(figsize=(TEXT if wide else COLUMN, 3.4 if wide else 2.8), layout="constrained")
    points, named, bars = [], [], []
    for one, at in zip(found, x, strict=False):
        mean, sd = one.mean(column), one.sd(column)
        look = looks[one.hue if wanted.hue else ""]
        axes.errorbar(at, mean, yerr=sd if sd == sd else None, capsize=1.5, elinewidth=0.8, linestyle="none",
                      color=look.colour, marker=look.marker, markersize=5, markeredgecolor="white",
                      markeredgewidth=0.4, zorder=4)  # fmt: skip
        points.append(Point(axes, at, mean, one.said(column)))
        bars.append((at, mean - np.nan_to_num(sd), mean + np.nan_to_num(sd)))
        named.append(labels.Named(at, mean, one.rest if wanted.hue else one.label))
    for one, at in zip(there, x[len(found) :], strict=True):
        own = points[found.index(one)]
        look = looks[one.hue if wanted.hue else ""]
        axes.plot([own.x, at], [own.y, one.published], color=look.colour, linewidth=0.5, zorder=2)
        axes.plot(at, one.published, color=look.colour, marker=look.marker, markersize=5, markerfacecolor="white",
                  linestyle="none", zorder=3)  # fmt: skip
        points.append(Point(axes, at, one.published, one.said_there(one.published)))
        bars += [(at, one.published, one.published), (at, min(own.y, one.published), max(own.y, one.published))]
    axes.set_ylabel(title)
    axes.grid(axis="y", alpha=0.4)
    axes.margins(y=0.12)
    parameter_axis(axes, x, zero=0 in counts)
    if wanted.hue and len(looks) > 1:
        handles = [
            Line2D([], [], color=one.colour, marker=one.marker, markersize=5, linestyle="none", label=name)
            for name, one in looks.items()
        ]
        canvas.legend(handles=handles, loc="outside lower center", ncols=columns(len(looks), 6 if wide else 3))
    labels.name(axes, [one for one in named if one.text], bars)
    zero = "A frozen backbone trains 0 parameters, drawn one decade below the smallest other count."
    drawn = f"Filled: means over seeds. {spread_note(found)}"
    hollow = published_note(wanted, [one.row for one in there if one.row], about(study))
    caption = join(wanted.caption, drawn, hollow, zero if 0 in counts else "", left_out(every))
    return Picture(caption, canvas, points=tuple(points))


def _printed(one: Variant) -> float:
    """The published count, or, where none is printed, that of the own runs."""
    millions = one.row.trainable_params_m if one.row else None
    return one.trainable if millions is None else 1e6 * millions
