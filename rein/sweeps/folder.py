"""What the ledger keeps of a sweep, in `runs/.sweeps/NAME/`: which runs are its own, who drives it, a request to stop.

How a run is doing stays with the run. This says which belong together and what they are called, so that a sweep can be
watched, stopped and copied from any machine that sees the disk, also where its own file is not at hand.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from rein.ledger import Run, write_atomic
from rein.ledger.lease import Holder, Lease
from rein.sweeps.plan import Planned


@dataclass(frozen=True)
class Member:
    """One run of a sweep."""

    id: str
    #: What the sweep calls it: the variant and its seed.
    name: str
    #: Optimisation steps of the whole run.
    steps: int

    @classmethod
    def of(cls, plan: Planned) -> Member:
        return cls(plan.id, plan.label, plan.experiment.steps)


class SweepFolder:
    """One sweep's folder in the ledger. Creating the object touches nothing."""

    def __init__(self, runs: Path, name: str) -> None:
        self.runs, self.name = runs, name
        self.path = runs / ".sweeps" / name

    def members(self) -> list[Member]:
        """Its runs in the order of the sweep's plan; none where it was never started."""
        try:
            complete = (self.path / "runs.jsonl").read_bytes().rpartition(b"\n")[0]
        except FileNotFoundError:
            return []
        found = (Member(**json.loads(line)) for line in complete.splitlines())
        return list({member.id: member for member in found}.values())

    def trials(self) -> int | None:
        """How many runs its search will come to; None where it is no search."""
        with suppress(FileNotFoundError):
            return json.loads(self._search.read_text())["trials"]
        return None

    def question(self) -> str:
        """What it asks, in Markdown, as its latest driver had it from its file; empty where none has said."""
        with suppress(FileNotFoundError):
            return (self.path / "question.md").read_text(encoding="utf-8")
        return ""

    @property
    def _search(self) -> Path:
        return self.path / "search.json"

    # ---------------------------------------------------------------- driving

    @contextmanager
    def driven(
        self, planned: Sequence[Planned], trials: int | None = None, question: str | None = None
    ) -> Iterator[None]:
        """Drive the sweep: its runs are written down, a request to stop is withdrawn, and others see who drives it.

        `trials`: how many runs a search will come to, of which it may have chosen none yet. `question`: what it asks.
        """
        drivers = self.path / "drivers"
        # Containers of one image may have one host name and one process number.
        mine = drivers / f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        mine.mkdir(parents=True, exist_ok=True)
        self._keep(planned)
        self.ask(question)
        if trials:
            self.expect(trials)
        else:
            self._search.unlink(missing_ok=True)
        self._request.unlink(missing_ok=True)
        try:
            with Lease(mine / "lease").held(patience=0.0):
                yield
        finally:
            shutil.rmtree(mine, ignore_errors=True)

    def add(self, plan: Planned) -> None:
        """Write down a run that was thought of on the way, as a search does."""
        with open(self.path / "runs.jsonl", "a") as file:
            file.write(_lines([Member.of(plan)]))

    def ask(self, question: str | None) -> None:
        """Write down what it asks, once it was started."""
        if question is not None and question != self.question() and self.path.is_dir():
            write_atomic(self.path / "question.md", question)

    def expect(self, trials: int) -> None:
        """Write down how many runs a search will come to."""
        write_atomic(self._search, json.dumps({"trials": trials}))

    def drivers(self) -> list[Holder]:
        """Who drives it now, on whatever machine."""
        holders = (Lease(path / "lease").holder() for path in sorted((self.path / "drivers").glob("*")))
        return [holder for holder in holders if holder]

    def _keep(self, planned: Sequence[Planned]) -> None:
        """The plan of now, and of earlier ones those runs that were started."""
        new = [Member.of(plan) for plan in planned]
        known = {member.id for member in new}
        old = [member for member in self.members() if member.id not in known and Run(self.runs / member.id).state]
        write_atomic(self.path / "runs.jsonl", _lines([*new, *old]))

    # ---------------------------------------------------------------- stopping

    @property
    def _request(self) -> Path:
        return self.path / "stop.json"

    def ask_to_stop(self, why: str) -> None:
        """Ask its drivers to start no further run; the next `rein sweep` of it withdraws that."""
        write_atomic(self._request, json.dumps({"why": why, "time": time.time()}))

    def asked_to_stop(self) -> str | None:
        """Why its drivers were asked to start no further run; None where they were not."""
        with suppress(FileNotFoundError):
            return json.loads(self._request.read_text())["why"]
        return None


def sweep_folders(runs: Path) -> list[SweepFolder]:
    """Every sweep that was started in a runs folder."""
    return [SweepFolder(runs, path.parent.name) for path in sorted((runs / ".sweeps").glob("*/runs.jsonl"))]


def _lines(members: Iterable[Member]) -> str:
    return "".join(json.dumps(asdict(member)) + "\n" for member in members)
