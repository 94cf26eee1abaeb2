"""Which run comes next: longest first, each once, and none that another driver works on.

An executor asks a `Source` for runs and tells it when one is no longer worked on; how it ended is in the ledger.
"""

from __future__ import annotations

import heapq
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from rein.ledger import FAILED, FINAL, BusyError, GoneError, Run, Statuses
from rein.sweeps.folder import SweepFolder
from rein.sweeps.plan import Planned

log = logging.getLogger(__name__)

#: So many runs that fail alike before any is done are the fault of what they have in common.
ALIKE = 3

#: Seconds between two looks at a run that another driver works on.
LOOK_AGAIN = 3.0

#: So often in a row a run is handed out again that came back without an end and without a step of progress.
LOST = 3

#: What two errors of one kind differ in: paths, ids, numbers.
PARTICULARS = re.compile(r"\S*/\S*|\b(?=\w*\d)\w+(\.\w+)*")


class Source(Protocol):
    """Where runs come from."""

    #: Why it stopped before its end, in words; None where it did not.
    stopped: str | None

    def next(self) -> Planned | None:
        """The run to start now; None where there is nothing to hand out at present."""
        ...

    def ended(self, plan: Planned) -> None:
        """The run is no longer worked on by whom it was handed to; the ledger says how it ended."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether nothing will come any more."""
        ...


class Passing(Source):
    """Another source's runs, as they are: what stands between it and an executor changes some of it."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def next(self) -> Planned | None:
        """As the other source."""
        return self.source.next()

    def ended(self, plan: Planned) -> None:
        """As the other source."""
        self.source.ended(plan)

    @property
    def exhausted(self) -> bool:
        """As the other source."""
        return self.source.exhausted

    @property
    def stopped(self) -> str | None:
        """Why the other source stopped by itself; it may have been told so by a process that drove in our place."""
        return self.source.stopped

    @stopped.setter
    def stopped(self, why: str | None) -> None:
        self.source.stopped = why


class Alike:
    """Whether the first runs fail alike: then it is the fault of what they have in common, and the others wait.

    It stays quiet for good once a run is done, or has diverged (which takes that it trains), or fails otherwise.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._first: list[tuple[Any, str]] | None = None if quiet else []

    def quiet(self) -> None:
        """There is a run that is done."""
        self._first = None

    def ended(self, status: Mapping[str, Any], waiting: int) -> str | None:
        """How a run ended while so many wait; why to stop, in words, where that is due."""
        state = status.get("state")
        if self._first is None or state in ("preempted", "running"):
            return None
        self._first.append((state, _kind(status.get("error") or "")))
        if state not in ("failed", "oom", None) or len(set(self._first)) > 1:
            self._first = None
        elif len(self._first) >= ALIKE and waiting:
            return (
                f"the first {len(self._first)} runs ended alike ({state or 'not started'}: {status.get('error')}) "
                f"and none is done, so the other {waiting} were not started; mend what they have in common, or start "
                f"them all the same with --keep-going"
            )
        return None


class Comebacks:
    """Runs that came back without an end: whether they are handed out again, which is not done for ever."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}  # how often in a row, and the furthest step

    def again(self, id: str, status: Mapping[str, Any]) -> bool:
        """Count a comeback; those before a step of progress do not count any more."""
        times, furthest = self._seen.get(id, (0, 0))
        step = status.get("step") or 0
        times = 1 if step > furthest else times + 1
        self._seen[id] = times, max(step, furthest)
        return times <= LOST


class Requests:
    """Which runs stopped because they were asked to, since this was made; what had stopped before is gone on with.

    Told by the number of the attempt that stopped: clocks of different nodes differ.
    """

    def __init__(self, runs: Path, planned: Iterable[Planned]) -> None:
        there = set(Statuses(runs).ids())
        present = (Run(runs / plan.id) for plan in planned if plan.id in there)
        asked = {run.id: run.status() for run in present if run.asked_to_stop() is not None}
        self._before = {id: status.get("attempt") for id, status in asked.items() if _is_preempted(status)}

    def stopped(self, run: Run, status: Mapping[str, Any]) -> bool:
        """Whether somebody has asked the run to stop meanwhile, and it did."""
        is_old = run.id in self._before and self._before[run.id] == status.get("attempt")
        return _is_preempted(status) and not is_old and run.asked_to_stop() is not None

    def is_unended(self, run: Run, status: Mapping[str, Any]) -> bool:
        """Whether one that is not final came back and nobody asked for that: its process was lost, or taken away.

        Before its attempt began, perhaps: then the state and the request of the one before are still there.
        """
        return status.get("state") not in FAILED and not self.stopped(run, status)


def _is_preempted(status: Mapping[str, Any]) -> bool:
    return status.get("state") == "preempted"


def give_up(run: Run) -> None:
    """Say in the ledger that no process brings the run to an end."""
    with suppress(BusyError), run.claimed(patience=0.0):
        if run.state in (None, "running"):
            run.finish("failed", GoneError(f"its process was lost {LOST + 1} times in a row, without a word"))


class Queue(Source):
    """The planned runs that are not final, longest first by `seconds_of` (as given without it).

    Stops handing out where the first `ALIKE` runs failed alike and none is done, unless it is to keep going: `stopped`
    says why. A status is read when its run's turn comes, and again only for runs that another driver works on.
    """

    def __init__(
        self,
        planned: Sequence[Planned],
        runs: Path,
        seconds_of: Callable[[Planned], Any] | None = None,
        keep_going: bool = False,
        final: Collection[str] = FINAL,
    ) -> None:
        self.runs, self.final = runs, final
        self._waiting = deque(planned if seconds_of is None else sorted(planned, key=seconds_of, reverse=True))
        self._held: list[tuple[float, str, Planned]] = []  # when to look again, id, plan: a heap
        self._out: set[str] = set()
        self._comebacks = Comebacks()
        self._alike = Alike(quiet=keep_going)
        self._requests = Requests(runs, planned)
        self.stopped: str | None = None

    def next(self) -> Planned | None:
        """The run to start now, marked as out."""
        if self.stopped:
            return None
        while self._waiting:
            plan = self._waiting[0]  # and stays there, should the ledger not be within reach
            run = Run(self.runs / plan.id)
            status = run.status()
            holder = run.holder()
            stopped = self._requests.stopped(run, status)
            self._waiting.popleft()
            if status.get("state") in self.final:
                self._alike.quiet()
            elif holder:
                self._hold(plan)
            elif not stopped:
                return self._handed(plan)
        return self._freed()

    def ended(self, plan: Planned) -> None:
        """Count it off; come back to it where another driver was faster, or its process was lost or taken away."""
        run = Run(self.runs / plan.id)
        status = run.status()
        final = status.get("state") in self.final
        if not final and run.holder():
            self._hold(plan)
        elif not final and self._requests.is_unended(run, status) and self._comebacks.again(plan.id, status):
            self._waiting.appendleft(plan)
        else:
            if status.get("state") in (None, "running"):
                give_up(Run.create(self.runs, plan.experiment))
                status = run.status()
            self.stopped = self._alike.ended(status, len(self._waiting)) or self.stopped
        self._out.discard(plan.id)

    @property
    def exhausted(self) -> bool:
        """Whether nothing will come: a run that is out may come back, for another driver may have been faster."""
        return self.stopped is not None or not (self._waiting or self._held or self._out)

    def _handed(self, plan: Planned) -> Planned:
        self._out.add(plan.id)
        return plan

    def _hold(self, plan: Planned) -> None:
        heapq.heappush(self._held, (time.monotonic() + LOOK_AGAIN, plan.id, plan))

    def _freed(self) -> Planned | None:
        """A run that another driver let go of without bringing it to an end, neither good nor bad."""
        now = time.monotonic()
        while self._held and self._held[0][0] < now:
            _, _, plan = self._held[0]
            run = Run(self.runs / plan.id)
            status = run.status()
            holder = run.holder()
            stopped = self._requests.stopped(run, status)
            heapq.heappop(self._held)
            if status.get("state") in self.final:
                self._alike.quiet()
            elif holder:
                self._hold(plan)
            elif status.get("state") not in FAILED and not stopped:
                return self._handed(plan)
        return None


class Patient(Passing):
    """Another source's runs, each with its record made; where the ledger is out of reach, nothing at present.

    A network disk that stumbles, or a full one, costs a sweep of two weeks some time, and no more.
    """

    def __init__(self, source: Source, runs: Path) -> None:
        super().__init__(source)
        self.runs = runs
        self._next: Planned | None = None  # its record could not be made yet
        self._unheard: list[Planned] = []  # how they ended could not be read yet
        self._warned = False

    def next(self) -> Planned | None:
        """As the other source."""
        try:
            while self._unheard:
                self.source.ended(self._unheard[0])
                self._unheard.pop(0)
            if self._next is None:
                self._next = self.source.next()
            elif self.source.exhausted:  # it was stopped
                return None
            if self._next is not None:
                Run.create(self.runs, self._next.experiment)
        except OSError as error:
            self._warn(error)
            return None
        plan, self._next, self._warned = self._next, None, False
        return plan

    def ended(self, plan: Planned) -> None:
        """As the other source, perhaps later."""
        try:
            self.source.ended(plan)
        except OSError as error:
            self._warn(error)
            self._unheard.append(plan)

    @property
    def exhausted(self) -> bool:
        """As the other source, for which a run is out until it has heard how that ended."""
        try:
            return self.source.exhausted
        except OSError as error:
            self._warn(error)
            return False

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            log.warning("%s; no further run is started until the runs folder is within reach again", error)
        self._warned = True


class UntilStopped(Passing):
    """Hands out the runs of another source until the sweep is asked to stop."""

    def __init__(self, source: Source, folder: SweepFolder) -> None:
        super().__init__(source)
        self.folder = folder

    def next(self) -> Planned | None:
        """As the other source; nothing once the sweep was asked to stop."""
        return None if self._is_stopped else self.source.next()

    @property
    def exhausted(self) -> bool:
        """Whether nothing will come, of either reason."""
        return self._is_stopped or self.source.exhausted

    @property
    def _is_stopped(self) -> bool:
        return self.folder.asked_to_stop() is not None


def _kind(error: str) -> str:
    """An error without what differs from run to run."""
    return PARTICULARS.sub("#", error)
