"""From a sweep to its runs, and what of them the ledger still lacks. Starts nothing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rein.config import ConfigError, Experiment, Sweep, run_id
from rein.config_io import build, find, override, read_yaml
from rein.data.selection import scored_domains, scored_files, training_files
from rein.ledger import FINAL, Run


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

    A point's own values win over the axes' (a control that needs one seed names it); equal runs are planned once.
    Where nothing is to run, their domains need not be known here.
    """
    path = find(Experiment, sweep.experiment)
    base = read_yaml(path)
    combinations = [dict(zip(sweep.vary, values, strict=True)) for values in itertools.product(*sweep.vary.values())]
    for key, values in sweep.vary.items():
        if not values:
            raise ConfigError(f"vary: {key} has no values; give it some, or take the axis out")
    planned: dict[str, Planned] = {}
    for point, changes in (sweep.points or {"": {}}).items():
        for combination in combinations:
            where = f"point {point!r} (over {path})" if point else str(path)
            experiment = build(Experiment, override(base, {**combination, **changes}), where, to_run)
            id = run_id(experiment)
            axes = {key: value for key, value in combination.items() if len(sweep.vary[key]) > 1 and key not in changes}
            same = planned.setdefault(id, Planned(id, point, axes, experiment))
            if same.point != point:
                raise ConfigError(f"points: {same.point!r} and {point!r} are one and the same run; take one out")
    return list(planned.values())


def check_domains(planned: Sequence[Planned], root: Path) -> None:
    """Raise ConfigError where a run that is there was made with another definition of a domain than there is now."""
    for plan in planned:
        Run(root / plan.id).check_domains(plan.experiment)


def left(planned: Sequence[Planned], root: Path) -> list[Planned]:
    """The runs that are not done."""
    return [run for run in planned if Run(root / run.id).state not in FINAL]


def check_data(planned: Sequence[Planned], root: Path) -> None:
    """Raise DataError where a run would read what is not there: once, before any of them starts."""
    for experiment in {run.experiment.data: run.experiment for run in planned}.values():
        training_files(experiment.data, root)
        for domain, _ in scored_domains(experiment):
            scored_files(experiment.data, domain, root)
