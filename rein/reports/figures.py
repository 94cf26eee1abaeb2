"""The pictures of a report, at a paper's column width (3.3 in) or text width (6.9 in)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rein.config import ConfigError, Figure
from rein.config_io import nearest
from rein.reports.statistics import Verdict
from rein.reports.study import AVERAGE, Study, miou_by_step, target_column, trajectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

COLUMN, TEXT = 3.3, 6.9

_STYLE: dict[Any, Any] = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7,
    "legend.fontsize": 7, "legend.frameon": False, "axes.linewidth": 0.6, "lines.linewidth": 1.2, "grid.linewidth": 0.4,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2.5, "ytick.major.size": 2.5,
    "axes.spines.top": False, "axes.spines.right": False, "savefig.bbox": "tight", "savefig.pad_inches": 0.03,
    "pdf.fonttype": 42, "font.family": "DejaVu Sans",
    "text.parse_math": False,  # a $ in a variant's name is a $
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A drawn figure: its caption in full, and the sentence that it supports where it supports one."""

    caption: str
    canvas: Canvas
    verdict: Verdict | None = None

    def save(self, stem: Path) -> list[Path]:
        """Write PNG (200 dpi) and PDF (fonts as TrueType, which publishers ask for); closes the canvas."""
        import matplotlib.pyplot as plt

        files = [stem.with_suffix(".png"), stem.with_suffix(".pdf")]
        with plt.rc_context(_STYLE):
            self.canvas.savefig(files[0], dpi=200)
            # No creation date: the same results give the same bytes.
            self.canvas.savefig(files[1], metadata={"CreationDate": None})
        plt.close(self.canvas)
        return files


def draw(study: Study, wanted: Figure) -> Picture | str:
    """Draw a figure, or say in a sentence why there is nothing to draw yet."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import seaborn as sns
    from cycler import cycler

    from rein.reports import inverted_u, panels

    for point in wanted.points:
        if point not in study.points:
            known = ", ".join(study.points)
            raise ConfigError(
                f"figure {wanted.name!r}: no point {point!r}{nearest(point, study.points)}; the sweep has: {known}"
            )
    kinds = {"inverted_u": inverted_u.inverted_u, "curves": curves, "predictions": panels.predictions}
    with plt.rc_context({**_STYLE, "axes.prop_cycle": cycler(color=sns.color_palette("colorblind"))}):
        return kinds[wanted.kind](study, wanted)


# ------------------------------------------------------------------------------------------------ curves over steps


def curves(study: Study, wanted: Figure) -> Picture | str:
    """The training loss over steps, and how source val and target mIoU move together over the checkpoints."""
    import matplotlib.pyplot as plt
    import seaborn as sns
    from matplotlib.lines import Line2D

    points = list(wanted.points) or study.points
    losses = trajectory(study)
    losses = losses[losses["point"].isin(points)]
    scores = miou_by_step(study).pipe(flat).reset_index()
    scores["point"] = scores["run_id"].map(study.runs.set_index("run_id")["point"])
    scores = scores[scores["point"].isin(points)]
    if losses.empty and scores.empty:
        return "no run has logged a loss or a score"
    by_point = dict(zip(points, colours(len(points)), strict=True))
    canvas, (left, right) = plt.subplots(1, 2, figsize=(TEXT, 2.5), layout="constrained")
    binned = _binned(losses)
    if len(binned):
        sns.lineplot(binned, x="step", y="value", hue="point", hue_order=points, palette=by_point, errorbar="sd",
                     legend=False, ax=left, err_kws={"linewidth": 0, "alpha": 0.18})  # fmt: skip
    left.set(xlabel="step", ylabel="training loss", title="training")
    source, target = "source mean", " ".join(target_column(study))
    scores[source] = scores[[f"source {name}" for name in study.sources]].mean(axis=1, skipna=False)
    for point in points:
        mine = scores[scores["point"] == point].dropna(subset=[source, target])
        mean = _shared_steps(mine).groupby("step")[[source, target]].mean()
        for _, run in mine.groupby("run_id"):
            right.plot(
                run[source],
                run[target],
                color=by_point[point],
                linewidth=0.5,
                alpha=0.4,
                marker=".",
                markersize=2,
            )
        right.plot(mean[source], mean[target], color=by_point[point], marker="o", markersize=2)
        right.plot(mean[source].tail(1), mean[target].tail(1), color=by_point[point], marker="o", markersize=5)
    name = "average target" if target_column(study) == AVERAGE else target_column(study)[1]
    right.set(xlabel="source val mIoU in %", ylabel=f"{name} mIoU in %", title="generalisation")
    handles = [Line2D([], [], color=colour, label=point) for point, colour in by_point.items()]
    canvas.legend(handles=handles, loc="outside lower center", ncols=columns(len(points), 5))
    for axes in (left, right):
        axes.grid(alpha=0.4)
        axes.locator_params(nbins=5)
    drawn = (
        "Left: training loss in fifty bins of steps, the mean over seeds with a band of one sample standard deviation. "
        "Right: every scored checkpoint; thin single runs, thick the mean over seeds, the large dot the last one."
    )
    going = len(study.runs) - len(study.done)
    return Picture(
        join(wanted.caption, drawn, "Unfinished runs are drawn as far as they are." if going else ""), canvas
    )


def colours(number: int) -> list[tuple[float, float, float]]:
    import seaborn as sns

    # Ten hues can be told apart by every eye; beyond them only a ramp is honest.
    return list(sns.color_palette("colorblind", number) if number <= 10 else sns.color_palette("viridis", number))


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


def flat(wide: pd.DataFrame) -> pd.DataFrame:
    """Columns (role, domain) as `role domain`."""
    return wide.set_axis([f"{role} {domain}" for role, domain in wide.columns], axis=1)


def columns(number: int, most: int) -> int:
    """Columns of a legend with that many entries, so that its rows are about equally long."""
    return math.ceil(number / math.ceil(number / most))


def join(*parts: str) -> str:
    return " ".join(part.strip() for part in parts if part.strip())
