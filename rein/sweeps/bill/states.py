"""How far a sweep's runs are, in a person's words: one look at the runs folder, then at those alone that are there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from rein.ledger import Run
from rein.sweeps.plan import Planned
from rein.sweeps.watching.statuses import Statuses

#: `cut`: it began and nobody works on it; `held`: another driver or command works on it.
Word = Literal["done", "cut", "failed", "pruned", "held", "to do"]
WORDS: tuple[Word, ...] = ("done", "cut", "failed", "pruned", "held", "to do")

_OF_STATE: dict[str, Word] = {
    "done": "done", "imported": "done", "pruned": "pruned", "preempted": "cut",
    "failed": "failed", "oom": "failed", "diverged": "failed",
}  # fmt: skip


def statuses(planned: Iterable[Planned], root: Path) -> dict[str, dict[str, Any]]:
    """The status of every run that has one, by id."""
    ledger = Statuses(root)
    there = set(ledger.ids())
    found = ((plan.id, ledger.of(plan.id)) for plan in planned if plan.id in there)
    return {id: status for id, status in found if status}


def word(id: str, status: dict[str, Any] | None, root: Path) -> Word:
    """A run's state as a bill has it."""
    if not status:
        return "to do"
    state = status.get("state", "")
    if state == "running":
        return "held" if Run(root / id).holder() else "cut"
    return _OF_STATE.get(state, "to do")
