"""The paper's figure 5: mIoU and training loss over the backbone's trainable parameters, and what may be said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rein.config import Figure
from rein.reports import statistics
from rein.reports.figures.picture import TEXT, Picture, colours, columns, flat, join
from rein.reports.study import AVERAGE, Study, final_loss, miou, target_column, trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def inverted_u(study: Study, wanted: Figure) -> Picture | str:
    """mIoU and training loss over the backbone's trainable parameters, as the paper's figure 5, and its verdict."""
    import matplotlib.pyplot as plt

    points, note = on_axis(study, wanted)
    runs = study.done[study.done["point"].isin(points)].dropna(subset=["parameters.backbone_trainable"])
    if runs.empty:
        return "no finished run with a recorded number of parameters"
    runs = runs.set_index("run_id").join(miou(study).pipe(flat))
    runs = runs.join(final_loss(trajectory(study)).set_index("run_id"))
    runs["x"] = statistics.log_parameters(runs["parameters.backbone_trainable"].to_numpy())
    canvas, axes = plt.subplots(figsize=(TEXT * 0.72, 2.9))
    main = target_column(study)
    domains = study.targets if len(study.targets) > 1 else []
    for domain, colour in zip(domains, colours(len(domains)), strict=True):
        # Above the average's line: a domain that lies near the average would vanish below it.
        _line(
            axes,
            runs,
            "target " + domain,
            0.35,
            label=domain,
            color=colour,
            linewidth=0.9,
            markersize=2,
            zorder=4,
        )
    main_label = "average" if main == AVERAGE else main[1]
    _line(axes, runs, " ".join(main), 0.6, label=main_label, color="black", linewidth=2, markersize=4)
    axes.set(xlabel="trainable parameters in the backbone", ylabel="target mIoU in %")
    axes.grid(axis="y", alpha=0.4)
    second = axes.twinx()
    second.spines["right"].set_visible(True)
    second.set_ylabel("training loss", color="0.4")
    second.tick_params(axis="y", colors="0.4")
    _line(
        second,
        runs,
        "final",
        0,
        label="training loss",
        color="0.4",
        linewidth=1,
        markersize=2.5,
        linestyle="--",
    )
    _parameter_axis(axes, runs)
    _name_points(axes, runs)
    handles = [handle for one in (axes, second) for handle in one.get_legend_handles_labels()[0]]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=columns(len(handles), 5))
    tested = runs.dropna(subset=[" ".join(main)])
    found = statistics.inverted_u(tested["x"].to_numpy(), tested[" ".join(main)].to_numpy())
    of = "average target mIoU" if main == AVERAGE else f"mIoU on {main[1]}"
    drawn = (
        "Lines join the means over seeds, dots are single runs; dashed, on the right, the mean training loss of the "
        "last tenth of steps."
    )
    if (runs["parameters.backbone_trainable"] == 0).any():
        drawn += " A frozen backbone trains 0 parameters, drawn and tested one decade below the smallest other count."
    if found.claimed and found.peak is not None:
        axes.axvspan(found.peak.low, found.peak.high, color="0.9", zorder=-1, linewidth=0)
        drawn += " Grey: where the peak lies, the 95 % interval of the quadratic's vertex."
    said = statistics.verdict(found, of)
    if found.claimed:
        said = statistics.Verdict(said.claim, join(said.evidence, caveat(study, runs)))
    return Picture(join(wanted.caption, drawn, note), canvas, said)


def caveat(study: Study, runs: pd.DataFrame) -> str:
    """What else differs between the points: a rise and fall over unlike methods says little about the count alone."""
    settings = study.settings[study.runs["run_id"].isin(runs.index)]
    differing = [str(key) for key, column in settings.items() if column.nunique(dropna=False) > 1]
    if "tuning.method" in differing:
        differing = [key for key in differing if not key.startswith("tuning.") or key == "tuning.method"]
    if len(differing) == 1 and pd.api.types.is_numeric_dtype(study.runs[differing[0]]):
        return ""
    return (
        f"The points differ in {', '.join(f'`{key}`' for key in differing)}, not in their count alone, and every "
        f"variant may lie high or low for reasons of its own, which the test takes for a trend: this is a statement "
        f"about these variants."
    )


def on_axis(study: Study, wanted: Figure) -> tuple[list[str], str]:
    """The points that belong on one axis, and a note on those left out.

    Named points, or all whose backbone is the commonest (name and weights): an untrained backbone is a control, not a
    place on the axis of how much of one backbone is tuned.
    """
    if wanted.points:
        left = [point for point in study.points if point not in wanted.points]
        return list(wanted.points), f"Not drawn: {', '.join(left)}." if left else ""
    backbones = (
        study.runs.groupby("point", sort=False)[["backbone.name", "backbone.weights"]].first().apply(tuple, axis=1)
    )
    common = backbones.value_counts(sort=False).idxmax()
    left = [point for point in study.points if backbones[point] != common]
    note = f"Not on this axis, since the backbone or its weights differ: {', '.join(left)}." if left else ""
    return [point for point in study.points if point not in left], note


def _line(axes: Axes, runs: pd.DataFrame, column: str, dots: float, **style: Any) -> None:
    """Means over seeds joined by a line, and single runs as dots of opacity `dots`."""
    means = statistics.summarise(runs, ["point", "x"], column).sort_values("x")
    axes.plot(means["x"], means["mean"], marker="o", **style)
    if dots:
        axes.scatter(runs["x"], runs[column], s=5, color=style["color"], alpha=dots, linewidths=0, zorder=3)


def _parameter_axis(axes: Axes, runs: pd.DataFrame) -> None:
    """Decades written as counts, and for a frozen backbone a 0 behind a cut in the axis."""
    low, high = runs["x"].min(), runs["x"].max()
    zero = (runs["parameters.backbone_trainable"] == 0).any()
    margin = max(0.08 * (high - low), 0.25)
    axes.set_xlim(low - margin, high + margin)
    first = low + 0.5 if zero else low - margin
    # Where all counts lie within one decade, decades alone would leave the axis without a number.
    fine = high - first < 1.2
    ticks = [
        e + np.log10(m)
        for e in range(0, 11)
        for m in ((1, 2, 5) if fine else (1,))
        if first <= e + np.log10(m) <= high + margin
    ]
    texts = [statistics.count(round(10**tick)).replace(".00", "").replace(".0", "") for tick in ticks]
    if zero:
        ticks, texts = [low, *ticks], ["0", *texts]
        at = (low + 0.35 - axes.get_xlim()[0]) / np.ptp(axes.get_xlim())
        if high > low:
            axes.text(at, 0, "//", transform=axes.transAxes, ha="center", va="center", fontsize=8,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
    axes.set_xticks(ticks, texts)


def _name_points(axes: Axes, runs: pd.DataFrame) -> None:
    """Every variant's name above the plot, moved sideways where neighbours are close, with a line down to its place."""
    places = runs.groupby("point", sort=False)["x"].first().sort_values()
    left, right = axes.get_xlim()
    gap = 0.065 * (right - left)
    at: list[float] = []
    for x in places:
        at.append(max(x, at[-1] + gap) if at else x)
    shift = sum(a - x for a, x in zip(at, places, strict=True)) / len(at)
    place = ("data", "axes fraction")
    for name, x, label in zip(places.index, places, (a - shift for a in at), strict=True):
        axes.annotate(
            str(name), xy=(x, 1), xytext=(label, 1.06), xycoords=place, textcoords=place,
            rotation=35, ha="left", va="bottom", rotation_mode="anchor", fontsize=7, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": "0.5", "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
        axes.axvline(x, color="0.85", linewidth=0.5, zorder=0)
