"""What each run of a sweep may use: by its word, its rules, and of a GPU by what its like was measured at."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rein.config import ConfigError, Experiment, Machine, Resources, Rule, Sweep, flatten, nearest
from rein.ledger import Run
from rein.sweeps.plan import Planned

#: What the CUDA context and the allocator's gaps take beside the peak of the tensors: a share of it and MiB.
MARGIN, CONTEXT_MIB = 1.15, 700

#: Keys that change how long a run takes or what it reads, not what it holds in memory at once.
WEIGHTLESS = ("seed", "steps", "optim.", "data.sources", "data.targets", "data.weights", "data.fraction",
              "data.holdout", "data.unknown_ids", "data.on_error", "data.cache", "data.scale", "data.flip",
              "data.max_class_share", "evaluation.every", "evaluation.images")  # fmt: skip
HEAVY = ("optim.precision",)


@dataclass(frozen=True)
class Node:
    """What one machine of a cluster has."""

    cpu: float
    gpu: float


class Allotment:
    """The resources of a sweep's runs: `resources`, changed by each rule that fits the run, in the file's order.

    `gpu: auto` is the share of a GPU that the largest peak among like runs needs (same backbone, tuning, head, crop,
    batch, precision), a whole one until a run of its like was measured.
    """

    def __init__(self, sweep: Sweep, planned: Sequence[Planned] = ()) -> None:
        """Raises ConfigError where a rule names a key that none of the planned runs has."""
        self.sweep = sweep
        if planned:
            _check_rules(sweep.rules, planned)
        self._shares: dict[str, float] = {}  # of a GPU, by kind of run

    def learn(self, planned: Iterable[Planned], runs: Path) -> None:
        """Take in what the runs took that have been measured on a GPU; reads only those whose share is not given."""
        for plan in planned:
            if self.declared(plan.experiment)[0].gpu == "auto" and (share := measured_share(Run(runs / plan.id))):
                kind = _kind(plan.experiment)
                self._shares[kind] = max(share, self._shares.get(kind, 0.0))

    @property
    def takes_gpus(self) -> bool:
        """Whether any run may use one."""
        said = [self.sweep.resources.gpu, *(rule.gpu for rule in self.sweep.rules)]
        return any(gpu is not None and gpu != 0 for gpu in said)

    def declared(self, experiment: Experiment) -> tuple[Resources, str]:
        """What the sweep says a run may use, and where it says so: `resources`, `rules[1]`."""
        resources, where = self.sweep.resources, "resources"
        for index, rule in enumerate(self.sweep.rules):
            if _fits(rule, experiment):
                said = {name: getattr(rule, name) for name in ("cpu", "gpu", "workers")}
                resources = replace(resources, **{name: value for name, value in said.items() if value is not None})
                where = f"rules[{index}]"
        return resources, where

    def of(self, experiment: Experiment) -> Resources:
        """What a run may use, as numbers."""
        resources, _ = self.declared(experiment)
        if resources.gpu != "auto":
            return resources
        return replace(resources, gpu=self._shares.get(_kind(experiment), 1.0))

    def check(self, planned: Sequence[Planned], nodes: Sequence[Node]) -> None:
        """Raise ConfigError for a run that no node, or for its workers the whole cluster, can hold.

        An executor would wait for such a run without end.
        """
        seen: set[Resources] = set()
        for plan in planned:
            needs, where = self.declared(plan.experiment)
            if needs in seen:
                continue
            seen.add(needs)
            needs = replace(needs, gpu=1) if needs.gpu == "auto" else needs
            if slots(needs, nodes) < needs.workers:
                raise ConfigError(_too_large(plan, needs, where, nodes))


def _check_rules(rules: Sequence[Rule], planned: Iterable[Planned]) -> None:
    """Raise ConfigError for a rule that names a key no run has: a typo would change nothing, silently."""
    kinds = {type(plan.experiment.tuning): plan.experiment for plan in planned}  # the keys differ by the tuning's
    known = {key for experiment in kinds.values() for key in flatten(experiment)}
    for index, rule in enumerate(rules):
        for key in rule.when:
            if key not in known:
                raise ConfigError(f"rules[{index}].when: no run has the key {key}{nearest(key, known)}")


def measured_share(run: Run) -> float | None:
    """The share of a GPU that a run needs by its own peak; None where it was not measured on one."""
    peak = run.status().get("peak_memory_mib")
    try:
        memory = json.loads((run.path / "environment.json").read_text()).get("device_memory_mib")
    except FileNotFoundError:  # it never came so far
        return None
    return share_of_gpu(peak, memory) if peak and memory else None


def share_of_gpu(peak_mib: float, memory_mib: float) -> float:
    """1/n where n runs of that peak fit on a GPU of that memory, with a margin; at most a whole one."""
    together = min(max(1, math.floor(memory_mib / (peak_mib * MARGIN + CONTEXT_MIB))), 100)
    return math.floor(10_000 / together) / 10_000  # Ray counts in ten-thousandths


def slots(needs: Resources, nodes: Sequence[Node]) -> int:
    """How many processes of a run the nodes hold at once, each on one node."""
    return sum(min(_times(node.cpu, needs.cpu), _times(node.gpu, float(needs.gpu))) for node in nodes)


def share_of_machine(machine: Machine, resources: Resources) -> Machine:
    """The machine as one run may use it: as many threads as CPUs, and no GPU that it did not ask for."""
    device = "cpu" if machine.device == "auto" and not resources.gpu else machine.device
    return replace(machine, threads=machine.threads or max(1, int(resources.cpu)), device=device)


def _times(have: float, need: float) -> int:
    return 1_000_000 if not need else math.floor(have / need + 1e-6)


def _fits(rule: Rule, experiment: Experiment) -> bool:
    values = flatten(experiment)
    return all(key in values and _matches(values[key], wanted) for key, wanted in rule.when.items())


def _matches(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, str):
        return fnmatchcase(str(value), wanted)
    return value == (tuple(wanted) if isinstance(value, tuple) and isinstance(wanted, list) else wanted)


def _kind(experiment: Experiment) -> str:
    values: Mapping[str, Any] = flatten(experiment)
    return repr([(key, values[key]) for key in sorted(values) if key in HEAVY or not key.startswith(WEIGHTLESS)])


def _too_large(plan: Planned, needs: Resources, where: str, nodes: Sequence[Node]) -> str:
    have = "; ".join(sorted({f"{node.cpu:g} CPU, {node.gpu:g} GPU" for node in nodes})) or "no node is alive"
    each = f"{needs.cpu:g} CPU and {float(needs.gpu):g} GPU"
    holds = slots(needs, nodes)
    asks = f"asks for {each}, no node of the cluster has that"
    if needs.workers > 1:
        asks = f"asks for {needs.workers} workers of {each}, the cluster has room for {holds}"
    return f"{where}: {plan.label} ({plan.id}) {asks} ({have}); lower `{where}.cpu` or `{where}.gpu`" + (
        f" or `{where}.workers`" if needs.workers > 1 else ""
    )
