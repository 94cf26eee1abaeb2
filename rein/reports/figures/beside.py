"""Which row of a published table stands beside which variant of a sweep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import get_args

import pandas as pd

from rein import published
from rein.config.tunings import Tuning
from rein.published import Published
from rein.reports.study import Study
from rein.reports.tables.beside import matches

#: What a row may say of a tuning beside its method, and the method's own values, which a row does not print.
_SETTINGS = {"tuning.rank": "rank", "tuning.token_length": "token_length"}
_DEFAULTS = {
    kind.method: {field.name: field.default for field in fields(kind)} for kind in get_args(get_args(Tuning)[0])
}


def beside(study: Study, table: str, rename: Mapping[str, str]) -> dict[str, Published]:
    """Variant of the sweep -> the row of a published table that is of the same; none for no table.

    A row that fits several variants, since it does not print rank or tokens, is that of the one with the method's own,
    and of none where that leaves a choice.
    """
    if not table:
        return {}
    variants = {str(point): runs for point, runs in study.runs.groupby("point", sort=False)}
    found: dict[str, Published] = {}
    for row in published.rows(table):
        fitting = [point for point, runs in variants.items() if matches(row, study, runs, rename)]
        if len(fitting) > 1:
            fitting = [point for point in fitting if _is_plain(row, variants[point].iloc[0])]
        if len(fitting) == 1:
            found.setdefault(fitting[0], row)
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


def _is_plain(row: Published, run: pd.Series) -> bool:
    """Whether what the row does not say of the tuning is as the method has it by itself."""
    defaults = _DEFAULTS[run["tuning.method"]]
    unsaid = [(key, name) for key, name in _SETTINGS.items() if getattr(row, name) is None and name in defaults]
    return all(run[key] == defaults[name] for key, name in unsaid)
