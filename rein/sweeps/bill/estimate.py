"""`rein sweep X --dry-run`: gathers what a bill is drawn up from, and finds out what of it is not known yet."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence

from rich.console import Console

from rein.config import ConfigError, Experiment, Machine, Sweep
from rein.disk import free_bytes
from rein.ledger import Run
from rein.sweeps.bill import capacity, inputs_present, states
from rein.sweeps.bill.bill import Bill, Price, draw_up, price
from rein.sweeps.bill.cost_cache import CostCache
from rein.sweeps.bill.shape import Shapes, network
from rein.sweeps.bill.timings import Timings, read
from rein.sweeps.bill.where_it_runs import Place
from rein.sweeps.plan import Planned
from rein.sweeps.resources import Allotment, Node
from rein.sweeps.search.members import is_adaptive, known
from rein.sweeps.search.refusals import bases
from rein.worlds import load_sweep

log = logging.getLogger(__name__)

#: Networks that are counted for one bill: each takes a second or two, and no person reads a longer table.
MOST_COUNTED = 60

#: Without Ray nothing is set apart for a run: `--jobs` alone says how many go side by side.
ROOM = Node(1e6, 1e6)

#: What is heard of figures that are found out: counted or probed, how many, of how many.
News = Callable[[str, int, int], None]


class Estimate:
    """All that is known of a sweep's runs at a place; `count` and `probe` find out more."""

    def __init__(self, name: str, overrides: Sequence[str], place: Place, world: str | None = None) -> None:
        self.place, self.root = place, place.machine.runs
        self.sweep = load_sweep(name, overrides, world)
        self.planned = _planned(self.sweep, place)
        self.statuses = states.statuses(self.planned, self.root)
        started = [plan for plan in self.planned if plan.id in self.statuses]
        for plan in started:
            Run(self.root / plan.id).check_domains(plan.experiment)
        self.allotment = Allotment(self.sweep, self.planned)
        self.allotment.learn(started, self.root)
        self.figures = CostCache(self.root)
        self.seen = read(self.planned, self.statuses, self.root)
        self.timings = Timings(self.seen, self.figures.timing, self._flops)
        shapes = Shapes()
        #: A run of each shape.
        self.kinds = {id(of): (of, plan) for plan in reversed(self.planned) if (of := shapes(plan.experiment))}.values()

    def count(self, news: News) -> None:
        """Count the networks that were not counted before."""
        networks = list(dict.fromkeys(network(of) for of, _ in self.kinds))[:MOST_COUNTED]
        self.figures.count(networks, len(os.sched_getaffinity(0)), lambda *far: news("counted", *far))

    def probe(self, news: News) -> None:
        """Try out a run of each shape that was never run where it would be."""
        place = self.place
        if place.address:
            raise ConfigError(
                "--probe measures on this machine, not on the cluster's: give the command to a node that is like the "
                "others (`ray job submit -- rein sweep ... --dry-run --probe`, with the same --runs)"
            )
        wanted: dict[str, list[tuple[Experiment, Machine]]] = {}
        for of, plan in self.kinds:
            needs = place.needs(self.allotment.of(plan.experiment))
            device = place.device(needs, self.seen)
            if place.on_gpu(needs) and not place.gpus:
                raise ConfigError(
                    "--probe: the runs are to use a GPU, and nvidia-smi shows none here; probe on a machine that has "
                    "one, or measure the CPU by --device cpu"
                )
            if not self.timings.has(of, device):
                wanted.setdefault(device, []).append((of, place.run_machine(needs)))
        at_once = 1 if place.gpus or place.alone else max(1, int(place.nodes[0].cpu))
        for device, runs in wanted.items():
            self.figures.probe(runs, device, min(at_once, place.jobs or at_once), lambda *far: news("probed", *far))
        self.timings = Timings(self.seen, self.figures.timing, self._flops)

    def price(self, plan: Planned, of: Experiment) -> Price:
        """The figures of a run of a shape."""
        needs = self.place.needs(self.allotment.of(plan.experiment))
        device = self.place.device(needs, self.seen)
        timing = self.timings.of(of, device)
        failed = None if timing else self.figures.probed(of, device)
        return price(of, self.figures.cost(network(of)), timing, needs, failed)

    def bill(self) -> Bill:
        """The bill, with what there is to say of machine, disk, weights and data."""
        again = states.again(self.sweep)
        local = self.place.executor == "local"
        nodes = [ROOM] if local else self.place.nodes
        bill = draw_up(self.planned, self.statuses, self.root, self.price, self.timings, nodes, again, self.place.jobs)
        self._look_around(bill)
        return bill

    def _look_around(self, bill: Bill) -> None:
        experiments = [plan.experiment for _, plan in self.kinds]
        bill.facts["machine"] = f"{self.place}"
        bill.problems += self._room(bill)
        free = free_bytes(self.root)
        bill.disk_free = free
        if bill.disk > free:
            bill.problems.append(f"{self.root}: {bill.disk / 1e9:.1f} GB are due, {free / 1e9:.1f} GB are free")
        said, missing = inputs_present.weights(
            experiments, self.place.machine.weights, lambda one: self.figures.cost(network(one))
        )
        bill.facts["weights"] = "; ".join(said)
        there, absent = inputs_present.data(experiments, self.place.machine.data)
        bill.facts["data"] = ", ".join(there)
        bill.problems += [*missing, *absent]

    def _room(self, bill: Bill) -> list[str]:
        """Why no machine can hold a run, or not so many at once."""
        left = [plan for plan, line in zip(self.planned, bill.lines, strict=True) if line.seconds_left != 0]
        if self.place.executor == "ray":
            try:
                self.allotment.check(left, self.place.nodes)
            except ConfigError as error:
                return [str(error)]
        return [said for said in {self._memory(one.price, bill.at_once) for one in bill.variants if one.left} if said]

    def _memory(self, one: Price, at_once: int) -> str | None:
        if one.memory_mib is None or self.place.address:
            return None
        if self.place.on_gpu(one.needs):
            have = min((gpu.memory_mib for gpu in self.place.gpus), default=None)
            return _too_much(one.memory_mib, have * min(1.0, float(one.needs.gpu)) if have else None, "its GPU share")
        return _too_much(one.memory_mib * at_once, capacity.memory_mib(), f"{at_once} at once here")

    def _flops(self, net: Experiment) -> int | None:
        return (self.figures.cost(net) or {}).get("flops")


def _too_much(need: float, have: float | None, what: str) -> str | None:
    if have is None or need <= have:
        return None
    return f"memory: {need / 1024:.1f} GiB are due, {have / 1024:.1f} GiB are there ({what})"


def _planned(sweep: Sweep, place: Place) -> list[Planned]:
    """The runs; of a search that chooses while it goes, those that are there and as many like its base as are left."""
    found = list(known(sweep, place.machine.runs))
    if is_adaptive(sweep) and sweep.search and sweep.search.trials:
        base = next(iter(bases(sweep)))
        rest = range(len(found) + 1, sweep.search.trials + 1)
        found += [Planned(f"trial {number}", "yet to be chosen", {}, base) for number in rest]
    return found


def bill_of(name: str, overrides: Sequence[str], place: Place, probe: bool = False, world: str | None = None) -> Bill:
    """The bill of a sweep; how far counting and probing are is shown on stderr while they take time."""
    estimate = Estimate(name, overrides, place, world)
    console = Console(stderr=True, quiet=not log.isEnabledFor(logging.INFO))
    with console.status("counting what a step costs") as status:

        def news(what: str, done: int, of: int) -> None:
            status.update(f"{what} {done} of {of}")

        estimate.count(news)
        if probe:
            status.update("probing: a few steps of a run of each shape")
            estimate.probe(news)
    return estimate.bill()
