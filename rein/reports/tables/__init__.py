"""The tables of a report by kind."""

from __future__ import annotations

from collections.abc import Callable

from rein.config import ConfigError, Table
from rein.reports.grid import Grid
from rein.reports.study import Study
from rein.reports.tables.classes import classes
from rein.reports.tables.convergence import convergence
from rein.reports.tables.domains import domains
from rein.reports.tables.searches import cost, trials

KINDS: dict[str, Callable[[Study, Table], Grid]] = {
    "domains": domains, "classes": classes, "convergence": convergence, "search": trials, "cost": cost,
}  # fmt: skip


def table(study: Study, wanted: Table) -> Grid:
    """Build the table that a report asks for, of the runs that it is about."""
    if wanted.kind not in KINDS:
        raise ConfigError(f"table {wanted.name!r}: kind `{wanted.kind}` is not built yet")
    return KINDS[wanted.kind](study.only(wanted.filter, f"table {wanted.name!r}"), wanted)
