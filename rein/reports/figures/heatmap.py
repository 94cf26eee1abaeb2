"""IoU of every class under every variant, as numbers on colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rein import published
from rein.config import Figure
from rein.reports.figures.beside import about
from rein.reports.figures.picture import TEXT, Picture, Point, folded, join
from rein.reports.figures.variants import left_out, published_note, variants
from rein.reports.names import written
from rein.reports.study import Study, miou, target_column
from rein.reports.tables.classes import MEAN, iou

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def heatmap(study: Study, wanted: Figure) -> Picture | str:
    """Rows of variants, columns of classes and their mean; a published row stands in italics below its variant's.

    Beside published numbers the targets are those that they are of.
    """
    study = _of_published(study, wanted)
    every, wide = variants(study, wanted), iou(study)
    classes = list(map(str, wide))
    wide[MEAN] = miou(study)[target_column(study)]
    found = [one for one in every if wide.index.isin(one.scores.index).any()]
    if not classes or not found:
        return "no finished run has scores of classes"
    names, numbers, said, there = [], [], [], []
    for one in found:
        own = wide.loc[wide.index.isin(one.scores.index)]
        names.append(one.label)
        numbers.append(own.mean().tolist())
        said.append(f"{one.label} (n {len(own)})")
        if one.row and one.row.classes and math.isfinite(one.published):
            names.append(f"{one.label}, published")
            numbers.append([*(one.row.classes.get(name, np.nan) for name in classes), one.published])
            said.append(f"{one.label} (published, {one.row.table})")
            there.append(one.row)
    values = pd.DataFrame(numbers, names, [*classes, MEAN])
    canvas, points = _draw(values, [written(name, wanted.rename) for name in (*classes, MEAN)], said)
    domains = ", ".join(written(name, wanted.rename) for name in study.targets)
    drawn = (
        f"IoU in percent: a run's mean over the targets that have the class, then the mean over seeds. {MEAN} is over "
        f"all classes. Target: {domains}."
    )
    italic = published_note(study, wanted, there, about(study), "In italics")
    return Picture(join(wanted.caption, drawn, italic, left_out(every)), canvas, points=tuple(points))


def _of_published(study: Study, wanted: Figure) -> Study:
    """The study of the targets that the published classes are of, if it has them."""
    rows = published.rows(wanted.published) if wanted.published else ()
    domains = {name for row in rows if row.classes for name in row.domains}
    targets = [name for name in study.targets if study.original(name) in domains]
    return study.on(targets) if targets else study


def _draw(values: pd.DataFrame, columns: Sequence[str], said: Sequence[str]) -> tuple[Canvas, list[Point]]:
    """Sizes are inches: cells just wide enough for their numbers, room for the longest name on both sides."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    names = [folded(name, 30) for name in values.index]
    left = 0.05 + 0.062 * max(len(line) for name in names for line in name.split("\n"))
    cell = min((TEXT - left - 0.1) / len(columns), 0.5)
    above = 0.1 + 0.055 * max(map(len, columns))
    width, height = left + cell * len(columns) + 0.1, above + 0.2 * len(values) + 0.05
    canvas, axes = plt.subplots(figsize=(width, height))
    canvas.subplots_adjust(left=left / width, right=1 - 0.1 / width, top=1 - above / height, bottom=0.05 / height)
    sns.heatmap(
        values, cmap="YlGnBu", vmin=0, vmax=100, annot=True, fmt=".1f" if cell > 0.24 else ".0f", cbar=False,
        annot_kws={"fontsize": 6}, linewidths=0.5, linecolor="white", ax=axes,
    )  # fmt: skip
    axes.axvline(len(columns) - 1, color="black", linewidth=0.8)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=7)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=45, ha="left", rotation_mode="anchor")
    axes.set_yticks(np.arange(len(values)) + 0.5, names, rotation=0)
    for text, name in zip(axes.get_yticklabels(), values.index, strict=True):
        text.set_fontstyle("italic" if name.endswith(", published") else "normal")
    points = [
        Point(axes, column + 0.5, row + 0.5, f"{said[row]}, {name}: {value:.1f}")
        for row, line in enumerate(values.to_numpy())
        for column, (name, value) in enumerate(zip(columns, line, strict=True))
        if value == value
    ]
    return canvas, points
