"""Run experiments through Ray Tune.

Ray only executes: which runs there are, and how each ended, is the ledger's to say. So a trial carries a run's id and
little more, swallows its error (the ledger has it), `Tuner.restore` is never used, and Ray's results are not read.
"""

from __future__ import annotations

import contextlib
import io
import logging
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rein.config import ConfigError, HyperBand, Machine, Resources, Sweep
from rein.ledger import Run, Stopped
from rein.sweeps.on_ray.address import CLIENT, resolved
from rein.sweeps.on_ray.scratch import scratch
from rein.sweeps.on_ray.sharing import keep_to_share
from rein.sweeps.on_ray.start import check_shared, nodes, quieten, started
from rein.sweeps.plan import Planned
from rein.sweeps.queue import Source
from rein.sweeps.resources import Allotment, share_of_machine
from rein.sweeps.search.members import is_adaptive, known

log = logging.getLogger(__name__)

#: Seconds that runs get to reach their next record when the sweep is interrupted; who does not is ended with Ray, which
#: gives it some more.
GRACE = 10.0

#: So often a cluster is connected to whose nodes all go away.
STARTS = 4

#: Seconds for the nodes of a cluster to join it: `ray up` returns before they have.
JOINING = 30.0

#: What a trial does: the run's record, the machine as it may use it, what it may use, and who is told of its records.
Work = Callable[[Run, Machine, Resources, Callable[[Mapping[str, Any]], None]], None]


class ProcessesLost(RuntimeError):
    """The processes of a run that has several were lost again and again: to Tune the trial's own process was."""


def execute(
    source: Source,
    planned: Sequence[Planned],
    machine: Machine,
    allotment: Allotment,
    address: str | None = None,
    jobs: int | None = None,
    sweep: Sweep | None = None,
) -> None:
    """Run what the source hands out, at most `jobs` at once, and return when it is exhausted and each has ended.

    Raises ConfigError where the cluster cannot hold one of the planned runs, which Ray would wait for without end,
    where its nodes do not see the runs folder, and where runs that are set aside would take the places of `jobs`;
    RuntimeError where a cluster that was lost is not to be had again.
    """
    if jobs and sweep and sweep.search and isinstance(sweep.search.scheduler, HyperBand):
        raise ConfigError(
            f"--jobs {jobs}: hyperband sets runs aside until all of their bracket have come as far, and these would "
            "count; leave --jobs out, or take search.scheduler: {method: asha}"
        )
    if source.exhausted:  # as of a search that is done: no cluster is needed
        return
    for again in range(STARTS):
        try:
            _execute(source, planned, machine, allotment, address, jobs, sweep)
            return
        except ConfigError as error:
            if not again:
                raise
            raise RuntimeError(f"the Ray cluster was lost: {error}; the same command goes on with the rest") from error
        except Exception as error:  # behind a client's door it comes wrapped
            if "ClusterLost" not in repr(error) or again == STARTS - 1:
                raise
            log.warning("no node of the Ray cluster is alive; starting again with what is left")


def _execute(
    source: Source,
    planned: Sequence[Planned],
    machine: Machine,
    allotment: Allotment,
    address: str | None,
    jobs: int | None,
    sweep: Sweep | None,
) -> None:
    with started(address):
        _check_room(planned, allotment, JOINING if address else 0.0)
        scheduler = _scheduler(sweep, machine) if sweep else None
        if address and resolved(address).startswith(CLIENT):
            check_shared(machine.runs)
            try:
                _fit_there(source, machine, allotment, jobs, scheduler)
            except (KeyboardInterrupt, SystemExit):  # of an error the process there has taken care
                cut(known(sweep, machine.runs) if sweep and is_adaptive(sweep) else planned, machine.runs)
                raise
        else:
            fit(source, machine, allotment, jobs, scheduler)


def _check_room(planned: Sequence[Planned], allotment: Allotment, patience: float) -> None:
    """Raise ConfigError where no node holds one of the runs, nor any that joins within so many seconds."""
    deadline, told = time.monotonic() + patience, False
    while True:
        try:
            allotment.check(planned, nodes())
            return
        except ConfigError as error:
            if time.monotonic() >= deadline:
                raise
            if not told:
                log.warning("%s; nodes that join within %.0f s are waited for", error, patience)
            told = True
        time.sleep(1.0)


def _scheduler(sweep: Sweep, machine: Machine) -> Any:
    """The scheduler that a sweep's search asks for."""
    if sweep.search is None or sweep.search.scheduler is None:
        return None
    from rein.sweeps.on_ray.schedulers import scheduler

    return scheduler(sweep, known(sweep, machine.runs), machine.runs)


def _fit_there(source: Source, machine: Machine, allotment: Allotment, jobs: int | None, scheduler: Any) -> None:
    """Let a process of the cluster drive: behind a client's door Tune would ask this one for every word."""
    import ray

    def there() -> str | None:
        quieten()
        fit(source, machine, allotment, jobs, scheduler)
        return source.stopped

    source.stopped = ray.get(ray.remote(num_cpus=0, max_retries=0)(there).remote())


def cut(planned: Sequence[Planned], runs: Path) -> None:
    """Ask the runs that are worked on to write a checkpoint and end as preempted; wait for it, but not for long."""
    held = [run for run in (Run(runs / plan.id) for plan in planned) if run.holder()]
    for run in held:
        run.ask_to_stop("preempted", "the sweep was interrupted")
    deadline = time.monotonic() + GRACE
    while any(run.holder() for run in held) and time.monotonic() < deadline:
        time.sleep(0.2)


def fit(
    source: Source,
    machine: Machine,
    allotment: Allotment,
    jobs: int | None = None,
    scheduler: Any = None,
    work: Work | None = None,
) -> None:
    """Let Tune run what the source hands out, on the cluster that is connected."""
    from ray import tune

    if scheduler and scheduler.pauses:  # a run that is set aside goes on from its last checkpoint
        machine = replace(machine, checkpoint_seconds=0.0)

    from rein.sweeps.on_ray.adapter import Broken, ClusterLost, Losses, Suggestions, Vigil, bundles

    def trial(config: Mapping[str, Any]) -> None:
        _trial(config, machine, work or _train, observed=scheduler is not None)

    suggestions = Suggestions(source, machine.runs, allotment, nodes(), jobs)
    with scratch() as folder:
        tuner = tune.Tuner(
            tune.with_resources(trial, bundles),
            tune_config=tune.TuneConfig(
                search_alg=suggestions,
                num_samples=-1,
                scheduler=scheduler,
                # A reused process saves seconds of imports a run, but would keep GPU memory of the one before.
                # The one of a run that is set aside may still be at its last checkpoint.
                reuse_actors=not allotment.takes_gpus and not (scheduler and scheduler.pauses),
                trial_dirname_creator=str,
            ),
            # Only a lost process counts as a failure here: the run goes on from its last checkpoint.
            run_config=tune.RunConfig(
                storage_path=folder,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=-1),
                callbacks=[Losses(machine.runs), Vigil(lambda: suggestions.handed_out)],
            ),
        )
        with contextlib.redirect_stdout(io.StringIO()):  # Ray's own summary; `rein` prints what the ledger says
            try:
                tuner.fit()
            except ClusterLost:
                suggestions.give_back()
                raise
            except BaseException as error:
                cut([plan for plan, _ in suggestions.handed_out], machine.runs)
                if isinstance(error, Broken) and error.__cause__:
                    raise error.__cause__ from None
                raise


def _trial(config: Mapping[str, Any], machine: Machine, work: Work, observed: bool) -> None:
    """One run in a worker. Whatever it raises is the ledger's: to Tune an error would mean a lost process."""
    from ray import tune

    run, resources = Run(machine.runs / config["run"]), Resources(**config["resources"])
    if config.get("given_up"):
        return

    try:
        if not run.path.is_dir():  # the driver made it
            raise ConfigError(
                f"{machine.runs}: not shared with {platform.node()}; --runs must lie on a disk all nodes see"
            )
        observe = _reporter(run) if observed else _silent
        work(run, share_of_machine(machine, resources), resources, observe)
    except ProcessesLost:
        raise
    except Exception as error:
        log.info("a run ended early; its status.json and traceback.txt say how", exc_info=True)
        if not run.path.is_dir():
            tune.report({"error": str(error)})


def _silent(record: Mapping[str, Any]) -> None:
    """Of a plain sweep Tune need know nothing."""


def _reporter(run: Run) -> Callable[[Mapping[str, Any]], None]:
    """Tells a scheduler the scores on the way, and nothing of a target; raises Stopped where it then asks for that.

    The last score is not told: all that a scheduler could do is to stop a run that is done.
    """
    from ray import tune

    steps = run.experiment().steps

    def observe(record: Mapping[str, Any]) -> None:
        if "source_val" in record and record["step"] < steps:
            tune.report({"step": record["step"], "source_val": record["source_val"]})
            if asked := run.asked_to_stop():
                raise Stopped(asked)

    return observe


def _train(run: Run, machine: Machine, resources: Resources, observe: Callable[[Mapping[str, Any]], None]) -> None:
    if resources.workers > 1:
        from rein.sweeps.on_ray.trainer import train_together

        return train_together(run, machine, resources, observe)
    from rein.training import train

    keep_to_share(float(resources.gpu))
    train(run.experiment(), machine, observe)
    return None
