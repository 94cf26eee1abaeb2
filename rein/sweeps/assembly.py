"""Many experiments over one base, each group of their keys validated once for each of its values.

A sweep of 100,000 runs has few different tunings, heads and optimisers. What is checked and hashed of a group depends
on the group alone, so runs share it; what groups must be to each other is checked for each new combination of those.
The results are those of `build` and `run_id`, one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, NamedTuple, get_type_hints

from pydantic import TypeAdapter, ValidationError

from rein.config import ConfigError, Experiment, nearest
from rein.config.experiment import canonical, id_of
from rein.config.keys import METHODS
from rein.config_io import build, check_data, check_numbers, override

#: The fields of an experiment: groups of keys, and single numbers.
FIELDS = tuple(field.name for field in fields(Experiment))


_MISSING: Any = object()
_DEFAULT = Experiment()


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(get_type_hints(Experiment, include_extras=True)[name])


class _Part(NamedTuple):
    """One field's value, and its JSON as it enters the run id."""

    value: Any
    text: str


class Assembly:
    """Experiments over a base mapping; where nothing is to run (`to_run` False), domains need not be known here."""

    def __init__(self, base: Mapping[str, Any], to_run: bool = True) -> None:
        self.base, self.to_run = base, to_run
        self._parts: dict[tuple[Any, ...], _Part] = {}
        #: Groups that a run changes -> all other fields, as the base has them.
        self._rest: dict[tuple[str, ...], dict[str, _Part]] = {}
        self._fit: set[tuple[int, ...]] = set()
        self._data: set[int] = set()

    def experiment(self, changes: Mapping[str, Any], where: str) -> tuple[str, Experiment]:
        """The run id and the experiment of the base with dotted changes. Raises ConfigError as `build` does."""
        groups: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        for key, value in changes.items():
            groups[key.partition(".")[0]][key] = value
        try:
            parts = dict(self._unchanged(tuple(groups)))
            for name, changed in groups.items():
                parts[name] = self._part(name, changed)
        except ConfigError:
            build(Experiment, override(self.base, changes), where, self.to_run)  # says it of the whole, and where
            raise
        experiment = Experiment(**{name: part.value for name, part in parts.items()})
        self._check(experiment, where)
        return id_of({name: part.text for name, part in parts.items()}), experiment

    def _unchanged(self, changed: tuple[str, ...]) -> dict[str, _Part]:
        """The base's own parts. Raises ConfigError for fields, of the base or changed, that there are not."""
        rest = self._rest.get(changed)
        if rest is None:
            if unknown := {*self.base, *changed} - {*FIELDS}:
                raise ConfigError(f"unknown key `{min(unknown)}`{nearest(min(unknown), FIELDS)}")
            rest = {name: self._part(name, {}) for name in FIELDS if name not in changed}
            self._rest[changed] = rest
        return rest

    def _part(self, name: str, changes: Mapping[str, Any]) -> _Part:
        key = (name, *changes, *map(repr, changes.values()))
        part = self._parts.get(key)
        if part is None:
            value = self._validated(name, changes)
            part = self._parts[key] = _Part(value, canonical(name, plain(value)))
        return part

    def _validated(self, name: str, changes: Mapping[str, Any]) -> Any:
        """A field with its changes. Raises ConfigError where it is wrong, in no words for a person."""
        own = self.base.get(name, _MISSING)
        leaves = {key.partition(".")[2]: value for key, value in changes.items()}
        if isinstance(own, dict) and leaves and not leaves.keys() & {"", "method"}:
            values = {**own, **leaves}  # as `override` has it, which is slower for it copies deeply
        else:
            given = {} if own is _MISSING else {name: own}
            values = override(given, changes).get(name, _MISSING)
        if values is _MISSING:
            return getattr(_DEFAULT, name)
        if name in METHODS and isinstance(values, dict):
            values = {"method": getattr(_DEFAULT, name).method, **values}
        try:
            return _adapter(name).validate_python(values)
        except ValidationError as error:
            raise ConfigError(str(error)) from None

    def _check(self, experiment: Experiment, where: str) -> None:
        """What groups must be to each other. Parts are kept here, so that an object's id stands for its value."""
        together = tuple(map(id, (experiment.data, experiment.head, experiment.evaluation)))
        if together in self._fit:
            return
        check_numbers(experiment, where)
        if self.to_run and together[0] not in self._data:
            check_data(experiment, where)
            self._data.add(together[0])
        self._fit.add(together)


def plain(value: Any) -> Any:
    """A field as `to_dict` gives it: groups are flat, so there is nothing to copy deeply."""
    if not is_dataclass(value):
        return value
    return {key: list(one) if isinstance(one, tuple) else one for key, one in vars(value).items()}
