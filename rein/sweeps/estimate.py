"""`rein sweep X --dry-run`: gathers what a bill is drawn up from, and finds out what of it is not known yet."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rein.config import ConfigError, Experiment, Machine, Resources, Sweep
from rein.config_io import load
from rein.ledger import Run
from rein.sweeps import ready, room, states
from rein.sweeps.bill import Bill, Price, draw_up, price
from rein.sweeps.figures import Figures, Progress
from rein.sweeps.plan import Planned, expand
from rein.sweeps.resources import Allotment, Node, share_of_machine
from rein.sweeps.room import Device
from rein.sweeps.shape import Shapes, network, shape
from rein.sweeps.timings import Seen, Timings, device_name, read

#: Networks that are counted for one bill: each takes a second or two, and a person reads no longer table.
MOST_COUNTED = 60


@dataclass(frozen=True)
class Place:
    """Where the runs would execute: on Ray here, on the cluster at `address`, or one by one in this process."""

    machine: Machine
    executor: str = "ray"
    address: str | None = None
    jobs: int | None = None
    nodes: Sequence[Node] = field(default=())
    gpus: Sequence[Device] = field(default=())

    @classmethod
    def find(cls, machine: Machine, executor: str, address: str | None, jobs: int | None) -> Place:
        """Ask this machine, or the cluster, what it has."""
        if address:
            return cls(machine, executor, address, jobs, nodes=_cluster(address))
        node, gpus = room.this_machine()
        return cls(machine, executor, None, jobs if executor == "ray" else 1, [node], gpus)

    def on_gpu(self, needs: Resources) -> bool:
        """Whether a run that may use so much would compute on a GPU."""
        if self.machine.device != "auto":
            return self.machine.device.startswith("cuda")
        return bool(needs.gpu) if self.executor == "ray" else bool(self.gpus)

    def device(self, needs: Resources, seen: Sequence[Seen]) -> str:
        """The device's name as timings have it; of a cluster the one that most of the runs saw."""
        if not self.on_gpu(needs):
            return device_name("cpu", self.threads(needs))
        if self.gpus:
            return self.gpus[0].name
        names = Counter(run.timing.device for run in seen if not run.timing.device.startswith("cpu"))
        return names.most_common(1)[0][0] if names else "a GPU"

    def threads(self, needs: Resources) -> int:
        """Threads of torch in a run."""
        if self.executor == "ray":
            return share_of_machine(self.machine, needs).threads or 1
        return self.machine.threads or int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))

    def __str__(self) -> str:
        if not self.address:
            gpus = ", ".join(f"{n} x {gpu.name} {gpu.memory_mib >> 10} GiB" for gpu, n in Counter(self.gpus).items())
            return f"this one: {self.nodes[0].cpu:g} CPU, {room.memory_mib() >> 10} GiB, {gpus or 'no GPU'}"
        kinds = Counter((node.cpu, node.gpu) for node in self.nodes)
        return f"{self.address}: " + "; ".join(f"{n} x {cpu:g} CPU, {gpu:g} GPU" for (cpu, gpu), n in kinds.items())


def _cluster(address: str) -> list[Node]:
    from rein.sweeps.on_ray.start import nodes, started

    with started(address):
        return nodes()


def bill_of(
    name: str,
    overrides: Sequence[str],
    place: Place,
    probe: bool = False,
    counting: Progress = lambda done, of: None,
    probing: Progress = lambda done, of: None,
) -> Bill:
    """The bill of a sweep. Networks that were not counted before are counted now; with `probe` a run of each shape
    that no run tells of is tried out on this machine."""
    sweep = load(Sweep, name, overrides)
    planned = expand(sweep)
    machine, root = place.machine, place.machine.runs
    known = states.statuses(planned, root)
    for plan in planned:
        if plan.id in known:
            Run(root / plan.id).check_domains(plan.experiment)
    allotment = Allotment(sweep)
    allotment.learn([plan for plan in planned if plan.id in known], root)
    shapes, figures = Shapes(), Figures(root)
    first = {id(of): (of, plan) for plan in reversed(planned) if (of := shapes(plan.experiment))}
    kinds = [(of, plan, allotment.of(plan.experiment)) for of, plan in reversed(first.values())]
    figures.count(_networks(of for of, _, _ in kinds), len(os.sched_getaffinity(0)), counting)
    seen = read(planned, known, root)
    timings = Timings(seen, figures.timing, lambda net: (figures.cost(net) or {}).get("flops"))
    if probe:
        _probe(kinds, place, seen, timings, figures, probing)
    fits = Fit(place, allotment, planned)

    def price_of(plan: Planned, of: Experiment) -> Price:
        needs = allotment.of(plan.experiment)
        device = place.device(needs, seen)
        return price(of, figures.cost(network(of)), timings.of(of, device), needs, figures.failed(of, device))

    bill = draw_up(planned, known, root, price_of, timings, place.nodes, place.jobs)
    _look_around(bill, [plan.experiment for _, plan, _ in kinds], place, figures, fits)
    return bill


def _networks(shapes: Iterable[Experiment]) -> list[Experiment]:
    return list(dict.fromkeys(map(network, shapes)))[:MOST_COUNTED]


def _probe(
    kinds: Sequence[tuple[Experiment, Planned, Resources]],
    place: Place,
    seen: Sequence[Seen],
    timings: Timings,
    figures: Figures,
    progress: Progress,
) -> None:
    """Try out one run of each shape that was never run where it would be."""
    if place.address:
        raise ConfigError(
            "--probe measures on this machine, not on the cluster's: give the whole command to a node that is like the "
            "others, as `ray job submit -- rein sweep ... --dry-run --probe`, with the same --runs"
        )
    wanted = [(of, share_of_machine(place.machine, needs), place.device(needs, seen), place.on_gpu(needs))
              for of, _, needs in kinds]  # fmt: skip
    for device in dict.fromkeys(device for _, _, device, _ in wanted):
        of_device = [(of, on, gpu) for of, on, name, gpu in wanted if name == device and not timings.has(of, device)]
        if any(gpu for _, _, gpu in of_device) and not place.gpus:
            raise ConfigError(
                "--probe: the runs are to use a GPU, and nvidia-smi shows none here; probe on a machine that has one, "
                "or measure the CPU's time by --device cpu"
            )
        at_once = 1 if place.gpus else int(place.nodes[0].cpu)
        figures.probe([(of, on) for of, on, _ in of_device], device, at_once, progress)
