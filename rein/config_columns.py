"""The config of many runs as columns of dotted keys, without a mapping of sixty keys for each of ten thousand runs.

Runs of a sweep share most groups of keys (`tuning`, `optim`): each is read, checked and flattened once for each of
its texts, and a column is looked up in what a group has been.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rein.config import Experiment
from rein.ledger import Run, plain_yaml
from rein.sweeps.assembly import FIELDS, Assembly, plain

#: The groups of an experiment, each as dotted keys and values, lists as tuples; runs share what is equal.
Groups = tuple[Mapping[str, Any], ...]

_GROUP = re.compile(r"\n(?=\w)")


class Configs:
    """Experiments as groups of dotted keys."""

    def __init__(self) -> None:
        self._assembly = Assembly({}, to_run=False)
        self._read: dict[str, dict[str, Any] | None] = {}
        #: A field and the id of its value -> the value, which keeps its id from another, and its dotted keys.
        self._flat: dict[tuple[str, int], tuple[Any, Mapping[str, Any]]] = {}

    def read(self, run: Run) -> Groups:
        """What was run, with the defaults of what younger code has added. Raises ConfigError as `Run.experiment`."""
        path = run.path / "experiment.yaml"
        return self.flat(self._assembly.experiment(self._values(run), str(path))[1])

    def flat(self, experiment: Experiment) -> Groups:
        """An experiment's groups."""
        return tuple(self._keys(name, getattr(experiment, name)) for name in FIELDS)

    def _values(self, run: Run) -> dict[str, Any]:
        try:
            text = (run.path / "experiment.yaml").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return run.values()
        values: dict[str, Any] = {}
        groups = _GROUP.split(text)
        for group in groups:
            if group not in self._read:
                self._read[group] = plain_yaml.read(group)
            values |= self._read[group] or {}
        return values if len(values) == len(groups) else run.values()  # a key that is there twice, or is not plain

    def _keys(self, name: str, value: Any) -> Mapping[str, Any]:
        known = self._flat.get((name, id(value)))
        if known is None:
            own = plain(value)
            flat = {f"{name}.{key}": one for key, one in own.items()} if isinstance(own, dict) else {name: own}
            flat = {key: tuple(one) if isinstance(one, list) else one for key, one in flat.items()}
            known = self._flat[name, id(value)] = value, flat
        return known[1]


def columns(rows: Sequence[Groups]) -> pd.DataFrame:
    """A row a config, a column a dotted key, missing where a config has no such key.

    Numbers are numbers, flags bool, strings and tuples categoricals; what is now one and now the other are objects.
    """
    found: dict[str, Any] = {}
    for place in range(len(FIELDS)):
        groups = {id(row[place]): row[place] for row in rows}
        order = {group: number for number, group in enumerate(groups)}
        codes = np.fromiter((order[id(row[place])] for row in rows), np.intp, len(rows))
        for key in dict.fromkeys(key for group in groups.values() for key in group):
            found[key] = _column([group.get(key) for group in groups.values()], codes)
    return pd.DataFrame(found)


def categorical(values: Sequence[Any], codes: np.ndarray) -> pd.Series:
    """The values, strings or tuples, at some places; missing for None.

    The categories are sorted: groups and pivots come in the order that the values themselves would give.
    """
    known = sorted({value for value in values if value is not None}, key=str)
    places = {value: place for place, value in enumerate(known)}
    inner = np.array([-1 if value is None else places[value] for value in values], np.intp)
    dtype = object if known and isinstance(known[0], tuple) else "str"
    categories = pd.Index(known, dtype=dtype, tupleize_cols=False)
    return pd.Series(pd.Categorical.from_codes(inner[codes], categories=categories))


def _column(values: list[Any], codes: np.ndarray) -> Any:
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {bool} and None not in values:
        return np.array(values, bool)[codes]
    if kinds == {int} and None not in values:
        return np.array(values, np.int64)[codes]
    if kinds <= {int, float}:
        return np.array(values, np.float64)[codes]
    if kinds in ({str}, {tuple}):
        return categorical(values, codes)
    return pd.Series(values, dtype=object).to_numpy()[codes]
