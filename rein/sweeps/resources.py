"""What each run of a sweep may use: by its word, its rules, and of a GPU by what its like was measured at."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rein.config import ConfigError, Experiment, Machine, Resources, Rule, Sweep, flatten, nearest
from rein.ledger import Run
from rein.sweeps.bill.shape import held
from rein.sweeps.plan import Planned
from rein.sweeps.search.members import is_adaptive

log = logging.getLogger(__name__)

#: What the CUDA context and the allocator's gaps take beside the peak of the tensors: a share of it and MiB.
MARGIN, CONTEXT_MIB = 1.15, 700


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
        """Raises ConfigError where a rule names a key that none of the planned runs has; says so where it fits none."""
        self.sweep = sweep
        if planned:
            _check_rules(sweep.rules, planned)
            if not is_adaptive(sweep):  # which has not chosen yet
                _say_idle(sweep.rules, planned)
        self._shares: dict[Experiment, float] = {}  # of a GPU, by what is held in memory

    def learn(self, planned: Iterable[Planned], runs: Path) -> None:
        """Take in what the runs took that have been measured on a GPU; reads only those whose share is not given."""
        for plan in planned:
            if self.declared(plan.experiment)[0].gpu == "auto" and (share := measured_share(Run(runs / plan.id))):
                kind = held(plan.experiment)
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
        return replace(resources, gpu=self._shares.get(held(experiment), 1.0))

    def check(self, planned: Sequence[Planned], nodes: Sequence[Node]) -> None:
        """Raise ConfigError for a run that no node, or for its workers the whole cluster, can hold.

        An executor would wait for such a run without end.
        """
        asking: dict[Resources, list[Planned]] = {}
        for plan in planned:
            asking.setdefault(self.declared(plan.experiment)[0], []).append(plan)
        for needs, plans in asking.items():
            if slots(_whole(needs), nodes) < needs.workers:
                key, what = _too_much(needs, nodes)
                where = self._said_by(plans[0].experiment, key)
                more = f" and {len(plans) - 1} more" if len(plans) > 1 else ""
                raise ConfigError(
                    f"{where}: {plans[0].label} ({plans[0].id}){more}: {what}; {_advice(needs, key)} `{where}`"
                )

    def _said_by(self, experiment: Experiment, key: str) -> str:
        """Where the sweep says how much of something a run may use."""
        said = [i for i, rule in enumerate(self.sweep.rules) if getattr(rule, key) is not None]
        fitting = [f"rules[{index}]" for index in said if _fits(self.sweep.rules[index], experiment)]
        return f"{fitting[-1] if fitting else 'resources'}.{key}"


def _check_rules(rules: Sequence[Rule], planned: Iterable[Planned]) -> None:
    """Raise ConfigError for a rule that names a key no run has: a typo would change nothing, silently."""
    kinds = {type(plan.experiment.tuning): plan.experiment for plan in planned}  # the keys differ by the tuning's
    known = {key for experiment in kinds.values() for key in flatten(experiment)}
    for index, rule in enumerate(rules):
        for key in rule.when:
            if key not in known:
                raise ConfigError(f"rules[{index}].when: no run has the key {key}{nearest(key, known)}")


def _say_idle(rules: Sequence[Rule], planned: Sequence[Planned]) -> None:
    """Say so where a rule fits no run, as that of a misspelt pattern."""
    for index, rule in enumerate(rules):
        if not any(_fits(rule, plan.experiment) for plan in planned):
            log.warning("rules[%d]: fits none of the %d runs: %s", index, len(planned), rule.when)


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
    return math.floor(min(have / need + 1e-6, 1e6)) if need else 1_000_000


def _fits(rule: Rule, experiment: Experiment) -> bool:
    values = flatten(experiment)
    return all(key in values and _matches(values[key], wanted) for key, wanted in rule.when.items())


def _matches(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, str):
        return fnmatchcase(str(value), wanted)
    return value == (tuple(wanted) if isinstance(value, tuple) and isinstance(wanted, list) else wanted)


def _advice(needs: Resources, key: str) -> str:
    return "give a number (0 for the CPU) as" if needs.gpu == "auto" and key == "gpu" else "lower"


def _whole(needs: Resources) -> Resources:
    """A share of a GPU that is not known yet is a whole one."""
    return replace(needs, gpu=1) if needs.gpu == "auto" else needs


def _too_much(needs: Resources, nodes: Sequence[Node]) -> tuple[str, str]:
    """The key of which there is too little, and how that comes, in words."""
    have = "; ".join(sorted({f"{node.cpu:g} CPU, {node.gpu:g} GPU" for node in nodes})) or "no node is alive"
    whole = _whole(needs)
    each = f"{whole.cpu:g} CPU and {float(whole.gpu):g} GPU"
    for key, one in (("cpu", replace(whole, gpu=0)), ("gpu", replace(whole, cpu=1e-6))):
        if slots(one, nodes) < 1:
            asked = f"{getattr(whole, key):g} {key.upper()}"
            if needs.gpu == "auto" and key == "gpu":
                return key, f"`gpu: auto` is a share of a GPU, and no node has one ({have})"
            return key, f"{asked} asked for, which no node has ({have})"
    holds = slots(whole, nodes)
    if holds < 1:
        return "cpu", f"{each} asked for, which no node has together ({have})"
    return "workers", f"{needs.workers} workers of {each} asked for, the cluster has room for {holds} ({have})"
