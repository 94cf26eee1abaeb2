"""IoU of every variant on every class."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pandas as pd

from rein import results
from rein.config import ConfigError, Table, nearest
from rein.published import Published
from rein.reports.grid import Column, Grid
from rein.reports.study import Study, miou, target_column
from rein.reports.tables.beside import entries, mean_key, over
from rein.reports.tables.conventions import SELECTION, marked
from rein.reports.tables.means import Measure, Printed, grid
from rein.reports.tables.rows import name
from rein.reports.tables.targets import of_targets

#: The column of the mean over all classes.
MEAN = "mIoU"

OF_CLASSES = "IoU of a class is in percent: a run's mean over the targets that have the class, then over seeds."
#: Of a table that shows some of the classes alone.
MORE = f"{MEAN} is over more classes than are shown."


def classes(study: Study, wanted: Table) -> Grid:
    """IoU in percent of every class and their mean: a run's mean over the targets that have the class, then over seeds.

    Beside published numbers the targets are those that they are of, unless the table names others.
    """
    told = entries(wanted)
    if told and not wanted.domains:
        published = {target for entry in told for target in entry.domains}
        wanted = replace(wanted, domains=tuple(t for t in study.targets if study.original(t) in published))
    study = of_targets(study, wanted)
    wide = iou(study)
    chosen = _shown(study, wanted, [*map(str, wide), *(one for entry in told for one in entry.classes)])
    more = MORE if {*map(str, wide)} - {*chosen} else ""
    wide = wide.reindex(columns=chosen)
    wide[MEAN] = miou(study)[target_column(study)]
    targets = {study.original(target) for target in study.targets}
    measures = [
        Measure(
            Column(name(study, title, wanted), shaded=True), spread=False, best="max", printed=_printed(title, targets)
        )
        for title in wide.columns
    ]
    own = f"Target{'s' * (len(study.targets) > 1)}: {', '.join(name(study, one, wanted) for one in study.targets)}."
    conventions = [OF_CLASSES, more, marked(wanted.best or "max"), SELECTION[study.report.selection]]
    return grid(study, wanted, wide, measures, conventions, own, below=True)


def iou(study: Study) -> pd.DataFrame:
    """IoU in percent at the selected checkpoint: a row a run (index run_id), a column a class, means over targets."""
    done = study.results[study.results["state"] == "done"]
    frame = results.select(done, study.report.selection, study.targets)
    chosen = frame[(frame["metric"] == "iou") & frame["domain"].isin(study.targets)]
    chosen = chosen.astype({"run_id": "str", "class": "str"})
    wide = 100 * chosen.pivot_table(index="run_id", columns="class", values="value", aggfunc="mean")
    return wide[[name for name in study.classes if name in wide]]


def _shown(study: Study, wanted: Table, found: list[str]) -> list[str]:
    """The classes that something is known of, in the order of train ids or in the table's own."""
    known = [one for one in study.classes if one in found]
    for one in wanted.classes:
        if one not in study.classes:
            raise ConfigError(
                f"table {wanted.name!r}: `classes`: {one!r} is no class of the runs{nearest(one, study.classes)}"
            )
    return [*wanted.classes] or known


def _printed(title: str, targets: set[str]) -> Printed:
    """What is published of a class, or of their mean, over these targets."""

    def of_class(entry: Published) -> float | None:
        return entry.classes.get(title) if set(entry.domains) == targets else None

    return Printed(partial(over, targets=targets), mean_key(targets)) if title == MEAN else Printed(of_class, title)
