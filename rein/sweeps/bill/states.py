"""How far a sweep's runs are, in a person's words: one look at the runs folder, then at those alone that are there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from rein.config import Sweep
from rein.ledger import Run, Statuses
from rein.sweeps.plan import Planned, final

#: `cut`: it began and nobody works on it; `held`: another driver or command works on it; `diverged`: to a search it has
#: told what it can, to a table it failed.
Word = Literal["done", "cut", "failed", "diverged", "pruned", "held", "to do"]
WORDS: tuple[Word, ...] = ("done", "cut", "failed", "diverged", "pruned", "held", "to do")

_OF_STATE: dict[str, Word] = {
    "done": "done", "imported": "done", "pruned": "pruned", "preempted": "cut",
    "failed": "failed", "oom": "failed", "diverged": "diverged",
}  # fmt: skip


def statuses(planned: Iterable[Planned], root: Path) -> dict[str, dict[str, Any]]:
    """The status of every run that has one, by id."""
    ledger = Statuses(root)
    there = set(ledger.ids())
    found = ((plan.id, ledger.of(plan.id)) for plan in planned if plan.id in there)
    return {id: status for id, status in found if status}


def again(sweep: Sweep) -> list[Word]:
    """What a run of the sweep is taken up from, as its driver does: never what another one holds."""
    return [word for word in WORDS if word not in ("held", *final(sweep))]


def word(id: str, status: dict[str, Any] | None, root: Path) -> Word:
    """A run's state as a bill has it."""
    if not status:
        return "to do"
    state = status.get("state", "")
    if state == "running":
        return "held" if Run(root / id).holder() else "cut"
    return _OF_STATE.get(state, "to do")
