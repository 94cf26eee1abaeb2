"""`rein stop`: runs write a checkpoint and let go, and a sweep starts no further ones; `rein sweep` goes on with both.

All is asked for through the ledger, so it reaches every executor on every machine that sees the disk.
"""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rein.config import ConfigError, nearest
from rein.ledger import Run, find
from rein.sweeps.folder import SweepFolder, sweep_folders
from rein.sweeps.plan import Planned
from rein.sweeps.queue import Source
from rein.sweeps.watching.statuses import Statuses

#: Seconds between two looks at what was asked to stop.
INTERVAL = 0.5


class UntilStopped(Source):
    """Hands out the runs of another source until the sweep is asked to stop."""

    def __init__(self, source: Source, folder: SweepFolder) -> None:
        self.source, self.folder = source, folder

    def next(self) -> Planned | None:
        """As the other source; nothing once the sweep was asked to stop."""
        return None if self._is_stopped else self.source.next()

    def ended(self, plan: Planned) -> None:
        """As the other source."""
        self.source.ended(plan)

    @property
    def exhausted(self) -> bool:
        """Whether nothing will come, of either reason."""
        return self._is_stopped or self.source.exhausted

    @property
    def stopped(self) -> str | None:
        """Why the other source stopped by itself; it may have been told so by a process that drove in our place."""
        return self.source.stopped

    @stopped.setter
    def stopped(self, why: str | None) -> None:
        self.source.stopped = why

    @property
    def _is_stopped(self) -> bool:
        return self.folder.asked_to_stop() is not None


@dataclass(frozen=True)
class Asked:
    """What one word of the command line means: a sweep with its runs, or a single run."""

    sweep: SweepFolder | None
    runs: Sequence[Run]
    statuses: Statuses

    def ask(self, why: str) -> None:
        """Ask whoever works on it; of a run that was taken up since the last time, ask again."""
        if self.sweep is not None and self.sweep.asked_to_stop() is None:
            self.sweep.ask_to_stop(why)
        for run in self.busy():
            if run.asked_to_stop() is None:
                run.ask_to_stop("preempted", why)

    def busy(self) -> list[Run]:
        """The runs that somebody works on now."""
        running = (run for run in self.runs if self.statuses.of(run.id).get("state") == "running")
        return [run for run in running if run.holder() is not None]

    def at_work(self) -> list[str]:
        """Who works on it now, in words."""
        drivers = self.sweep.drivers() if self.sweep is not None else []
        return [
            *(f"run {run.id}: {run.holder() or 'its process'}" for run in self.busy()),
            *(f"sweep {self.sweep.name}: {driver}" for driver in drivers if self.sweep is not None),
        ]


def stop(
    names: Iterable[str],
    runs: Path,
    patience: float,
    say: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Stop runs and sweeps, and wait until whoever works on them has let go; a row a word says how it came out.

    Raises ConfigError where a name is neither a run nor a sweep that was started here.
    """
    asked = {name: meaning(runs, name) for name in names}
    before = {name: len(one.busy()) for name, one in asked.items()}
    deadline, said = time.monotonic() + patience, ""
    while True:
        for one in asked.values():
            one.ask(f"by {_person()}")
        left = [who for one in asked.values() for who in one.at_work()]
        if not left or time.monotonic() > deadline:
            break
        if (text := _waiting(left)) != said:
            say(text)
        said = text
        time.sleep(INTERVAL)
    return [_row(name, one, before[name]) for name, one in asked.items()]


def meaning(runs: Path, name: str) -> Asked:
    """A sweep that was started here by its name, or a run by its id, its beginning or its folder."""
    sweeps = {folder.name: folder for folder in sweep_folders(runs)}
    if folder := sweeps.get(Path(name).stem):
        return Asked(folder, [Run(runs / member.id) for member in folder.members()], Statuses(runs))
    try:
        run = find(runs, name)
    except ConfigError as error:
        raise ConfigError(f"{error}; nor is it a sweep that was started there{nearest(name, sweeps)}") from None
    return Asked(None, [run], Statuses(run.path.parent))


def _waiting(left: Sequence[str]) -> str:
    rest = f" and {len(left) - 3} more" if len(left) > 3 else ""
    return f"asked to stop at the next record: {'; '.join(left[:3])}{rest}"


def _row(name: str, asked: Asked, before: int) -> dict[str, Any]:
    left = asked.at_work()
    kind = "sweep" if asked.sweep is not None else "run"
    if left:
        state = f"still at work: {'; '.join(left)}"
    else:
        state = f"stopped {before} run{'s' * (before != 1)}" if before else "nothing was running"
    return {"name": name, "kind": kind, "stopped": before - len(asked.busy()), "left": len(left), "state": state}


def _person() -> str:
    return f"{getpass.getuser()} on {socket.gethostname()}"
