"""The whole of `rein sweep`: plan, skip what is done, run the rest while watching it, say what came out."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from rein.config import Experiment, Machine, Sweep, run_id
from rein.config_io import load
from rein.ledger import FINAL, PATIENCE, BusyError, Run
from rein.sweeps.local import one_after_another, several
from rein.sweeps.plan import Planned, check_data, check_domains, expand, left
from rein.sweeps.queue import Queue
from rein.sweeps.resources import Allotment
from rein.sweeps.watch import Sink, Watch, failures
from rein.tracking import Tracker, default_uri, is_copied

if TYPE_CHECKING:
    from rein.ranks import Ranks

log = logging.getLogger(__name__)

Executor = Literal["ray", "local"]

#: What is said of a run that left no error.
WHY = {
    "running": "another process works on it",
    "preempted": "it was cut with its process; the same command goes on with it",
}


def drive(
    name: str,
    overrides: Sequence[str],
    machine: Machine,
    executor: Executor = "ray",
    address: str | None = None,
    jobs: int | None = None,
    track: bool = True,
    keep_going: bool = False,
) -> dict[str, Any]:
    """Run a sweep to its end; returns how many runs are done, how many were done already, and what failed.

    `executor`: `ray` runs as many at once as the resources hold, at most `jobs`, on this machine or on the cluster at
    `address`; `local` needs no Ray and runs one after another in this process, where a debugger reaches them, or
    `jobs` at once in processes of their own. Where the first runs fail alike the others are not started, unless it is
    to keep going.
    """
    sweep = load(Sweep, name, overrides)
    planned = expand(sweep)
    allotment = Allotment(sweep, planned)

    def work(todo: Sequence[Planned]) -> None:
        allotment.learn(planned, machine.runs)
        queue = Queue(todo, machine.runs, seconds_of=lambda plan: plan.experiment.steps, keep_going=keep_going)
        if executor == "ray":
            from rein.sweeps.on_ray.execute import execute

            execute(queue, todo, machine, allotment, address, jobs)
        elif jobs is None or jobs == 1:
            one_after_another(queue, machine)
        else:
            several(queue, machine, allotment, jobs)
        if queue.stopped:
            log.error("%s", queue.stopped)

    todo = _follow(work, planned, machine, track, parent=Path(name).stem)
    return _summary(planned, todo, machine.runs)


def drive_one(experiment: Experiment, machine: Machine, name: str, track: bool = True) -> dict[str, Any]:
    """Run a single experiment in this process, followed in the same way."""
    plan = Planned(run_id(experiment), name, {}, experiment)
    with _others(machine.device) as ranks:

        def work(todo: Sequence[Planned]) -> None:
            from rein.training import train

            for planned in todo:
                train(planned.experiment, machine, ranks=ranks)

        if ranks and not ranks.first:
            work([plan])
            return {}
        if not _follow(work, [plan], machine, track) and ranks:
            ranks.exchange([False])  # the others wait to hear whether there is anything to do
    record = Run(machine.runs / plan.id)
    places = record.status().get("skipped_files", {}).items()
    said = ", ".join(f"{number} {'in training' if place == 'train' else f'of {place}'}" for place, number in places)
    skipped = {"skipped images": said} if said else {}
    return {"run": plan.id, "state": record.state, "folder": str(record.path), **_last_scores(record), **skipped}


@contextmanager
def _others(device: str) -> Iterator[Ranks | None]:
    """The processes that `torchrun` has started beside this one, if it has; they end together."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield None  # and torch need not be imported
        return
    from rein.ranks import joined

    with joined(device) as ranks, ranks.ending_together():
        yield ranks


def plan_table(name: str, overrides: Sequence[str], machine: Machine) -> list[dict[str, Any]]:
    """Every run of a sweep and what the ledger knows of it."""
    planned = expand(load(Sweep, name, overrides))
    check_domains(planned, machine.runs)
    return [
        {"run": plan.id, "variant": plan.label, "state": Run(machine.runs / plan.id).state or "to do"}
        for plan in planned
    ]


def _follow(
    work: Callable[[Sequence[Planned]], None],
    planned: Sequence[Planned],
    machine: Machine,
    track: bool,
    parent: str | None = None,
) -> Sequence[Planned]:
    """Do the work on the runs that are left, watched; then bring the tracker up to date. Returns what was left."""
    check_domains(planned, machine.runs)
    todo = left(planned, machine.runs)
    tracker = _LateTracker(machine.runs, parent) if track else None
    complete = False
    try:
        if todo:
            check_data(todo, machine.data)
            machine.runs.mkdir(parents=True, exist_ok=True)
            console = Console(stderr=True, quiet=not log.isEnabledFor(logging.INFO))
            with Watch(todo, machine.runs, tracker, console):
                try:
                    work(todo)
                finally:
                    _settle(todo, machine.runs)
        complete = True
    finally:
        if tracker:
            tracker.close(planned, complete)
    return todo


def _settle(todo: Sequence[Planned], runs: Path) -> None:
    """A run that counts as running though nobody works on it was cut with its process, and can be gone on with."""
    running = [(plan, run) for plan, run in failures(todo, runs) if run.state == "running"]
    deadline = time.monotonic() + PATIENCE
    for plan, run in running:
        with suppress(BusyError), run.claimed(patience=max(0.0, deadline - time.monotonic())):
            if run.state == "running":  # or its process has just ended it
                run.finish("preempted")
                log.info("%s (%s) was cut; the same command goes on with it", plan.id, plan.label)


def _summary(planned: Sequence[Planned], todo: Sequence[Planned], runs: Path) -> dict[str, Any]:
    failed = failures(planned, runs)
    for plan, run in failed:
        trace = run.path / "traceback.txt"
        where = f"\n    traceback: {trace}" if trace.is_file() else ""
        reason = run.status().get("error") or WHY.get(run.state or "", "did not start")
        print(f"{run.state or 'to do'}: {plan.label} ({plan.id}): {reason}{where}", file=sys.stderr)
    statuses = [Run(runs / plan.id).status() for plan in planned]
    states = Counter(status.get("state", "to do") for status in statuses)
    skipping = sum(bool(status.get("skipped_files")) for status in statuses)
    said = {"runs that skipped files": skipping} if skipping else {}
    return {"runs": len(planned), "already done": len(planned) - len(todo), **states, "failed": len(failed), **said}


def _last_scores(record: Run) -> dict[str, Any]:
    scored = [entry for entry in record.metrics()[0] if "loss" not in entry]
    return {key: f"{100 * value:.2f}" for key, value in scored[-1].items() if key.endswith("/miou")} if scored else {}


class _LateTracker(Sink):
    """A tracker that is opened when there is news: MLflow takes seconds to import, and more to create a store.

    The ledger has everything, so a tracker that fails must never cost a run: what it missed is copied later.
    """

    def __init__(self, runs: Path, parent: str | None) -> None:
        self.runs, self.parent = runs, parent
        self.uri = default_uri(runs)
        self.tracker: Tracker | None = None
        self.failed = False

    def sync(self, run: Run, name: str) -> None:
        if not self.failed:
            with self._forgiving():
                self._opened().sync(run, name)

    def close(self, planned: Sequence[Planned], complete: bool) -> None:
        """Copy what the tracker still lacks of all the sweep's runs, and set the parent's status."""
        records = [(Run(self.runs / plan.id), plan.label) for plan in planned]
        self.failed = False  # once more: what was away may be back
        for run, name in records:
            if run.status() and not is_copied(run, self.uri):
                self.sync(run, name)
        if self.parent and self.tracker is not None:
            failed = any(run.state not in FINAL for run, _ in records)
            with self._forgiving():
                for run, _ in records:
                    self.tracker.adopt(run)
                self.tracker.close_sweep("KILLED" if not complete else "FAILED" if failed else "FINISHED")

    def _opened(self) -> Tracker:
        if self.tracker is None:
            self.tracker = Tracker(self.uri, self.runs)
            if self.parent:
                self.tracker.open_sweep(self.parent)
        return self.tracker

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.failed = True
            log.warning("MLflow at %s: %s; the runs go on, and the same command fills it in later", self.uri, error)
