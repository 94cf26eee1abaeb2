"""Which targets a table shows: the sweep's, those that are only published, or those that it names."""

from __future__ import annotations

from collections.abc import Iterable

from rein.config import ConfigError, Table, nearest
from rein.published import Published
from rein.reports.study import Study


def shown(study: Study, wanted: Table, entries: Iterable[Published] = ()) -> list[str]:
    """The sweep's targets, then those that are only published; where the table names `domains`, those in its order.

    A world's target may be named as what it stands for. Raises ConfigError for a domain that there is not.
    """
    measured = {study.original(name): name for name in study.targets}
    known = [*study.targets, *_published(entries, measured)]
    chosen = [measured.get(name, name) for name in wanted.domains] or known
    for name in chosen:
        if name not in known:
            raise ConfigError(
                f"table {wanted.name!r}: `domains`: {name!r} is no target of the sweep{nearest(name, known)}; "
                f"there are {', '.join(known)}"
            )
    return chosen


def of_targets(study: Study, wanted: Table) -> Study:
    """The study of the targets that the table names, of all where it names none."""
    return study.on(shown(study, wanted))


def _published(entries: Iterable[Published], measured: dict[str, str]) -> list[str]:
    return list(dict.fromkeys(name for entry in entries for name in entry.domains if name not in measured))
