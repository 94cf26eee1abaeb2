"""What a sweep's runs are taken from: its axes, which of them a run has, and draws that depend on seed and number."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rein.config import ConfigError, Experiment, Sweep, nearest
from rein.config.keys import METHODS, known_keys, matches
from rein.config_io import find, override, read_yaml

#: Significant digits of a drawn number: enough to search with, few enough to read.
DIGITS = 4


@dataclass(frozen=True)
class Combination:
    """What one run changes of the base, and which of the changes are values of axes."""

    point: str
    changes: dict[str, Any]
    axes: dict[str, Any]


class Space:
    """A sweep's points and axes over its base experiment.

    An axis of a tuning or head (`tuning.rank`) is none of a run whose method has no such key, and a point's own values
    win over the axes'.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.path = find(Experiment, sweep.experiment)
        self.base = read_yaml(self.path)
        self.points: Mapping[str, Mapping[str, Any]] = sweep.points or {"": {}}
        #: Axes that have more than one value, and so name a run.
        self.varied = {key for key, axis in sweep.vary.items() if is_drawn(axis) or len(axis) > 1}
        self._dependent = [key for key in sweep.vary if _group(key) in METHODS and not key.endswith(".method")]
        self._fields: dict[tuple[Any, ...], frozenset[str] | None] = {}
        self._unused = set(self._dependent)
        #: Entries of `exclude` that have left out nothing so far.
        self.idle = set(range(len(sweep.exclude)))
        self._check()

    def where(self, point: str) -> str:
        """How errors name a point."""
        return f"point {point!r} (over {self.path})" if point else str(self.path)

    def combination(self, point: str, values: Mapping[str, Any]) -> Combination:
        """The values of axes (of all, or of some) at a point, without those that do not apply there."""
        changes = self.points[point]
        own = {key: value for key, value in values.items() if key not in changes}
        for key in self._dependent:
            if key in own and not self._has(point, own, key):
                del own[key]
        if self._unused:
            self._unused.difference_update(own, changes)
        return Combination(point, {**own, **changes}, own)

    def excluded(self, experiment: Experiment) -> bool:
        """Whether an entry of `exclude` leaves the experiment out."""
        fitting = {index for index, entry in enumerate(self.sweep.exclude) if matches(experiment, entry)}
        self.idle -= fitting
        return bool(fitting)

    def draws(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Points with a value on every axis, without end; each depends on `search.seed` and its number alone."""
        assert self.sweep.search is not None
        seed, index = self.sweep.search.seed, 0
        points = list(self.points)
        while True:
            point = points[int(_uniform(seed, index, "point") * len(points))]
            yield point, {key: draw(axis, _uniform(seed, index, key)) for key, axis in self.sweep.vary.items()}
            index += 1

    def check_used(self) -> None:
        """Raise ConfigError for an axis that was none of any combination so far."""
        search = self.sweep.search
        tabled = search is None or search.sampler == "grid"  # else the draws may have missed those that have it
        for key in sorted(self._unused):
            if tabled or key not in known_keys():
                near = "" if key in known_keys() else nearest(key, known_keys())
                raise ConfigError(
                    f"vary: `{key}` is a key of none of this sweep's runs{near}; take the axis out, or add a point or "
                    f"a `{_group(key)}.method` that has it"
                )

    def _check(self) -> None:
        for key, axis in self.sweep.vary.items():
            if not axis:
                raise ConfigError(f"vary: {key} has no values; give it some, or take the axis out")
        for entry in self.sweep.exclude:
            for key in entry:
                if key not in known_keys():
                    raise ConfigError(f"exclude: unknown key `{key}`{nearest(key, known_keys())}")

    def _has(self, point: str, own: Mapping[str, Any], key: str) -> bool:
        fields = self._fields_of(_group(key), point, own)
        return fields is None or key.partition(".")[2] in fields

    def _fields_of(self, group: str, point: str, own: Mapping[str, Any]) -> frozenset[str] | None:
        """The keys of a group in a run; None where its method is unknown, which building it will say."""
        deciding = {key: own[key] for key in (group, f"{group}.method") if key in own}
        cached = (group, point, *map(repr, deciding.values()))
        if cached not in self._fields:
            kinds = METHODS[group]
            node = override(self.base, {**deciding, **self.points[point]}).get(group) or {}
            method = node.get("method", DEFAULTS[group]) if isinstance(node, dict) else None
            self._fields[cached] = kinds.get(method) if isinstance(method, str) else None
        return self._fields[cached]


#: What a group is where nobody names its method.
DEFAULTS = {group: getattr(Experiment(), group).method for group in METHODS}


def is_drawn(axis: list[Any] | Mapping[str, list[Any]]) -> bool:
    """Whether an axis is a distribution and no list."""
    return not isinstance(axis, list)


def draw(axis: list[Any] | Mapping[str, list[Any]], u: float) -> Any:
    """The value of an axis at `u` in [0, 1): of a list or `choice` one of its values, of the others by quantile."""
    kind, values = ("choice", axis) if isinstance(axis, list) else next(iter(axis.items()))
    if kind == "choice":
        return values[int(u * len(values))]
    low, high = values
    match kind:
        case "uniform":
            return rounded(low + u * (high - low), low, high)
        case "loguniform":
            return rounded(low * (high / low) ** u, low, high)
        case "int":
            return low + int(u * (high - low + 1))
        case _:  # logint: each whole number has the logarithmic width from half below to half above it
            first, last = low - 0.5, high + 0.5
            return min(high, max(low, round(first * (last / first) ** u)))


def rounded(value: float, low: float, high: float) -> float:
    """A drawn number as it is written, still within its bounds."""
    return min(high, max(low, float(f"{value:.{DIGITS}g}")))


def is_numeric(axis: list[Any] | Mapping[str, list[Any]]) -> bool:
    """Whether an axis is a range of numbers, and no list and no `choice`."""
    return is_drawn(axis) and "choice" not in axis


def contains(axis: list[Any] | Mapping[str, list[Any]], value: Any) -> bool:
    """Whether a validated value lies in a range of numbers."""
    assert isinstance(axis, Mapping)
    ((kind, (low, high)),) = axis.items()
    kinds = int if kind.endswith("int") else int | float
    return isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high


def _uniform(seed: int, index: int, key: str) -> float:
    """A number in [0, 1) by hash, so that another axis or one more draw changes no other."""
    digest = hashlib.sha256(f"{seed}/{index}/{key}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def _group(key: str) -> str:
    return key.partition(".")[0]
