"""Run experiments without Ray: one after another in this process, or several at once in processes of their own."""

from __future__ import annotations

import json
import logging
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any

from rein.config import Machine
from rein.ledger import Run
from rein.sweeps.plan import Planned
from rein.sweeps.queue import LOOK_AGAIN, Source
from rein.sweeps.resources import Allotment, share_of_machine

log = logging.getLogger(__name__)

#: Seconds that lanes get to write a checkpoint when the sweep is interrupted.
GRACE = 30.0


def one_after_another(source: Source, machine: Machine) -> None:
    """Run what the source hands out in this process, where a debugger reaches it; all of the machine for each."""
    from rein.training import train

    while not source.exhausted:
        plan = source.next()
        if plan is None:
            time.sleep(LOOK_AGAIN)
            continue
        try:
            train(plan.experiment, machine)
        except Exception:  # the run's status.json and traceback.txt say how it ended
            log.debug("%s ended early", plan.id, exc_info=True)
        source.ended(plan)


def several(source: Source, machine: Machine, allotment: Allotment, jobs: int) -> None:
    """Run what the source hands out in `jobs` processes, which keep what they have imported from run to run.

    A run whose process is lost goes on in another one; the ledger counts how often that may happen.
    """
    lanes = [_Lane() for _ in range(jobs)]
    try:
        while not source.exhausted or any(lane.plan for lane in lanes):
            for lane in lanes:
                if lane.plan is None and (plan := source.next()):
                    lane.begin(plan, machine, allotment)
            for lane in _heard(lanes):
                plan = lane.plan
                assert plan is not None
                if lane.has_ended():
                    source.ended(plan)
                else:
                    log.warning(
                        "%s (%s): its process was lost; it goes on from its last checkpoint", plan.id, plan.label
                    )
                    lane.begin(plan, machine, allotment)
    finally:
        _close(lanes)


class _Lane:
    """A process that runs one experiment after another, as `rein.sweeps.lane`; started when there is a run for it."""

    def __init__(self) -> None:
        self.plan: Planned | None = None
        self.process: subprocess.Popen[str] | None = None

    def begin(self, plan: Planned, machine: Machine, allotment: Allotment) -> None:
        """Give the process a run, starting one where there is none alive."""
        self.plan = plan
        if self.process is None or self.process.poll() is not None:
            command = [sys.executable, "-m", "rein.sweeps.lane"]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        run = Run.create(machine.runs, plan.experiment)
        share = share_of_machine(machine, allotment.of(plan.experiment))
        with suppress(BrokenPipeError):  # it is heard of as lost
            _pipe(self.process.stdin).write(json.dumps({"run": run.id, "machine": _plain(share)}) + "\n")
            _pipe(self.process.stdin).flush()

    def has_ended(self) -> bool:
        """Whether the process says that the run is no longer worked on; False where the process is lost."""
        assert self.process
        if not _pipe(self.process.stdout).readline():
            self.process.wait()
            return False
        self.plan = None
        return True


def _heard(lanes: list[_Lane]) -> list[_Lane]:
    """The lanes that have something to say, within the time after which the source is asked again."""
    with selectors.DefaultSelector() as selector:
        for lane in lanes:
            if lane.plan and lane.process:
                selector.register(_pipe(lane.process.stdout), selectors.EVENT_READ, lane)
        return [key.data for key, _ in selector.select(LOOK_AGAIN)]


def _close(lanes: list[_Lane]) -> None:
    """End the processes: without a driver each interrupts the run it works on, which then writes a checkpoint."""
    processes = [lane.process for lane in lanes if lane.process]
    for process in processes:
        with suppress(BrokenPipeError):
            _pipe(process.stdin).close()
    deadline = time.monotonic() + GRACE
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _pipe(process.stdout).close()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _plain(machine: Machine) -> Mapping[str, Any]:
    return json.loads(json.dumps(vars(machine), default=str))
