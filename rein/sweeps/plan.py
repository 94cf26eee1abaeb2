"""From a sweep to its runs, and what of them the ledger still lacks. Starts nothing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rein.config import ConfigError, Experiment, Sweep, run_id
from rein.config_io import build, find, override, read_yaml
from rein.ledger import Run


@dataclass(frozen=True)
class Planned:
    """One run of a sweep."""

    id: str
    #: The sweep's name of the variant; empty for a sweep without named points.
    point: str
    #: Its values on the axes that have more than one.
    axes: dict[str, object]
    experiment: Experiment


def expand(sweep: Sweep) -> list[Planned]:
    """Every run of a sweep: each named point crossed with each combination of the axes, in the file's order.

    A point's own values win over the axes' (a control that needs one seed names it); equal runs are planned once.
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
            where = f"{path} with point {point!r}" if point else str(path)
            experiment = build(Experiment, override(base, {**combination, **changes}), where)
            id = run_id(experiment)
            axes = {key: value for key, value in combination.items() if len(sweep.vary[key]) > 1 and key not in changes}
            planned.setdefault(id, Planned(id, point, axes, experiment))
    return list(planned.values())


def left(planned: Sequence[Planned], root: Path) -> list[Planned]:
    """The runs that are not done."""
    return [run for run in planned if Run(root / run.id).state not in ("done", "pruned")]
