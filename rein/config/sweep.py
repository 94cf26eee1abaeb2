"""A sweep is a question: a base experiment, what varies, and what a run may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import PlainValidator, PositiveFloat, PositiveInt

from rein.config.search import Axis, Search
from rein.config.strict import STRICT


def _gpus(value: object) -> float | Literal["auto"]:
    if value == "auto":
        return "auto"
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("give a number of GPUs, 0.5 for two runs a GPU, or `auto`")


#: Fractions share a GPU; `auto` gives a run the share that its like was measured to need, a whole one before.
GPUs = Annotated[float | Literal["auto"], PlainValidator(_gpus)]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one run may use: `workers` processes, each with that much."""

    __pydantic_config__ = STRICT
    #: CPUs of a process: what Ray counts, not a limit.
    #: Cores of each process.
    cpu: PositiveFloat = 1
    gpu: GPUs = 0
    #: Processes of one run, each with this much: they share every batch.
    workers: PositiveInt = 1


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Other resources for some of a sweep's runs; what it leaves out stays as it was."""

    __pydantic_config__ = STRICT
    #: Dotted key -> a value, or a pattern such as `*giant*`; a run must fulfil all of them.
    when: dict[str, Any]
    #: As in `resources`.
    cpu: PositiveFloat | None = None
    #: As in `resources`.
    gpu: GPUs | None = None
    #: As in `resources`.
    workers: PositiveInt | None = None


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
    #: Resources of runs of some kind; of several rules that fit a run, the last one counts.
    rules: list[Rule] = field(default_factory=list)
