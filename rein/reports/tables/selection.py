"""The rules that choose a checkpoint side by side: how much one that looks at the test labels flatters."""

from __future__ import annotations

import pandas as pd

from rein.config import Table
from rein.config.report import Selection
from rein.reports.grid import Column, Grid
from rein.reports.study import Study, miou, target_column
from rein.reports.tables.conventions import PERCENT, mean_over
from rein.reports.tables.means import Measure, grid
from rein.reports.tables.targets import of_targets

#: How much the rule that looks at the test labels gains.
GAP = "oracle − last"

ORACLE = (
    "`oracle` the best on the targets: it is chosen on the test labels, flatters every row, and is no estimate of what "
    "a method gives on an unseen target. Its gain over `last` is taken in every run first."
)
RULES = f"`last` takes the last checkpoint of a run, `source_val` the best on the sources' val splits, {ORACLE}"
NO_VAL = f"`last` takes the last checkpoint of a run (no source has a val split to choose by), {ORACLE}"


def selection(study: Study, wanted: Table) -> Grid:
    """Mean target mIoU at the checkpoint of every rule, and what `oracle` gains over `last` in the same runs."""
    study = of_targets(study, wanted)
    rules: tuple[Selection, ...] = ("last", "source_val", "oracle") if study.sources else ("last", "oracle")
    wide = pd.DataFrame({rule: miou(study, rule=rule)[target_column(study)] for rule in rules})
    wide[GAP] = wide["oracle"] - wide["last"]
    measures = [Measure(Column(str(title)), signed=title == GAP) for title in wide]
    return grid(
        study, wanted, wide, measures, [PERCENT, RULES if study.sources else NO_VAL], mean_over(len(study.targets))
    )
