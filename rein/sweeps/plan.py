"""From a sweep to its runs, and what of them the ledger still lacks. Starts nothing."""

from __future__ import annotations

import gc
import itertools
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rein.config import ConfigError, Experiment, Sweep
from rein.data.selection import scored_domains, scored_files, training_files
from rein.ledger import FINAL, Run, State
from rein.sweeps.assembly import Assembly
from rein.sweeps.search.refusals import check_asked, check_searched
from rein.sweeps.search.space import Combination, Space

log = logging.getLogger(__name__)

#: States in which a run of a search has ended: to it also one that diverged has told what it can.
SEARCHED: tuple[State, ...] = (*FINAL, "diverged")

#: So many draws in a row without a new run, and the space is taken for exhausted.
PATIENT = 1000


@dataclass(frozen=True)
class Planned:
    """One run of a sweep."""

    id: str
    #: The sweep's name of the variant; empty for a sweep without named points.
    point: str
    #: Its values on the axes that have more than one.
    axes: dict[str, object]
    experiment: Experiment

    @property
    def variant(self) -> str:
        """What its seeds have in common: the point and the axes but the seed, `rein, tuning.rank=4`."""
        axes = (f"{key}={value}" for key, value in self.axes.items() if key != "seed")
        return ", ".join([*([self.point] if self.point else []), *axes])

    @property
    def label(self) -> str:
        """The variant and its seed, `rein, tuning.rank=4, seed 0`; the id where nothing varies."""
        seed = [f"seed {self.axes['seed']}"] if "seed" in self.axes else []
        return ", ".join([*([self.variant] if self.variant else []), *seed]) or self.id


def expand(sweep: Sweep, to_run: bool = True) -> list[Planned]:
    """Every run of a sweep: each named point crossed with each combination of the axes, in the file's order.

    A point's own values win over the axes' (a control that needs one seed names it), an axis that a run's tuning or
    head does not have is none of that run, and equal runs are planned once. A random search's runs are its draws, one
    after the other. Where nothing is to run, their domains need not be known here.

    Raises ConfigError for a search by optuna, which chooses while it goes: `search.members.known` has its runs.
    """
    check_asked(sweep)
    if sweep.search is not None and sweep.search.sampler == "optuna":
        raise ConfigError(
            "search: runs that optuna takes are chosen one by one, by how the others ended; none is planned"
        )
    space = Space(sweep)
    assembly = Assembly(space.base, to_run)
    random = sweep.search is not None and sweep.search.sampler == "random"
    with _uncollected():
        found = _drawn(space, assembly) if random else _tabled(space, assembly)
    space.check_used()
    if to_run and not random:  # draws may have missed what it fits
        for index in sorted(space.idle):
            log.warning("exclude[%d]: fits no run of this sweep: %s", index, sweep.exclude[index])
    if not found:
        raise ConfigError("exclude: leaves no run of this sweep; take an entry out")
    if sweep.search is not None and to_run:
        check_searched(sweep.search, [plan.experiment for plan in found])
    return found


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector, which would look again and again at 100,000 plans that all stay."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def final(sweep: Sweep | None) -> tuple[State, ...]:
    """States in which a run of the sweep is not taken up again: a table wants runs done that a search has stopped."""
    return SEARCHED if sweep is not None and sweep.search is not None else ("done",)


def _tabled(space: Space, assembly: Assembly) -> list[Planned]:
    """The grid."""
    axes = space.sweep.vary
    planned: dict[str, Planned] = {}
    for point in space.points:
        for values in itertools.product(*axes.values()):
            combination = space.combination(point, dict(zip(axes, values, strict=True)))
            plan = plan_of(space, assembly, combination)
            if plan is None:
                continue
            same = planned.setdefault(plan.id, plan)
            if same.point != point:
                raise ConfigError(f"points: {same.point!r} and {point!r} are one and the same run; take one out")
    return list(planned.values())


def _drawn(space: Space, assembly: Assembly) -> list[Planned]:
    """As many different runs as `trials`; fewer where `PATIENT` draws in a row bring none that is new."""
    assert space.sweep.search is not None and space.sweep.search.trials is not None
    planned: dict[str, Planned] = {}
    in_vain = 0
    for point, values in space.draws():
        plan = plan_of(space, assembly, space.combination(point, values))
        in_vain = in_vain + 1 if plan is None or plan.id in planned else 0
        if plan is not None:
            planned.setdefault(plan.id, plan)
        if len(planned) == space.sweep.search.trials or in_vain == PATIENT:
            break
    return list(planned.values())


def plan_of(space: Space, assembly: Assembly, combination: Combination) -> Planned | None:
    """A combination as a run; None where `exclude` leaves it out."""
    id, experiment = assembly.experiment(combination.changes, space.where(combination.point))
    if space.sweep.exclude and space.excluded(experiment):
        return None
    axes = {key: value for key, value in combination.axes.items() if key in space.varied}
    return Planned(id, combination.point, axes, experiment)


def check_domains(planned: Sequence[Planned], root: Path) -> None:
    """Raise ConfigError where a run that is there was made with another definition of a domain than there is now."""
    for plan in planned:
        Run(root / plan.id).check_domains(plan.experiment)


def left(planned: Sequence[Planned], root: Path, states: Collection[str] = FINAL) -> list[Planned]:
    """The runs that are in none of the states from which they are not taken up again."""
    return [run for run in planned if Run(root / run.id).state not in states]


def check_data(planned: Sequence[Planned], root: Path) -> None:
    """Raise DataError where a run would read what is not there: once, before any of them starts."""
    for experiment in {run.experiment.data: run.experiment for run in planned}.values():
        training_files(experiment.data, root)
        for domain, _ in scored_domains(experiment):
            scored_files(experiment.data, domain, root)
