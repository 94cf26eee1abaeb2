"""mIoU of every variant on every domain."""

from __future__ import annotations

from rein.config import Table
from rein.reports.grid import Column, Grid
from rein.reports.study import AVERAGE, Study, miou
from rein.reports.tables.rows import SELECTION, Measure, grid


def domains(study: Study, wanted: Table) -> Grid:
    """mIoU in percent: rows of variants, columns of targets, their mean, and apart the sources' val splits."""
    wide = miou(study)
    measures = [
        Measure(Column(name, "targets" if role == "target" else "source val"), ranked=role == "target")
        for role, name in wide.columns
    ]
    number = len(study.targets)
    average = (
        f"{AVERAGE[1]} is the plain mean over the {number} targets, taken in every run first." if number > 1 else ""
    )
    marks = "Best mean of a target column in bold, second underlined; no test is implied."
    return grid(study, wanted, wide, measures, ["mIoU in percent.", average, marks, SELECTION[study.report.selection]])
