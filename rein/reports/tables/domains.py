"""mIoU of every variant on every domain."""

from __future__ import annotations

from functools import partial

import pandas as pd

from rein.config import Table
from rein.published import Published
from rein.reports.grid import Column, Grid
from rein.reports.study import AVERAGE, Study, miou
from rein.reports.tables.beside import entries
from rein.reports.tables.means import Measure, Printed, grid
from rein.reports.tables.rows import SELECTION, name
from rein.reports.tables.targets import shown

MARKS = "Best mean of a target column in bold, second underlined; no test is implied."


def domains(study: Study, wanted: Table) -> Grid:
    """mIoU in percent: rows of variants, columns of targets, their mean, and apart the sources' val splits.

    Targets that are published and not measured have columns too, and the published mean where it is all that there is.
    """
    told = entries(wanted)
    targets = shown(study, wanted, told)
    study = study.on([target for target in targets if target in study.targets])
    wide = miou(study)
    average = AVERAGE in wide or any("avg" in entry.miou for entry in told)
    columns = [("target", target) for target in targets] + [AVERAGE] * average
    columns += [("source", source) for source in study.sources]
    wide = wide.reindex(columns=pd.MultiIndex.from_tuples(columns))
    measures = [
        Measure(
            Column(name(study, title, wanted), "targets" if role == "target" else "source val"),
            best="max" if role == "target" else "none",
            printed=_printed(study, title) if told and role == "target" else None,
        )
        for role, title in columns
    ]
    number = len(study.targets)
    mean = f"{AVERAGE[1]} is the plain mean over the {number} targets, taken in every run first." if number > 1 else ""
    return grid(study, wanted, wide, measures, ["mIoU in percent.", mean, MARKS, SELECTION[study.report.selection]])


def _printed(study: Study, target: str) -> Printed:
    """What is published of a target; of the mean, which compares only where it is over the targets of the study."""
    key = "avg" if target == AVERAGE[1] else study.original(target)
    measured = {study.original(name) for name in study.targets}
    return Printed(
        partial(_miou, key),
        lambda entry: entry.note_of(key),
        lambda entry: key != "avg" or set(entry.domains) in (measured, set()),
    )


def _miou(key: str, entry: Published) -> float | None:
    return entry.miou.get(key)
