"""While runs execute: what the ledger says of them, drawn for a person and copied to the tracker.

It reads nothing but the ledger, so it shows the same whatever executes the runs and wherever they run.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from rein.ledger import FINAL, Run
from rein.sweeps.plan import Planned

log = logging.getLogger(__name__)

COLOURS = {"done": "green", "running": "cyan", "failed": "red", "oom": "red", "diverged": "red", "preempted": "yellow"}


class Sink(Protocol):
    """What a run's news are copied to. Its troubles are its own: `sync` must not raise."""

    def sync(self, run: Run, name: str) -> None: ...


class Watch:
    """A context in which the given runs are followed until each is final or the context ends.

    A terminal gets a table that is drawn anew every `interval` seconds, a log file a line for each start and end, and
    after `silence` seconds without one how far things are.
    """

    def __init__(
        self,
        planned: Sequence[Planned],
        runs: Path,
        sink: Sink | None,
        console: Console,
        interval: float = 1.0,
        silence: float = 60.0,
    ) -> None:
        self.rows = [(Run(runs / plan.id), plan.label) for plan in planned]
        # What counts as news: by number, since the clocks of a cluster's nodes differ.
        self.attempts = {run.id: run.status().get("attempt", 0) for run, _ in self.rows}
        self.sink, self.console, self.interval, self.silence = sink, console, interval, silence
        self.statuses: dict[str, dict[str, Any]] = {}
        self.began = self.spoke = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="rein-watch", daemon=True)
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

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
            self.console.print(self._table(self.rows))

    def _follow(self) -> None:
        while not self._stop.wait(self.interval):
            self._tick()

    def _tick(self) -> None:
        try:
            self._look()
        except OSError as error:  # of a network disk, for one: what was not seen is seen a second later
            log.debug("a look at the runs failed: %s", error)

    def _look(self) -> None:
        for run, name in self.rows:
            before = self.statuses.get(run.id, {})
            if before.get("state") not in (None, "running"):
                continue
            status = run.status()
            if status.get("attempt", 0) == self.attempts[run.id]:
                continue  # what an earlier attempt left; this one has not started yet
            self.statuses[run.id] = status
            self._copy(run, name)
            for note in status.get("notes", [])[len(before.get("notes", [])) :]:
                if status["pid"] != os.getpid():  # else it was logged here
                    self._say(f"note      {name}  {note}")
            if not self._live and status.get("state") != before.get("state"):
                # Of a single run the command itself says why it failed.
                reason = status.get("error") if len(self.rows) > 1 else None
                self._say(_line(name, status, reason))
        if self._live:
            self._live.update(self._table(self._shown()), refresh=True)
        elif time.monotonic() - self.spoke >= self.silence:
            running = [f"{name} {_steps(status)}" for name, status in self._running()]
            self._say("; ".join([self._progress(), *running]))

    def _say(self, text: str) -> None:
        self.spoke = time.monotonic()
        self.console.print(f"{time.strftime('%H:%M:%S')}  {text}", highlight=False, soft_wrap=True)

    def _running(self) -> list[tuple[str, dict[str, Any]]]:
        known = ((name, self.statuses.get(run.id, {})) for run, name in self.rows)
        return [(name, status) for name, status in known if status.get("state") == "running"]

    def _progress(self) -> str:
        """`3 of 13 ended, about 2:10 left`: as if the steps that are left took as long each as those behind."""
        ended = len(self.statuses) - len(self._running())
        share = (ended + sum(status["step"] / status["steps"] for _, status in self._running())) / len(self.rows)
        text = f"{ended} of {len(self.rows)} ended"
        # Short of a twentieth it would be a guess: starting up takes its time too.
        return (
            f"{text}, about {clock((time.monotonic() - self.began) * (1 / share - 1))} left"
            if 0.05 < share < 1
            else text
        )

    def _copy(self, run: Run, name: str) -> None:
        if self.sink is not None:
            self.sink.sync(run, name)

    def _shown(self) -> list[tuple[Run, str]]:
        """All rows, or where the screen has no room for them those that run or went wrong."""
        if len(self.rows) <= self.console.height - 4:
            return self.rows
        dull = (None, *FINAL)
        return [row for row in self.rows if self.statuses.get(row[0].id, {}).get("state") not in dull]

    def _table(self, rows: Iterable[tuple[Run, str]]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold", caption=self._progress(), caption_justify="left")
        for column in ("run", "variant", "state", "step", "loss", "time"):
            table.add_column(column, justify="right" if column in ("step", "loss", "time") else "left", no_wrap=True)
        for run, name in rows:
            status = self.statuses.get(run.id, {})
            state = status.get("state", "waiting")
            seconds = (status.get("ended") or time.time()) - status["started"] if status else None
            table.add_row(
                run.id,
                name,
                f"[{COLOURS.get(state, 'dim')}]{state}[/]{skipped(status)}",
                _steps(status) if status else "",
                f"{status['loss']:.2f}" if "loss" in status else "",
                "" if seconds is None else clock(seconds),
            )
        return table


def clock(seconds: float) -> str:
    """`1:23:45` or `3:45`."""
    minutes, seconds = divmod(max(0, int(seconds)), 60)  # clocks of two nodes may differ
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def failures(planned: Iterable[Planned], runs: Path) -> list[tuple[Planned, Run]]:
    """The runs that did not come to their end, with their records."""
    records = ((plan, Run(runs / plan.id)) for plan in planned)
    return [(plan, run) for plan, run in records if run.state not in FINAL]


def _line(name: str, status: dict[str, Any], reason: str | None) -> str:
    if status["state"] == "running":
        return f"started   {name}"
    took = clock(status["ended"] - status["started"])
    return f"{status['state']:<9} {name}  {took}" + (f"  {reason}" if reason else "") + skipped(status)


def skipped(status: Mapping[str, Any]) -> str:
    """`  3 images skipped`; empty for a run that read all of its files."""
    number = sum(status.get("skipped_files", {}).values())
    return f"  {number} image{'s' * (number > 1)} skipped" if number else ""


def _steps(status: dict[str, Any]) -> str:
    return f"{status['step']}/{status['steps']}"
