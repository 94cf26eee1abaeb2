"""Which row of a published table stands beside which variant of a sweep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from rein import published
from rein.published import Published
from rein.reports.study import Study
from rein.reports.tables.beside import mean_key, over, variants_of


def beside(study: Study, table: str, rename: Mapping[str, str]) -> dict[str, Published]:
    """Variant of the sweep -> the row of a published table that is of the same; none for no table.

    In a world there is none: on one axis with its own numbers a published one would be read as one of them.
    """
    found: dict[str, Published] = {}
    for row in published.rows(table) if table and study.moved.world is None else ():
        for point in variants_of(row, study, rename):
            found.setdefault(point, row)
    return found


def mean(row: Published, study: Study) -> float:
    """The row's printed mIoU over the sweep's targets; nan where it has none of just these."""
    printed = over(row, study.targets)
    return math.nan if printed is None else printed


def about(study: Study) -> list[str]:
    """What of a row its mean over the targets rests on, as notes on it name it."""
    return [mean_key(study.targets)]


def source(rows: Iterable[Published]) -> str:
    """`Rein T2: arXiv 2312.04265v1 Table 2; …`, every source once."""
    tables: dict[str, dict[str, None]] = {}
    for row in rows:
        tables.setdefault(row.table, {}).update(dict.fromkeys(row.source.split("; ")))
    return "; ".join(f"{table}: {'; '.join(sources)}" for table, sources in tables.items())


def remarks(rows: Sequence[Published], about: Sequence[str]) -> str:
    """What must be said of the published numbers of these domains, or of the mean over them (`avg`)."""
    notes = [(row, note) for row in rows for note in {row.note_of(name): None for name in about} if note]
    return " ".join(f"On {row.method}, {row.short_backbone}: {note}." for row, note in notes)
