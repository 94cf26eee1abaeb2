"""Between a source of runs and Tune: what Tune asks for next, what a trial takes, and what a lost process means."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from rein.config import Resources
from rein.ledger import BusyError, Run
from rein.sweeps.on_ray.start import nodes
from rein.sweeps.plan import Planned
from rein.sweeps.queue import Source
from rein.sweeps.resources import Allotment, Node, slots

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

#: So often in a row may a trial be lost before its run has begun; of runs that have, the ledger counts the losses.
LOSSES = 3


def bundles(config: Mapping[str, Any]) -> tune.PlacementGroupFactory:
    """What Tune must find free before it starts a trial. Several workers take theirs themselves, all at once."""
    resources = Resources(**config["resources"])
    return _byte() if resources.workers > 1 else _bundle(resources.cpu, float(resources.gpu))


@cache
def _byte() -> tune.PlacementGroupFactory:
    """As good as nothing, which Ray refuses; a thousandth of a CPU could be what the workers lack on a full machine."""
    return tune.PlacementGroupFactory([{"memory": 1}])


@cache
def _bundle(cpu: float, gpu: float) -> tune.PlacementGroupFactory:
    """One object for all trials of a kind: Tune keeps it with each trial that ever was."""
    return tune.PlacementGroupFactory([{"CPU": cpu, "GPU": gpu} if gpu else {"CPU": cpu}])


class ClusterLost(RuntimeError):
    """No node of the cluster is left that could run anything; Tune would wait for one without end."""


class Broken(BaseException):
    """Carries an error of the driver's own past Tune, which would end all runs at once, without a checkpoint."""


def past_tune(method: Callable[P, T]) -> Callable[P, T]:
    """A method that Tune calls; what goes wrong in it comes out of Tune as the cause of a Broken."""

    @wraps(method)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except ClusterLost:  # nothing is left to be ended
            raise
        except Exception as error:
            raise Broken(str(error)) from error

    return called


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
        self._next: Planned | None = None  # there was no room for it yet, or on the disk

    @past_tune
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The config of the next trial, None where there is nothing at present, or that all is done."""
        if self.jobs and len(self._out) >= self.jobs:
            return None
        if self._next and self.source.exhausted:  # it was asked to stop, or stopped by itself
            self._give_back_next()
        plan = self._next or self.source.next()
        if plan is None:
            return self.FINISHED if self.source.exhausted and not self._out else None
        resources = self.allotment.of(plan.experiment)
        self._next = plan
        if not self._has_room(resources):
            return None
        with suppress(OSError):  # then it is tried again
            Run.create(self.runs, plan.experiment)
            self._next = None
            self._out[trial_id] = plan, resources
            return {"run": plan.id, "resources": asdict(resources)}
        return None

    @past_tune
    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the source that the run is no longer worked on."""
        plan, _ = self._out.pop(trial_id)
        if result and "error" in result:  # of a node that the ledger cannot be reached from
            fail(Run(self.runs / plan.id), result["error"])
        self.source.ended(plan)
        with suppress(OSError):  # the next of its like tells as much
            self.allotment.learn([plan], self.runs)

    def give_back(self) -> None:
        """Tell the source of all that was handed out that it is no longer worked on."""
        for trial_id in list(self._out):
            self.on_trial_complete(trial_id)
        if self._next:
            self._give_back_next()

    @property
    def handed_out(self) -> list[tuple[Planned, Resources]]:
        """What is worked on, or waits for room, and what each may use."""
        waiting = [(self._next, self.allotment.of(self._next.experiment))] if self._next else []
        return [*self._out.values(), *waiting]

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune writes its searcher down, and nobody reads it."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""

    def _give_back_next(self) -> None:
        plan, self._next = self._next, None
        assert plan is not None
        self.source.ended(plan)

    def _has_room(self, resources: Resources) -> bool:
        taken = [*(taken for _, taken in self._out.values()), resources]
        if all(one.workers == 1 for one in taken):
            return True  # Tune knows
        cpu, gpu = (sum(getattr(one, kind) * one.workers for one in taken) for kind in ("cpu", "gpu"))
        return cpu <= self.total.cpu + 1e-6 and gpu <= float(self.total.gpu) + 1e-6


class Vigil(tune.Callback):
    """Looks now and then whether any node lives: the only one of a machine's own Ray may have been killed.

    Where some do, but none that could hold a run that was handed out, Tune waits for one in silence: so it is said.
    """

    def __init__(
        self, handed_out: Callable[[], Iterable[tuple[Planned, Resources]]], every: float = 5.0, say_every: float = 60.0
    ) -> None:
        self.handed_out, self.every, self.say_every = handed_out, every, say_every
        self._next = self._next_word = 0.0

    @past_tune
    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Raise ClusterLost where none does."""
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + self.every
        if not (alive := nodes()):
            raise ClusterLost("no node of the Ray cluster is alive")
        if now >= self._next_word and (
            too_large := [_wish(*one) for one in self.handed_out() if _is_vain(one[1], alive)]
        ):
            self._next_word = now + self.say_every
            log.warning("no living node of the Ray cluster holds %s; waiting for one to come", "; ".join(too_large))


def _is_vain(needs: Resources, alive: Sequence[Node]) -> bool:
    return slots(needs, alive) < needs.workers


def _wish(plan: Planned, needs: Resources) -> str:
    times = f"{needs.workers} x " if needs.workers > 1 else ""
    return f"{plan.id} ({times}{needs.cpu:g} CPU, {float(needs.gpu):g} GPU)"


class Losses(tune.Callback):
    """Says that a process was lost, and gives up runs for which none can be started at all."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self._seen: dict[str, tuple[int, int]] = {}  # losses in a row, and the run's attempt at the first of them

    @past_tune
    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Count a loss. Tune starts the trial again whatever is said here; given up, it ends at once."""
        run = Run(self.runs / trial.config["run"])
        log.warning("%s: its process was lost (%s); it goes on from its last checkpoint", run.id, _reason(trial))
        try:
            attempt = run.status().get("attempt", 0)
        except OSError:  # the next loss counts
            return
        before, known = self._seen.get(run.id, (0, -1))
        losses = before + 1 if attempt == known else 1
        self._seen[run.id] = losses, attempt
        given_up = losses > LOSSES and fail(
            run, f"no process could be started for it, {losses} times in a row: {_reason(trial)}"
        )
        if given_up:  # else the lease of a lost node is not over yet: one more is lost until it is
            trial.set_config({**trial.config, "given_up": True})
            trial.max_failures = 0

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Forget what is no longer needed."""
        self._seen.pop(trial.config["run"], None)


def fail(run: Run, reason: str) -> bool:
    """Mark a run as failed that could not do so itself; False where another process still counts as its holder, or
    the ledger is out of reach."""
    try:
        with run.claimed(patience=0):
            run.finish("failed", RuntimeError(reason))
    except (BusyError, OSError):
        return False
    log.error("%s: %s", run.id, reason)
    return True


def _reason(trial: Trial) -> str:
    text = str(trial.get_pickled_error() or trial.get_error() or "unknown")
    return text.strip().splitlines()[0]
