"""Between a source of runs and Tune: what Tune asks for next, what a trial takes, and what a lost process means."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from rein.config import Resources
from rein.ledger import BusyError, Run
from rein.sweeps.on_ray.start import nodes
from rein.sweeps.plan import Planned
from rein.sweeps.queue import Source
from rein.sweeps.resources import Allotment, Node

log = logging.getLogger(__name__)

#: So often in a row may a trial be lost before its run has begun; of runs that have, the ledger counts the losses.
LOSSES = 3


def bundles(config: Mapping[str, Any]) -> tune.PlacementGroupFactory:
    """What Tune must find free before it starts a trial. Several workers take theirs themselves, all at once."""
    resources = Resources(**config["resources"])
    return _bundle(0.001, 0.0) if resources.workers > 1 else _bundle(resources.cpu, float(resources.gpu))


@cache
def _bundle(cpu: float, gpu: float) -> tune.PlacementGroupFactory:
    """One object for all trials of a kind: Tune keeps it with each trial that ever was."""
    return tune.PlacementGroupFactory([{"CPU": cpu, "GPU": gpu} if gpu else {"CPU": cpu}])


class Suggestions(Searcher):
    """A source of runs, asked as Tune asks a searcher: one run at a time, when there is room for it.

    Tune does not see what the workers of a run take that has several, so while there are such runs nothing is handed
    out that the cluster's total does not hold beside what is out.
    """

    def __init__(
        self, source: Source, runs: Path, allotment: Allotment, cluster: Sequence[Node], jobs: int | None = None
    ) -> None:
        super().__init__()
        self.source, self.runs, self.allotment, self.jobs = source, runs, allotment, jobs
        self.total = Resources(cpu=sum(node.cpu for node in cluster) or 1, gpu=sum(node.gpu for node in cluster))
        self._out: dict[str, tuple[Planned, Resources]] = {}  # by Tune's id of the trial
        self._next: Planned | None = None  # there was no room for it yet

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The config of the next trial, None where there is nothing at present, or that all is done."""
        if self.jobs and len(self._out) >= self.jobs:
            return None
        plan = self._next or self.source.next()
        if plan is None:
            return self.FINISHED if self.source.exhausted and not self._out else None
        resources = self.allotment.of(plan.experiment)
        if not self._has_room(resources):
            self._next = plan
            return None
        self._next = None
        Run.create(self.runs, plan.experiment)
        self._out[trial_id] = plan, resources
        return {"run": plan.id, "resources": asdict(resources)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the source that the run is no longer worked on."""
        plan, _ = self._out.pop(trial_id)
        if result and "error" in result:  # of a node that the ledger cannot be reached from
            fail(Run(self.runs / plan.id), result["error"])
        self.allotment.learn([plan], self.runs)
        self.source.ended(plan)

    def give_back(self) -> None:
        """Tell the source of all that is out that it is no longer worked on."""
        for trial_id in list(self._out):
            self.on_trial_complete(trial_id)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune writes its searcher down, and nobody reads it."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""

    def _has_room(self, resources: Resources) -> bool:
        taken = [*(taken for _, taken in self._out.values()), resources]
        if all(one.workers == 1 for one in taken):
            return True  # Tune knows
        cpu, gpu = (sum(getattr(one, kind) * one.workers for one in taken) for kind in ("cpu", "gpu"))
        return cpu <= self.total.cpu + 1e-6 and gpu <= float(self.total.gpu) + 1e-6


class ClusterLost(RuntimeError):
    """No node of the cluster is left that could run anything; Tune would wait for one without end."""


class Vigil(tune.Callback):
    """Looks now and then whether any node lives: the only one of a machine's own Ray may have been killed."""

    def __init__(self, every: float = 5.0) -> None:
        self.every, self._next = every, 0.0

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Raise ClusterLost where none does."""
        if (now := time.monotonic()) >= self._next:
            self._next = now + self.every
            if not nodes():
                raise ClusterLost("no node of the Ray cluster is alive")


class Losses(tune.Callback):
    """Says that a process was lost, and gives up runs for which none can be started at all."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self._seen: dict[str, tuple[int, int]] = {}  # losses in a row, and the run's attempt at the first of them

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Count a loss. Tune starts the trial again whatever is said here; given up, it ends at once."""
        run = Run(self.runs / trial.config["run"])
        attempt = run.status().get("attempt", 0)
        before, known = self._seen.get(run.id, (0, -1))
        losses = before + 1 if attempt == known else 1
        self._seen[run.id] = losses, attempt
        log.warning("%s: its process was lost (%s); it goes on from its last checkpoint", run.id, _reason(trial))
        if losses > LOSSES:
            fail(run, f"no process could be started for it, {losses} times in a row: {_reason(trial)}")
            trial.set_config({**trial.config, "given_up": True})
            trial.max_failures = 0

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Forget what is no longer needed."""
        self._seen.pop(trial.config["run"], None)


def fail(run: Run, reason: str) -> None:
    """Mark a run as failed that could not do so itself."""
    with suppress(BusyError), run.claimed(patience=0):
        run.finish("failed", RuntimeError(reason))
    log.error("%s: %s", run.id, reason)


def _reason(trial: Trial) -> str:
    text = str(trial.get_pickled_error() or trial.get_error() or "unknown")
    return text.strip().splitlines()[0]
