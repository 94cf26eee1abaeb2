"""The paper's figure 5: mIoU and training loss over the backbone's trainable parameters, and what may be said of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rein.config import ConfigError, Figure, nearest
from rein.reports import statistics
from rein.reports.figures.one_axis import caveat, on_axis
from rein.reports.figures.parameter_axis import parameter_axis
from rein.reports.figures.picture import TEXT, Picture, Point, columns, flat, join, looks
from rein.reports.figures.variants import setting, variants
from rein.reports.names import written
from rein.reports.statistics import Verdict
from rein.reports.study import AVERAGE, Study, final_loss, miou, target_column, trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWN = (
    "Lines join the means over seeds, dots are single runs; dashed, on the right, the mean training loss of the last "
    "tenth of steps."
)
ZERO = "A frozen backbone trains 0 parameters, drawn and tested one decade below the smallest other count."
PEAK = "Grey: where the peak lies, the 95 % interval of the quadratic's vertex."


def inverted_u(study: Study, wanted: Figure) -> Picture | str:
    """mIoU and training loss over the backbone's trainable parameters, as the paper's figure 5, and its verdict.

    With `panels` small multiples on the same axes, one for every combination of their values, with a verdict each.
    """
    import matplotlib.pyplot as plt

    parts, notes, left = {}, [], {}
    for title, part in _panels(study, wanted).items():
        points, note = on_axis(part, wanted)
        runs = _runs(part, points)
        left[title] = note
        if runs.empty:
            notes.append(f"{title}: no finished run.")
        else:
            parts[title] = (part, points, runs)
    if not parts:
        return "no finished run with a recorded number of parameters"
    counts = pd.concat([runs["parameters.backbone_trainable"] for _, _, runs in parts.values()])
    x = pd.Series(statistics.log_parameters(counts.to_numpy()), counts.index)
    zero = bool((counts == 0).any())
    across = {1: 1, 2: 2, 4: 2}.get(len(parts), 3)
    down = math.ceil(len(parts) / across)
    size = (TEXT * 0.72, 3.4) if len(parts) == 1 else (TEXT, 0.5 + 2.3 * down)
    canvas, grid = plt.subplots(down, across, figsize=size, squeeze=False, sharey=True, layout="constrained")
    seconds, points_drawn, verdicts = [], [], []
    for axes, (title, (part, points, runs)) in zip(grid.flat, parts.items(), strict=False):
        runs = runs.assign(x=x[runs.index])
        seconds.append(_draw(axes, part, runs, wanted))
        parameter_axis(axes, x.to_numpy(), zero)
        shown = variants(part, replace(wanted, points=tuple(points)), without=wanted.panels)
        places = runs.groupby("point")["x"].first()
        shown = [one for one in shown if one.point in places]
        names = {one.rest or one.label: float(places[one.point]) for one in shown}
        above = _name_points(axes, names, size[0] / across - 1.1, len(parts) > 1)
        if title:
            axes.set_title(title, pad=above, fontweight="bold")
        column = target_column(part)
        points_drawn += [
            Point(axes, float(places[one.point]), one.mean(column), one.said(column))
            for one in shown
            if one.scores[column].notna().any()
        ]
        said, peak = _verdict(part, runs, title)
        verdicts.append(said)
        if peak is not None:
            axes.axvspan(peak.low, peak.high, color="0.9", zorder=-1, linewidth=0)
            notes.append(PEAK)
    if len(parts) > 1:
        _share(grid, seconds)
    handles = [handle for one in (grid[0, 0], seconds[0]) for handle in one.get_legend_handles_labels()[0]]
    if len(seconds) == grid.size:
        canvas.legend(handles=handles, loc="outside lower center", ncols=columns(len(handles), 5))
    else:
        grid.flat[-1].legend(handles=handles, loc="center")
    same = "All panels have the same axes." if len(parts) > 1 else ""
    if len(set(left.values())) > 1:
        left = {title: f"{title}: {note}" if note else "" for title, note in left.items()}
    caption = join(wanted.caption, DRAWN, same, ZERO if zero else "", *dict.fromkeys([*left.values(), *notes]))
    return Picture(caption, canvas, tuple(verdicts), tuple(points_drawn))


def _panels(study: Study, wanted: Figure) -> dict[str, Study]:
    """Title -> the part of the study in that panel; without `panels` one of no title."""
    keys = list(wanted.panels)
    if not keys:
        return {"": study}
    for key in keys:
        if key not in study.runs:
            known = map(str, study.runs)
            raise ConfigError(
                f"figure {wanted.name!r}: `panels`: `{key}` is no column of the results{nearest(key, known)}"
            )
    parts = {}
    for values, runs in study.runs.groupby(keys, sort=False, dropna=False):
        title = ", ".join(setting(key, value, wanted.rename) for key, value in zip(keys, values, strict=True))
        results = study.results[study.results["run_id"].isin(runs["run_id"])]
        parts[title] = replace(study, runs=runs.reset_index(drop=True), results=results)
    return parts


def _runs(study: Study, points: Sequence[str]) -> pd.DataFrame:
    """The finished runs of these points that have recorded their parameters, with their mIoU and final loss."""
    runs = study.done[study.done["point"].isin(points)].dropna(subset=["parameters.backbone_trainable"])
    runs = runs.set_index("run_id").join(miou(study).pipe(flat))
    return runs.join(final_loss(trajectory(study)).set_index("run_id"))


def _draw(axes: Axes, study: Study, runs: pd.DataFrame, wanted: Figure) -> Axes:
    """Targets, their average, and on a second axis, which is returned, the loss."""
    main = target_column(study)
    domains = study.targets if len(study.targets) > 1 else []
    for domain, look in zip(domains, looks(len(domains)), strict=True):
        # Above the average's line: a domain that lies near the average would vanish below it.
        _line(axes, runs, "target " + domain, 0.35, label=written(domain, wanted.rename), color=look.colour,
              marker=look.marker, linewidth=0.9, markersize=2.5, zorder=4)  # fmt: skip
    label = "average" if main == AVERAGE else written(main[1], wanted.rename)
    _line(axes, runs, " ".join(main), 0.6, label=label, color="black", marker="o", linewidth=2, markersize=4)
    axes.set_ylabel("target mIoU in %")
    axes.grid(axis="y", alpha=0.4)
    second = axes.twinx()
    second.spines["right"].set_visible(True)
    second.set_ylabel("training loss", color="0.4")
    second.tick_params(axis="y", colors="0.4")
    _line(second, runs, "final", 0, label="training loss", color="0.4", marker="o", linewidth=1, markersize=2.5,
          linestyle="--")  # fmt: skip
    return second


def _line(axes: Axes, runs: pd.DataFrame, column: str, dots: float, **style: Any) -> None:
    """Means over seeds joined by a line, and single runs as dots of opacity `dots`."""
    means = statistics.summarise(runs, ["point", "x"], column).sort_values("x")
    axes.plot(means["x"], means["mean"], **style)
    if dots:
        axes.scatter(runs["x"], runs[column], s=5, color=style["color"], alpha=dots, linewidths=0, zorder=3)


def _verdict(study: Study, runs: pd.DataFrame, title: str) -> tuple[Verdict, statistics.Peak | None]:
    """What may be said of a panel, and where the peak lies if there is one."""
    main = target_column(study)
    tested = runs.dropna(subset=[" ".join(main)])
    found = statistics.inverted_u(tested["x"].to_numpy(), tested[" ".join(main)].to_numpy())
    of = "average target mIoU" if main == AVERAGE else f"mIoU on {main[1]}"
    said = statistics.verdict(found, f"{of} ({title})" if title else of)
    if not found.claimed:
        return said, None
    return replace(said, evidence=join(said.evidence, caveat(study, runs))), found.peak


def _share(grid: np.ndarray, seconds: list[Axes]) -> None:
    """One scale of losses for all panels; what the panels have in common is written at the edges alone."""
    low = min(one.get_ylim()[0] for one in seconds)
    high = max(one.get_ylim()[1] for one in seconds)
    across = grid.shape[1]
    for place, axes in enumerate(grid.flat):
        axes.set(xlabel="", ylabel="" if place % across else axes.get_ylabel())
        if place >= len(seconds):
            axes.axis("off")
            continue
        second = seconds[place]
        second.set_ylim(low, high)
        if place % across < across - 1 and place < len(seconds) - 1:
            second.set_ylabel("")
            second.tick_params(axis="y", labelright=False)
        # At the end of a last row that is not full there is room for it, and the panels stay equally wide.
        second.yaxis.set_in_layout(place % across == across - 1)
    grid.flat[0].get_figure().supxlabel("trainable parameters in the backbone", fontsize=8)


def _name_points(axes: Axes, places: dict[str, float], width: float, narrow: bool) -> float:
    """Every variant's name above the plot, moved sideways where neighbours are close, with a line down to its place.

    `width` is the axes' in inches, about. Returns how many points (of 1/72 in) the names reach above the axes.
    """
    left, right = axes.get_xlim()
    angle, size = (55, 6) if narrow else (35, 7)
    gap = (0.13 if narrow else 0.25) * (right - left) / width
    at: list[float] = []
    ordered = sorted(places.items(), key=lambda one: one[1])
    for _, x in ordered:
        at.append(max(x, at[-1] + gap) if at else x)
    shift = sum(a - x for a, (_, x) in zip(at, ordered, strict=True)) / len(at)
    shift = min(shift, at[0] - left)  # the first name stands above the axes, not beside them
    place = ("data", "axes fraction")
    for (name, x), label in zip(ordered, (a - shift for a in at), strict=True):
        axes.annotate(
            name, xy=(x, 1), xytext=(label, 1.06), xycoords=place, textcoords=place,
            rotation=angle, ha="left", va="bottom", rotation_mode="anchor", fontsize=size, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": "0.5", "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
        axes.axvline(x, color="0.85", linewidth=0.5, zorder=0)
    return 14 + 0.6 * size * max(map(len, places)) * math.sin(math.radians(angle))
