"""Run experiments without Ray: one after another in this process, or several at once in processes of their own."""

from __future__ import annotations

import json
import logging
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import IO

from rein.config import ConfigError, Machine
from rein.ledger import Run
from rein.sweeps.bill.capacity import this_machine
from rein.sweeps.plan import Planned
from rein.sweeps.queue import LOOK_AGAIN, Source
from rein.sweeps.resources import Allotment, share_of_machine

log = logging.getLogger(__name__)

#: Seconds that lanes get to write a checkpoint when the sweep is interrupted.
GRACE = 30.0


def check(planned: Sequence[Planned], allotment: Allotment) -> None:
    """Raise ConfigError for runs that need Ray, or more than this machine has."""
    for needs, where in {allotment.declared(plan.experiment) for plan in planned}:
        if needs.workers > 1:
            raise ConfigError(
                f"{where}.workers: {needs.workers} processes of one run need Ray: drop --executor local, or set "
                f"`{where}.workers` to 1"
            )
    allotment.check(planned, [this_machine()[0]])


def one_after_another(source: Source, machine: Machine, allotment: Allotment) -> None:
    """Run what the source hands out in this process, where a debugger reaches it.

    Each has the machine for itself, but no more threads than it has beside others: its numbers depend on them.
    """
    from rein.training import train

    while not source.exhausted:
        plan = source.next()
        if plan is None:
            time.sleep(LOOK_AGAIN)
            continue
        try:
            threads = share_of_machine(machine, allotment.of(plan.experiment)).threads
            train(plan.experiment, replace(machine, threads=threads))
        except Exception:  # the run's status.json and traceback.txt say how it ended
            log.debug("%s ended early", plan.id, exc_info=True)
        source.ended(plan)


def several(source: Source, machine: Machine, allotment: Allotment, jobs: int) -> None:
    """Run what the source hands out in `jobs` processes, which keep what they have imported from run to run.

    A run whose process is lost is given back to the source, which says how often it comes again. Where there are GPUs
    the processes take turns at them.
    """
    gpus = _gpus()
    lanes = [_Lane(gpus[index % len(gpus)] if gpus else None) for index in range(jobs)]
    try:
        while not source.exhausted or any(lane.plan for lane in lanes):
            for lane in lanes:
                if lane.plan is None and (plan := source.next()):
                    lane.begin(plan, machine, allotment)
            for lane in _heard(lanes):
                plan = lane.plan
                assert plan is not None
                if not lane.has_ended():
                    log.warning(
                        "%s (%s): its process was lost; it goes on from its last checkpoint", plan.id, plan.label
                    )
                source.ended(plan)
    finally:
        _close(lanes)


class _Lane:
    """A process that runs one experiment after another, as `rein.sweeps.lane`; started when there is a run for it.

    A session of its own keeps the terminal's Ctrl-C from it: the driver ends it by its input.
    """

    def __init__(self, gpu: str | None = None) -> None:
        self.gpu = gpu
        self.plan: Planned | None = None
        self.process: subprocess.Popen[str] | None = None

    def begin(self, plan: Planned, machine: Machine, allotment: Allotment) -> None:
        """Give the process a run, starting one where there is none alive."""
        self.plan = plan
        if self.process is None or self.process.poll() is not None:
            command = [sys.executable, "-m", "rein.sweeps.lane"]
            environment = os.environ if self.gpu is None else {**os.environ, "CUDA_VISIBLE_DEVICES": self.gpu}
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
                start_new_session=True,
            )
        run = Run(machine.runs / plan.id)
        share = share_of_machine(machine, allotment.of(plan.experiment))
        with suppress(BrokenPipeError):  # it is heard of as lost
            _pipe(self.process.stdin).write(json.dumps({"run": run.id, "machine": share.plain()}) + "\n")
            _pipe(self.process.stdin).flush()

    def has_ended(self) -> bool:
        """Whether the process says that the run is no longer worked on; False where the process is lost."""
        assert self.process
        self.plan = None
        if _pipe(self.process.stdout).readline():
            return True
        self.process.wait()
        _close([self])
        self.process = None
        return False


def _gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES may name here."""
    number = int(this_machine()[0].gpu)
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [word.strip() for word in chosen.split(",") if word.strip()] or [str(index) for index in range(number)]
    return names[:number]


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
