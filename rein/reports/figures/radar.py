"""The paper's figure 1a: an axis a target, a line a variant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rein.config import Figure
from rein.reports.figures.picture import COLUMN, Look, Picture, Point, columns
from rein.reports.figures.variants import (
    Variant,
    left_out,
    looks_of,
    measured_first,
    published_note,
    variants,
)
from rein.reports.markup import join
from rein.reports.names import written
from rein.reports.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def radar(study: Study, wanted: Figure) -> Picture | str:
    """Means over seeds on every target; dotted and hollow the published ones. All axes have one scale."""
    import matplotlib.pyplot as plt

    if len(study.targets) < 3:
        return f"a radar needs three targets or more, and there are {len(study.targets)}"
    targets = [("target", name) for name in study.targets]
    names = [written(name, wanted.rename) for name in study.targets]
    every = variants(study, wanted)
    found = [one for one in every if one.scores[targets].notna().any(axis=None)]
    if not found:
        return "no run has finished"
    means = {one.point: [one.mean(target) for target in targets] for one in found}
    printed = {one.point: _printed(one, study) for one in found}
    printed = {point: values for point, values in printed.items() if not np.isnan(values).all()}
    canvas, axes = plt.subplots(figsize=(COLUMN, COLUMN), layout="constrained")
    web = _Web.around([*means.values(), *printed.values()])
    web.draw(axes, names)
    look, points = _looks(every, solid=bool(printed)), []
    for one in found:
        colour, marker, line = look[one.point]
        style = {"color": colour, "marker": marker, "markersize": 3.5}
        name = one.label if len({one.hue for one in every}) < len(every) else one.hue
        places = web.line(axes, means[one.point], linestyle=line, label=name, zorder=4, **style)
        said = [one.said(target) for target in targets]
        if one.point in printed:
            values = printed[one.point]
            places += web.line(axes, values, linestyle=(0, (1, 1.5)), linewidth=0.8, markerfacecolor="white",
                               markeredgewidth=0.7, label=f"{name}, published", zorder=3, **style)  # fmt: skip
            said += [one.said_there(value) for value in values]
        points += [
            Point(axes, x, y, f"{target}: {text}")
            for (x, y), text, target in zip(places, said, names * 2, strict=False)
            if x == x
        ]
    handles, texts = measured_first(*axes.get_legend_handles_labels())
    longest = max(map(len, texts))
    canvas.legend(handles, texts, loc="outside lower center", handlelength=2.6,
                  ncols=columns(len(texts), 1 if longest > 32 else 2 if longest > 14 else 3))  # fmt: skip
    start = "" if web.start == 0 else ": it does not start at zero, so that areas say nothing"
    drawn = f"mIoU in percent, means over seeds. All axes have one scale, {web.start:g} to {web.stop:g}{start}."
    rows = [one.row for one in found if one.row and one.point in printed]
    hollow = published_note(study, wanted, rows, [study.original(name) for name in study.targets], "Hollow and dotted")
    return Picture(join(wanted.caption, drawn, hollow, left_out(every)), canvas, points=tuple(points))


@dataclass(frozen=True)
class _Web:
    """Axes from a middle outwards, the first one upwards, the others clockwise."""

    start: float
    stop: float
    step: float
    axes: int

    @classmethod
    def around(cls, values: Sequence[Sequence[float]]) -> _Web:
        """Round numbers around all values, with something left free in the middle, so that no line ends in a point."""
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        step = next(step for step in (1, 2, 5, 10, 20, 50) if (high - low) / step <= 4)
        start = max(math.floor((low - 0.3 * step) / step) * step, 0)
        return cls(start, max(math.ceil(high / step) * step, start + step), step, len(values[0]))

    def place(self, axis: int, value: float) -> tuple[float, float]:
        """A value's place in the data of plain axes."""
        angle, far = 2 * math.pi * axis / self.axes, value - self.start
        return far * math.sin(angle), far * math.cos(angle)

    def line(self, axes: Axes, values: Sequence[float], **style: Any) -> list[tuple[float, float]]:
        """A closed line, open where a value is missing; returns its places."""
        places = [self.place(axis, value) for axis, value in enumerate(values)]
        axes.plot(*zip(*places, places[0], strict=True), **style)
        return places

    def draw(self, axes: Axes, names: Sequence[str]) -> None:
        """Straight grid lines, since the lines are straight, and their values along the first axis."""
        from matplotlib.patheffects import withStroke

        axes.set_aspect("equal", anchor="S")  # what is left over is above, where saving cuts it off
        axes.axis("off")
        levels = np.arange(self.start, self.stop + self.step / 2, self.step)
        for level in levels[1:]:
            self.line(axes, [level] * self.axes, color="0.82", linewidth=0.5, zorder=1)
        for level in levels:
            axes.annotate(f"{level:g}", self.place(0, level), (-3, 0), textcoords="offset points", fontsize=6,
                          color="0.35", ha="right", va="center", zorder=5,
                          path_effects=[withStroke(linewidth=1.5, foreground="white")])  # fmt: skip
        for axis, name in enumerate(names):
            x, y = self.place(axis, self.stop)
            axes.plot([0, x], [0, y], color="0.82", linewidth=0.5, zorder=1)
            side, up = x / (self.stop - self.start), y / (self.stop - self.start)
            # Below two lowest corners there is no line that a name in their middle would cross.
            middle = abs(side) < 0.3 or (self.axes % 2 == 1 and up < 0.01 - math.cos(math.pi / self.axes))
            axes.annotate(name, (x, y), (4 * side, 4 * up), textcoords="offset points", fontsize=7.5,
                          ha="center" if middle else "left" if side > 0 else "right",
                          va="bottom" if up > 0.3 else "top" if up < -0.3 else "center")  # fmt: skip


def _printed(one: Variant, study: Study) -> list[float]:
    """What is published of a variant on every target; nan where nothing is."""
    scores = one.row.miou if one.row else {}
    return [scores.get(study.original(name), math.nan) for name in study.targets]


def _looks(every: Sequence[Variant], solid: bool) -> dict[str, Look]:
    """By point: the hue has the colour and the marker, and the line tells apart what has the same hue.

    Where all have hues of their own, lines may be `solid`, so that dots are left to what is published.
    """
    hues, rests = looks_of([one.hue for one in every]), looks_of([one.rest for one in every])
    if len(hues) == len(every):
        return {one.point: hues[one.hue]._replace(**({"line": "-"} if solid else {})) for one in every}
    return {one.point: hues[one.hue]._replace(line=rests[one.rest].line) for one in every}
