"""What a document says once, and not with every table or chapter: how tables are read, how numbers were made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from rein.reports.grid import Grid
from rein.reports.tables.conventions import ALTERNATIVES, GENERAL

#: What a chapter says and how, as `provenance` has it.
Fact = tuple[str, str]


def conventions(grids: Sequence[Grid]) -> list[str]:
    """What several tables say of their signs and columns, in the order in which it comes up.

    That is what two of them have alike, and what stands for any table (`GENERAL`); a single table says all by itself,
    and so does every table where another says otherwise.
    """
    counts = Counter(said for grid in grids for said in dict.fromkeys(grid.conventions))
    unlike = {said for family in ALTERNATIVES if len(found := family & counts.keys()) > 1 for said in found}
    common = {said for said, number in counts.items() if number > 1 or (said in GENERAL and len(grids) > 1)}
    return [said for said in counts if said in common - unlike]


def without(grid: Grid, said: Sequence[str]) -> Grid:
    """The table where its document has said these already."""
    return replace(grid, conventions=tuple(one for one in grid.conventions if one not in said))


def facts(chapters: Sequence[Sequence[Fact]]) -> list[Fact]:
    """The settings and rules that every chapter states and most have alike: they hold where a chapter says no other.

    Commands, counts and times are a chapter's own, also where two of them happen to be equal.
    """
    every = [what for what, _ in chapters[0] if _is_setting(what) and all(what in dict(one) for one in chapters)]
    found = []
    for what in every:
        value, number = Counter(dict(one)[what] for one in chapters).most_common(1)[0]
        if 2 * number > len(chapters) > 1:
            found.append((what, value))
    return found


def _is_setting(what: str) -> bool:
    """Settings are named by their keys, in code."""
    return what.startswith("`") or what in ("mIoU over the classes", "selection rule", "significance")
