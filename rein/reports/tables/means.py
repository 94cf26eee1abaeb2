"""Tables of means over seeds: rows of variants, columns of measures, published numbers beside or below them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from rein.config import Table
from rein.published import Published
from rein.reports.grid import MISSING, Cell, Column, Grid, Role
from rein.reports.links import links
from rein.reports.markup import join
from rein.reports.names import written
from rein.reports.notes import files_note
from rein.reports.statistics import count
from rein.reports.study import Study
from rein.reports.tables.beside import Footnotes, entries, printed
from rein.reports.tables.conventions import FINISHED, GAP, SPREAD, TOLD, TRAINABLE
from rein.reports.tables.numbers import Best, cell, difference, number, ranks
from rein.reports.tables.rows import Row, name_cells, rows_of
from rein.reports.tables.searches import searched_note

_TRAINABLE, _BACKBONE = "parameters.backbone_trainable", "parameters.backbone"


@dataclass(frozen=True)
class Printed:
    """The published counterpart of a measure."""

    value: Callable[[Published], float | None]
    #: What a note on that number would be on: a domain, `avg`, or another metric.
    about: str

    def of(self, row: Row) -> tuple[Published, float] | None:
        """The number of a row and the entry that it is from."""
        found = ((entry, self.value(entry)) for entry in row.published)
        return next(((entry, value) for entry, value in found if value is not None), None)


@dataclass(frozen=True)
class Measure:
    """A column of numbers: how it is titled and printed, what is best in it, what is published of it."""

    column: Column
    digits: int = 1
    spread: bool = True
    #: Whether it is a difference, which has a sign.
    signed: bool = False
    best: Best = "none"
    printed: Printed | None = None


@dataclass(frozen=True)
class Line:
    """The cells of one row, before they are laid out."""

    row: Row
    names: list[Cell]
    runs: Cell
    measured: list[Cell]
    published: list[Cell]
    gaps: list[Cell]


def grid(
    study: Study,
    wanted: Table,
    wide: pd.DataFrame,
    measures: list[Measure],
    conventions: list[str],
    own: str = "",
    below: bool = False,
    across: str = "",
) -> Grid:
    """Rows of names, n and means over seeds; `wide` has a row a finished run and a column a measure.

    `conventions` are those of the table's kind; what is the table's `own` to say stands in its caption in any document.

    Published numbers and differences stand in columns of their own beside each measure, or `below` in rows. Where the
    columns are values of a key, runs of a row differ in it: it goes `across`.
    """
    rows = [row for row in rows_of(study, wanted, across) if len(row.runs) or _told(row, measures)]
    blocks = [wide.loc[wide.index.isin(row.runs["run_id"])] for row in rows]
    told = {id(entry) for row in rows for entry in row.published}
    notes = Footnotes([entry for entry in entries(wanted) if id(entry) in told])
    lines = []
    for row, block, measured in zip(rows, blocks, _measured(wanted, blocks, measures), strict=True):
        theirs = [_published(row, measure, notes) for measure in measures]
        gaps = [_difference(study, row, ours, measure) for ours, measure in zip(measured, measures, strict=True)]
        lines.append(Line(row, name_cells(study, wanted, row), _n(block, row.runs, across), measured, theirs, gaps))
    beside, below = bool(wanted.published) and not below, bool(wanted.published) and below
    lead = wanted.kind in ("domains", "resources") or bool(wanted.published)
    share = lead and not wanted.published
    stacks = [_stacked(line) if below else [_in_a_row(line, measures if beside else [], lead, share)] for line in lines]
    cells = [cells for stack in stacks for cells in stack]
    roles: list[Role] = ["sub" if below_it else "" for stack in stacks for below_it in range(len(stack))]
    head = [Column(written(key, wanted.rename), name=True) for key in wanted.rows]
    head += [Column("value", name=True)] if below else []
    head += [Column("trainable")] if lead else []
    head += [Column("% of backbone")] if share else []
    head += [Column("n"), *_columns(measures, beside)]
    caption = join(wanted.caption, own, searched_note(study), files_note(study))
    conventions = [*conventions, *_explained(study, wanted, cells, lead), *notes.conventions()]
    values = _values(rows, wanted.rows, blocks, measures)
    return Grid(
        wanted.name, caption, tuple(head), tuple(cells), values, notes.lines(), tuple(roles),
        conventions=tuple(filter(None, conventions)),
    )  # fmt: skip


def _told(row: Row, measures: list[Measure]) -> bool:
    """Whether anything that the table shows is published of a row."""
    return any(measure.printed and measure.printed.of(row) is not None for measure in measures)


def _measured(wanted: Table, blocks: list[pd.DataFrame], measures: list[Measure]) -> list[list[Cell]]:
    """A line a row, a cell a measure, the best of every column marked."""
    means = [block.mean().tolist() for block in blocks]
    spreads = [block.std().tolist() for block in blocks]
    marks = [ranks((mean[i] for mean in means), _best(wanted, measure)) for i, measure in enumerate(measures)]
    lines = []
    for row, (mean, sd) in enumerate(zip(means, spreads, strict=True)):
        line = []
        for i, measure in enumerate(measures):
            spread = sd[i] if measure.spread and wanted.spread == "sd" else math.nan
            line.append(cell(mean[i], number(mean[i], spread, measure.digits, measure.signed), marks[i][row]))
        lines.append(line)
    return lines


def _best(wanted: Table, measure: Measure) -> Best:
    """What is marked: the table's own wish where the kind marks the column at all."""
    return wanted.best if wanted.best is not None and measure.best != "none" else measure.best


def _published(row: Row, measure: Measure, notes: Footnotes) -> Cell:
    found = measure.printed.of(row) if measure.printed else None
    if found is None or measure.printed is None:
        return Cell(MISSING)
    entry, value = found
    return cell(value, printed(value), notes=notes.marks(entry, entry.note_of(measure.printed.about)))


def _difference(study: Study, row: Row, ours: Cell, measure: Measure) -> Cell:
    """Measured − published; none in another world, of which the published number says nothing."""
    found = measure.printed.of(row) if measure.printed else None
    if found is None or measure.printed is None or ours.value is None or study.moved.world is not None:
        return Cell(MISSING)
    if not found[0].compares_on(measure.printed.about):
        return Cell(MISSING)
    gap = ours.value - found[1]
    return cell(gap, difference(gap, measure.digits))


def _columns(measures: list[Measure], beside: bool) -> list[Column]:
    """A column a measure, or three under its title where something is published of it."""
    columns = []
    for measure in measures:
        if beside and measure.printed:
            columns += [Column(title, measure.column.title) for title in ("measured", "published", "Δ")]
        else:
            columns.append(measure.column)
    return columns


def _in_a_row(line: Line, beside: list[Measure], lead: bool, share: bool) -> tuple[Cell, ...]:
    """All of a row's cells after another; published numbers and differences where `beside` has measures of them."""
    numbers = []
    for i, ours in enumerate(line.measured):
        told = beside and beside[i].printed
        numbers += [ours, line.published[i], line.gaps[i]] if told else [ours]
    parameters = [*([_trainable(line.row)] if lead else []), *([_share(line.row)] if share else [])]
    return (*line.names, *parameters, line.runs, *numbers)


def _stacked(line: Line) -> list[tuple[Cell, ...]]:
    """What was measured, below it what is published, below that the difference; only what there is of them."""
    blank = Cell("")
    below = [blank] * len(line.names)  # a block is named once
    own = replace(line.row, published=())
    stack = []
    if any(ours.value is not None for ours in line.measured) or not line.row.published:
        stack.append((*line.names, Cell("measured"), _trainable(own), line.runs, *line.measured))
    if any(number.value is not None for number in line.published):
        theirs = replace(line.row, runs=line.row.runs.iloc[:0])
        names, runs = (below, blank) if stack else (line.names, line.runs)
        stack.append((*names, Cell("published"), _trainable(theirs), runs, *line.published))
    if any(gap.value is not None for gap in line.gaps):
        stack.append((*below, Cell("Δ"), blank, blank, *line.gaps))
    return stack


def _explained(study: Study, wanted: Table, cells: list[tuple[Cell, ...]], lead: bool) -> list[str]:
    """What a table's signs mean, as far as they occur."""
    shown = [cell for line in cells for cell in line]
    return [
        GAP if wanted.published else "",
        SPREAD if any("±" in cell.text for cell in shown) else "",
        FINISHED if len(study.done) < len(study.runs) else "",
        TRAINABLE if lead else "",
        TOLD if any(cell.mark == "told" for cell in shown) else "",
    ]


def _values(
    rows: list[Row], names: tuple[str, ...], blocks: list[pd.DataFrame], measures: list[Measure]
) -> pd.DataFrame:
    """The unrounded numbers of a table: for every column mean, sd, n and what is published, and the runs of each."""
    lines = []
    for row, block in zip(rows, blocks, strict=True):
        line: dict[str, Any] = {**dict(zip(names, row.names, strict=True)), **_facts(row.runs)}
        for column, measure in zip(block, measures, strict=True):
            title = " ".join(column) if isinstance(column, tuple) else str(column)
            line |= {
                f"{title} mean": block[column].mean(),
                f"{title} sd": block[column].std(),
                f"{title} n": block[column].count(),
            }
            if measure.printed and (found := measure.printed.of(row)):
                line[f"{title} published"] = found[1]
        lines.append(line | {"runs done": (row.runs["state"] == "done").sum(), "runs planned": len(row.runs)})
    return pd.DataFrame(lines)


def _n(block: pd.DataFrame, runs: pd.DataFrame, across: str) -> Cell:
    """`3`; `2 of 3` where runs are not done; `2–3 of 3` where the row's columns rest on unlike numbers of runs."""
    if runs.empty:
        return Cell(MISSING)
    planned = int(runs.groupby(across, dropna=False).size().max()) if across else len(runs)
    filled = block.count()
    filled = filled[filled > 0]  # a column that the row lacks altogether shows that by itself
    low, high = (int(filled.min()), int(filled.max())) if len(filled) else (0, 0)
    text = str(high) if low == high else f"{low}–{high}"
    return Cell(text if low == high == planned else f"{text} of {planned}", value=float(high), links=links(runs))


def _trainable(row: Row) -> Cell:
    """Trainable parameters of the backbone: counted in a run, else as published, with the two decimals of there."""
    trainable = _facts(row.runs)[_TRAINABLE]
    if not math.isnan(trainable):
        return cell(trainable, count(trainable))
    told = (entry.trainable_params_m for entry in row.published)
    millions = next((millions for millions in told if millions is not None), math.nan)
    if math.isnan(millions):
        return Cell(MISSING)
    return cell(1e6 * millions, f"{millions:.2f} M" if millions else "0", mark="told")


def _share(row: Row) -> Cell:
    """The same in percent of the backbone's."""
    facts = _facts(row.runs)
    share = 100 * facts[_TRAINABLE] / facts[_BACKBONE]
    return cell(share, MISSING if math.isnan(share) else f"{share:.2f}" if share else "0")


def _facts(runs: pd.DataFrame) -> dict[str, float]:
    """The backbone's parameters, from any run of the row that has recorded them."""
    known = runs[[_TRAINABLE, _BACKBONE]].dropna()
    return {name: float(known[name].iloc[0]) if len(known) else math.nan for name in (_TRAINABLE, _BACKBONE)}
