"""The paper's figure 5: mIoU and training loss over the backbone's trainable parameters, and what may be said of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rein.config import ConfigError, Figure, nearest
from rein.reports import statistics
from rein.reports.figures import labels
from rein.reports.figures.one_axis import caveat, fits_worse, on_axis
from rein.reports.figures.parameter_axis import parameter_axis
from rein.reports.figures.picture import HUES, TEXT, Look, Picture, Point, columns, flat, looks
from rein.reports.figures.variants import labels as labels_of
from rein.reports.figures.variants import setting, variants
from rein.reports.grid import Grid
from rein.reports.markup import join
from rein.reports.names import written
from rein.reports.statistics import InvertedU, Verdict
from rein.reports.study import AVERAGE, Study, final_loss, miou, target_column, trajectory
from rein.reports.tables.numbers import number
from rein.reports.tables.verdicts import verdicts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWN = (
    "Lines join the means over seeds, dots are single runs; dashed, on the right, the mean training loss of the last "
    "tenth of steps."
)
SAME = "All panels have the same axes of parameters and mIoU; losses have an axis of their own for each head."
ZERO = "A frozen backbone trains 0 parameters, drawn and tested one decade below the smallest other count."
PEAK = "Grey: where the peak lies, the 95 % interval of the quadratic's vertex."


#: Inches of all rows of panels together: the caption must stand on the page too.
TALLEST = 8.2


@dataclass(frozen=True)
class _Panel:
    """A part of the study on axes of its own; all of it has no title."""

    title: str
    study: Study
    #: The variants on this axis, and a note on those that are not.
    points: list[str]
    note: str
    #: Their finished runs, with `x`, the place of their parameters.
    runs: pd.DataFrame


def inverted_u(study: Study, wanted: Figure) -> Picture | str:
    """mIoU and training loss over the backbone's trainable parameters, as the paper's figure 5, and its verdict.

    With `panels` small multiples on the same axes, one for every combination of their values, with a verdict each.
    """
    import matplotlib.pyplot as plt

    every = _panels(study, wanted)
    panels = [panel for panel in every if not panel.runs.empty]
    if not panels:
        return "no finished run with a recorded number of parameters"
    across = {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
    down = math.ceil(len(panels) / across)
    size = (TEXT * 0.72, 3.4) if len(panels) == 1 else (TEXT, 0.5 + min(2.3 * down, TALLEST))
    canvas, grid = plt.subplots(down, across, figsize=size, squeeze=False, sharey=True, layout="constrained")
    runs = pd.concat([panel.runs for panel in panels])
    zero = bool((runs["parameters.backbone_trainable"] == 0).any())
    seconds, points, said = [], [], []
    for axes, panel in zip(grid.flat, panels, strict=False):
        seconds.append(_draw(axes, panel, wanted))
        parameter_axis(axes, runs["x"].to_numpy(), zero)
        points += _name(axes, panel, wanted, size[0] / across - 1.1, narrow=len(panels) > 1)
        points += _told(axes, seconds[-1], panel, wanted)
        said.append(_verdict(panel, wanted))
    tests = [found for _, found in said]
    peaks = [
        (axes, one.peak) for axes, one in zip(grid.flat, tests, strict=False) if one.claimed and one.peak is not None
    ]
    for axes, peak in peaks:
        axes.axvspan(peak.low, peak.high, color="0.9", zorder=-1, linewidth=0)
    if len(panels) > 1:
        heads = [", ".join(sorted(set(panel.runs["head.method"]))) for panel in panels]
        _share(grid, seconds, heads)
        canvas.set_layout_engine(
            "constrained", hspace=0.08
        )  # names of one row's variants from the numbers of the row above
    handles = [handle for one in (grid[0, 0], seconds[0]) for handle in one.get_legend_handles_labels()[0]]
    if len(panels) == grid.size:
        canvas.legend(handles=handles, loc="outside lower center", ncols=columns(len(handles), 5))
    else:
        grid.flat[-1].legend(handles=handles, loc="center")
    same = SAME if len(panels) > 1 else ""
    drawn = (DRAWN, same, ZERO if zero else "", PEAK if peaks else "")
    caption = join(wanted.caption, *drawn, *_notes(every))
    tested = _tabled(panels, tests, wanted) if len(panels) > 1 else None
    return Picture(caption, canvas, tuple(verdict for verdict, _ in said), tuple(points), tested)


def _panels(study: Study, wanted: Figure) -> list[_Panel]:
    """Every combination of the values of `panels`, in the sweep's order; without `panels` the whole study is one."""
    for key in wanted.panels:
        if key not in study.runs:
            known = map(str, study.runs)
            raise ConfigError(
                f"figure {wanted.name!r}: `panels`: `{key}` is no column of the results{nearest(key, known)}"
            )
    titles = pd.Series(
        [", ".join(setting(key, run[key], wanted.rename) for key in wanted.panels) for _, run in study.runs.iterrows()]
    )
    panels = []
    for title, runs in study.runs.groupby(titles, sort=False):
        results = study.results[study.results["run_id"].isin(runs["run_id"])]
        part = replace(study, runs=runs.reset_index(drop=True), results=results)
        points, note = on_axis(part, wanted)
        panels.append(_Panel(str(title), part, points, note, _runs(part, points)))
    counts = pd.concat([panel.runs["parameters.backbone_trainable"] for panel in panels])
    # One place of the zero for all panels, so that they have the same axis.
    x = pd.Series(statistics.log_parameters(counts.to_numpy()), counts.index)
    return [replace(panel, runs=panel.runs.assign(x=x[panel.runs.index])) for panel in panels]


def _runs(study: Study, points: Sequence[str]) -> pd.DataFrame:
    """The finished runs of these points that have recorded their parameters, with their mIoU and final loss."""
    runs = study.done[study.done["point"].isin(points)].dropna(subset=["parameters.backbone_trainable"])
    runs = runs.set_index("run_id").join(miou(study).pipe(flat))
    return runs.join(final_loss(trajectory(study)).set_index("run_id"))


def _draw(axes: Axes, panel: _Panel, wanted: Figure) -> Axes:
    """Targets, their average, and on a second axis, which is returned, the loss."""
    main, runs = target_column(panel.study), panel.runs
    for domain, look in _looks(panel.study).items():
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
    second.locator_params(axis="y", nbins=6)
    _line(second, runs, "final", 0, label="training loss", color="0.4", marker="o", linewidth=1, markersize=2.5,
          linestyle="--")  # fmt: skip
    return second


def _looks(study: Study) -> dict[str, Look]:
    """Those of the targets, where there are several: the same in all chapters as far as there are hues for all."""
    domains = study.targets if len(study.targets) > 1 else []
    every = list(dict.fromkeys((*study.earlier, *domains)))
    every = every if len(every) <= HUES else domains
    look = dict(zip(every, looks(len(every)), strict=True))
    return {domain: look[domain] for domain in domains}


def _line(axes: Axes, runs: pd.DataFrame, column: str, dots: float, **style: Any) -> None:
    """Means over seeds joined by a line, and single runs as dots of opacity `dots`."""
    means = statistics.summarise(runs, ["point", "x"], column).sort_values("x")
    axes.plot(means["x"], means["mean"], **style)
    if dots:
        axes.scatter(runs["x"], runs[column], s=5, color=style["color"], alpha=dots, linewidths=0, zorder=3)


def _name(axes: Axes, panel: _Panel, wanted: Figure, width: float, narrow: bool) -> list[Point]:
    """Write the variants' names above and the panel's above them; returns what is said of their means."""
    places = panel.runs.groupby("point")["x"].first()
    shown = variants(panel.study, replace(wanted, points=tuple(panel.points)), without=wanted.panels)
    shown = [(one, float(places[one.point])) for one in shown if one.point in places]
    above = labels.above(axes, [(one.rest or one.label, x) for one, x in shown], width, narrow)
    if panel.title:
        axes.set_title(panel.title, pad=above, fontweight="bold")
    column = target_column(panel.study)
    where = f"{panel.title}: " if panel.title else ""
    return [
        Point(axes, x, one.mean(column), where + one.said(column))
        for one, x in shown
        if one.scores[column].notna().any()
    ]


def _told(axes: Axes, second: Axes, panel: _Panel, wanted: Figure) -> list[Point]:
    """What is said of the means of single targets and of the loss."""
    where = f"{panel.title}: " if panel.title else ""
    targets = panel.study.targets if len(panel.study.targets) > 1 else []
    shown = [(axes, f"target {name}", written(name, wanted.rename), "mIoU ", " %", 1) for name in targets]
    shown.append((second, "final", "training loss", "", "", 2))
    names = labels_of(panel.study, wanted.rename, wanted.panels)
    points = []
    for one, column, what, of, unit, digits in shown:
        for _, mean in statistics.summarise(panel.runs, ["point", "x"], column).iterrows():
            if mean["mean"] == mean["mean"]:
                value = number(mean["mean"], math.nan, digits)
                text = f"{where}{names[mean['point']] or mean['point']}, {what}: {of}{value}{unit}"
                points.append(Point(one, mean["x"], mean["mean"], text))
    return points


def _verdict(panel: _Panel, wanted: Figure) -> tuple[Verdict, InvertedU]:
    """What may be said of a panel, and the test behind it."""
    column = " ".join(target_column(panel.study))
    tested = panel.runs.dropna(subset=[column])
    found = statistics.inverted_u(tested["x"].to_numpy(), tested[column].to_numpy())
    of = _tested(panel, wanted)
    said = statistics.verdict(found, f"{of} ({panel.title})" if panel.title else of)
    worse, others = _open(panel, found, column)
    claim = f"{said.claim.removesuffix('.')}, and training loss rises with the fall." if worse else said.claim
    return replace(said, claim=claim, evidence=join(said.evidence, worse, others)), found


def _open(panel: _Panel, found: InvertedU, column: str) -> tuple[str, str]:
    """What a fall, and what a rise and fall, leave open; empty where there is none."""
    worse = fits_worse(panel.runs, column) if found.falls else ""
    return worse, caveat(panel.study, panel.runs) if found.claimed else ""


def _tested(panel: _Panel, wanted: Figure) -> str:
    main = target_column(panel.study)
    return "average target mIoU" if main == AVERAGE else f"mIoU on {written(main[1], wanted.rename)}"


def _tabled(panels: Sequence[_Panel], tests: Sequence[InvertedU], wanted: Figure) -> Grid:
    """The tests of all panels; what a claim leaves open is said of all that claim, once where it is the same."""
    pairs = list(zip(panels, tests, strict=True))
    column = " ".join(target_column(panels[0].study))
    open_ = [(panel.title, *_open(panel, found, column)) for panel, found in pairs]
    worse = [f"{title}: {one}" for title, one, _ in open_ if one]
    by_title = {panel.title: found for panel, found in pairs}
    said = join(*worse, *dict.fromkeys(one for *_, one in open_))
    return verdicts(tested_name(wanted), _tested(panels[0], wanted), by_title, said)


def tested_name(wanted: Figure) -> str:
    """What the table of a figure's tests is called."""
    return f"{wanted.name} tested"


def _notes(panels: list[_Panel]) -> list[str]:
    """What is not drawn; said once where it is the same in all panels."""
    empty = [f"{panel.title}: no finished run." for panel in panels if panel.runs.empty]
    if len({panel.note for panel in panels}) == 1:
        return [panels[0].note, *empty]
    return [*(f"{panel.title}: {panel.note}" for panel in panels if panel.note), *empty]


def _share(grid: np.ndarray, seconds: list[Axes], heads: Sequence[str]) -> None:
    """What the panels have in common is written at the edges alone. Losses have a scale a head: they do not compare."""
    _scale(seconds, heads)
    across, several = grid.shape[1], len(set(heads)) > 1
    for place, axes in enumerate(grid.flat):
        axes.set_xlabel("trainable parameters" if place >= len(seconds) - across else "")
        axes.set_ylabel("" if place % across else axes.get_ylabel())
        if place >= len(seconds):
            axes.axis("off")
            continue
        second = seconds[place]
        if place % across < across - 1 and place < len(seconds) - 1:
            second.set_ylabel("")
            second.tick_params(axis="y", labelright=several)
        # At the end of a last row that is not full there is room for it, and the panels stay equally wide.
        second.yaxis.set_in_layout(several or place % across == across - 1)


def _scale(seconds: Sequence[Axes], heads: Sequence[str]) -> None:
    """The panels of a head share the limits of their losses, with a margin, so that no line runs along an edge."""
    for head in set(heads):
        same = [axes for axes, other in zip(seconds, heads, strict=True) if other == head]
        limits = [axes.dataLim.intervaly for axes in same if np.isfinite(axes.dataLim.intervaly).all()]
        if limits:
            low, high = min(one[0] for one in limits), max(one[1] for one in limits)
            margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
            for axes in same:
                axes.set_ylim(low - margin, high + margin)
