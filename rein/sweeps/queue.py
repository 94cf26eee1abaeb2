"""Which run comes next: longest first, each once, and none that another driver works on.

An executor asks a `Source` for runs and tells it when one is no longer worked on; how it ended is in the ledger.
"""

from __future__ import annotations

import heapq
import logging
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

from rein.ledger import FINAL, Run
from rein.sweeps.plan import Planned

log = logging.getLogger(__name__)

#: So many runs that fail alike before any is done are the fault of what they have in common.
ALIKE = 3

#: Seconds between two looks at a run that another driver works on.
LOOK_AGAIN = 3.0

#: So often a run is handed out again that came back without having been brought to any end.
LOST = 3

#: How a run ends that went wrong by itself.
FAILED = ("failed", "oom", "diverged")

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


class Queue(Source):
    """The planned runs that are not final, longest first by `seconds_of` (as given without it).

    Stops handing out where the first `ALIKE` runs failed alike and none is done, unless it is to keep going: `stopped`
    says why. A status is read when its run's turn comes, and again only for runs that another driver works on.
    """

    def __init__(
        self,
        planned: Sequence[Planned],
        runs: Path,
        seconds_of: Callable[[Planned], float] | None = None,
        keep_going: bool = False,
        final: Collection[str] = FINAL,
    ) -> None:
        self.runs, self.final = runs, final
        self._waiting = deque(planned if seconds_of is None else sorted(planned, key=seconds_of, reverse=True))
        self._held: list[tuple[float, str, Planned]] = []  # when to look again, id, plan: a heap
        self._out: set[str] = set()
        self._lost: Counter[str] = Counter()
        self._first: list[tuple[Any, str]] | None = None if keep_going else []
        self.stopped: str | None = None

    def next(self) -> Planned | None:
        """The run to start now, marked as out."""
        if self.stopped:
            return None
        while self._waiting:
            plan = self._waiting.popleft()
            run = Run(self.runs / plan.id)
            if run.state in self.final:
                continue
            if run.holder():
                self._hold(plan)
                continue
            return self._handed(plan)
        return self._freed()

    def ended(self, plan: Planned) -> None:
        """Count it off; come back to it where another driver was faster, or its process was lost."""
        self._out.discard(plan.id)
        run = Run(self.runs / plan.id)
        status = run.status()
        if status.get("state") not in self.final and run.holder():
            self._hold(plan)
        elif status.get("state") in (None, "running") and self._lost[plan.id] < LOST:
            self._lost[plan.id] += 1
            self._waiting.appendleft(plan)
        else:
            self._judge(status)

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
            _, _, plan = heapq.heappop(self._held)
            run = Run(self.runs / plan.id)
            state = run.state
            if state in self.final:
                continue
            if run.holder():
                self._hold(plan)
            elif state not in FAILED:
                return self._handed(plan)
        return None

    def _judge(self, status: dict[str, Any]) -> None:
        if self._first is None:
            return
        state = status.get("state")
        if state in self.final:
            self._first = None
        elif state in FAILED or state is None:
            self._first.append((state, _kind(status.get("error") or "")))
            if len(set(self._first)) > 1:
                self._first = None
            elif len(self._first) >= ALIKE and self._waiting:
                self.stopped = (
                    f"the first {len(self._first)} runs ended alike ({state or 'not started'}: {status.get('error')}) "
                    f"and none is done, so the other {len(self._waiting)} were not started; mend what they have in "
                    f"common, or start them all the same with --keep-going"
                )


def _kind(error: str) -> str:
    """An error without what differs from run to run."""
    return PARTICULARS.sub("#", error)
