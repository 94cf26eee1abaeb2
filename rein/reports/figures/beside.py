"""Which row of a published table stands beside which variant of a sweep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rein import published
from rein.config import ConfigError, Figure
from rein.published import Published
from rein.reports.study import Study
from rein.reports.tables.beside import variants_of


def rows(wanted: Figure) -> tuple[Published, ...]:
    """The rows of the published table that a figure names; none where it names none."""
    try:
        return published.rows(wanted.published) if wanted.published else ()
    except ConfigError as error:
        raise ConfigError(f"figure {wanted.name!r}: {error}") from error


def beside(study: Study, wanted: Figure) -> dict[str, Published]:
    """Variant of the sweep -> the first row of the published table that is of the same."""
    found: dict[str, Published] = {}
    for row in rows(wanted):
        for point in variants_of(row, study, wanted.rename):
            found.setdefault(point, row)
    return found


def mean(row: Published, study: Study) -> float:
    """The row's mIoU over the sweep's targets, as printed where it is; nan where it has other domains."""
    targets = [study.original(name) for name in study.targets]
    printed = row.miou.get("avg")
    # A row of an average alone, as of a figure, has its targets in its setting.
    alone = not row.domains and len(row.setting.rpartition("->")[2].split("+")) == len(targets)
    if printed is not None and (set(targets) == set(row.domains) or alone):
        return printed
    return sum(row.miou[name] for name in targets) / len(targets) if set(targets) <= set(row.domains) else math.nan


def about(study: Study) -> list[str]:
    """What of a row its mean over the targets rests on, as notes on it name it."""
    return ["avg"] if len(study.targets) > 1 else [study.original(study.targets[0])]


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
