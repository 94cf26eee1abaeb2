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
from rein.reports.tables.targets import members, shown

MARKS = "Best mean of a target column in bold, second underlined; no test is implied."


def domains(study: Study, wanted: Table) -> Grid:
    """mIoU in percent: rows of variants, columns of targets, their mean, and apart the sources' val splits.

    Targets that are published and not measured have columns too, and the published mean where it is all that there is.
    A family of targets that the table names has one column, their mean.
    """
    told = entries(wanted)
    targets = shown(study, wanted, told)
    means = {target: of for target in targets if (of := members(study, target)) and of != [target]}
    of_all = [target for target, of in means.items() if len(of) == len(study.targets)]
    study = study.on(list(dict.fromkeys(one for target in targets for one in members(study, target))))
    wide = miou(study)
    for family, of in means.items():
        wide["target", family] = wide[[("target", one) for one in of]].mean(axis=1, skipna=False)
    average = not of_all and (AVERAGE in wide or any("avg" in entry.miou for entry in told))
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
    about = " and ".join([AVERAGE[1]] * average + [name(study, family, wanted) for family in of_all])
    mean = f"{about} is the plain mean over the {number} targets, taken in every run first." if number > 1 else ""
    mean += " Other columns of several targets are the means over those." if len(means) > len(of_all) else ""
    return grid(study, wanted, wide, measures, ["mIoU in percent.", mean, MARKS, SELECTION[study.report.selection]])


def _printed(study: Study, target: str) -> Printed:
    """What is published of a target; of the mean, which compares only where it is over the targets of the study."""
    key = "avg" if target == AVERAGE[1] else study.original(target)
    measured = {study.original(name) for name in study.targets}
    return Printed(
        partial(_miou, key),
        lambda entry: entry.note_of(key),
        lambda entry: key != "avg" or entry.targets == measured,
    )


def _miou(key: str, entry: Published) -> float | None:
    return entry.miou.get(key)
