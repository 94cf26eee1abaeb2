"""Any number of the runs over any two of their keys."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pandas as pd

from rein import results
from rein.config import ConfigError, Table, nearest
from rein.reports.grid import MISSING, Column, Grid
from rein.reports.markup import join
from rein.reports.names import written
from rein.reports.study import Study, final_loss, miou, target_column, trajectory
from rein.reports.tables.classes import iou
from rein.reports.tables.conventions import PERCENT, SELECTION, marked, mean_over
from rein.reports.tables.means import Measure, grid
from rein.reports.tables.numbers import Best, digits_for, ranks
from rein.reports.tables.rows import name
from rein.reports.tables.targets import of_targets
from rein.results import FACTS


@dataclass(frozen=True)
class Value:
    """A number that a cell may hold, and a sentence on what it is."""

    what: str
    best: Best = "none"
    digits: int | None = 1
    #: Whether it is of a domain, or of a class.
    scored: bool = False


VALUES = {
    "miou": Value(PERCENT, "max", scored=True),
    "iou": Value("IoU is in percent.", "max", scored=True),
    "source_val": Value(PERCENT, "max"),
    "loss": Value("The training loss is its mean over the last tenth of the steps.", "min", 2),
    **{fact: Value(f"Numbers are `{fact}` of a run.", digits=None) for fact in FACTS},
}


def pivot(study: Study, wanted: Table) -> Grid:
    """Means over seeds of `value`, a row for every value of `rows` and a column for every value of `columns`."""
    where = f"table {wanted.name!r}"
    if wanted.value not in VALUES:
        raise ConfigError(
            f"{where}: `value`: no run has a {wanted.value!r}{nearest(wanted.value, VALUES)}; "
            f"there are {', '.join(VALUES)}"
        )
    known = ["domain", "class", *map(str, study.runs)]
    if wanted.columns not in known:
        raise ConfigError(
            f"{where}: `columns`: `{wanted.columns}` is no column of the results{nearest(wanted.columns, known)}; "
            f"`domain`, `class` or a dotted key such as tuning.rank is"
        )
    study, value = of_targets(study, wanted), VALUES[wanted.value]
    across = "" if wanted.columns in ("domain", "class") else wanted.columns
    wide = _across(study, wanted) if across else _scored(study, wanted, where)
    group = written(wanted.columns, wanted.rename) if across else ""
    digits = digits_for(wide.to_numpy(float).ravel(), least=0) if value.digits is None else value.digits
    best = wanted.best or value.best
    measures = [
        Measure(Column(name(study, column, wanted), group), digits, best="none" if across else best) for column in wide
    ]
    own = join(
        mean_over(len(study.targets), "IoU" if wanted.value == "iou" else "mIoU") if value.scored and across else "",
        f"IoU of {', '.join(wanted.classes)} alone." if wanted.classes and wanted.columns != "class" else "",
        "mIoU on the sources' val splits." if wanted.value == "source_val" else "",
    )
    rule = SELECTION[study.report.selection] if value.scored or wanted.value == "source_val" else ""
    wide.columns = [f"{wanted.columns}={column}" for column in wide]
    said = [value.what, marked(best, "row" if across else "column"), rule]
    made = grid(study, wanted, wide, measures, said, own, across=across)
    return _marked_along_rows(made, len(measures), best) if across else made


def _marked_along_rows(made: Grid, numbers: int, best: Best) -> Grid:
    """The best of every row marked: which value of a key serves a row best. Rows of unlike heads do not compare."""
    rows = []
    for row in made.rows:
        names, cells = row[:-numbers], row[-numbers:]
        marks = ranks((math.nan if cell.value is None else cell.value for cell in cells), best)
        rows.append((*names, *(replace(cell, mark=mark) for cell, mark in zip(cells, marks, strict=True))))
    return replace(made, rows=tuple(rows))


def _scored(study: Study, wanted: Table, where: str) -> pd.DataFrame:
    """A row a run, a column a domain or a class."""
    if not VALUES[wanted.value].scored:
        raise ConfigError(f"{where}: `value: {wanted.value}` is of a whole run; its `columns` are a key, no domain")
    if wanted.columns == "class":
        if wanted.value != "iou":
            raise ConfigError(f"{where}: `value: miou` is over all classes; of a class take `value: iou`")
        return _classes(study, wanted)
    if wanted.value == "miou":
        wide = miou(study)["target"]
        return pd.DataFrame(wide)
    done = study.results[study.results["state"] == "done"]
    frame = results.select(done, study.report.selection, study.targets)
    chosen = frame[(frame["metric"] == "iou") & frame["domain"].isin(study.targets)]
    chosen = chosen[chosen["class"].isin(wanted.classes or study.classes)]
    wide = 100 * chosen.pivot_table(index="run_id", columns="domain", values="value", aggfunc="mean")
    return wide.reindex(columns=pd.Index(study.targets))


def _classes(study: Study, wanted: Table) -> pd.DataFrame:
    wide = iou(study)
    for one in wanted.classes:
        if one not in study.classes:
            raise ConfigError(
                f"table {wanted.name!r}: `classes`: {one!r} is no class of the runs{nearest(one, study.classes)}"
            )
    return wide.reindex(columns=pd.Index(wanted.classes)) if wanted.classes else wide


def _across(study: Study, wanted: Table) -> pd.DataFrame:
    """A row a finished run, a column a value of the key, each run's number in its own column."""
    done = study.done.set_index("run_id")
    if wanted.value == "miou":
        numbers = miou(study)[target_column(study)]
    elif wanted.value == "iou":
        numbers = _classes(study, wanted).mean(axis=1)
    elif wanted.value == "source_val":
        numbers = miou(study)[[("source", name) for name in study.sources]].mean(axis=1)
    elif wanted.value == "loss":
        losses = trajectory(study)
        numbers = final_loss(losses).set_index("run_id")["final"]
    else:
        numbers = done[wanted.value]
    key = study.runs.set_index("run_id")[wanted.columns]
    values = list(dict.fromkeys(value if isinstance(value, tuple) or pd.notna(value) else MISSING for value in key))
    if isinstance(axis := study.sweep.vary.get(wanted.columns), list):
        # In the axis' order, though its first values were excluded from the first rows.
        order = [MISSING if one is None else tuple(one) if isinstance(one, list) else one for one in axis]
        values.sort(key=lambda value: order.index(value) if value in order else len(order))
    wide = pd.DataFrame(index=done.index, columns=pd.Index(values, tupleize_cols=False), dtype=float)
    for row, run in enumerate(done.index):
        wide.iat[row, values.index(key[run] if key[run] in values else MISSING)] = numbers.get(run, math.nan)
    return wide
