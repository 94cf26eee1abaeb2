"""A sweep is a question: a base experiment, what varies, and what a run may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import PositiveFloat

from rein.config.search import Axis, Search
from rein.config.strict import STRICT


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one run may use; fractions of a GPU share it."""

    __pydantic_config__ = STRICT
    cpu: PositiveFloat = 1
    gpu: float = 0


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A question: a base experiment, named points, axes. Every point is crossed with every combination of the axes."""

    __pydantic_config__ = STRICT
    #: Name or path of the base experiment.
    experiment: str
    #: Name of a variant -> its overrides; the name is the variant's row in a table.
    points: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Dotted key -> values, which make a grid, or a distribution (`{loguniform: [1e-5, 1e-2]}`), which a search draws
    #: from. A key that a run's tuning or head does not have is no axis of that run.
    vary: dict[str, Axis] = field(default_factory=dict)
    #: Runs that are left out: those in which all keys of an entry have these values; text may hold `*`.
    exclude: tuple[dict[str, Any], ...] = ()
    #: How the runs are chosen and stopped; None tables them all.
    search: Search | None = None
    resources: Resources = field(default_factory=Resources)
