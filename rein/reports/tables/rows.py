"""The rows of a table: variants with their planned runs, and published rows that nobody has run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import pandas as pd

from rein.config import ConfigError, Table, nearest
from rein.published import Published
from rein.reports.grid import MISSING, Cell
from rein.reports.names import written
from rein.reports.study import Study
from rein.reports.tables import beside


@dataclass(frozen=True)
class Row:
    """One row; without runs it is only published, without `published` only measured."""

    #: What stands in its first columns, as it is.
    values: tuple[Any, ...]
    #: The planned runs, which differ in nothing but the seed.
    runs: pd.DataFrame
    published: tuple[Published, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What stands in its first columns, as raw text."""
        return tuple(str(value) for value in self.values)

    def prints_of(self, entry: Published) -> bool:
        """Whether it has a published number already of what another entry prints: that one needs a row of its own."""
        return any(set(entry.metrics) & set(other.metrics) for other in self.published)


def rows_of(study: Study, wanted: Table, across: str = "") -> list[Row]:
    """The rows of a table: in the published order where it has one, then in the sweep's; its own `order` goes first.

    Raises ConfigError where a row mixes runs that differ in more than the seed and the key that is `across`.
    """
    where = f"table {wanted.name!r}"
    rows = [Row(key, runs) for key, runs in groups(study, wanted.rows, where, across)]
    entries = beside.entries(wanted)
    return _ordered(_with_published(study, wanted, rows, entries) if entries else rows, wanted.order, study, where)


def groups(
    study: Study, rows: tuple[str, ...], where: str, across: str = ""
) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The planned runs of every row; with a key `across`, of all its values, of which each is a cell of the row.

    Raises ConfigError where a row, or a cell, mixes runs that differ in more than the seed.
    """
    known = list(study.runs.columns)
    for key in rows:
        if key not in known:
            raise ConfigError(
                f"{where}: `rows`: `{key}` is no column of the results{nearest(key, known)}; `point`, `name` or a "
                f"dotted key such as tuning.method is"
            )
    _check_unmixed(study, [*rows, *([across] if across else [])], where)
    found = []
    for key, runs in study.runs.groupby(list(rows), sort=False, dropna=False):
        values = (part if isinstance(part, tuple) or pd.notna(part) else MISSING for part in cast(tuple[Any, ...], key))
        found.append((tuple(values), runs))
    return found


def _check_unmixed(study: Study, keys: list[str], where: str) -> None:
    settings = study.settings
    for _, runs in study.runs.groupby(keys, sort=False, dropna=False):
        mixed = [str(name) for name, column in settings.loc[runs.index].items() if column.nunique(dropna=False) > 1]
        if mixed:
            raise ConfigError(
                f"{where}: rows by {', '.join(keys)} mix runs that differ in {', '.join(mixed)}; add it to `rows`"
            )


def name_cells(study: Study, wanted: Table, row: Row) -> list[Cell]:
    """The first cells of a row; beside published numbers a world's backbone says what it stands for."""
    return [Cell(name(study, value, wanted)) for value in row.values]


def name(study: Study, value: Any, wanted: Table) -> str:
    """A value, domain or class as a table writes it: `Cityscapes`; beside published ones `toy-day (Cityscapes)`."""
    text, original = written(value, wanted.rename), study.original(value)
    told = wanted.published and original != value and str(value) not in wanted.rename
    return f"{text} ({written(original, wanted.rename)})" if told else text


def _with_published(study: Study, wanted: Table, rows: list[Row], entries: tuple[Published, ...]) -> list[Row]:
    """The published order: our rows at the place of theirs, theirs alone where we have none, ours alone last.

    Entries with the same names share a row where they print numbers of different things.
    """
    several = len({entry.short_backbone for entry in entries} - {None}) > 1
    sources = {frozenset(study.original(names)) for names in study.runs["data.sources"]}
    found: dict[Any, Row] = dict(enumerate(rows))
    order: list[Any] = []
    for entry in entries:
        variants = set(beside.variants_of(entry, study, wanted.rename))
        own: list[Any] = [index for index, row in enumerate(rows) if variants & set(row.runs["point"])]
        own = [index for index in own if not found[index].prints_of(entry)]
        if not own:
            apart = ["backbone.name"] * several + ["data.sources"] * (sources != {frozenset(entry.sources)})
            names = beside.row_names(entry, wanted.rows, [key for key in apart if key not in wanted.rows])
            alike = [key for key in found if isinstance(key, tuple) and key[:2] == (names, entry.sources)]
            free = [key for key in alike if not found[key].prints_of(entry)]
            own = free[:1] or [(names, entry.sources, len(alike))]
            found.setdefault(own[0], Row(names, study.runs.iloc[:0]))
        for key in own:
            found[key] = replace(found[key], published=(*found[key].published, entry))
        order += own
    return [found[key] for key in dict.fromkeys([*order, *range(len(rows))])]


def _ordered(rows: list[Row], first: tuple[str, ...], study: Study, where: str) -> list[Row]:
    """Rows with a value that `order` names before those without, column by column."""
    texts = [[{str(value), written(value, {}), str(study.original(value))} for value in row.values] for row in rows]
    known = {text for row in texts for cell in row for text in cell}
    for text in first:
        if text not in known:
            raise ConfigError(f"{where}: `order`: no row has {text!r}{nearest(text, known)}")

    def place(index: int) -> list[int]:
        return [min([first.index(text) for text in cell if text in first], default=len(first)) for cell in texts[index]]

    return [rows[index] for index in sorted(range(len(rows)), key=place)]
