"""Which runs of the ledger belong to a sweep: those whose experiments lie in its space, whoever started them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rein.config import ConfigError, Experiment, Sweep, run_id
from rein.config.keys import METHODS, value_at
from rein.config_io import override, validate
from rein.ledger import runs
from rein.sweeps.assembly import Assembly
from rein.sweeps.plan import Planned, expand, plan_of
from rein.sweeps.search.refusals import check_asked
from rein.sweeps.search.space import Combination, Space, contains, draw, is_numeric


def is_adaptive(sweep: Sweep | None) -> bool:
    """Whether the next run of a sweep depends on how others ended."""
    return sweep is not None and sweep.search is not None and sweep.search.sampler == "optuna"


def trials_of(sweep: Sweep | None, planned: Sequence[Planned]) -> int | None:
    """How many runs a search will come to; None of what is none."""
    if sweep is None or sweep.search is None:
        return None
    return sweep.search.trials if is_adaptive(sweep) else len(planned)


def known(sweep: Sweep, root: Path, to_run: bool = True) -> list[Planned]:
    """The runs of any sweep: of a search by optuna, which plans none ahead, those that the ledger has."""
    if not is_adaptive(sweep):
        return expand(sweep, to_run)
    check_asked(sweep)
    return [plan for plan, _ in Members(sweep, to_run).among(root)]


def examples(sweep: Sweep) -> list[Experiment]:
    """One experiment a point, every axis at its first value: what may be asked of a search before it has chosen."""
    members = Members(sweep)
    space = members.space
    first = {key: draw(axis, 0.0) for key, axis in sweep.vary.items()}
    combinations = [space.combination(point, first) for point in space.points]
    return [members.assembly.experiment(one.changes, space.where(one.point))[1] for one in combinations]


class Members:
    """Finds a sweep's runs in a ledger, each experiment looked at once."""

    def __init__(self, sweep: Sweep, to_run: bool = True) -> None:
        self.space = Space(sweep)
        self.assembly = Assembly(self.space.base, to_run)
        self._seen: set[str] = set()
        self._values: dict[tuple[str, str, str], dict[str, Any]] = {}

    def among(self, root: Path) -> Iterator[tuple[Planned, Combination]]:
        """The sweep's runs that were not seen before, in the order of their ids."""
        for run in runs(root, self._seen):
            try:
                found = None if run.state == "imported" else self.member(run.experiment())
            except ConfigError:  # of another version of the code
                found = None
            if found is not None:
                yield found
            self._seen.add(run.id)  # now, for what could not be read may be read the next time

    def member(self, experiment: Experiment) -> tuple[Planned, Combination] | None:
        """The experiment as a run of the sweep, with its values on the axes; None where it is not in its space."""
        for point in self.space.points:
            values = self._on_axes(point, experiment)
            if values is None:
                continue
            combination = self.space.combination(point, values)
            try:
                plan = plan_of(self.space, self.assembly, combination)
            except ConfigError:
                continue
            if plan is not None and plan.id == run_id(experiment):
                return plan, combination
        return None

    def seen(self, id: str) -> None:
        """Note a run that the search itself has begun."""
        self._seen.add(id)

    def _on_axes(self, point: str, experiment: Experiment) -> dict[str, Any] | None:
        """The values as the sweep writes them; None where one is not on its axis."""
        found = {}
        for key, axis in self.space.sweep.vary.items():
            if key in self.space.points[point]:
                continue
            value = value_at(experiment, key, _ABSENT)
            if value is _ABSENT:
                continue
            if is_numeric(axis):
                if not contains(axis, value):
                    return None
                found[key] = value
            else:
                written = self._written(point, key, axis, experiment)
                if repr(value) not in written:
                    return None
                found[key] = written[repr(value)]
        return found

    def _written(self, point: str, key: str, axis: Any, experiment: Experiment) -> dict[str, Any]:
        """What each of an axis's choices validates to -> the choice as it is written, `1e-4` for one."""
        group = key.partition(".")[0]
        method = f"{group}.method"
        deciding = {method: value_at(experiment, method)} if group in METHODS and key != method else {}
        cached = (point, key, str(deciding))
        if cached not in self._values:
            self._values[cached] = found = {}
            for choice in axis if isinstance(axis, list) else axis["choice"]:
                changes = {**self.space.points[point], **deciding, key: choice}
                try:
                    other = validate(Experiment, override(self.space.base, changes))
                except ConfigError:
                    continue
                found.setdefault(repr(value_at(other, key)), choice)
        return self._values[cached]


_ABSENT = object()
