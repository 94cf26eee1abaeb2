"""IoU of every class under every variant as numbers, on colours that say what each gains over the first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rein import published
from rein.config import Figure
from rein.reports.figures.beside import about
from rein.reports.figures.picture import TEXT, Picture, Point, folded
from rein.reports.figures.variants import left_out, published_note, variants
from rein.reports.markup import join
from rein.reports.names import written
from rein.reports.study import Study, miou, target_column
from rein.reports.tables.classes import MEAN, OF_CLASSES, iou

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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
    drawn = f"{OF_CLASSES} {'Targets' if len(study.targets) > 1 else 'Target'}: {domains}."
    if len(names) > 1:
        most = f"{_most(values):.1f}"
        drawn += f" Colours: the difference to the first row, {names[0]}; blue is more, red less, to {most} points."
    italic = published_note(study, wanted, there, about(study), "In italics")
    return Picture(join(wanted.caption, drawn, italic, left_out(every)), canvas, points=tuple(points))


def _of_published(study: Study, wanted: Figure) -> Study:
    """The study of the targets that the published classes are of, if it has them."""
    rows = published.rows(wanted.published) if wanted.published else ()
    domains = {name for row in rows if row.classes for name in row.domains}
    targets = [name for name in study.targets if study.original(name) in domains]
    return study.on(targets) if targets else study


def _draw(values: pd.DataFrame, columns: Sequence[str], said: Sequence[str]) -> tuple[Canvas, list[Point]]:
    """Sizes are inches: cells just wide enough for their numbers, room for the longest name on the left.

    A cell has the colour of its difference to the first row: classes lie further apart than variants.
    """
    import matplotlib.pyplot as plt
    import seaborn as sns

    names = [folded(name, 30) for name in values.index]
    left = 0.05 + 0.062 * max(len(line) for name in names for line in name.split("\n"))
    cell = min((TEXT - left - 0.1) / len(columns), 0.5)
    above = 0.1 + 0.055 * max(map(len, columns))
    width, height = left + cell * len(columns) + 0.1, above + 0.2 * len(values) + 0.05
    canvas, axes = plt.subplots(figsize=(width, height))
    canvas.subplots_adjust(left=left / width, right=1 - 0.1 / width, top=1 - above / height, bottom=0.05 / height)
    most = _most(values)
    sns.heatmap(
        _gains(values), cmap="RdBu", vmin=-most, vmax=most, cbar=False, linewidths=0.5, linecolor="white", ax=axes
    )
    _write(axes, values.to_numpy(), 1 if cell > 0.24 else 0)
    axes.axvline(len(columns) - 1, color="black", linewidth=0.8)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=7)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=45, ha="left", rotation_mode="anchor")
    axes.set_yticks(np.arange(len(values)) + 0.5, names, rotation=0)
    for text, name in zip(axes.get_yticklabels(), values.index, strict=True):
        text.set_fontstyle("italic" if name.endswith(", published") else "normal")
    units = [*(f"{name}: IoU" for name in columns[:-1]), f"{columns[-1]}:"]
    points = [
        Point(axes, column + 0.5, row + 0.5, f"{said[row]}, {name} {value:.1f} %")
        for row, line in enumerate(values.to_numpy())
        for column, (name, value) in enumerate(zip(units, line, strict=True))
        if value == value
    ]
    return canvas, points


def _gains(values: pd.DataFrame) -> pd.DataFrame:
    """Differences to the first row; 0 where it has no number."""
    return (values - values.iloc[0]).fillna(0).where(values.notna())


def _most(values: pd.DataFrame) -> float:
    """The largest difference, at least a point: a hair's breadth is no strong colour."""
    return max(float(_gains(values).abs().max().max()), 1.0)


def _write(axes: Axes, values: np.ndarray, digits: int) -> None:
    """The numbers, black or white, whichever stands out more from the cell."""
    mesh = axes.collections[0]
    mesh.update_scalarmappable()
    colours = np.asarray(mesh.get_facecolor()).reshape(*values.shape, 4)
    for (row, column), value in np.ndenumerate(values):
        if value == value:
            axes.text(
                column + 0.5, row + 0.5, f"{value:.{digits}f}", ha="center", va="center", fontsize=6,
                color=_ink(colours[row, column]),
            )  # fmt: skip


def _ink(colour: np.ndarray) -> str:
    """By the contrast that WCAG 2 defines."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3])
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "black" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "white"
