"""The tables of a report by kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rein.config import ConfigError, Table
from rein.reports.grid import Grid
from rein.reports.study import Study
from rein.reports.tables import conventions
from rein.reports.tables.classes import classes
from rein.reports.tables.comparisons import comparisons
from rein.reports.tables.convergence import convergence
from rein.reports.tables.domains import domains
from rein.reports.tables.mean_ranks import mean_ranks
from rein.reports.tables.pivot import pivot
from rein.reports.tables.resources import resources
from rein.reports.tables.searches import cost, trials
from rein.reports.tables.selection import selection
from rein.reports.takes import check_keys


@dataclass(frozen=True)
class Kind:
    """How a kind of table is built, and which of a table's fields it knows beside `name`, `caption` and `filter`."""

    build: Callable[[Study, Table], Grid]
    takes: str


KINDS = {
    "domains": Kind(domains, "rows spread best domains order rename published"),
    "classes": Kind(classes, "rows best domains classes order rename published"),
    "pivot": Kind(pivot, "rows columns value spread best domains classes order rename"),
    "convergence": Kind(convergence, "rows spread order rename"),
    "search": Kind(trials, ""),
    "cost": Kind(cost, ""),
    "resources": Kind(resources, "rows spread order rename published"),
    "selection": Kind(selection, "rows spread domains order rename"),
    "comparisons": Kind(comparisons, "rows domains order rename against"),
    "ranks": Kind(mean_ranks, "rows domains order rename"),
}


def table(study: Study, wanted: Table) -> Grid:
    """Build the table that a report asks for, of the runs that it is about.

    Raises ConfigError for what its kind does not know.
    """
    where, kind = f"table {wanted.name!r}", KINDS[wanted.kind]
    check_keys(wanted, kind.takes)
    study = study.only(wanted.filter, where)
    if not study.targets and wanted.kind in ("selection", "comparisons", "ranks"):
        raise ConfigError(f"{where}: no run has a target, which a table of kind `{wanted.kind}` is about")
    grid = kind.build(study, wanted)
    if not study.report.classes:
        return grid
    return replace(grid, conventions=tuple(_narrowed(said, study.report.classes) for said in grid.conventions))


def _narrowed(said: str, classes: Sequence[str]) -> str:
    return conventions.percent_over(classes) if said == conventions.PERCENT else said
