"""Population based training: a schedule of rates, found by runs that take over from better ones while they train.

Such runs are no experiments, so they live below `pbt/<sweep>/<number>/` in the runs folder, where no table looks. Each
folder there is one stretch of rates: a member that takes over begins a new one, with the checkpoint and the past of
whom it takes over.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
import random
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import PopulationBasedTraining

from rein.config import PBT, ConfigError, Experiment, Machine, Resources, Sweep, to_dict
from rein.config.keys import value_at
from rein.config_io import build, override
from rein.ledger import Run
from rein.sweeps.on_ray.adapter import Broken, Vigil
from rein.sweeps.on_ray.schedulers import SIGHT
from rein.sweeps.on_ray.sharing import keep_to_share
from rein.sweeps.on_ray.start import check_shared, nodes, started
from rein.sweeps.plan import Planned
from rein.sweeps.resources import Allotment, share_of_machine
from rein.sweeps.search.outcome import curve
from rein.sweeps.search.space import draw, is_numeric, rounded

log = logging.getLogger(__name__)


class _Exchanges(PopulationBasedTraining):
    """Tune's, but that members do not wait for one that has ended: diverged, or lost with its process.

    Tune looks whether all have come as far only when one comes as far; where the last one never does, the others would
    be set aside for ever. They go on without that exchange.
    """

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        chosen = super().choose_trial_to_run(tune_controller)
        waiting = [trial for trial in tune_controller.get_trials() if not trial.is_finished()]
        if chosen or not waiting or any(trial.status != Trial.PAUSED for trial in waiting):
            return chosen
        furthest = max(self._trial_state[trial].last_train_time for trial in waiting)
        self._next_perturbation_sync = furthest + self._perturbation_interval
        return super().choose_trial_to_run(tune_controller)


def new_root(runs: Path, name: str) -> Path:
    """A folder for a population of the sweep, of a number that none has had: what is there of others stays."""
    for number in itertools.count(1):
        root = runs / "pbt" / name / str(number)
        try:
            root.mkdir(parents=True)
        except FileExistsError:
            continue
        return root
    raise AssertionError


def evolve(
    sweep: Sweep,
    planned: Sequence[Planned],
    machine: Machine,
    allotment: Allotment,
    name: str,
    address: str | None,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Train the population from its start, on Ray; returns the best member's folder, score and schedule.

    Half a population is none, for an exchange of the past cannot be had again: each start is a new one, in a folder of
    its own. Raises ConfigError where it has more members than `jobs`, where these are not given the same, or several
    processes each, and where the cluster does not hold one, or does not see the runs folder.
    """
    assert sweep.search is not None and isinstance(sweep.search.scheduler, PBT)
    pbt, resources = sweep.search.scheduler, _of_each(allotment, planned)
    if jobs and jobs < len(planned):
        raise ConfigError(
            f"--jobs {jobs}: pbt sets members aside until all {len(planned)} have come as far, and these would count; "
            "leave --jobs out, and more `resources.cpu` a run have fewer of them train at once"
        )
    interval = pbt.interval or min(plan.experiment.evaluation.every or plan.experiment.steps for plan in planned)
    scheduler = _Exchanges(
        perturbation_interval=interval,
        hyperparam_mutations={key: _drawn(axis, sweep.search.seed) for key, axis in pbt.mutate.items()},
        quantile_fraction=pbt.quantile,
        custom_explore_fn=lambda config: take_over(root, config, pbt.mutate),
        log_config=False,
        synch=True,
        **SIGHT,
    )
    with started(address):
        allotment.check(planned, nodes())
        if address:
            check_shared(machine.runs)
        root = new_root(machine.runs, name)
        lost = _fit(root, planned, pbt, replace(machine, runs=root), resources, scheduler)
    return outcome(root, pbt.mutate, lost)


def _of_each(allotment: Allotment, planned: Sequence[Planned]) -> Resources:
    """What each member may use. Raises ConfigError for what a population cannot be given."""
    if len({allotment.declared(plan.experiment)[0] for plan in planned}) > 1:
        raise ConfigError("rules: they give the members of pbt unlike resources, and one goes on where another was")
    resources = allotment.of(planned[0].experiment)
    if resources.workers > 1:
        raise ConfigError(f"workers: pbt trains each member in one process, and {resources.workers} are asked for")
    return resources


def _fit(
    root: Path, planned: Sequence[Planned], pbt: PBT, machine: Machine, resources: Resources, scheduler: Any
) -> int:
    """Let Tune train the population, on the cluster that is connected; returns how many members' processes were lost.

    Tune's own files lie with the members, for every node has to see them.
    """
    members = [Run.create(root, plan.experiment) for plan in planned]
    starts = {run.id: {key: value_at(run.experiment(), key) for key in pbt.mutate} for run in members}
    waited_for = [(plan, resources) for plan in planned]

    def start_of(key: str) -> Any:
        return tune.sample_from(lambda config: starts[config["run"]][key])

    with tempfile.TemporaryDirectory(prefix=".ray-", dir=root, ignore_cleanup_errors=True) as scratch:
        tuner = tune.Tuner(
            tune.with_resources(
                lambda config: _member(config, machine, resources), {"cpu": resources.cpu, "gpu": float(resources.gpu)}
            ),
            param_space={"run": tune.grid_search(list(starts)), **{key: start_of(key) for key in pbt.mutate}},
            tune_config=tune.TuneConfig(scheduler=scheduler, trial_dirname_creator=str),
            run_config=tune.RunConfig(storage_path=scratch, verbose=0, callbacks=[Vigil(lambda: waited_for)]),
        )
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
            try:
                errors = tuner.fit().errors
            except Broken as error:
                raise error.__cause__ or error from None
    for error in errors:
        log.error("a member was lost: %s", str(error).strip().splitlines()[-1])
    return len(errors)


def take_over(root: Path, config: Mapping[str, Any], mutate: Mapping[str, Any]) -> dict[str, Any]:
    """Begin the stretch of a member that goes on from another (`config["run"]`) with the given, changed rates."""
    other = Run(root / config["run"])
    values = {key: _within(axis, config[key]) for key, axis in mutate.items()}
    while True:
        changes = override(to_dict(other.experiment()), values)
        run = Run(root / Run.create(root, build(Experiment, changes, to_run=False)).id)
        if not run.has_results:
            break
        values = {key: value * 1.001 for key, value in values.items()}  # two took over the same at the same rates
    newest = sorted((other.path / "checkpoint").glob("step_*"))[-1]
    shutil.copytree(newest, run.path / "checkpoint" / newest.name)
    for file in ("metrics.jsonl", "mutations.jsonl"):
        if (other.path / file).is_file():
            shutil.copyfile(other.path / file, run.path / file)
    with open(run.path / "mutations.jsonl", "a") as file:
        file.write(json.dumps({"step": int(newest.name.removeprefix("step_")), "from": other.id, **values}) + "\n")
    return {**config, **values, "run": run.id}


def outcome(root: Path, mutate: Mapping[str, Any], lost: int = 0) -> dict[str, Any]:
    """The best finished member by its last `source_val`, and the rates that it had from which step on.

    `lost`: members whose process was, of which the ledger does not say that they failed.
    """
    members = [Run(path.parent) for path in sorted(root.glob("*/experiment.yaml"))]
    done = [run for run in members if run.state == "done"]
    scores = {run.id: [*curve(run, run.experiment().data.sources).values()] for run in done}
    scored = [run for run in done if scores[run.id]]
    failed = lost + sum(run.state in ("failed", "oom") for run in members)
    if not done:  # nothing came of it, though that a rate diverges is an outcome too
        failed = len(members)
    said: dict[str, Any] = {"stretches": len(members), "done": len(done), "failed": failed}
    if scored:
        best = max(scored, key=lambda run: scores[run.id][-1])
        said |= {"best": str(best.path), "source_val": f"{100 * scores[best.id][-1]:.2f}"}
        said |= {"schedule": schedule(root, best, mutate)}
    return said


def schedule(root: Path, run: Run, mutate: Mapping[str, Any]) -> str:
    """`0: optim.lr=0.001; 40: optim.lr=0.0012`."""
    file = run.path / "mutations.jsonl"
    changes = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    first = Run(root / changes[0]["from"]) if changes else run
    rates = [{"step": 0, **{key: value_at(first.experiment(), key) for key in mutate}}, *changes]
    return "; ".join(f"{rate['step']}: " + ", ".join(f"{key}={rate[key]:.4g}" for key in mutate) for rate in rates)


def _member(config: Mapping[str, Any], machine: Machine, resources: Resources) -> None:
    """A stretch in a worker. Tune wants a checkpoint of its own to hand on; ours lie in the ledger."""
    from rein.training import train

    keep_to_share(float(resources.gpu))
    # It is set aside at each exchange and goes on from its last checkpoint.
    machine = replace(share_of_machine(machine, resources), checkpoint_seconds=0.0)
    run = Run(machine.runs / config["run"])
    experiment = run.experiment()

    def observe(record: Mapping[str, Any]) -> None:
        if "source_val" in record and record["step"] < experiment.steps:
            with tempfile.TemporaryDirectory() as nothing:
                told = {"step": record["step"], "source_val": record["source_val"]}
                tune.report(told, checkpoint=tune.Checkpoint.from_directory(nothing))

    try:
        train(experiment, machine, observe)
    except Exception:  # a rate that diverged is an outcome too; its status.json and traceback.txt say it
        log.info("a member ended early", exc_info=True)


def _drawn(axis: Any, seed: int) -> Any:
    generator = random.Random(seed)
    return lambda: draw(axis, generator.random())


def _within(axis: Any, value: Any) -> Any:
    if not is_numeric(axis):
        return value
    low, high = next(iter(axis.values()))
    return rounded(min(high, max(low, value)), low, high)
