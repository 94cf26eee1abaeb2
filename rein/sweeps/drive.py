"""The whole of `rein sweep`: plan, skip what is done, run the rest while watching it, say what came out."""

from __future__ import annotations

import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rein.config import PBT, ConfigError, Experiment, Machine, Sweep, run_id
from rein.config_io import find
from rein.ledger import FAILED, FINAL, Run
from rein.sweeps.bill.where_it_runs import check_executor
from rein.sweeps.folder import SweepFolder
from rein.sweeps.followed import Followed
from rein.sweeps.plan import Planned, check_data, final
from rein.sweeps.resources import Allotment
from rein.sweeps.search.members import known
from rein.sweeps.watching.watch import Watch
from rein.sweeps.work import Executor, Work
from rein.view.text import question
from rein.worlds import load_sweep, name_in

if TYPE_CHECKING:
    from rein.ranks import Ranks

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
    world: str | None = None,
) -> dict[str, Any]:
    """Run a sweep to its end; returns how many runs are in each state, had ended already, failed, and are left.

    `executor`: `ray` runs as many at once as the resources hold, at most `jobs`, on this machine or on the cluster at
    `address`; `local` needs no Ray and runs one after another in this process, where a debugger reaches them, or
    `jobs` at once in processes of their own. Where the first runs fail alike the others are not started, unless it is
    to keep going. In a `world` other domains and backbones stand for its own.
    """
    sweep = load_sweep(name, overrides, world)
    command = shlex.join(["rein", "sweep", name, *overrides, *(["--domains", world] if world else [])])
    asked = question(find(Sweep, name).read_text(encoding="utf-8"), sweep, command)
    name = name_in(name, world)
    search = sweep.search
    if search and search.scheduler and executor == "local":
        raise ConfigError(
            f"search.scheduler: {search.scheduler.method} needs Ray: drop --executor local, or drop the scheduler"
        )
    check_executor(executor, address)
    planned = known(sweep, machine.runs)
    allotment = Allotment(sweep, planned)
    folder = SweepFolder(machine.runs, name)

    if search and isinstance(search.scheduler, PBT):
        from rein.sweeps.on_ray.population import evolve

        check_data(planned, machine.data)
        return evolve(sweep, planned, machine, allotment, name, address, jobs)

    followed = Followed(planned, machine, track, sweep, folder, asked)
    todo = followed.through(Work(sweep, planned, machine, allotment, folder, executor, address, jobs, keep_going))
    return _summary(followed.begun(planned), len(planned) - len(todo), machine.runs, sweep)


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
        if not Followed([plan], machine, track).through(work) and ranks:
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
