"""While runs execute: what the ledger says of them, drawn for a person and copied to the tracker.

It reads nothing but the ledger, so it shows the same whatever executes the runs and wherever they run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from rein.ledger import Run
from rein.sweeps.plan import Planned

COLOURS = {"done": "green", "running": "cyan", "failed": "red", "oom": "red", "diverged": "red", "preempted": "yellow"}


class Sink(Protocol):
    """What a run's news are copied to. Its troubles are its own: `sync` must not raise."""

    def sync(self, run: Run, name: str) -> None: ...


class Watch:
    """A context in which the given runs are followed until each is final or the context ends."""

    def __init__(
        self, planned: Sequence[Planned], runs: Path, sink: Sink | None, console: Console, interval: float = 1.0
    ) -> None:
        self.rows = [(Run(runs / plan.id), label(plan)) for plan in planned]
        self.sink, self.console, self.interval = sink, console, interval
        self.statuses: dict[str, dict[str, Any]] = {}
        self.began = time.time()
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
            self.console.print(self._table())

    def _follow(self) -> None:
        while not self._stop.wait(self.interval):
            self._tick()

    def _tick(self) -> None:
        for run, name in self.rows:
            before = self.statuses.get(run.id, {})
            if before.get("state") not in (None, "running"):
                continue
            status = run.status()
            if status.get("started", 0) < self.began:
                continue  # what an earlier attempt left; this one has not started yet
            self.statuses[run.id] = status
            self._copy(run, name)
            if not self._live and status.get("state") != before.get("state"):
                # Of a single run the command itself says why it failed.
                reason = status.get("error") if len(self.rows) > 1 else None
                self.console.print(_line(name, status, reason), highlight=False, soft_wrap=True)
        if self._live:
            self._live.update(self._table(), refresh=True)

    def _copy(self, run: Run, name: str) -> None:
        if self.sink is not None:
            self.sink.sync(run, name)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("run", "variant", "state", "step", "loss", "time"):
            table.add_column(column, justify="right" if column in ("step", "loss", "time") else "left", no_wrap=True)
        for run, name in self.rows:
            status = self.statuses.get(run.id, {})
            state = status.get("state", "waiting")
            seconds = (status.get("ended") or time.time()) - status["started"] if status else None
            table.add_row(
                run.id,
                name,
                f"[{COLOURS.get(state, 'dim')}]{state}",
                f"{status['step']}/{status['steps']}" if status else "",
                f"{status['loss']:.2f}" if "loss" in status else "",
                "" if seconds is None else clock(seconds),
            )
        return table


def label(plan: Planned) -> str:
    """`rein, seed 0`: the point's name and the axis values."""
    axes = ", ".join(f"{key.split('.')[-1]} {value}" for key, value in plan.axes.items())
    return ", ".join(part for part in (plan.point, axes) if part) or plan.id


def clock(seconds: float) -> str:
    """`1:23:45` or `3:45`."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def failures(planned: Iterable[Planned], runs: Path) -> list[tuple[Planned, Run]]:
    """The runs that did not come to their end, with their records."""
    records = ((plan, Run(runs / plan.id)) for plan in planned)
    return [(plan, run) for plan, run in records if run.state not in ("done", "pruned")]


def _line(name: str, status: dict[str, Any], reason: str | None) -> str:
    when = time.strftime("%H:%M:%S")
    if status["state"] == "running":
        return f"{when}  started   {name}"
    took = clock(status["ended"] - status["started"])
    return f"{when}  {status['state']:<9} {name}  {took}" + (f"  {reason}" if reason else "")
