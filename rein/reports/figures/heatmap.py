"""IoU of every class under every variant, as numbers on colours."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from rein.config import Figure
from rein.published import Published
from rein.reports.figures.picture import TEXT, Picture, Point, folded, join
from rein.reports.figures.variants import left_out, published_note, variants
from rein.reports.names import written
from rein.reports.study import Study, class_iou

#: Classes that published tables call otherwise.
_SHORT = {"traffic light": "light", "traffic sign": "sign"}


def heatmap(study: Study, wanted: Figure) -> Picture | str:
    """Rows of variants, columns of classes and their mean; a published row stands below its variant's."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    every = variants(study, wanted)
    wide = class_iou(study)
    found = [one for one in every if wide.index.isin(one.scores.index).any()]
    if not found:
        return "no finished run has scores of classes"
    rows: dict[str, list[float]] = {}
    said: list[str] = []
    there: list[Published] = []
    for one in found:
        own = wide.loc[wide.index.isin(one.scores.index)]
        rows[one.label] = own.mean().tolist()
        said.append(f"{one.label} (n {len(own)})")
        if one.row and one.row.classes and math.isfinite(one.published):
            rows[f"{one.label}, published"] = [one.row.classes.get(_SHORT.get(name, name), np.nan) for name in wide]
            said.append(f"{one.label} (published, {one.row.table})")
            there.append(one.row)
    values = pd.DataFrame.from_dict(rows, orient="index", columns=list(wide.columns))
    values["mean"] = values.mean(axis=1, skipna=False)
    left = 0.03 + 0.062 * min(max(map(len, values.index)), 30)
    cell = (TEXT - left - 0.1) / max(len(values.columns), 10)
    above = 0.1 + 0.055 * max(map(len, map(str, values.columns)))
    height = above + 0.2 * len(values) + 0.05
    canvas, axes = plt.subplots(figsize=(left + cell * len(values.columns) + 0.1, height))
    canvas.subplots_adjust(left=left / canvas.get_figwidth(), right=1 - 0.1 / canvas.get_figwidth(),
                           top=1 - above / height, bottom=0.05 / height)  # fmt: skip
    sns.heatmap(
        values, cmap="YlGnBu", vmin=0, vmax=100, annot=True, fmt=".1f" if cell > 0.24 else ".0f", cbar=False,
        annot_kws={"fontsize": 6}, linewidths=0.5, linecolor="white", ax=axes,
    )  # fmt: skip
    axes.axvline(len(wide.columns), color="black", linewidth=0.8)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=7)
    axes.set_xticks(np.arange(len(values.columns)) + 0.5, [written(name, wanted.rename) for name in values.columns],
                    rotation=45, ha="left", rotation_mode="anchor")  # fmt: skip
    axes.set_yticks(np.arange(len(values)) + 0.5, [folded(name, 30) for name in values.index], rotation=0)
    for text, name in zip(axes.get_yticklabels(), values.index, strict=True):
        text.set_style("italic" if name.endswith(", published") else "normal")
    points = tuple(
        Point(axes, column + 0.5, row + 0.5, f"{said[row]}, {name}: {value:.1f}")
        for row, line in enumerate(values.to_numpy())
        for column, (name, value) in enumerate(zip(values.columns, line, strict=True))
        if value == value
    )
    drawn = "IoU in percent: a run's mean over the targets that have the class, then the mean over seeds."
    hollow = published_note(wanted, there, "In italics")
    return Picture(join(wanted.caption, drawn, hollow, left_out(every)), canvas, points=points)
