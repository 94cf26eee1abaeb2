"""While runs execute: what the ledger says of them, drawn for a person and copied to the tracker.

It reads nothing but the ledger, so it shows the same whatever executes the runs and wherever they run.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from rein.ledger import FINAL, Run, Statuses
from rein.sweeps.clock import clock
from rein.sweeps.plan import Planned
from rein.sweeps.watching import screen
from rein.sweeps.watching.rows import AT_WORK, Row, progress

log = logging.getLogger(__name__)


#: States of an earlier attempt that a run goes on from; `running` is left behind by a process that was killed.
CUT = ("preempted", "running", "pruned")


class Sink(Protocol):
    """What a run's news are copied to. Its troubles are its own: `sync` must not raise."""

    def sync(self, run: Run, name: str) -> None: ...


class Watch:
    """A context in which the given runs are followed until each is final or the context ends.

    A terminal gets a table that is drawn anew every `interval` seconds, a log file a line for each start and end, and
    after `silence` seconds without one how far things are. `before` runs of the sweep had ended already; a search
    may come to `trials`.
    """

    def __init__(
        self,
        planned: Sequence[Planned],
        runs: Path,
        sink: Sink | None,
        console: Console,
        interval: float = 1.0,
        silence: float = 60.0,
        before: int = 0,
        trials: int | None = None,
    ) -> None:
        self.root = runs
        self.runs = [(Run(runs / plan.id), plan.label) for plan in planned]
        self.steps = {plan.id: plan.experiment.steps for plan in planned}
        self.before, self.trials = before, trials
        found = {run.id: run.status() for run, _ in self.runs}
        # What counts as news: by number, since the clocks of a cluster's nodes differ.
        self.attempts = {id: status.get("attempt", 0) for id, status in found.items()}
        #: How far runs had come that an earlier attempt left.
        self.cut = {id: {**status, "state": "preempted"} for id, status in found.items() if status.get("state") in CUT}
        self._files = Statuses(runs)
        self.sink, self.console, self.interval, self.silence = sink, console, interval, silence
        self.statuses: dict[str, dict[str, Any]] = {}
        self.spoke = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="rein-watch", daemon=True)
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def add(self, plan: Planned) -> None:
        """Follow one more run: a search chooses while it goes."""
        run = Run(self.root / plan.id)
        if run.id not in self.steps:
            self.attempts[run.id] = run.status().get("attempt", 0)
            self.steps[run.id] = plan.experiment.steps
            self.runs = [*self.runs, (run, plan.label)]

    def __enter__(self) -> Watch:
        if self._live:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._tick()
        if self._live:
            self._live.stop()
            self.console.print(self._drawn(self.rows))

    def _follow(self) -> None:
        while not self._stop.wait(self.interval):
            self._tick()

    def _tick(self) -> None:
        try:
            self._look()
        except OSError as error:  # of a network disk, for one: what was not seen is seen a second later
            log.debug("a look at the runs failed: %s", error)

    def _look(self) -> None:
        present, lines, is_over = set(self._files.ids()), [], False
        for run, name in self.runs:
            before = self.statuses.get(run.id, {})
            if run.id not in present or before.get("state") in FINAL:
                continue
            status = self._files.of(run.id)
            if status.get("attempt", 0) == self.attempts[run.id]:
                continue  # what an earlier attempt left; this one has not started yet
            if status is before and status["state"] != "running":
                continue  # until it is taken up again
            self.statuses[run.id] = status
            self._copy(run, name)
            known = before.get("notes", []) if before.get("attempt") == status["attempt"] else []
            for note in status.get("notes", [])[len(known) :]:
                if status["pid"] != os.getpid():  # else it was logged here
                    self._say(f"note      {name}  {note}")
            if not self._live and status.get("state") != before.get("state"):
                # Of a single run the command itself says why it failed.
                reason = status.get("error") if self._is_sweep else None
                lines.append(_line(name, status, reason))
                is_over = is_over or status["state"] != "running"
        rows = self.rows
        if is_over and self._is_sweep:
            lines[-1] += f"  ({progress(rows, self.before, self.trials)})"
        for line in lines:
            self._say(line)
        if self._live:
            self._live.update(self._drawn(screen.chosen(rows, self.console.height - 4)), refresh=True)
        elif time.monotonic() - self.spoke >= self.silence:
            running = [f"{row.name} {row.step}/{row.steps}" for row in rows if row.state in AT_WORK]
            self._say("; ".join([progress(rows, self.before, self.trials), *running]))

    @property
    def _is_sweep(self) -> bool:
        return self.before + len(self.runs) > 1

    @property
    def rows(self) -> list[Row]:
        """The runs as they were seen last."""
        seen = {**self.cut, **self.statuses}
        return [Row(run.path, name, seen.get(run.id, {}), self.steps[run.id]) for run, name in self.runs]

    def _say(self, text: str) -> None:
        self.spoke = time.monotonic()
        self.console.print(f"{time.strftime('%H:%M:%S')}  {text}", highlight=False, soft_wrap=True)

    def _copy(self, run: Run, name: str) -> None:
        if self.sink is not None:
            self.sink.sync(run, name)

    def _drawn(self, rows: list[Row]) -> Group:
        return Group(
            screen.table(rows, self.console.width),
            Text(progress(self.rows, self.before, self.trials), style="dim italic"),
        )


def failures(planned: Iterable[Planned], runs: Path) -> list[tuple[Planned, Run]]:
    """The runs that did not come to their end, with their records."""
    records = ((plan, Run(runs / plan.id)) for plan in planned)
    return [(plan, run) for plan, run in records if run.state not in FINAL]


def _line(name: str, status: dict[str, Any], reason: str | None) -> str:
    if status["state"] == "running":
        return f"started   {name}"
    took = clock(status["ended"] - status["started"])
    return f"{status['state']:<9} {name}  {took}" + (f"  {reason}" if reason else "") + screen.skipped(status)
