"""Which targets a table shows: the sweep's, those that are only published, or those that it names."""

from __future__ import annotations

from collections.abc import Iterable

from rein.config import ConfigError, Figure, Table, nearest
from rein.data.domains import expand
from rein.published import Published
from rein.reports.study import Study


def shown(study: Study, wanted: Table | Figure, entries: Iterable[Published] = ()) -> dict[str, tuple[str, ...]]:
    """Column -> the targets whose mean it is: itself, or the members of a family; none where it is only published.

    These are the sweep's targets, then those that are only published; where the table or figure names `domains`, those
    in its order. A world's targets may be named as what they stand for; what a world lacks is a column without numbers.
    Raises ConfigError for a domain that there is not.
    """
    measured = {name: (name,) for name in study.targets}
    if not wanted.domains:
        own = {study.original(name) for name in (*study.targets, *study.sources)}
        return measured | {name: () for entry in entries for name in entry.domains if name not in own}
    published = {name for entry in entries for name in entry.domains}
    chosen = {}
    for name in wanted.domains:
        there = _there(study, name)
        members = measured.get(there) or tuple(one for one in expand(there) if one in measured)
        if not members and name not in published and (study.moved.world is None or there == name):
            known = [*measured, *published]
            raise ConfigError(
                f"{type(wanted).__name__.lower()} {wanted.name!r}: `domains`: {name!r} is no target of the sweep"
                f"{nearest(name, known)}; there are {', '.join(known[:20])}{' and more' if len(known) > 20 else ''}"
            )
        chosen[there if there in measured else name] = members
    return chosen


def of_targets(study: Study, wanted: Table | Figure) -> Study:
    """The study of the targets that a table or figure names, of all where it names none."""
    return study.on([target for members in shown(study, wanted).values() for target in members])


def _there(study: Study, name: str) -> str:
    """What stands for a domain, or for a family or one of its parts, in the study's world."""
    # The longest first: `cityscapes-c` begins as `cityscapes` does, and is no part of it.
    for own, original in sorted(study.moved.stands_for.items(), key=lambda pair: -len(pair[1])):
        if name == original or name.startswith(f"{original}-"):
            return own + name.removeprefix(original)
    return name
