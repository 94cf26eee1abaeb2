"""The dotted keys that there are, of every method of a tuning or head; an experiment's value at one, and patterns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, get_args

from rein.config.experiment import Experiment
from rein.config.heads import Head
from rein.config.mappings import flatten
from rein.config.tunings import Tuning

#: Group with a choice of methods -> method -> the names of its fields.
METHODS: Mapping[str, Mapping[str, frozenset[str]]] = {
    group: {kind.method: frozenset(field.name for field in fields(kind)) for kind in get_args(get_args(union)[0])}
    for group, union in (("tuning", Tuning), ("head", Head))
}


@cache
def known_keys() -> frozenset[str]:
    """Every dotted key that an experiment of some method can have."""
    of_methods = {f"{group}.{name}" for group, kinds in METHODS.items() for names in kinds.values() for name in names}
    return frozenset(flatten(Experiment())) | of_methods


_ABSENT = object()


def value_at(experiment: Experiment, key: str, default: Any = None) -> Any:
    """An experiment's value at a dotted key; the default where its tuning or head has no such key."""
    node: Any = experiment
    for part in key.split("."):
        node = getattr(node, part, _ABSENT)
        if node is _ABSENT:
            return default
    return node


def matches(experiment: Experiment, wanted: Mapping[str, Any]) -> bool:
    """Whether an experiment has all the wanted values; text may hold `*`, a list of values is any of them."""
    return all(fits(value_at(experiment, key, _ABSENT), value) for key, value in wanted.items())


def fits(value: Any, wanted: Any) -> bool:
    """Whether a value is the wanted one, one of a list of wanted ones, or fits text with `*`."""
    if isinstance(value, tuple):
        return list(value) == wanted or any(fits(one, wanted) for one in value)
    if isinstance(wanted, list):
        return any(fits(value, one) for one in wanted)
    if isinstance(value, str) and isinstance(wanted, str):
        return fnmatchcase(value, wanted)
    if isinstance(value, float) and isinstance(wanted, str):  # YAML reads 1e-4 as text
        try:
            return value == float(wanted)
        except ValueError:
            return False
    return value == wanted
