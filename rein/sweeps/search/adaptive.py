"""The adaptive search: optuna proposes the next run from how the others ended, wherever and whenever they ran.

Its trials are not recorded anywhere: a study is made anew from the ledger at each start, so finished runs warm it,
a cut search goes on, and `trials` can be raised.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rein.config import ConfigError, Sweep
from rein.ledger import FAILED, FINAL, Run
from rein.sweeps.plan import Planned, plan_of
from rein.sweeps.queue import Alike, Comebacks, Requests, Source, give_up
from rein.sweeps.search.members import Members, examples
from rein.sweeps.search.outcome import curve
from rein.sweeps.search.refusals import check_asked, check_searched
from rein.sweeps.search.space import is_numeric, rounded

if TYPE_CHECKING:
    from optuna import Study, Trial

log = logging.getLogger(__name__)

#: Between the seeds of studies that begin with one run more.
SPREAD = 1_000_003

#: So many proposals in a row without a new run, and the space is taken for exhausted.
PROPOSALS = 400

#: Seconds between two looks at what others have put into the ledger, which may hold ten thousand runs.
LOOK_AGAIN = 3.0


def _unheard(news: object) -> None:
    """Where nobody follows the search."""


class Adaptive(Source):
    """Runs that optuna's TPE chooses by `source_val`; `trials` of them in all, those of the ledger counted.

    `begun` hears of every run that is handed out first, `fewer` of how many trials there are in a space that has no
    more.
    """

    def __init__(
        self,
        sweep: Sweep,
        runs: Path,
        begun: Callable[[Planned], None] = _unheard,
        keep_going: bool = False,
        fewer: Callable[[int], None] = _unheard,
    ) -> None:
        check_asked(sweep)
        assert sweep.search is not None and sweep.search.trials is not None
        self.search, self.trials, self.runs = sweep.search, sweep.search.trials, runs
        self.begun, self.fewer = begun, fewer
        self.members = Members(sweep)
        self.space = self.members.space
        #: Run id -> the plan, of all that counts as a trial.
        self.known: dict[str, Planned] = {}
        self.stopped: str | None = None
        self._waiting: deque[Planned] = deque()
        self._held: list[Planned] = []
        self._out: dict[str, Trial] = {}
        #: Trials of runs that came back without an end: they are as much under way as before.
        self._kept: dict[str, Trial] = {}
        self._alike = Alike(quiet=keep_going)
        self._comebacks = Comebacks()
        self._looked = float("-inf")
        check_searched(self.search, examples(sweep))
        found = list(self.members.among(runs))
        self._requests = Requests(runs, (plan for plan, _ in found))
        # Seeded anew with each run that there is: the first draws again would be runs that are there.
        self.study = _study(self.search.seed + SPREAD * len(found))
        for plan, _ in found:
            self._take_in(plan, again=("failed", "oom"))

    def __getstate__(self) -> dict[str, Any]:
        """What goes to a process of a cluster that drives: all but who listens here."""
        return {**vars(self), "begun": _unheard, "fewer": _unheard}

    def next(self) -> Planned | None:
        """A run of the ledger that is to be gone on with, or a new one; None where another driver has the last."""
        if self.stopped:
            return None
        self._look()
        for plan in list(self._held):
            self._take_in(plan)
            self._held.remove(plan)
        while self._waiting:
            plan = self._waiting[0]  # and stays there, should the ledger not be within reach
            holder = Run(self.runs / plan.id).holder()
            self._waiting.popleft()
            if holder:
                self._held.append(plan)
                continue
            return self._handed(plan, self._trial_of(plan))
        return None if len(self.known) >= self.trials else self._proposed()

    def ended(self, plan: Planned) -> None:
        """Tell the study how it ended; go on with it where another driver was faster, or its process was lost."""
        run = Run(self.runs / plan.id)
        status = run.status()
        held = status.get("state") == "running" and run.holder()
        is_unended = status.get("state") not in FINAL and self._requests.is_unended(run, status)
        if held or (is_unended and self._comebacks.again(plan.id, status)):
            self._kept[plan.id] = self._out.pop(plan.id)
            if held:
                self._held.append(plan)
            else:
                self._waiting.appendleft(plan)
            return
        if status.get("state") in (None, "running"):
            give_up(Run.create(self.runs, plan.experiment))
        self._tell(self._out[plan.id], run, plan)
        del self._out[plan.id]
        waiting = self.trials - len(self.known) + len(self._waiting)
        self.stopped = self._alike.ended(run.status(), waiting) or self.stopped

    @property
    def exhausted(self) -> bool:
        """Whether nothing will come any more."""
        over = len(self.known) >= self.trials and not (self._waiting or self._held or self._out)
        return self.stopped is not None or over

    def _look(self) -> None:
        """Take in what the ledger has of the space and this study does not, now and then."""
        if time.monotonic() - self._looked < LOOK_AGAIN:
            return
        self._looked = time.monotonic()
        for plan, _ in self.members.among(self.runs):
            self._take_in(plan)

    def _take_in(self, plan: Planned, again: tuple[str, ...] = ()) -> None:
        """Tell the study of a run of the ledger, or go on with it where it has not ended, or not well (`again`)."""
        self.known[plan.id] = plan
        run = Run(self.runs / plan.id)
        status = run.status()
        state = status.get("state")
        if state in (*FINAL, *FAILED) and state not in again:
            if state in FINAL:
                self._alike.quiet()
            self._tell(self._trial_of(plan), run, plan)
        elif run.holder():
            self._held.append(plan)
        elif not self._requests.stopped(run, status):
            self._waiting.append(plan)

    def _proposed(self) -> Planned | None:
        import optuna

        learned = self.study.sampler
        try:
            for number in range(PROPOSALS):
                if number == PROPOSALS // 20:  # of few values it proposes the best ones again and again
                    self.study.sampler = optuna.samplers.RandomSampler(seed=len(self.study.trials))
                trial = self.study.ask()
                plan = self._suggested(trial)
                if plan is not None and plan.id not in self.known:
                    self.known[plan.id] = plan
                    self.members.seen(plan.id)
                    return self._handed(plan, trial)
                if plan is not None and plan.id not in self._out:
                    self._tell(trial, Run(self.runs / plan.id), plan)  # not run twice: its outcome is known
                else:
                    self.study.tell(trial, state=_states().FAIL)
        finally:
            self.study.sampler = learned
        self.fewer(len(self.known))
        log.info("the search space has no more than %d different runs, of %d trials", len(self.known), self.trials)
        self.trials = len(self.known)
        return None

    def _handed(self, plan: Planned, trial: Trial) -> Planned:
        try:
            self.begun(plan)
        except OSError:  # it cannot be written down at present
            self._kept[plan.id] = trial
            self._waiting.appendleft(plan)
            raise
        self._out[plan.id] = trial
        return plan

    def _trial_of(self, plan: Planned) -> Trial:
        return self._kept.pop(plan.id, None) or self._asked_for(plan)

    def _asked_for(self, plan: Planned) -> Trial:
        """A trial of the study that has the values of a given run."""
        found = self.members.member(plan.experiment)
        assert found is not None
        _, combination = found
        values = {key: self._coded(key, value) for key, value in combination.axes.items()}
        self.study.enqueue_trial({**values, "point": list(self.space.points).index(combination.point)})
        trial = self.study.ask()
        self._suggested(trial)
        return trial

    def _suggested(self, trial: Trial) -> Planned | None:
        """The run that a trial stands for; None where the sweep leaves it out, or it cannot be."""
        points = list(self.space.points)
        point = points[trial.suggest_categorical("point", tuple(range(len(points))))]
        axes = sorted(self.space.sweep.vary.items(), key=lambda item: not item[0].endswith(".method"))
        values: dict[str, Any] = {}
        for key, axis in axes:  # methods first: they decide which of the others there are
            if key in self.space.combination(point, {**values, key: None}).axes:
                values[key] = _suggest(trial, key, axis)
        try:
            plan = plan_of(self.space, self.members.assembly, self.space.combination(point, values))
        except ConfigError as error:
            raise ConfigError(f"search: {error}") from None
        if plan is not None:
            check_searched(self.search, [plan.experiment])
        return plan

    def _coded(self, key: str, value: Any) -> Any:
        axis = self.space.sweep.vary[key]
        return value if is_numeric(axis) else [repr(choice) for choice in _choices(axis)].index(repr(value))

    def _tell(self, trial: Trial, run: Run, plan: Planned) -> None:
        # All is read before anything is told.
        state, scores = run.state, curve(run, plan.experiment.data.sources)
        for step, value in scores.items():
            trial.report(value, step)
        if state == "done" and scores:
            self.study.tell(trial, list(scores.values())[-1])
        else:
            pruned = state == "pruned" and scores
            self.study.tell(trial, state=_states().PRUNED if pruned else _states().FAIL)


def _study(seed: int) -> Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Runs at the same time must not all go where the best one is.
    return optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True))


def _states() -> Any:
    from optuna.trial import TrialState

    return TrialState


def _choices(axis: list[Any] | Mapping[str, list[Any]]) -> list[Any]:
    return axis if isinstance(axis, list) else axis["choice"]


def _suggest(trial: Trial, key: str, axis: list[Any] | Mapping[str, list[Any]]) -> Any:
    """A value of an axis; choices by their number, since optuna knows no lists."""
    if not is_numeric(axis):
        choices = _choices(axis)
        return choices[trial.suggest_categorical(key, tuple(range(len(choices))))]
    assert isinstance(axis, Mapping)
    ((kind, (low, high)),) = axis.items()
    if kind.endswith("int"):
        return trial.suggest_int(key, low, high, log=kind == "logint")
    return rounded(trial.suggest_float(key, low, high, log=kind == "loguniform"), low, high)
