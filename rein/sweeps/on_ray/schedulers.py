"""Tune's schedulers by name, which stop hopeless runs early: by `source_val` over `step`, and through the ledger.

A scheduler's word is not carried out by Tune, which would end the process wherever it is: the run is asked to stop, and
ends by itself as `pruned`, with a checkpoint that a table can go on from.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, HyperBandScheduler, MedianStoppingRule, TrialScheduler

from rein.config import ASHA, ConfigError, HyperBand, Median, Sweep
from rein.ledger import FINAL, BusyError, Run
from rein.sweeps.plan import Planned
from rein.sweeps.search.members import examples
from rein.sweeps.search.outcome import curve
from rein.sweeps.search.refusals import METRIC

log = logging.getLogger(__name__)

#: What every scheduler goes by.
SIGHT: Any = {"time_attr": "step", "metric": METRIC, "mode": "max"}


def scheduler(sweep: Sweep, planned: Sequence[Planned], runs: Path) -> Asking:
    """The scheduler that a sweep's search asks for, warmed with what the ledger has of its runs."""
    assert sweep.search is not None and sweep.search.scheduler is not None
    experiments = [plan.experiment for plan in planned] or examples(sweep)
    steps = max(experiment.steps for experiment in experiments)
    first = min(experiment.evaluation.every or steps for experiment in experiments)
    match sweep.search.scheduler:
        case ASHA(grace_period=grace, reduction_factor=factor, brackets=brackets):
            grace = grace or first
            if grace >= steps:
                raise ConfigError(f"search.scheduler.grace_period is {grace}: no run has more than {steps} steps")
            inner = AsyncHyperBandScheduler(
                max_t=steps, grace_period=grace, reduction_factor=factor, brackets=brackets, **SIGHT
            )
        case HyperBand(reduction_factor=factor):
            # In evaluations: of a bracket that begins below the first one nobody would be stopped there.
            evaluations = math.ceil(steps / first)
            inner = _HalvingFirst(max_t=evaluations, reduction_factor=factor, **{**SIGHT, "time_attr": "evaluation"})
        case Median(grace_period=grace, min_samples=samples):
            # Without a slice it would set runs aside, for nothing, while it has too few to compare.
            inner = MedianStoppingRule(
                grace_period=grace or first, min_samples_required=samples, min_time_slice=cast(Any, math.inf), **SIGHT
            )
        case other:
            raise ConfigError(f"search.scheduler: {other.method} does not stop runs")
    asking = Asking(inner, runs, sweep.search.scheduler.method, first)
    if not asking.pauses:
        asking.warm(planned)
    return asking


class _HalvingFirst(HyperBandScheduler):
    """Brackets in the order of the paper (Li et al., 2018, algorithm 1): the one that halves most often comes first.

    Tune begins with the one that halves nobody. It counts only runs that are still at work as the bracket's, so where
    fewer run at once than the bracket has places, it is never full, and no run is ever stopped.
    """

    def __init__(self, max_t: int, reduction_factor: float, **options: Any) -> None:
        # Who is left at the end of a bracket is trained to its end, and not stopped just before it.
        super().__init__(max_t=max_t, reduction_factor=reduction_factor, stop_last_trials=False, **options)
        # Rounded down, for the first bracket to begin with a whole evaluation; but 729 * 3**-6 is one, whatever
        # floats make of it.
        self._s_max_1 = int(math.log(max_t) / math.log(reduction_factor) + 1e-9) + 1
        self._get_r0 = lambda s: int(max_t * reduction_factor**-s + 1e-9)

    def _create_bracket(self, s: int) -> Any:
        return super()._create_bracket(self._s_max_1 - 1 - s)


class _Ghost:
    """A trial as far as a scheduler looks at one that has ended."""

    def __init__(self, id: str) -> None:
        self.trial_id, self.status = id, Trial.RUNNING


class Asking(TrialScheduler):
    """One of Tune's schedulers, of which each stop is a request in the run's folder."""

    def __init__(self, inner: TrialScheduler, runs: Path, name: str, every: int) -> None:
        """`every` so many steps a run is scored."""
        super().__init__()
        self.inner, self.runs, self.name, self.every = inner, runs, name, every
        self._asked: dict[str, str] = {}  # why, by the trial's id
        self._unmarked: list[Trial] = []  # set aside and not to go on, but their runs could not be marked yet

    @property
    def pauses(self) -> bool:
        """Whether runs are set aside in the middle, and go on from the ledger's checkpoint in another process."""
        return isinstance(self.inner, HyperBandScheduler)

    def warm(self, planned: Iterable[Planned]) -> None:
        """Show the scheduler how the runs went that have ended, as if they had run under it."""
        for plan in planned:
            run = Run(self.runs / plan.id)
            if run.state not in FINAL:
                continue
            ghost, nobody = cast(Trial, _Ghost(plan.id)), cast(Any, None)
            scores = curve(run, plan.experiment.data.sources)
            told = [{"step": step, METRIC: value} for step, value in scores.items() if step < plan.experiment.steps]
            self.inner.on_trial_add(nobody, ghost)
            for result in told:
                self.inner.on_trial_result(nobody, ghost, result)
            if told:
                self.inner.on_trial_complete(nobody, ghost, told[-1])

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """The scheduler's decision, but that a stop is asked for and left to the run."""
        if trial.trial_id in self._asked:
            self._remind(trial)
            return self.CONTINUE
        decision = self.inner.on_trial_result(self._prudent(tune_controller), trial, self._timed(result))
        if decision != self.STOP:
            return decision
        self.ask(trial, result)
        return self.CONTINUE

    def ask(self, trial: Trial, result: dict[str, Any]) -> None:
        """Ask a running trial's run to stop."""
        why = f"{self.name} stopped it at step {result['step']}, {METRIC} {100 * result[METRIC]:.1f}"
        self._asked[trial.trial_id] = why
        with suppress(OSError):  # of a full disk, for one: the next result reminds it
            self._run(trial).ask_to_stop("pruned", why)

    def _remind(self, trial: Trial) -> None:
        """Ask again where that failed, or its process was lost before it obeyed, and another one goes on."""
        run = self._run(trial)
        with suppress(OSError):
            if not run.asked_to_stop():
                run.ask_to_stop("pruned", self._asked[trial.trial_id])

    def drop(self, controller: Any, trial: Trial) -> None:
        """Stop a trial that was set aside and is not to go on, now or as soon as its run can be marked."""
        if not self._dropped(controller, trial):
            self._unmarked.append(trial)
            self.inner.on_trial_remove(controller, trial)  # else its bracket would wait for it

    def _dropped(self, controller: Any, trial: Trial) -> bool:
        """Mark the run as pruned, then stop the trial. Waits for nothing: Tune does nothing else meanwhile."""
        run = self._run(trial)
        try:
            with run.claimed(patience=0.0):
                if run.state not in FINAL:
                    run.finish("pruned")
        except (BusyError, OSError):  # its process has not noticed yet that it was set aside, or the disk stumbles
            return False
        controller.stop_trial(trial)
        return True

    def _timed(self, result: dict[str, Any]) -> dict[str, Any]:
        return {**result, "evaluation": result["step"] // self.every}

    def _prudent(self, controller: Any) -> Any:
        return _Prudent(controller, self)

    def _run(self, trial: Trial) -> Run:
        return Run(self.runs / trial.config["run"])

    # ---------------------------------------------------------------- as the scheduler does

    @property
    def metric(self) -> str | None:
        return METRIC

    @property
    def supports_buffered_results(self) -> bool:
        return False

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        return self.inner.set_search_properties(metric, mode, **spec)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        self.inner.on_trial_add(self._prudent(tune_controller), trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        self.inner.on_trial_error(self._prudent(tune_controller), trial)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        if METRIC in result and trial.trial_id not in self._asked:  # else it ended before its first score
            self.inner.on_trial_complete(self._prudent(tune_controller), trial, self._timed(result))
        else:
            self.inner.on_trial_remove(self._prudent(tune_controller), trial)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        self.inner.on_trial_remove(self._prudent(tune_controller), trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        self._unmarked = [trial for trial in self._unmarked if not self._dropped(tune_controller, trial)]
        return self.inner.choose_trial_to_run(self._prudent(tune_controller))

    def debug_string(self) -> str:
        return self.inner.debug_string()

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""


class _Prudent:
    """Tune's controller, as a scheduler sees it that also stops trials which are set aside."""

    def __init__(self, controller: Any, scheduler: Asking) -> None:
        self._controller, self._scheduler = controller, scheduler

    def __getattr__(self, name: str) -> Any:
        return getattr(self._controller, name)

    def stop_trial(self, trial: Trial) -> None:
        """Mark the run, then stop the trial."""
        self._scheduler.drop(self._controller, trial)
