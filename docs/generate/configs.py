"""The pages of what people write in YAML."""

from __future__ import annotations

from typing import Any, get_args

from docs.generate.fields import about, table
from rein import config
from rein.config.search import DISTRIBUTIONS
from rein.domain_files import DomainFile, SplitFile


def experiment() -> str:
    """Every dotted key of an experiment, the tunings and heads by method."""
    groups = {"data": config.Data, "optim": config.Optim, "evaluation": config.Evaluation}
    return "\n\n".join(
        [
            "# Experiment",
            "Every key of an experiment by its dotted name, which is the same in a YAML file (`tuning: {rank: 8}`), "
            "on the command line (`tuning.rank=8`), as a sweep's axis, as MLflow's parameter and as a column of the "
            "results. The defaults are the paper's recipe at 512 pixels. All of them enter the run id.",
            table(config.Experiment, without=("backbone", "tuning", "head", *groups)),
            *_group("backbone", config.Backbone),
            *_methods("tuning", config.Tuning),
            *_methods("head", config.Head),
            *(part for name, kind in groups.items() for part in _group(name, kind)),
        ]
    )


def sweep() -> str:
    """The keys of a sweep, of a search, and of a world."""
    schedulers = (config.ASHA, config.HyperBand, config.Median, config.PBT)
    return "\n\n".join(
        [
            "# Sweep",
            "The keys of a file in `sweeps/`; [Sweeps](../sweeps.md) says how they are used.",
            about(config.Sweep),
            table(config.Sweep),
            "An axis is a list of values, or for a search one of "
            f"{', '.join(f'`{kind}`' for kind in DISTRIBUTIONS)} with its two bounds (of a `choice`, all its values).",
            *_group("resources", config.Resources),
            "## rules",
            about(config.Rule),
            table(config.Rule),
            *_group("search", config.Search),
            *(part for kind in schedulers for part in _method("search.scheduler", kind)),
            "## World",
            "The keys of a file in `worlds/`, which `--domains` names.",
            about(config.World),
            table(config.World),
        ]
    )


def report() -> str:
    """The keys of a report, its tables and its figures."""
    return "\n\n".join(
        [
            "# Report",
            "The keys of a file in `reports/`; [Reports](../reports.md) says how they are used.",
            about(config.Report),
            table(config.Report),
            "## tables",
            about(config.Table),
            table(config.Table),
            "## figures",
            about(config.Figure),
            table(config.Figure),
        ]
    )


def domain() -> str:
    """The keys of a domain's file."""
    return "\n\n".join(
        [
            "# Domain",
            "The keys of a file in `domains/`; [Your own data set](../own-data.md) says how they are used.",
            table(DomainFile),
            "## train, val",
            about(SplitFile),
            table(SplitFile),
        ]
    )


def _group(name: str, kind: type) -> list[str]:
    return [f"## {name}", about(kind), table(kind, f"{name}.")]


def _methods(group: str, union: Any) -> list[str]:
    kinds = get_args(get_args(union)[0])
    names = ", ".join(f"`{kind.method}`" for kind in kinds)
    parts = [part for kind in kinds for part in _method(group, kind)]
    return [f"## {group}", f"`{group}.method` is one of {names}.", *parts]


def _method(group: str, kind: Any) -> list[str]:
    keys = table(kind, f"{group}.", without=("method",))
    return [part for part in (f"### {group}.method: {kind.method}", about(kind), keys) if part]
