"""IoU of every variant on every class."""

from __future__ import annotations

from rein import results
from rein.config import Table
from rein.reports.grid import Column, Grid
from rein.reports.study import Study
from rein.reports.tables.rows import SELECTION, Measure, grid


def classes(study: Study, wanted: Table) -> Grid:
    """IoU in percent of every class: a run's mean over the targets that have the class, then over seeds."""
    frame = results.select(study.results[study.results["state"] == "done"], study.report.selection)
    chosen = frame[(frame["metric"] == "iou") & (frame["role"] == "target")]
    wide = 100 * chosen.pivot_table(index="run_id", columns="class", values="value", aggfunc="mean")
    wide = wide[[name for name in study.classes if name in wide]]
    measures = [Measure(Column(name, shaded=True), spread=False, ranked=True) for name in wide.columns]
    what = "IoU in percent of every class: a run's mean over the targets that have the class, then the mean over seeds."
    marks = "Best in bold, second underlined; no test is implied."
    return grid(study, wanted, wide, measures, [what, marks, SELECTION[study.report.selection]])
