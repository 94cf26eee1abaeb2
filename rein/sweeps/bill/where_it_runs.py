"""Where a sweep's runs would execute, and as what a run would find itself there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rein.config import ConfigError, Machine, Resources
from rein.sweeps.bill import capacity
from rein.sweeps.bill.capacity import Device
from rein.sweeps.bill.timings import Seen, device_name
from rein.sweeps.resources import Node, share_of_machine


@dataclass(frozen=True)
class Place:
    """Where the runs would execute: on Ray here, on the cluster at `address`, or without Ray in processes here."""

    machine: Machine
    executor: str
    address: str | None
    jobs: int | None
    nodes: Sequence[Node]
    gpus: Sequence[Device] = ()

    @classmethod
    def find(
        cls, machine: Machine, executor: str = "ray", address: str | None = None, jobs: int | None = None
    ) -> Place:
        """Ask this machine, or the cluster, what it has. Raises ConfigError for a cluster without Ray."""
        check_executor(executor, address)
        if address:
            return cls(machine, executor, address, jobs, _cluster(address))
        node, gpus = capacity.this_machine()
        return cls(machine, executor, None, jobs if executor == "ray" else jobs or 1, [node], gpus)

    @property
    def alone(self) -> bool:
        """Whether each run has the whole machine."""
        return self.executor == "local" and self.jobs == 1

    def needs(self, allotted: Resources) -> Resources:
        """What a run takes up here: without Ray nothing is set apart for it."""
        if not self.alone:
            return allotted
        return Resources(cpu=self.nodes[0].cpu, gpu=self.nodes[0].gpu if self.on_gpu(allotted) else 0)

    def on_gpu(self, needs: Resources) -> bool:
        """Whether a run that may use so much would compute on a GPU."""
        if self.machine.device != "auto":
            return self.machine.device.startswith("cuda")
        return bool(self.gpus) if self.alone else bool(needs.gpu)

    def device(self, needs: Resources, seen: Sequence[Seen]) -> str:
        """The device's name as timings have it; of a cluster the one that most of the runs saw."""
        if not self.on_gpu(needs):
            return device_name("cpu", self.run_machine(needs).threads)
        if self.gpus:
            return self.gpus[0].name
        names = Counter(run.timing.device for run in seen if not run.timing.device.startswith("cpu"))
        return names.most_common(1)[0][0] if names else "a GPU"

    def run_machine(self, needs: Resources) -> Machine:
        """The machine as a run has it, its threads as torch would choose them."""
        if not self.alone:
            return share_of_machine(self.machine, needs)
        threads = self.machine.threads or int(os.environ.get("OMP_NUM_THREADS") or self.nodes[0].cpu)
        return replace(self.machine, threads=threads)

    def __str__(self) -> str:
        if not self.address:
            gpus = ", ".join(f"{n} x {gpu.name} {gpu.memory_mib >> 10} GiB" for gpu, n in Counter(self.gpus).items())
            return f"{self.nodes[0].cpu:g} CPU, {capacity.memory_mib() >> 10} GiB, {gpus or 'no GPU'}"
        kinds = Counter((node.cpu, node.gpu) for node in self.nodes)
        said = "; ".join(f"{n} x {cpu:g} CPU, {gpu:g} GPU" for (cpu, gpu), n in kinds.items())
        return f"{self.address}: {said}"


def check_executor(executor: str, address: str | None) -> None:
    """Raise ConfigError for a cluster that runs would have to reach without Ray."""
    if address and executor == "local":
        raise ConfigError(f"--address {address}: a cluster needs Ray: drop --executor local, or drop --address")


def _cluster(address: str) -> list[Node]:
    from rein.sweeps.on_ray.start import nodes, started

    with started(address):
        return nodes()
