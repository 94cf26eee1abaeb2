"""mIoU of every variant on every domain."""

from __future__ import annotations

from functools import partial

import pandas as pd

from rein.config import Table
from rein.published import Published
from rein.reports.grid import Column, Grid
from rein.reports.study import AVERAGE, Study, miou
from rein.reports.tables import conventions
from rein.reports.tables.beside import entries, mean_key, over
from rein.reports.tables.means import Measure, Printed, grid
from rein.reports.tables.rows import name
from rein.reports.tables.targets import shown


def domains(study: Study, wanted: Table) -> Grid:
    """mIoU in percent: rows of variants, columns of targets, their mean, and apart the sources' val splits.

    A family of targets that the table names (`cityscapes-c-fog`) is a column with the mean over its members.

    Targets that are published and not measured have columns too, and the published mean where it is all that there is.
    """
    told = entries(wanted)
    targets = shown(study, wanted, told)
    study = study.on([target for members in targets.values() for target in members])
    scores = miou(study)
    number = len(study.targets)
    averaged = {study.original(name) for name in (study.targets if number > 1 else targets)}
    average = len(targets) > 1 and (AVERAGE in scores or any(over(entry, averaged) is not None for entry in told))
    columns = [("target", target) for target in targets] + [AVERAGE] * average
    columns += [("source", source) for source in study.sources]
    wide = scores.reindex(columns=pd.MultiIndex.from_tuples(columns))
    for title, members in targets.items():
        if members and members != (title,):
            wide["target", title] = scores[[("target", member) for member in members]].mean(axis=1, skipna=False)
    measures = [_measure(study, wanted, role, title, told, averaged) for role, title in columns]
    mean = conventions.AVERAGE if number > 1 and average else ""
    marks = conventions.marked(wanted.best or "max")
    # A column may be a family of targets, or one that is only published: then nobody can count them.
    said = f"{AVERAGE[1]} is over {number} targets." if mean and number != len(targets) else ""
    return grid(
        study,
        wanted,
        wide,
        measures,
        [conventions.PERCENT, mean, marks, conventions.SELECTION[study.report.selection]],
        said,
    )


def _measure(
    study: Study, wanted: Table, role: str, title: str, told: tuple[Published, ...], averaged: set[str]
) -> Measure:
    """A column; `averaged` are the targets that the mean is over, as published tables name them.

    Also a source's val split stands beside what is published of it, unless the table names `domains`.
    """
    written = name(study, title, wanted)
    targets = averaged if (role, title) == AVERAGE else {study.original(title)}
    printed = Printed(partial(over, targets=targets), mean_key(targets)) if told else None
    if role == "target":
        return Measure(Column(written, "targets"), best="max", printed=printed)
    if not wanted.domains and any(study.original(title) in entry.miou for entry in told):
        return Measure(Column(f"{written}, source val"), printed=printed)
    return Measure(Column(written, "source val"))
