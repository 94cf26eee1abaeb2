"""The whole of `rein sweep`: plan, skip what is done, run the rest while watching it, say what came out."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from rein.config import PBT, ConfigError, Experiment, Machine, Sweep, run_id
from rein.config_io import load
from rein.ledger import FINAL, PATIENCE, BusyError, Run
from rein.sweeps.bill.states import statuses
from rein.sweeps.bill.timings import Timings, device_name, read
from rein.sweeps.folder import SweepFolder
from rein.sweeps.local import check as check_local
from rein.sweeps.local import one_after_another, several
from rein.sweeps.plan import Planned, check_data, check_domains, final, left
from rein.sweeps.queue import FAILED, Patient, Queue
from rein.sweeps.resources import Allotment, share_of_machine
from rein.sweeps.search.adaptive import Adaptive
from rein.sweeps.search.members import examples, is_adaptive, known, trials_of
from rein.sweeps.watching.copying import Copying
from rein.sweeps.watching.stopping import UntilStopped
from rein.sweeps.watching.watch import Watch, failures

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
    """Run a sweep to its end; returns how many runs are in each state, had ended already, failed, and are left.

    `executor`: `ray` runs as many at once as the resources hold, at most `jobs`, on this machine or on the cluster at
    `address`; `local` needs no Ray and runs one after another in this process, where a debugger reaches them, or
    `jobs` at once in processes of their own. Where the first runs fail alike the others are not started, unless it is
    to keep going.
    """
    sweep = load(Sweep, name, overrides)
    search = sweep.search
    if search and search.scheduler and executor == "local":
        raise ConfigError(
            f"search.scheduler: {search.scheduler.method} needs Ray: drop --executor local, or drop the scheduler"
        )
    if address and executor == "local":
        raise ConfigError(f"--address {address}: a cluster needs Ray: drop --executor local, or drop --address")
    if address:
        from rein.sweeps.on_ray.address import check_address

        check_address(address)
    planned = known(sweep, machine.runs)
    allotment = Allotment(sweep, planned)
    folder = SweepFolder(machine.runs, Path(name).stem)

    if search and isinstance(search.scheduler, PBT):
        from rein.sweeps.on_ray.population import evolve

        check_data(planned, machine.data)
        return evolve(sweep, planned, machine, allotment, Path(name).stem, address, jobs)

    def work(todo: Sequence[Planned], watch: Watch) -> None:
        allotment.learn(planned, machine.runs)

        def begun(plan: Planned) -> None:
            folder.add(plan)
            watch.add(plan)

        coming: list[Planned] = []
        if is_adaptive(sweep):
            chosen = Adaptive(sweep, machine.runs, begun, keep_going)
            if not chosen.exhausted:  # what it will choose is like these
                coming = [Planned(run_id(one), "", {}, one) for one in examples(sweep)]
                check_data(coming, machine.data)
        else:
            quiet = keep_going or len(todo) < len(planned)  # where runs are done, nothing that all share is broken
            chosen = Queue(todo, machine.runs, _lengths(planned, machine, allotment), quiet, final(sweep))
        if executor == "local":
            check_local([*todo, *coming], allotment)
        source = Patient(UntilStopped(chosen, folder), machine.runs)
        if executor == "ray":
            from rein.sweeps.on_ray.execute import execute

            execute(source, [*todo, *coming], machine, allotment, address, jobs, sweep)
        elif jobs is None or jobs == 1:
            one_after_another(source, machine, allotment)
        else:
            several(source, machine, allotment, jobs)
        if source.stopped:
            log.error("%s", source.stopped)
        if why := folder.asked_to_stop():
            log.warning("%s was stopped %s; the same command goes on with it", folder.name, why)

    todo = _follow(work, planned, machine, track, folder, sweep)
    before = len(planned) - len(todo)
    return _summary(_begun(sweep, planned, machine.runs), before, machine.runs, sweep)


def _begun(sweep: Sweep | None, planned: Sequence[Planned], runs: Path) -> Sequence[Planned]:
    """The planned runs; of a search that plans none ahead those that there are by now."""
    return known(sweep, runs) if sweep is not None and is_adaptive(sweep) else planned


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


def drive_one(experiment: Experiment, machine: Machine, name: str, track: bool = True) -> dict[str, Any]:
    """Run a single experiment in this process, followed in the same way."""
    plan = Planned(run_id(experiment), name, {}, experiment)
    with _others(machine.device) as ranks:

        def work(todo: Sequence[Planned], watch: Watch | None) -> None:
            from rein.training import train

            for planned in todo:
                train(planned.experiment, machine, ranks=ranks)

        if ranks and not ranks.first:
            work([plan], None)
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


def _follow(
    work: Callable[[Sequence[Planned], Watch], None],
    planned: Sequence[Planned],
    machine: Machine,
    track: bool,
    folder: SweepFolder | None = None,
    sweep: Sweep | None = None,
) -> Sequence[Planned]:
    """Do the work on the runs that are left, watched; then bring the tracker up to date. Returns what was left."""
    check_domains(planned, machine.runs)
    todo = left(planned, machine.runs, final(sweep))
    tracker = Copying(machine.runs, folder.name if folder else None) if track else None
    complete = False
    try:
        if todo or is_adaptive(sweep):
            check_data(todo, machine.data)
            machine.runs.mkdir(parents=True, exist_ok=True)
            console = Console(stderr=True, quiet=not log.isEnabledFor(logging.INFO))
            trials = trials_of(sweep, planned)
            driven = folder.driven(planned, trials) if folder else nullcontext()
            before = len(planned) - len(todo)
            with driven, Watch(todo, machine.runs, tracker, console, before=before, trials=trials) as watch:
                try:
                    work(todo, watch)
                finally:
                    _settle(_begun(sweep, todo, machine.runs), machine.runs)
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
        try:
            with suppress(BusyError), run.claimed(patience=max(0.0, deadline - time.monotonic())):
                if run.state == "running":  # or its process has just ended it
                    run.finish("preempted")
                    log.info("%s (%s) was cut; the same command goes on with it", plan.id, plan.label)
        except OSError as error:  # it must not stand for why the sweep ends
            log.warning("%s (%s) was cut, which could not be written down: %s", plan.id, plan.label, error)


def _summary(planned: Sequence[Planned], before: int, runs: Path, sweep: Sweep) -> dict[str, Any]:
    found = [(plan, Run(runs / plan.id)) for plan in planned]
    said = {plan.id: run.status() for plan, run in found}
    ended = {*FINAL, *final(sweep)}
    for plan, run in found:
        state = said[plan.id].get("state", "to do")
        if state not in ended:
            trace = run.path / "traceback.txt"
            where = f"\n    traceback: {trace}" if trace.is_file() else ""
            reason = said[plan.id].get("error") or WHY.get(state, "did not start")
            print(f"{state}: {plan.label} ({plan.id}): {reason}{where}", file=sys.stderr)
    states = Counter(status.get("state", "to do") for status in said.values())
    open_ones = {state: number for state, number in states.items() if state not in ended}
    failed = sum(number for state, number in open_ones.items() if state in FAILED)
    more = {
        "left": sum(open_ones.values()) - failed,
        "runs that skipped files": sum(bool(status.get("skipped_files")) for status in said.values()),
    }
    return {
        "runs": len(planned),
        f"already {'ended' if sweep.search else 'done'}": before,
        **states,
        "failed": failed,
        **{words: number for words, number in more.items() if number},
    }


def _last_scores(record: Run) -> dict[str, Any]:
    scored = [entry for entry in record.metrics()[0] if "loss" not in entry]
    return {key: f"{100 * value:.2f}" for key, value in scored[-1].items() if key.endswith("/miou")} if scored else {}
