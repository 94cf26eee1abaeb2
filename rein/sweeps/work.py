"""The work of a sweep's command: choose which run comes next, and have them executed."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from rein.config import Machine, Sweep, run_id
from rein.sweeps.bill.states import statuses
from rein.sweeps.bill.timings import Timings, device_name, read
from rein.sweeps.folder import SweepFolder
from rein.sweeps.local import check as check_local
from rein.sweeps.local import one_after_another, several
from rein.sweeps.plan import Planned, check_data, final
from rein.sweeps.queue import Patient, Queue, Source, UntilStopped
from rein.sweeps.resources import Allotment, share_of_machine
from rein.sweeps.search.adaptive import Adaptive
from rein.sweeps.search.members import examples, is_adaptive
from rein.sweeps.watching.watch import Watch

log = logging.getLogger(__name__)

Executor = Literal["ray", "local"]


@dataclass(frozen=True)
class Work:
    """What a command was asked to do for a sweep; called with the runs that are left, it does it."""

    sweep: Sweep
    planned: Sequence[Planned]
    machine: Machine
    allotment: Allotment
    folder: SweepFolder
    executor: Executor = "ray"
    #: Of a Ray cluster.
    address: str | None = None
    #: Runs at once, at most.
    jobs: int | None = None
    #: Whether the others are started though the first runs fail alike.
    keep_going: bool = False

    def __call__(self, todo: Sequence[Planned], watch: Watch) -> None:
        self.allotment.learn(self.planned, self.machine.runs)
        chosen, coming = self._adaptive(watch) if is_adaptive(self.sweep) else (self._queue(todo), [])
        expected = [*todo, *coming]
        if self.executor == "local":
            check_local(expected, self.allotment)
        source = Patient(UntilStopped(chosen, self.folder), self.machine.runs)
        self._execute(source, expected)
        if source.stopped:
            log.error("%s", source.stopped)
        with suppress(OSError):  # the work is done, and this is said for a person
            if why := self.folder.asked_to_stop():
                log.warning("%s was stopped %s; the same command goes on with it", self.folder.name, why)

    def _queue(self, todo: Sequence[Planned]) -> Queue:
        some_done = len(todo) < len(self.planned)  # so nothing that all share is broken
        lengths = _lengths(self.planned, self.machine, self.allotment)
        return Queue(todo, self.machine.runs, lengths, self.keep_going or some_done, final(self.sweep))

    def _adaptive(self, watch: Watch) -> tuple[Adaptive, list[Planned]]:
        """A search that chooses as runs end, and runs like those that it will choose."""

        def begun(plan: Planned) -> None:
            self.folder.add(plan)
            watch.add(plan)

        def fewer(trials: int) -> None:
            self.folder.expect(trials)
            watch.trials = trials

        chosen = Adaptive(self.sweep, self.machine.runs, begun, self.keep_going, fewer)
        if chosen.exhausted:
            return chosen, []
        coming = [Planned(run_id(one), "", {}, one) for one in examples(self.sweep)]
        check_data(coming, self.machine.data)
        return chosen, coming

    def _execute(self, source: Source, expected: Sequence[Planned]) -> None:
        """Run what the source hands out; `expected` are runs like those."""
        if self.executor == "ray":
            from rein.sweeps.on_ray.execute import execute

            execute(source, expected, self.machine, self.allotment, self.address, self.jobs, self.sweep)
        elif self.jobs is None or self.jobs == 1:
            one_after_another(source, self.machine, self.allotment)
        else:
            several(source, self.machine, self.allotment, self.jobs)


def _lengths(
    planned: Sequence[Planned], machine: Machine, allotment: Allotment
) -> Callable[[Planned], tuple[float, int]]:
    """What runs are ordered by: the seconds that their like took, unknown ones first; and the steps."""
    timings = Timings(read(planned, statuses(planned, machine.runs), machine.runs))
    if not timings.runs:
        return lambda plan: (0.0, plan.experiment.steps)
    devices = Counter(seen.timing.device for seen in timings.runs if not seen.timing.device.startswith("cpu"))
    gpu = next((name for name, _ in devices.most_common(1)), "a GPU")

    def length(plan: Planned) -> tuple[float, int]:
        needs = allotment.of(plan.experiment)
        cpu = device_name("cpu", share_of_machine(machine, needs).threads)
        return timings.seconds_of(plan, gpu if needs.gpu else cpu), plan.experiment.steps

    return length
