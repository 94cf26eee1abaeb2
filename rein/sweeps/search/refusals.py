"""What a sweep may not ask of a search, and why: a choice must not see the targets, nor be a choice of luck."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rein.config import PBT, ConfigError, Experiment, Search, Sweep, nearest
from rein.config_io import find as find_file
from rein.config_io import override, read_yaml, validate
from rein.data.selection import scored_domains

#: The one thing that runs are chosen by: the mean over the sources of the mIoU on their val splits.
METRIC = "source_val"

#: Words for a target's score, beside the targets' own names.
OF_TARGETS = ("target", "targets", "test", "oracle")

#: What population based training may change while a run goes on.
MUTABLE = ("optim.lr", "optim.backbone_lr", "optim.weight_decay")


def check_asked(sweep: Sweep) -> None:
    """Raise ConfigError for a search that cannot be, or that would make its own numbers worthless."""
    drawn = [key for key, axis in sweep.vary.items() if not isinstance(axis, list)]
    search = sweep.search
    if drawn and (search is None or search.sampler == "grid"):
        raise ConfigError(
            f"vary: {drawn[0]} is a distribution, of which a grid has no values; list some, or let them be drawn: "
            f"'search={{sampler: random, trials: 20}}'"
        )
    if search is None:
        return
    if search.sampler == "grid" and search.trials is not None:
        raise ConfigError("search.trials: a grid has as many runs as it has; take `trials` out, or `sampler: random`")
    if search.sampler != "grid" and search.trials is None:
        raise ConfigError(f"search.trials is missing: how many runs `sampler: {search.sampler}` is to choose")
    if search.metric != METRIC:
        raise ConfigError(_why_not(search.metric, sweep))
    if len(seeds := _seeds(sweep)) > 1:
        raise ConfigError(
            f"seed: a search among seeds ({', '.join(map(str, seeds))}) would choose the lucky one and show its luck "
            f"as a gain; search with one, then put what it finds into a sweep with several"
        )
    if isinstance(search.scheduler, PBT):
        _check_mutations(search, search.scheduler)


def check_searched(search: Search, experiments: Iterable[Experiment]) -> None:
    """Raise ConfigError where a run would have no score to be chosen by, or none before its end to be stopped by."""
    for experiment in _unlike(experiments):
        if not any(role == "source" for _, role in scored_domains(experiment)):
            sources = ", ".join(experiment.data.sources)
            raise ConfigError(
                f"search: {sources}: no val split, so there is no `{METRIC}` to choose by; keep a share of the "
                f"training images as one by data.holdout=1/20"
            )
        every = experiment.evaluation.every
        if search.scheduler is not None and (every is None or every >= experiment.steps):
            raise ConfigError(
                f"search.scheduler: {search.scheduler.method} stops runs by their scores on the way, and `evaluation."
                f"every` is {every} of {experiment.steps} steps; set it, as evaluation.every={experiment.steps // 10}"
            )


def _unlike(experiments: Iterable[Experiment]) -> Iterable[Experiment]:
    """One experiment for each of the few (data, evaluation, steps): 100,000 runs share their parts."""
    return {(id(one.data), id(one.evaluation), one.steps): one for one in experiments}.values()


def _why_not(metric: str, sweep: Sweep) -> str:
    name = metric.partition("/")[0]
    experiments = bases(sweep)
    words = set(re.split(r"[^a-z]+", metric.lower()))
    if words & set(OF_TARGETS) or any(name in one.data.targets for one in experiments):
        return (
            f"search.metric: `{metric}` is a score on the targets, which no longer test a run that was chosen by them; "
            f"choose by `{METRIC}`, the mean mIoU on the sources' val splits"
        )
    if any(name in one.data.sources for one in experiments):
        return f"search.metric: `{metric}` is of one source; choose by `{METRIC}`, the mean over all of them"
    return f"search.metric: unknown `{metric}`{nearest(metric, [METRIC])}; a search chooses by `{METRIC}` alone"


def bases(sweep: Sweep) -> list[Experiment]:
    """The experiment at each point, whatever varies."""
    base = read_yaml(find_file(Experiment, sweep.experiment))
    return [validate(Experiment, override(base, point)) for point in (sweep.points or {"": {}}).values()]


def _seeds(sweep: Sweep) -> list[str]:
    """Every seed that a run of the sweep would have, as written."""
    axis = sweep.vary.get("seed")
    found: dict[str, None] = {}
    for point, experiment in zip((sweep.points or {"": {}}).values(), bases(sweep), strict=True):
        if axis is None or "seed" in point:
            found[str(experiment.seed)] = None
        else:
            found |= dict.fromkeys(map(str, axis if isinstance(axis, list) else ["drawn", "anew"]))
    return list(found)


def _check_mutations(search: Search, scheduler: PBT) -> None:
    if search.sampler == "optuna":
        raise ConfigError(
            "search.sampler: pbt changes runs while they train, which tells optuna nothing; take `random`"
        )
    if not scheduler.mutate:
        raise ConfigError(
            "search.scheduler.mutate is missing: what pbt changes, as {optim.lr: {loguniform: [1e-5, 1e-2]}}"
        )
    for key in scheduler.mutate:
        if key not in MUTABLE:
            raise ConfigError(
                f"search.scheduler.mutate: `{key}` cannot change while a run trains{nearest(key, MUTABLE)}; "
                f"known: {', '.join(MUTABLE)}"
            )
