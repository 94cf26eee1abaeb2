"""A sweep is a question: a base experiment, what varies, and what a run may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import PositiveFloat, PositiveInt

from rein.config.strict import STRICT


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one run may use; fractions of a GPU share it."""

    __pydantic_config__ = STRICT
    cpu: PositiveFloat = 1
    gpu: float = 0
    #: Processes of one run, each with this much: they share every batch.
    workers: PositiveInt = 1


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A question: a base experiment, named points, axes. Every point is crossed with every combination of the axes."""

    __pydantic_config__ = STRICT
    #: Name or path of the base experiment.
    experiment: str
    #: Name of a variant -> its overrides; the name is the variant's row in a table.
    points: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Dotted key -> values; lists make a grid.
    vary: dict[str, list[Any]] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
