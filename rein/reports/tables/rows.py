"""What tables have in common: rows of variants, means over seeds, marks, captions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import pandas as pd

from rein.config import ConfigError, Table
from rein.reports.grid import MISSING, Cell, Column, Grid
from rein.reports.links import links
from rein.reports.notes import files_note
from rein.reports.statistics import count
from rein.reports.study import Study
from rein.reports.tables.searches import searched_note

#: How a table says which checkpoint of a run it shows.
SELECTION = {
    "last": "Checkpoint: the `last` of every run.",
    "source_val": "Checkpoint: the one with the best mIoU on the sources' val split (`source_val`).",
    "oracle": (
        "Checkpoint: `oracle`, the one with the best target mIoU. It is chosen on the test labels and so flatters "
        "every row; it is no estimate of what a method gives on an unseen domain."
    ),
}


_TRAINABLE, _BACKBONE = "parameters.backbone_trainable", "parameters.backbone"


@dataclass(frozen=True)
class Measure:
    """A column of numbers: how it is titled and printed, and whether its best value is marked."""

    column: Column
    digits: int = 1
    spread: bool = True
    ranked: bool = False


def groups(study: Study, rows: tuple[str, ...], where: str) -> list[tuple[tuple[str, ...], pd.DataFrame]]:
    """The planned runs of every row. Raises ConfigError where a row mixes runs that differ in more than the seed."""
    known = list(study.runs.columns)
    for key in rows:
        if key not in known:
            raise ConfigError(
                f"{where}: `{key}` is no column of the results; `point` or a dotted key such as tuning.method is"
            )
    settings = study.settings
    found = []
    for key, runs in study.runs.groupby(list(rows), sort=False, dropna=False):
        mixed = [str(name) for name, column in settings.loc[runs.index].items() if column.nunique(dropna=False) > 1]
        if mixed:
            raise ConfigError(
                f"{where}: rows by {', '.join(rows)} mix runs that differ in {', '.join(mixed)}; add it to `rows`"
            )
        found.append((tuple(str(part) if pd.notna(part) else MISSING for part in cast(tuple[Any, ...], key)), runs))
    return found


def number(mean: float, sd: float, digits: int) -> str:
    """`45.3 ± 0.4`, without ± for one seed (sd nan), `–` for none."""
    if math.isnan(mean):
        return MISSING
    text = f"{mean:.{digits}f}".replace("-", "−")
    return text if math.isnan(sd) else f"{text} ± {sd:.{digits}f}"


def ranks(means: Iterable[float]) -> list[str]:
    """`best` for the highest of several means, `second` for the next where there are three or more; ties share."""
    means = list(means)
    order = sorted({mean for mean in means if not math.isnan(mean)}, reverse=True)
    filled = sum(not math.isnan(mean) for mean in means)
    best = order[0] if len(order) > 1 else None  # where all are equal none is best
    second = order[1] if filled > 2 and len(order) > 1 else None
    return ["best" if mean == best else "second" if mean == second else "" for mean in means]


def grid(study: Study, wanted: Table, wide: pd.DataFrame, measures: list[Measure], caption: list[str]) -> Grid:
    """Rows of names, n and means over seeds; `wide` has a row a finished run and a column a measure."""
    lead = wanted.kind == "domains"  # the parameters stand in the main table only
    rows = groups(study, wanted.rows, f"table {wanted.name!r}")
    blocks = [wide.loc[wide.index.isin(runs["run_id"])] for _, runs in rows]
    means = [block.mean().tolist() for block in blocks]
    spreads = [block.std().tolist() for block in blocks]
    columns = [[mean[i] for mean in means] for i in range(len(measures))]
    marks = [
        ranks(column) if measure.ranked else [""] * len(rows) for column, measure in zip(columns, measures, strict=True)
    ]
    cells = []
    for row, (key, runs) in enumerate(rows):
        numbers = [
            Cell(
                number(means[row][i], spreads[row][i] if measure.spread else math.nan, measure.digits),
                marks[i][row],
            )
            for i, measure in enumerate(measures)
        ]
        names = [Cell(part) for part in key]
        cells.append(
            (*names, *(_parameters(runs) if lead else ()), Cell(_n(blocks[row], runs), links=links(runs)), *numbers)
        )
    head = [Column("variant" if key == "point" else key, name=True) for key in wanted.rows]
    head += [Column("trainable"), Column("% of backbone")] if lead else []
    head += [Column("n"), *(measure.column for measure in measures)]
    notes = [wanted.caption, *caption]
    if any("±" in cell.text for line in cells for cell in line):
        notes.append("± is the sample standard deviation over n seeds.")
    if len(study.done) < len(study.runs):
        notes.append("n counts finished runs, of those planned.")
    if lead:
        notes.append("Trainable are the backbone's parameters that train; the head's are not counted.")
    notes += [searched_note(study), files_note(study)]
    text = " ".join(note.strip() for note in notes if note.strip())
    return Grid(wanted.name, text, tuple(head), tuple(cells), _values(rows, wanted.rows, blocks))


def _values(
    rows: list[tuple[tuple[str, ...], pd.DataFrame]], names: tuple[str, ...], blocks: list[pd.DataFrame]
) -> pd.DataFrame:
    """The unrounded numbers of a table: for every column mean, sd and n, and the runs done and planned."""
    lines = []
    for (key, runs), block in zip(rows, blocks, strict=True):
        line: dict[str, Any] = {**dict(zip(names, key, strict=True)), **_facts(runs)}
        for column in block:
            title = " ".join(column) if isinstance(column, tuple) else str(column)
            line |= {
                f"{title} mean": block[column].mean(),
                f"{title} sd": block[column].std(),
                f"{title} n": block[column].count(),
            }
        lines.append(line | {"runs done": (runs["state"] == "done").sum(), "runs planned": len(runs)})
    return pd.DataFrame(lines)


def _n(block: pd.DataFrame, runs: pd.DataFrame) -> str:
    """`3`; `2 of 3` where runs are not done; `2–3 of 3` where the row's columns rest on unlike numbers of runs."""
    filled = block.count()
    filled = filled[filled > 0]  # a column that the row lacks altogether shows that by itself
    low, high = (int(filled.min()), int(filled.max())) if len(filled) else (0, 0)
    text = str(high) if low == high else f"{low}–{high}"
    return text if low == high == len(runs) else f"{text} of {len(runs)}"


def _parameters(runs: pd.DataFrame) -> tuple[Cell, Cell]:
    """Trainable parameters of the backbone as a count and in percent."""
    facts = _facts(runs)
    trainable, backbone = facts[_TRAINABLE], facts[_BACKBONE]
    if math.isnan(trainable):
        return Cell(MISSING), Cell(MISSING)
    return Cell(count(trainable)), Cell(f"{100 * trainable / backbone:.2f}" if trainable else "0")


def _facts(runs: pd.DataFrame) -> dict[str, float]:
    """The backbone's parameters, from any run of the row that has recorded them."""
    known = runs[[_TRAINABLE, _BACKBONE]].dropna()
    return {name: float(known[name].iloc[0]) if len(known) else math.nan for name in (_TRAINABLE, _BACKBONE)}
