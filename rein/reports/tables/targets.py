"""Which targets a table shows: the sweep's, those that are only published, or those that it names."""

from __future__ import annotations

from collections.abc import Iterable

from rein.config import ConfigError, Table, nearest
from rein.data.domains import FAMILIES
from rein.published import Published
from rein.reports.study import Study


def shown(study: Study, wanted: Table, entries: Iterable[Published] = ()) -> list[str]:
    """The sweep's targets, then those that are only published; where the table names `domains`, those in its order.

    A world's target may be named as what it stands for, and several by the family that they are of. Raises ConfigError
    for a domain that there is not.
    """
    measured = {study.original(name): name for name in study.targets}
    families = [name for name in FAMILIES if members(study, name)]
    known = [*study.targets, *_published(entries, measured), *families]
    # A world need not have every corruption.
    there = [name for name in wanted.domains if name in known or name not in FAMILIES or not study.moved.world]
    chosen = [measured.get(name, name) for name in there] or known[: len(known) - len(families)]
    for name in chosen:
        if name not in known:
            raise ConfigError(
                f"table {wanted.name!r}: `domains`: {name!r} is no target of the sweep{nearest(name, known)}; "
                f"there are {', '.join(known)}"
            )
    return chosen


def members(study: Study, name: str) -> list[str]:
    """The targets of the study that a name of `shown` stands for: one, or those of a family (`cityscapes-c-fog`)."""
    if name in study.targets:
        return [name]
    return [target for target in study.targets if {target, study.original(target)} & set(FAMILIES.get(name, ()))]


def of_targets(study: Study, wanted: Table) -> Study:
    """The study of the targets that the table names, of all where it names none."""
    chosen = shown(study, wanted)
    return study.on(list(dict.fromkeys(target for name in chosen for target in members(study, name))))


def _published(entries: Iterable[Published], measured: dict[str, str]) -> list[str]:
    return list(dict.fromkeys(name for entry in entries for name in entry.domains if name not in measured))
