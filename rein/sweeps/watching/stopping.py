"""`rein stop`: runs write a checkpoint and let go, and a sweep starts no further ones; `rein sweep` goes on with both.

All is asked for through the ledger, so it reaches every executor on every machine that sees the disk.
"""

from __future__ import annotations

import getpass
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from rein.config import ConfigError, nearest
from rein.ledger import Holder, Run, Statuses, find
from rein.sweeps.folder import SweepFolder, sweep_folders

#: Seconds between two looks at what was asked to stop.
INTERVAL = 0.5
#: Runs that a person reads a line each of; of more, their numbers are said.
FEW = 12

#: How it came out for what was asked to stop.
Outcome = Literal["stopped", "ended by itself", "cut", "at work", "idle"]


@dataclass
class Asked:
    """What one word of the command line means: a sweep with its runs, or a single run."""

    sweep: SweepFolder | None
    #: The runs, and what they are called.
    runs: Mapping[str, tuple[Run, str]]
    statuses: Statuses
    #: Ids of the runs that were ever seen at work.
    met: dict[str, None] = field(default_factory=dict)
    #: Whether anybody was ever seen to drive the sweep.
    was_driven: bool = False

    def ask(self, why: str) -> None:
        """Ask whoever works on it; of a run that was taken up since the last time, ask again."""
        if self.sweep is not None:
            if self.sweep.asked_to_stop() is None:
                self.sweep.ask_to_stop(why)
            self.was_driven = self.was_driven or bool(self.drivers())
            self.runs = _members(self.sweep)  # a search may have begun one more until it heard of it
        for run in self.busy():
            self.met[run.id] = None
            if run.asked_to_stop() is None:
                run.ask_to_stop("preempted", why)

    def busy(self) -> list[Run]:
        """The runs that somebody works on now."""
        running = (run for run, _ in self.runs.values() if self.statuses.of(run.id).get("state") == "running")
        return [run for run in running if run.holder() is not None]

    def drivers(self) -> list[Holder]:
        """Who drives the sweep now."""
        return self.sweep.drivers() if self.sweep is not None else []

    def at_work(self) -> list[str]:
        """Who works on it now, in words."""
        name = self.sweep.name if self.sweep is not None else ""
        return [
            *(f"run {run.id}: {run.holder() or 'its process'}" for run in self.busy()),
            *(f"sweep {name}: {driver}" for driver in self.drivers()),
        ]


def stop(
    names: Iterable[str],
    runs: Path,
    patience: float,
    say: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Stop runs and sweeps, and wait until whoever works on them has let go; a row a run says how it came out.

    A driver that still drives has a row too, and so has a word that meant nothing at work. Raises ConfigError where a
    name is neither a run nor a sweep that was started here.
    """
    asked = {name: meaning(runs, name) for name in names}
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
    return [row for name, one in asked.items() for row in _rows(name, one)]


def told(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The rows as a person reads them: a line a run, or a line a name where that had many."""
    lines: list[dict[str, str]] = []
    for name, group in groupby(rows, key=itemgetter("name")):
        of = list(group)
        if len(of) <= FEW:
            lines += [{"name": name, **_line(row)} for row in of]
        else:
            numbers = Counter(row["outcome"] for row in of)
            text = ", ".join(f"{number} {outcome}" for outcome, number in numbers.items())
            lines.append({"name": name, "run": f"{len(of)} runs", "variant": "", "state": text})
            busy = [row for row in of if row["outcome"] == "at work"]
            lines += [{"name": name, **_line(row)} for row in busy[:FEW]]
            if more := len(busy[FEW:]):
                lines.append({"name": name, "run": "", "variant": "", "state": f"and {more} more at work"})
    return lines


def meaning(runs: Path, name: str) -> Asked:
    """A sweep that was started here by its name, or a run by its id, its beginning or its folder."""
    sweeps = {folder.name: folder for folder in sweep_folders(runs)}
    if folder := sweeps.get(Path(name).stem):
        return Asked(folder, _members(folder), Statuses(runs))
    try:
        run = find(runs, name)
    except ConfigError as error:
        raise ConfigError(f"{error}; nor is it a sweep that was started there{nearest(name, sweeps)}") from None
    return Asked(None, {run.id: (run, "")}, Statuses(run.path.parent))


def _members(sweep: SweepFolder) -> dict[str, tuple[Run, str]]:
    return {member.id: (Run(sweep.runs / member.id), member.name) for member in sweep.members()}


def _waiting(left: Sequence[str]) -> str:
    rest = f" and {len(left) - 3} more" if len(left) > 3 else ""
    return f"asked to stop at the next record or checkpoint: {'; '.join(left[:3])}{rest}"


def _rows(name: str, asked: Asked) -> list[dict[str, Any]]:
    rows = [_row(name, *asked.runs[id]) for id in asked.met]
    rows += [_told(name, None, "its driver", "at work", f"still drives: {driver}") for driver in asked.drivers()]
    if not rows and asked.was_driven:  # it was starting, or between two runs
        rows = [_told(name, None, "its driver", "stopped", "let go; no run was at work")]
    return rows or [_told(name, None, None, "idle", "nothing was running")]


def _row(name: str, run: Run, variant: str) -> dict[str, Any]:
    """How it came out for a run that was at work when it was asked."""
    status, holder = run.status(), run.holder()
    at = f"at step {status.get('step', 0)} of {status.get('steps', '?')}"
    match status.get("state"):
        case "running" if holder:
            return _told(name, run, variant, "at work", f"still at work {at}: {holder}")
        case "running":
            return _told(name, run, variant, "cut", f"its process was lost {at}; the same command goes on with it")
        case "preempted":
            return _told(name, run, variant, "stopped", f"stopped {at}")
        case "done":
            return _told(name, run, variant, "ended by itself", "had finished by itself: done")
        case state:
            why = f" ({status['error']})" if status.get("error") else ""
            return _told(name, run, variant, "ended by itself", f"had ended by itself {at}: {state}{why}")


def _told(name: str, run: Run | None, variant: str | None, outcome: Outcome, state: str) -> dict[str, Any]:
    return {"name": name, "run": run and run.id, "variant": variant or None, "outcome": outcome, "state": state}


def _line(row: Mapping[str, Any]) -> dict[str, str]:
    return {key: row[key] or "" for key in ("run", "variant", "state")}


def _person() -> str:
    return f"{getpass.getuser()} on {socket.gethostname()}"
