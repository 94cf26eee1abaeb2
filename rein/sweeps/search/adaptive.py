"""The adaptive search: optuna proposes the next run from how the others ended, wherever and whenever they ran.

Its trials are not recorded anywhere: a study is made anew from the ledger at each start, so finished runs warm it,
a cut search goes on, and `trials` can be raised.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rein.config import ConfigError, Sweep
from rein.ledger import FINAL, Run
from rein.sweeps.plan import Planned, plan_of
from rein.sweeps.queue import ALIKE, FAILED, LOST, Source
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


def _unheard(plan: Planned) -> None:
    """Where nobody follows what is begun."""


class Adaptive(Source):
    """Runs that optuna's TPE chooses by `source_val`; `trials` of them in all, those of the ledger counted.

    `begun` hears of every run that is handed out first.
    """

    def __init__(
        self, sweep: Sweep, runs: Path, begun: Callable[[Planned], None] = _unheard, keep_going: bool = False
    ) -> None:
        check_asked(sweep)
        assert sweep.search is not None and sweep.search.trials is not None
        self.search, self.trials, self.runs, self.begun = sweep.search, sweep.search.trials, runs, begun
        self.members = Members(sweep)
        self.space = self.members.space
        #: Run id -> the plan, of all that counts as a trial.
        self.known: dict[str, Planned] = {}
        self.stopped: str | None = None
        self._waiting: deque[Planned] = deque()
        self._held: list[Planned] = []
        self._out: dict[str, Trial] = {}
        self._errors: list[tuple[Any, Any]] | None = None if keep_going else []
        self._exhausted = False
        self._lost: Counter[str] = Counter()
        check_searched(self.search, examples(sweep))
        found = list(self.members.among(runs))
        # Seeded anew with each run that there is: the first draws again would be runs that are there.
        self.study = _study(self.search.seed + SPREAD * len(found))
        for plan, _ in found:
            self._take_in(plan, again=("failed", "oom"))

    def __getstate__(self) -> dict[str, Any]:
        """What goes to a process of a cluster that drives: all but who listens here."""
        return {**vars(self), "begun": _unheard}

    def next(self) -> Planned | None:
        """A run of the ledger that is to be gone on with, or a new one; None where another driver has the last."""
        if self.stopped:
            return None
        self._look()
        for _ in range(len(self._held)):
            self._take_in(self._held.pop(0))
        while self._waiting:
            plan = self._waiting.popleft()
            if Run(self.runs / plan.id).holder():
                self._held.append(plan)
                continue
            return self._handed(plan, self._asked_for(plan))
        return None if len(self.known) >= self.trials else self._proposed()

    def ended(self, plan: Planned) -> None:
        """Tell the study how it ended."""
        run, trial = Run(self.runs / plan.id), self._out.pop(plan.id)
        if run.state == "running" and run.holder():  # another driver was faster
            self.study.tell(trial, state=_states().FAIL)
            self._held.append(plan)
            return
        if run.state in (None, "running") and self._lost[plan.id] < LOST:  # its process was lost
            self._lost[plan.id] += 1
            self.study.tell(trial, state=_states().FAIL)
            self._waiting.appendleft(plan)
            return
        self._tell(trial, run, plan)
        self._watch_failures(run)

    @property
    def exhausted(self) -> bool:
        """Whether nothing will come any more."""
        over = len(self.known) >= self.trials or self._exhausted
        return self.stopped is not None or (over and not (self._waiting or self._held or self._out))

    def _look(self) -> None:
        """Take in what the ledger has of the space and this study does not."""
        for plan, _ in self.members.among(self.runs):
            self._take_in(plan)

    def _take_in(self, plan: Planned, again: tuple[str, ...] = ()) -> None:
        """Tell the study of a run of the ledger, or go on with it where it has not ended, or not well (`again`)."""
        self.known[plan.id] = plan
        run = Run(self.runs / plan.id)
        state = run.state
        if state in (*FINAL, *FAILED) and state not in again:
            self._tell(self._asked_for(plan), run, plan)
        elif run.holder():
            self._held.append(plan)
        else:
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
        self._exhausted = True
        log.info("the search space has no more than %d different runs, of %d trials", len(self.known), self.trials)
        return None

    def _handed(self, plan: Planned, trial: Trial) -> Planned:
        self._out[plan.id] = trial
        self.begun(plan)
        return plan

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
        state, scores = run.state, curve(run, plan.experiment.data.sources)
        for step, value in scores.items():
            trial.report(value, step)
        if state == "done" and scores:
            self.study.tell(trial, list(scores.values())[-1])
        else:
            pruned = state == "pruned" and scores
            self.study.tell(trial, state=_states().PRUNED if pruned else _states().FAIL)

    def _watch_failures(self, run: Run) -> None:
        """Stop where the first runs failed alike: it is not their values' fault."""
        if self._errors is None:
            return
        status = run.status()
        self._errors.append((status.get("state"), status.get("error")))
        if status.get("state") not in ("failed", "oom", None) or len(set(self._errors)) > 1:
            self._errors = None
        elif len(self._errors) >= ALIKE:
            self.stopped = (
                f"the first {ALIKE} trials ended alike ({status.get('state') or 'not started'}: {status.get('error')})"
                f"; mend what they have in common, or go on all the same with --keep-going"
            )


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
