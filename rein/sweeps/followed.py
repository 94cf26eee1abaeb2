"""Runs that a command takes to their end: watched meanwhile, settled and copied to the tracker afterwards."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from rein.config import ConfigError, Machine, Sweep
from rein.ledger import FINAL, PATIENCE, BusyError
from rein.sweeps.folder import SweepFolder
from rein.sweeps.plan import Planned, check_data, check_domains, final, left
from rein.sweeps.search.members import is_adaptive, known, trials_of
from rein.sweeps.watching.copying import Copying
from rein.sweeps.watching.watch import Watch, failures

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Followed:
    """The runs of a sweep, or a single one, which has no folder of its own."""

    planned: Sequence[Planned]
    machine: Machine
    track: bool
    sweep: Sweep | None = None
    folder: SweepFolder | None = None
    #: What the sweep asks, in Markdown.
    question: str | None = None

    def through(self, work: Callable[[Sequence[Planned], Watch], None]) -> Sequence[Planned]:
        """Do the work on the runs that are left, watched; then bring the tracker up to date. Returns what was left."""
        runs = self.machine.runs
        check_domains(self.planned, runs)
        todo = left(self.planned, runs, final(self.sweep))
        name, ended = self.folder.name if self.folder else None, {*FINAL, *final(self.sweep)}
        tracker = Copying(runs, name, ended) if self.track else None
        complete = False
        if self.folder:
            self.folder.ask(self.question)  # of an earlier start, of which nothing may be left to do
        try:
            if todo or is_adaptive(self.sweep):
                self._watched(todo, work, tracker)
            complete = True
        finally:
            if tracker:
                tracker.close(self.planned, complete)
        return todo

    def begun(self, planned: Sequence[Planned]) -> Sequence[Planned]:
        """The planned runs; of a search that plans none ahead those that there are by now."""
        return known(self.sweep, self.machine.runs) if self.sweep is not None and is_adaptive(self.sweep) else planned

    def _watched(
        self, todo: Sequence[Planned], work: Callable[[Sequence[Planned], Watch], None], tracker: Copying | None
    ) -> None:
        runs = self.machine.runs
        check_data(todo, self.machine.data)
        runs.mkdir(parents=True, exist_ok=True)
        console = Console(stderr=True, quiet=not log.isEnabledFor(logging.INFO))
        trials = trials_of(self.sweep, self.planned)
        driven = self.folder.driven(self.planned, trials, self.question) if self.folder else nullcontext()
        before = len(self.planned) - len(todo)
        with driven, Watch(todo, runs, tracker, console, before=before, trials=trials) as watch:
            try:
                work(todo, watch)
            finally:
                self._settled(todo)

    def _settled(self, todo: Sequence[Planned]) -> None:
        try:
            _settle(self.begun(todo), self.machine.runs)
        except (OSError, ConfigError) as error:  # it must not stand for why the sweep ends
            log.warning("which runs were cut could not be found out: %s; the same command goes on with them", error)


def _settle(todo: Sequence[Planned], runs: Path) -> None:
    """A run that counts as running though nobody works on it was cut with its process, and can be gone on with."""
    running = [(plan, run) for plan, run in failures(todo, runs) if run.state == "running"]
    deadline = time.monotonic() + PATIENCE
    for plan, run in running:
        try:
            with suppress(BusyError), run.claimed(patience=max(0.0, deadline - time.monotonic())):
                if run.state == "running":  # or its process has just ended it
                    run.finish("preempted")
                    log.info("%s (%s) was cut; the same command goes on with it", plan.id, plan.label)
        except OSError as error:  # it must not stand for why the sweep ends
            log.warning("%s (%s) was cut, which could not be written down: %s", plan.id, plan.label, error)
