"""A sweep in another world: the same points and axes over that world's experiment, its domains and its backbones.

`rein sweep paper_backbones --domains toy` asks the paper's question of drawn scenes: whoever is about to spend a
thousand GPU-hours sees every table and figure first, from runs of seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rein.config import ConfigError, Experiment, Sweep, World, nearest
from rein.config.keys import fits
from rein.config.mappings import dotted
from rein.config_io import find, load, override, read_yaml
from rein.data.domains import FAMILIES, expand

#: What of a sweep's base experiment is the question, beside its tuning; all else (sizes, budget) is the world's.
ASKED = (
    "backbone.name", "head.method", "data.sources", "data.targets", "data.augmentation", "data.fraction",
    "data.weights",
)  # fmt: skip


@dataclass(frozen=True)
class Moved:
    """A sweep as it is run: in another world, or where it was written for."""

    sweep: Sweep
    world: World | None = None
    #: Domain or backbone of the world -> the one of the sweep that it stands for.
    stands_for: Mapping[str, str] = field(default_factory=dict)


def load_sweep(name: str, overrides: Iterable[str] = (), world: str | None = None) -> Sweep:
    """Read a sweep by file or shipped name, with its changes, in the world of that name if one is given."""
    return move(load(Sweep, name, overrides), world).sweep


def move(sweep: Sweep, name: str | None) -> Moved:
    """A sweep in a world. Raises ConfigError for a domain or backbone that has no place there."""
    if name is None:
        return Moved(sweep)
    world = load(World, name)
    there = _There(world, str(find(World, name)))
    base = _asked(read_yaml(find(Experiment, sweep.experiment)))
    points = {
        point: {
            key: there.value(key, value)
            for key, value in dotted(override(base, changes))
            if key in changes or key not in sweep.vary  # a point's own values win over the axes, the base's do not
        }
        for point, changes in (sweep.points or {"": {}}).items()
    }
    axes = {key: world.vary.get(key, axis) for key, axis in sweep.vary.items()}
    vary = {key: [there.value(key, one) for one in axis] if isinstance(axis, list) else axis
            for key, axis in axes.items()}  # fmt: skip
    exclude = tuple({key: there.wanted(key, value) for key, value in entry.items()} for entry in sweep.exclude)
    there_too: dict[str, Any] = {"points": points, "vary": vary, "exclude": exclude}
    moved = replace(sweep, experiment=world.experiment, **there_too, resources=world.resources, rules=[])
    return Moved(moved, world, there.stands_for)


def name_in(name: str, world: str | None) -> str:
    """What a sweep by file or shipped name is called in a world: `paper_backbones-toy`."""
    stem = Path(name).stem
    return stem if world is None else f"{stem}-{Path(world).stem}"


#: Keys whose values are names that the world has others for -> the table of them.
NAMED = {"backbone.name": "backbones", "data.sources": "domains", "data.targets": "domains"}


class _There:
    """Values of a sweep as the world has them; remembers what stands for what."""

    def __init__(self, world: World, where: str) -> None:
        self.where = where
        self.tables = {"domains": world.domains, "backbones": world.backbones}
        self.stands_for: dict[str, str] = {}

    def value(self, key: str, value: Any) -> Any:
        if key not in NAMED:
            return value
        if isinstance(value, list):
            return [self._name(NAMED[key], one) for one in value]
        return self._name(NAMED[key], value)

    def wanted(self, key: str, value: Any) -> Any:
        """What `exclude` leaves out; a pattern is read as the names of the sweep's own place that fit it."""
        if key not in NAMED:
            return value
        return [there for name, there in self.tables[NAMED[key]].items() if fits(name, value)]

    def _name(self, kind: str, name: str) -> str:
        table = self.tables[kind]
        if name not in table:
            raise ConfigError(f"{self.where}: `{kind}` has nothing for {name}{nearest(name, table)}")
        there = table[name]
        if self.stands_for.setdefault(there, name) != name:
            raise ConfigError(
                f"{self.where}: `{kind}`: {there} would stand for {self.stands_for[there]} and for {name} in "
                f"one sweep; give one of them another"
            )
        if there in FAMILIES:  # and its members for that one's: toy-c-fog-3 for cityscapes-c-fog-3
            self.stands_for |= {one: name + one.removeprefix(there) for one in expand(there)}
        return there


def _asked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an experiment's YAML that is the question."""
    kept = {key: value for key, value in dotted(values) if key in ASKED or key.startswith("tuning.")}
    return override({}, kept)
