"""A sweep's bill: what is left of it, and what that takes of time, memory and disk; drawn up from what is known.

Nothing is measured or counted here, so it is quick for any number of runs: their figures are those of their shapes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rein.config import Experiment, Resources
from rein.data.domains import expand as members
from rein.data.domains import find
from rein.sweeps.bill import states
from rein.sweeps.bill.capacity import wall_seconds
from rein.sweeps.bill.shape import Shapes
from rein.sweeps.bill.timings import Timing, Timings
from rein.sweeps.plan import Planned
from rein.sweeps.resources import Node, slots

#: Images of a domain that a run keeps with label and prediction, and the bytes a pixel that the three PNGs take.
PICTURES, PICTURE_BYTES = 2, 2.0
#: Where a memory comes from that no run had.
COUNTED = "counted"


@dataclass(frozen=True)
class Price:
    """The figures of all runs of one shape; None is not known."""

    #: Parameters: of the pretrained net, and of net and tuning those that train.
    backbone: int | None
    trainable: int | None
    #: Of a training step of one batch.
    flops: int | None
    #: Peak of a run, and where the number comes from.
    memory_mib: float | None
    memory_from: str
    #: Bytes that a run leaves on the disk.
    disk: int | None
    timing: Timing | None
    #: Why something is not known.
    problem: str | None
    #: What each run may use.
    needs: Resources

    @property
    def share(self) -> float | None:
        """Of the backbone that trains."""
        return None if self.trainable is None or not self.backbone else self.trainable / self.backbone


@dataclass
class Variant:
    """The runs that differ in their seed alone."""

    name: str
    price: Price
    runs: int = 0
    left: int = 0
    #: Of one run from its beginning, and of all that is left of the variant.
    seconds: float | None = None
    seconds_left: float | None = 0.0
    #: How many variants these are: more than one where they cost the same and a screen has no room for each.
    variants: int = 1


@dataclass(frozen=True)
class Line:
    """One run."""

    id: str
    variant: str
    seed: int
    state: states.Word
    seconds: float | None
    seconds_left: float | None
    memory_mib: float | None


@dataclass
class Bill:
    """The whole of it."""

    states: dict[states.Word, int]
    variants: list[Variant]
    lines: list[Line]
    #: Runs that are left, and of how many of them no time is known.
    left: int
    unknown: int
    #: Of those runs that a time is known of; None where runs are left and none of theirs is known.
    cpu_hours: float | None
    gpu_hours: float | None
    wall_seconds: float | None
    longest_seconds: float | None
    at_once: int
    #: Bytes that the runs that are left will take, and that are free where they go.
    disk: int
    disk_free: int | None
    #: Real by predicted time of the runs that are done, each predicted from the others.
    ratios: list[float]
    #: What stands in the way: no node can hold a run, files are missing.
    problems: list[str] = field(default_factory=list)
    #: What else is to be said: `machine`, `disk`, `weights`, `data` and a sentence.
    facts: dict[str, str] = field(default_factory=dict)


def price(
    of: Experiment,
    cost: Mapping[str, Any] | None,
    timing: Timing | None,
    needs: Resources,
    probed: Mapping[str, Any] | None = None,
) -> Price:
    """The figures of a shape from its count (`StepCost` as a mapping), its timing, or what a probe in vain said."""
    known = {} if cost is None or "error" in cost else cost
    memory, origin = (timing.memory_mib, timing.origin) if timing else (None, "")
    if memory is None and known:
        memory, origin = known["memory"] / 2**20, COUNTED
    return Price(
        backbone=known.get("backbone"),
        trainable=known.get("trainable"),
        flops=known.get("flops"),
        memory_mib=memory,
        memory_from=origin,
        disk=known["checkpoints"] + pictures(of) if known else None,
        timing=timing,
        problem=(cost or {}).get("error") or (probed or {}).get("error"),
        needs=needs,
    )


def pictures(experiment: Experiment) -> int:
    """About how many bytes the images take that a run keeps to be looked at."""
    shown = dict.fromkeys(members(name)[-1] for name in (*experiment.data.sources, *experiment.data.targets))
    crop = experiment.data.crop_size
    sizes = [experiment.evaluation.size or find(name).evaluation_size or (2 * crop, crop) for name in shown]
    return round(sum(PICTURES * PICTURE_BYTES * width * height for width, height in sizes))


def draw_up(
    planned: Sequence[Planned],
    statuses: Mapping[str, dict[str, Any]],
    root: Path,
    price_of: Callable[[Planned, Experiment], Price],
    timings: Timings,
    nodes: Sequence[Node],
    again: Iterable[states.Word],
    jobs: int | None = None,
) -> Bill:
    """The bill of planned runs; `again` are the states that a run is taken up from. `price_of` is asked once a shape
    and variant."""
    shapes, again = Shapes(), frozenset(again)
    prices: dict[tuple[int, str], Price] = {}
    variants: dict[str, Variant] = {}
    lines: list[Line] = []
    waiting: dict[Resources, list[float]] = {}
    counts: Counter[states.Word] = Counter()
    left: list[Price] = []
    for plan in planned:
        of, name = shapes(plan.experiment), plan.variant
        one = prices.get((id(of), name)) or prices.setdefault((id(of), name), price_of(plan, of))
        status = statuses.get(plan.id)
        word = states.word(plan.id, status, root)
        counts[word] += 1
        whole, rest = _times(plan.experiment, one.timing, status or {}, word in again)
        variant = variants.setdefault(name, Variant(name, one, seconds=whole))
        variant.runs += 1
        if word in again:
            variant.left += 1
            left.append(one)
            variant.seconds_left = None if rest is None or variant.seconds_left is None else variant.seconds_left + rest
            if rest is not None:
                waiting.setdefault(one.needs, []).append(rest)
        lines.append(Line(plan.id, name, plan.experiment.seed, word, whole, rest, one.memory_mib))
    known = [seconds for each in waiting.values() for seconds in each]
    is_unknown = bool(left) and not known
    return Bill(
        states={word: counts[word] for word in states.WORDS},
        variants=list(variants.values()),
        lines=lines,
        left=len(left),
        unknown=len(left) - len(known),
        cpu_hours=None if is_unknown else _hours(waiting, lambda needs: needs.cpu),
        gpu_hours=None if is_unknown else _hours(waiting, lambda needs: float(needs.gpu)),
        wall_seconds=wall_seconds(waiting, nodes, jobs) if len(known) == len(left) else None,
        longest_seconds=max(known, default=None),
        at_once=at_once([one.needs for one in left], nodes, jobs),
        disk=sum(one.disk or 0 for one in left),
        disk_free=None,
        ratios=timings.ratios(),
    )


def _times(
    experiment: Experiment, timing: Timing | None, status: Mapping[str, Any], again: bool
) -> tuple[float | None, float | None]:
    """Seconds of a whole run, and of what is left of it."""
    if timing is None:
        return None, None if again else 0.0
    whole = timing.seconds(experiment)
    if not again:
        return whole, 0.0
    done = min(status.get("step", 0), experiment.steps - 1)
    return whole, timing.seconds(experiment, done) if done else whole


def _hours(waiting: Mapping[Resources, Sequence[float]], count: Callable[[Resources], float]) -> float:
    return sum(count(needs) * needs.workers * sum(seconds) for needs, seconds in waiting.items()) / 3600


def at_once(needs: Sequence[Resources], nodes: Sequence[Node], jobs: int | None) -> int:
    """How many of the runs the nodes hold at once, were all as the hungriest of them."""
    if not needs:
        return 0
    fewest = min(slots(each, nodes) // each.workers for each in set(needs))
    return min(len(needs), fewest, jobs or fewest)


def problems(bill: Bill) -> list[str]:
    """All that stands in the way: of the machine and its files, and of networks that cannot be built or tried out."""
    return list(dict.fromkeys([*(one.price.problem for one in bill.variants if one.price.problem), *bill.problems]))


def accuracy(ratios: Sequence[float]) -> dict[str, float] | None:
    """How far predictions were off: the middle of |real / predicted - 1|, and the worst; None where none is checked."""
    off = [abs(ratio - 1) for ratio in ratios]
    return {"runs": len(off), "median": median(off), "worst": max(off)} if off else None


def merged(bill: Bill, most: int) -> list[Variant]:
    """The variants as rows; where they are more than `most`, those of one price as one row, the dearest first."""
    if len(bill.variants) <= most:
        return bill.variants
    groups: dict[tuple[Any, ...], Variant] = {}
    for variant in bill.variants:
        one = variant.price
        key = (one.trainable, one.flops, one.memory_mib, one.needs, variant.seconds)
        if key not in groups:
            groups[key] = Variant(variant.name, one, 0, 0, variant.seconds, 0.0, 0)
        row = groups[key]
        row.variants += 1
        row.runs, row.left = row.runs + variant.runs, row.left + variant.left
        both = row.seconds_left, variant.seconds_left
        row.seconds_left = None if None in both else sum(filter(None, both))
    return sorted(groups.values(), key=lambda row: -(row.seconds_left or row.price.flops or 0))


def as_json(bill: Bill) -> dict[str, Any]:
    """Everything, with keys that stay: `totals`, `variants`, `runs`. Times in seconds, memory in MiB, disk in bytes."""
    totals = {
        "runs": len(bill.lines),
        **{word.replace(" ", "_"): number for word, number in bill.states.items()},
        "left": bill.left,
        "without_a_prediction": bill.unknown,
        "cpu_hours": bill.cpu_hours,
        "gpu_hours": bill.gpu_hours,
        "wall_seconds": bill.wall_seconds,
        "longest_seconds": bill.longest_seconds,
        "at_once": bill.at_once,
        "disk_bytes": bill.disk,
        "disk_free_bytes": bill.disk_free,
        "predictions_off_by": accuracy(bill.ratios),
        "problems": problems(bill),
        **bill.facts,
    }
    return {
        "totals": totals,
        "variants": [_variant(one) for one in bill.variants],
        "runs": [vars(line) for line in bill.lines],
    }


def _variant(one: Variant) -> dict[str, Any]:
    figures, timing = one.price, one.price.timing
    return {
        "variant": one.name,
        "runs": one.runs,
        "left": one.left,
        "parameters_backbone": figures.backbone,
        "parameters_trainable": figures.trainable,
        "share": figures.share,
        "flops_per_step": figures.flops,
        "memory_mib": figures.memory_mib,
        "memory_from": figures.memory_from or None,
        "seconds_per_step": timing.step if timing else None,
        "seconds_per_score": timing.score if timing else None,
        "seconds_per_start": timing.start if timing else None,
        "time_from": timing.origin if timing else None,
        "seconds": one.seconds,
        "seconds_left": one.seconds_left,
        "disk_bytes": figures.disk,
        "cpu": figures.needs.cpu,
        "gpu": figures.needs.gpu,
        "workers": figures.needs.workers,
        "problem": figures.problem,
    }
