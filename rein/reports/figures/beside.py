"""Which row of a published table says the same as a variant of a sweep."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, get_args

import pandas as pd

from rein import published
from rein.config.tunings import Tuning
from rein.published import Published
from rein.reports.names import written
from rein.reports.study import Study

#: What domains are called in the `setting` of a published row.
_DOMAINS = {
    "GTAV": "gta", "Synthia": "synthia", "UrbanSyn": "urbansyn", "Citys": "cityscapes", "BDD": "bdd100k",
    "Map": "mapillary", "ACDC": "acdc", "Citys-C": "cityscapes-c",
}  # fmt: skip

#: What a row may say of a tuning beside its method, and the method's own values, which a row does not print.
_SETTINGS = {"tuning.rank": "rank", "tuning.token_length": "token_length"}
_DEFAULTS = {
    kind.method: {field.name: field.default for field in fields(kind)} for kind in get_args(get_args(Tuning)[0])
}


def beside(study: Study, table: str, rename: Mapping[str, str]) -> dict[str, Published]:
    """Variant of the sweep -> the row of a published table that says the same; none for no table.

    A row must name the variant's method (by the sweep's name of it, or how that is written), and contradict nothing:
    sources, backbone, head, rank, number of tokens. Where it fits several variants it stands for the one with the
    method's own rank and tokens, and for none where that leaves a choice. A world's stand-ins are what they stand for.
    """
    if not table:
        return {}
    runs = study.runs.drop_duplicates("point").set_index("point", drop=False)
    found: dict[str, Published] = {}
    for row in published.rows(table):
        fitting = [point for point, run in runs.iterrows() if _fits(row, study, run, rename)]
        if len(fitting) > 1:
            fitting = [point for point in fitting if _is_plain(row, runs.loc[point])]
        if len(fitting) == 1:
            found.setdefault(str(fitting[0]), row)
    return found


def mean(row: Published, study: Study) -> float:
    """The row's mIoU over the sweep's targets, as printed where it is; nan where it has other domains."""
    targets = [study.original(name) for name in study.targets]
    scores = {name: value for name, value in row.miou.items() if name != "avg"}
    printed = row.miou.get("avg")
    if printed is not None and set(targets) == (set(scores) or set(_domains(row)[1])):
        return printed
    return sum(scores[name] for name in targets) / len(targets) if set(targets) <= set(scores) else math.nan


def source(rows: Iterable[Published]) -> str:
    """`Rein T2: arXiv 2312.04265v1 Table 2; …`, every source once."""
    tables: dict[str, dict[str, None]] = {}
    for row in rows:
        tables.setdefault(row.table, {}).update(dict.fromkeys(row.source.split("; ")))
    return "; ".join(f"{table}: {'; '.join(sources)}" for table, sources in tables.items())


def _fits(row: Published, study: Study, run: pd.Series, rename: Mapping[str, str]) -> bool:
    # A sweep without named points is about its experiment's tuning.
    name = run["name"] if run["name"] in study.sweep.points else run["tuning.method"]
    if _plain(row.method) not in {_plain(name), _plain(written(name, rename))}:
        return False
    if set(_domains(row)[0]) != set(study.original(run["data.sources"])):
        return False
    said = {"backbone.name": row.backbone, "head.method": row.head, "tuning.rank": row.rank,
            "tuning.token_length": row.token_length}  # fmt: skip
    return all(value is None or value == _own(study, run.get(key)) for key, value in said.items())


def _plain(method: str) -> str:
    """A method's name without case and signs; ours say `frozen` where the papers say `Freeze`."""
    return re.sub(r"[^a-z0-9]", "", method.lower()).replace("freeze", "frozen")


def _own(study: Study, value: Any) -> Any:
    """As published tables write it."""
    return written(study.original(value), {}) if isinstance(value, str) else value


def _is_plain(row: Published, run: pd.Series) -> bool:
    """Whether what the row does not say of the tuning is as the method has it by itself."""
    defaults = _DEFAULTS[run["tuning.method"]]
    unsaid = [(key, name) for key, name in _SETTINGS.items() if getattr(row, name) is None and name in defaults]
    return all(run[key] == defaults[name] for key, name in unsaid)


def _domains(row: Published) -> tuple[list[str], list[str]]:
    """Sources and targets of a row's setting, `GTAV->Citys+BDD+Map`."""
    sources, _, targets = row.setting.partition("->")
    return tuple([_DOMAINS.get(name, name) for name in side.split("+")] for side in (sources, targets))  # type: ignore[return-value]
