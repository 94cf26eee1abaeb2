"""How runs went: the training loss over steps, and source against target mIoU over the scored checkpoints."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from rein.config import Figure
from rein.reports.figures.picture import TEXT, Picture, Point, columns, flat, looks
from rein.reports.figures.variants import aim, variants
from rein.reports.markup import join
from rein.reports.study import Study, miou_by_step, trajectory


def curves(study: Study, wanted: Figure) -> Picture | str:
    """The training loss over steps, and how source val and target mIoU move together over the checkpoints."""
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    points = list(wanted.points) or study.points
    losses = trajectory(study)
    losses = losses[losses["point"].isin(points)]
    scores = miou_by_step(study).pipe(flat).reset_index()
    scores["point"] = scores["run_id"].map(study.runs.set_index("run_id")["point"])
    scores = scores[scores["point"].isin(points)]
    if losses.empty and scores.empty:
        return "no run has logged a loss or a score"
    names = {one.point: one.label for one in variants(study, wanted)}
    look = dict(zip(points, looks(len(points)), strict=True))
    across = columns(len(points), max(1, min(5, 110 // (max(map(len, names.values())) + 8))))
    height = 2.35 + 0.15 * math.ceil(len(points) / across)
    canvas, (left, right) = plt.subplots(1, 2, figsize=(TEXT, height), layout="constrained")
    binned = _binned(losses)
    for point, one in look.items():
        bins = binned[binned["point"] == point].groupby("step")["value"]
        mean, sd = bins.mean(), bins.std()
        left.plot(mean.index, mean, color=one.colour, linestyle=one.line)
        left.fill_between(mean.index, mean - sd, mean + sd, color=one.colour, linewidth=0, alpha=0.18)
    left.set(xlabel="step", ylabel="training loss", title="training")
    # Without a source to score there is nothing but the steps to hold the target against.
    column, title = aim(study, wanted.rename)
    source, target = "source mean" if study.sources else "step", " ".join(column)
    if study.sources:
        scores[source] = scores[[f"source {name}" for name in study.sources]].mean(axis=1, skipna=False)
    shown = []
    for point in points:
        mine = scores[scores["point"] == point].dropna(subset=[source, target])
        mean = _shared_steps(mine).groupby("step")[[source, target]].mean()
        style = {"color": look[point].colour, "linestyle": look[point].line, "marker": look[point].marker}
        each = _broken(mine)
        right.plot(each[source], each[target], **{**style, "marker": "."}, linewidth=0.5, alpha=0.4, markersize=2)
        right.plot(mean[source], mean[target], **style, markersize=2.5)
        right.plot(mean[source].tail(1), mean[target].tail(1), **style, markersize=6)
        shown += [
            Point(right, x, y, f"{names[point]}, step {step}: mIoU {y:.1f} %")
            for step, x, y in zip(mean.index, mean[source], mean[target], strict=True)
        ]
    right.set(ylabel=title, title="generalisation")
    right.set_xlabel("source val mIoU in %" if study.sources else "step")
    handles = [
        Line2D([], [], color=one.colour, linestyle=one.line, marker=one.marker, markersize=4, label=names[point])
        for point, one in look.items()
    ]
    canvas.legend(handles=handles, loc="outside lower center", ncols=across, handlelength=2.6)
    for axes in (left, right):
        axes.grid(alpha=0.4)
        axes.locator_params(nbins=5)
    drawn = (
        "Left: training loss in fifty bins of steps, the mean over seeds with a band of one sample standard deviation. "
        "Right: every scored checkpoint; thin single runs, thick the mean over seeds, the large mark the last one."
    )
    going = len(study.runs) - len(study.done)
    unfinished = "Unfinished runs are drawn as far as they are." if going else ""
    return Picture(join(wanted.caption, drawn, unfinished), canvas, points=tuple(shown))


def _binned(losses: pd.DataFrame, bins: int = 50) -> pd.DataFrame:
    """Losses averaged within bins of steps, one value a run and bin; the loss of single batches is mostly noise."""
    width = max(losses["step"].max() / bins, 1) if len(losses) else 1
    step = np.ceil(losses["step"] / width) * width  # a bin stands at its end, so that the last is the last step
    binned = losses.assign(step=step).groupby(["point", "run_id", "step"], sort=False)["value"].mean()
    return _shared_steps(binned.reset_index())


def _shared_steps(frame: pd.DataFrame) -> pd.DataFrame:
    """Only steps that every run of a point has reached: a mean must not jump where a run in progress drops out."""
    if frame.empty:
        return frame
    reached = frame.groupby("run_id")["step"].max().reset_index(name="reached")
    points = reached.merge(frame[["run_id", "point"]].drop_duplicates()).groupby("point")["reached"].min()
    return frame[frame["step"] <= frame["point"].map(points)]


def _broken(frame: pd.DataFrame) -> pd.DataFrame:
    """The runs one after another with an empty row behind each: as one line with gaps, ten thousand are soon drawn."""
    gaps = frame[["run_id"]].drop_duplicates()
    return pd.concat([frame, gaps]).sort_values("run_id", kind="stable")
