"""Runs are copied to MLflow beside the work, by a thread of its own: a tracker that hangs slows nothing else.

The ledger has everything, so what could not be copied is no loss: the same thread tries again while the sweep goes on,
the next `rein sweep` does, and `rein sync` does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from rein.ledger import FAILED, FINAL, Run
from rein.ledger.tracked import is_copied, reason, shown
from rein.sweeps.plan import Planned
from rein.sweeps.watching.watch import Sink
from rein.tracking import Tracker, default_uri, prepare

log = logging.getLogger(__name__)

#: Seconds until a tracker that failed is tried again.
AGAIN = 30.0
#: Seconds without a success after which the end of the work no longer waits for a server, and for a file, whose
#: creation takes its time.
GRACE, GRACE_OF_FILE = 10.0, 120.0
#: So many runs in a row that could not be copied in the end are enough.
ENOUGH = 2


class Copying(Sink):
    """Copies runs under a sweep's name, or a single one; in the states of `final` a run of the sweep has ended.

    The tracker is opened when there is news: MLflow takes seconds to import, and more to create a store.
    """

    def __init__(self, runs: Path, parent: str | None, final: Collection[str] = FINAL) -> None:
        self.runs, self.parent, self.final = runs, parent, final
        self.uri = default_uri(runs)
        self.tracker: Tracker | None = None
        self._pending: dict[str, tuple[Run, str]] = {}
        self._seen: dict[str, tuple[Run, str]] = {}
        self._closing: tuple[Sequence[tuple[Run, str]], bool] | None = None
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="rein-copying", daemon=True)
        self._moved = time.monotonic()
        self._is_prepared = False
        self._warned = False

    def sync(self, run: Run, name: str) -> None:
        """Copy what is new of a run, soon."""
        with self._news:
            self._pending[run.id] = self._seen[run.id] = run, name
            self._started()
            self._news.notify()

    def close(self, planned: Sequence[Planned], complete: bool) -> None:
        """Copy what the tracker still lacks of all the runs, set the parent's status, and wait for that, but not for
        a tracker that does not answer."""
        planned_too = {plan.id: (Run(self.runs / plan.id), plan.label) for plan in planned}
        records = list({**planned_too, **self._seen}.values())
        missing = {run.id: (run, name) for run, name in records if run.status() and not is_copied(run, self.uri)}
        with self._news:
            self._pending |= missing
            self._closing = records, complete
            self._moved = time.monotonic()
            if not self._pending and not self._thread.is_alive():
                return
            self._started()
            self._news.notify()
        while self._thread.is_alive() and time.monotonic() - self._moved < self._grace:
            self._thread.join(0.1)
        if self._thread.is_alive():
            self._warn(f"it did not answer within {self._grace:.0f} s")

    @property
    def _grace(self) -> float:
        return GRACE if self._is_prepared and self.uri.startswith("http") else GRACE_OF_FILE

    def _started(self) -> None:
        if self._thread.ident is None:
            self._thread.start()

    def _work(self) -> None:
        failed = 0
        while True:
            with self._news:
                self._news.wait_for(lambda: self._pending or self._closing)
                if not self._pending or (self._closing and failed >= ENOUGH):
                    break
                id, (run, name) = next(iter(self._pending.items()))
                del self._pending[id]
            if self._copied(run, name):
                failed = 0
                continue
            with self._news:
                self._pending.setdefault(id, (run, name))  # behind the others
                if self._news.wait_for(lambda: self._closing, timeout=0.0):
                    failed += 1
                else:
                    self._news.wait_for(lambda: self._closing, timeout=AGAIN)
        if self._closing and self.tracker is not None and not failed:
            self._close(*self._closing)

    def _copied(self, run: Run, name: str) -> bool:
        try:
            self._opened().sync(run, name)
        except Exception as error:
            self._warn(reason(error, self.uri))
            return False
        self._moved = time.monotonic()
        return True

    def _opened(self) -> Tracker:
        if self.tracker is None:
            prepare()
            self._moved, self._is_prepared = time.monotonic(), True
            self.tracker = Tracker(self.uri, self.runs)
            self._moved = time.monotonic()
        if self.parent and self.tracker.sweep is None:
            self.tracker.open_sweep(self.parent)
        return self.tracker

    def _close(self, records: Sequence[tuple[Run, str]], complete: bool) -> None:
        """Of a sweep: its runs hang below it, and its status says how it ended."""
        if not self.parent or self.tracker is None:
            return
        try:
            for run, _ in records:
                self.tracker.adopt(run)
                self._moved = time.monotonic()
            ended = how_it_ended([run.state for run, _ in records], self.final)
            self.tracker.close_sweep(ended if complete else "KILLED")
        except Exception as error:
            self._warn(reason(error, self.uri))

    def _warn(self, why: str) -> None:
        if not self._warned:
            log.warning("MLflow at %s: %s; the runs go on, and `rein sync` fills it in later", shown(self.uri), why)
        self._warned = True


def how_it_ended(states: Iterable[str | None], final: Collection[str]) -> str:
    """How a sweep reads in MLflow that nobody drives, by the states of its runs and those in which one has ended."""
    left = [state for state in states if state not in final]
    return "FAILED" if any(state in FAILED for state in left) else "KILLED" if left else "FINISHED"
