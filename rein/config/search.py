"""How a sweep is searched instead of tabled: who chooses the runs, and who stops the hopeless ones early."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt

from rein.config.strict import STRICT

#: What an axis is drawn from, and what its two (or, of a choice, all) values mean.
DISTRIBUTIONS = ("uniform", "loguniform", "int", "logint", "choice")


def _axis(value: Any) -> Any:
    """A list of values, or `{loguniform: [1e-5, 1e-2]}`."""
    if isinstance(value, list | tuple):
        return list(value)
    if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in DISTRIBUTIONS:
        raise ValueError(f"a list, or one of {', '.join(DISTRIBUTIONS)}, as {{loguniform: [1e-5, 1e-2]}}")
    ((kind, values),) = value.items()
    if not isinstance(values, list | tuple) or not values:
        raise ValueError(f"`{kind}` takes a list")
    return {kind: list(values) if kind == "choice" else _bounds(kind, values)}


def _bounds(kind: str, values: Any) -> list[Any]:
    try:
        low, high = (float(value) for value in values)  # YAML reads 1e-4 as text
    except (TypeError, ValueError):
        raise ValueError(f"`{kind}` goes from one number to another, as [1e-5, 1e-2]") from None
    if not low < high or (kind.startswith("log") and low <= 0):
        raise ValueError(
            f"`{kind}` goes from a {'positive ' if kind.startswith('log') else ''}number to a larger one, "
            f"not from {low:g} to {high:g}"
        )
    if not kind.endswith("int"):
        return [low, high]
    if low % 1 or high % 1:
        raise ValueError(f"`{kind}` goes from one whole number to another, both included")
    return [int(low), int(high)]


#: The values of a dotted key: a list, or a distribution as a mapping of its kind to its bounds (or its choices).
Axis = Annotated[list[Any] | dict[str, list[Any]], BeforeValidator(_axis)]


@dataclass(frozen=True, kw_only=True)
class ASHA:
    """Asynchronous successive halving (arXiv 1810.05934): of the runs at a rung only the best go on. It never waits."""

    __pydantic_config__ = STRICT
    method: Literal["asha"] = "asha"
    #: Steps that every run gets; None is the first evaluation.
    grace_period: PositiveInt | None = None
    #: One in so many goes on to the next rung, which lies at so many times the steps.
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    #: Halvings beside each other, of which the later ones stop nothing so early.
    brackets: PositiveInt = 1


@dataclass(frozen=True, kw_only=True)
class HyperBand:
    """Successive halving in brackets (arXiv 1603.06560), which waits for all runs of a bracket before it chooses."""

    __pydantic_config__ = STRICT
    method: Literal["hyperband"] = "hyperband"
    #: One in so many goes on, to so many times the steps.
    reduction_factor: Annotated[int, Field(ge=2)] = 3


@dataclass(frozen=True, kw_only=True)
class Median:
    """A run stops that is below the median of the others' running means (Google Vizier, 2017)."""

    __pydantic_config__ = STRICT
    method: Literal["median"] = "median"
    #: Steps that every run gets; None is the first evaluation.
    grace_period: PositiveInt | None = None
    #: Runs that there must be to compare with.
    min_samples: PositiveInt = 3


@dataclass(frozen=True, kw_only=True)
class PBT:
    """Population based training (arXiv 1711.09846): a schedule is searched, by runs that change while they train.

    Such runs are no experiments: they stay out of the ledger's tables.
    """

    __pydantic_config__ = STRICT
    method: Literal["pbt"] = "pbt"
    #: Steps between two exchanges; None is every evaluation.
    interval: PositiveInt | None = None
    #: Share of the population that takes over from as many of the best.
    quantile: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    #: The keys of `optim` that change, with what they are drawn from.
    mutate: dict[str, Axis] = field(default_factory=dict)


def _named(value: Any) -> Any:
    return {"method": value} if isinstance(value, str) else value


Scheduler = Annotated[ASHA | HyperBand | Median | PBT | None, Field(discriminator="method"), BeforeValidator(_named)]


@dataclass(frozen=True, kw_only=True)
class Search:
    """Who chooses a sweep's runs and who stops them early; by the sources' val splits alone."""

    __pydantic_config__ = STRICT
    #: `grid` takes every combination, `random` draws them, `optuna` learns from those that ended (TPE).
    sampler: Literal["grid", "random", "optuna"] = "grid"
    #: Runs in all, those that are there counted; more of them only add.
    trials: PositiveInt | None = None
    #: Of the draws; the runs' own seed is the experiment's.
    seed: NonNegativeInt = 0
    #: A name, or `{method: asha, grace_period: 500}`.
    scheduler: Scheduler = None
    #: Mean over the sources of the mIoU on their val splits. There is no other: targets are never chosen by.
    metric: str = "source_val"
