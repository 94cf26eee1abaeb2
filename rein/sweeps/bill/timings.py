"""What runs take, as the ledger has seen it: seconds of a step, a score and a start, and memory, by shape and device.

Nothing is measured here: the records that every run leaves have the times of its steps and scores in them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

from rein.config import ConfigError, Experiment
from rein.ledger import Run
from rein.sweeps.bill.shape import Shapes, differences, network, shape
from rein.sweeps.plan import Planned

#: Runs of one shape that are read: more would say the same.
READ = 5
#: Runs of other sweeps that are looked at for shapes that none of this one's runs tells of.
OTHERS = 200
#: A gap between two records that is so many times the usual one is no step: the run was cut there, or suspended.
GAP = 10.0


@dataclass(frozen=True)
class Timing:
    """What a run takes on a device; times in seconds."""

    step: float
    #: Scoring all domains once.
    score: float
    #: Until the first step: building the network, reading weights and lists of files.
    start: float
    memory_mib: float | None
    device: str
    #: What it was read from or is the mean of, for a person: `3 runs`, `a probe`.
    origin: str

    def seconds(self, experiment: Experiment, done: int = 0) -> float:
        """Seconds of a run from a step that is behind it to its end."""
        return self.start + (experiment.steps - done) * self.step + scores(experiment, done) * self.score


def scores(experiment: Experiment, done: int = 0) -> int:
    """How often a run is scored behind a step: every so many steps, and at the end."""
    every = experiment.evaluation.every
    return 1 + ((experiment.steps - 1) // every - done // every if every else 0)


def timing(run: Run, status: Mapping[str, Any]) -> Timing | None:
    """The timing of a run that has come so far that it has one: two records of its loss."""
    records = [record for record in run.metrics()[0] if "time" in record]  # unpacked results have none
    step = _step(records)
    if step is None:
        return None
    score = _score(records)
    return Timing(step, score, _start(records, status, step), _memory(status), _device(run), run.id)


def _step(records: Sequence[Mapping[str, Any]]) -> float | None:
    """Seconds a step between records of the loss with no score between them."""
    pairs = [
        (after["time"] - before["time"], after["step"] - before["step"])
        for before, after in itertools.pairwise(records)
        if "loss" in before and "loss" in after and after["step"] > before["step"]
    ]
    if not pairs:
        return None
    usual = median(seconds / steps for seconds, steps in pairs)
    whole = [(seconds, steps) for seconds, steps in pairs if seconds / steps <= GAP * usual]
    return sum(seconds for seconds, _ in whole) / sum(steps for _, steps in whole)


def _score(records: Sequence[Mapping[str, Any]]) -> float:
    taken = [
        after["time"] - before["time"]
        for before, after in itertools.pairwise(records)
        if "loss" in before and "loss" not in after and after["step"] == before["step"]
    ]
    return fmean(taken) if taken else 0.0


def _start(records: Sequence[Mapping[str, Any]], status: Mapping[str, Any], step: float) -> float:
    """Until the first step of an attempt: of the first one its record tells, later ones begin somewhere between two."""
    first = records[0]
    if status.get("attempt", 1) > 1:
        return 0.0
    return max(0.0, first["time"] - status["started"] - first["step"] * step)


def _memory(status: Mapping[str, Any]) -> float | None:
    return status.get("peak_memory_mib") or None


def _device(run: Run) -> str:
    """The GPU's name, or how many threads of the CPU."""
    try:
        facts = json.loads((run.path / "environment.json").read_text())
    except (OSError, ValueError):
        return "unknown"
    return device_name(facts.get("device", "unknown"), facts.get("threads"))


def device_name(device: str, threads: int | None) -> str:
    """How a device is named in timings: `NVIDIA L4`; `cpu, 2 threads`, for those make the difference there."""
    return device if device != "cpu" else f"cpu, {threads} thread{'s' * (threads != 1)}"


@dataclass(frozen=True)
class Seen:
    """A run of the ledger and what it took."""

    experiment: Experiment
    timing: Timing
    #: Seconds of the whole run, where it was done in one attempt.
    whole: float | None = None


class Timings:
    """What is known of shapes on a device: by runs of the shape, else by a probe of it, else by runs like it.

    `probed` has what was tried out of a shape on a device, `flops` those of a step of a network.
    """

    def __init__(
        self,
        runs: Iterable[Seen],
        probed: Callable[[Experiment, str], Timing | None] = lambda shape, device: None,
        flops: Callable[[Experiment], int | None] = lambda network: None,
    ) -> None:
        self.runs, self.probed, self.flops = list(runs), probed, flops
        self._by_kind: dict[tuple[Experiment, str], list[Timing]] = {}
        for seen in self.runs:
            self._by_kind.setdefault((shape(seen.experiment), seen.timing.device), []).append(seen.timing)
        self._found: dict[tuple[Experiment, str], Timing | None] = {}

    def of(self, wanted: Experiment, device: str) -> Timing | None:
        """The timing of a shape, with its origin in words; None where nothing is known that comes near."""
        key = wanted, device
        if key not in self._found:
            here = self._by_kind.get(key)
            found = _mean(here, _runs(len(here))) if here else self.probed(wanted, device)
            self._found[key] = found or self._alike(wanted, device)
        return self._found[key]

    def has(self, wanted: Experiment, device: str) -> bool:
        """Whether runs of the shape itself tell of it."""
        return (wanted, device) in self._by_kind

    def seconds_of(self, plan: Planned, device: str) -> float:
        """Seconds of a planned run, for an order: of one that nothing is known of more than of all others."""
        found = self.of(shape(plan.experiment), device)
        return found.seconds(plan.experiment) if found else float("inf")

    def ratios(self) -> list[float]:
        """Of every whole run its time by its time as predicted from the others alone, on its own device."""
        return [ratio for seen in self.runs if (ratio := self._ratio(seen)) is not None]

    def _ratio(self, seen: Seen) -> float | None:
        if seen.whole is None:
            return None
        others = Timings([run for run in self.runs if run is not seen], self.probed, self.flops)
        expected = others.of(shape(seen.experiment), seen.timing.device)
        return seen.whole / expected.seconds(seen.experiment) if expected else None

    def _alike(self, wanted: Experiment, device: str) -> Timing | None:
        """By the nearest shape of the same backbone, head, crop, batch and precision, on this device if there is any
        on it; by the ratio of the FLOPs, where both are counted."""
        kinds = [(_distance(of, wanted) + ELSEWHERE * (on != device), of, on) for of, on in self._by_kind]
        distance, of, on = min(kinds, key=lambda kind: kind[0], default=(FAR, wanted, ""))
        if distance >= FAR:
            return None
        near = self._by_kind[of, on]
        factor = self._by_flops(of, wanted)
        words = [
            _runs(len(near)),
            f"on {on}" if on != device else "",
            f"of other {', '.join(keys)}" if (keys := differences(of, wanted)) else "",
            "by FLOPs" if factor != 1 else "",
        ]
        mean = _mean(near, " ".join(filter(None, words)))
        return replace(mean, step=mean.step * factor)

    def _by_flops(self, of: Experiment, wanted: Experiment) -> float:
        known, asked = (self.flops(network(each)) for each in (of, wanted))
        return asked / known if known and asked else 1.0


#: A distance at which a run tells nothing of another.
FAR = 1000.0
#: What must be the same for a run to tell anything of another.
SAME = ("backbone.name", "backbone.patch_size", "head.method", "data.crop_size", "data.batch_size", "optim.precision")


#: How much farther than a key another method, or another device, is.
METHOD, ELSEWHERE = 20.0, 100.0


def _distance(of: Experiment, wanted: Experiment) -> float:
    keys = differences(of, wanted)
    return FAR if set(keys) & set(SAME) else len(keys) + METHOD * ("tuning.method" in keys)


def _mean(seen: Sequence[Timing], origin: str) -> Timing:
    started = [each.start for each in seen if each.start]
    memory = [each.memory_mib for each in seen if each.memory_mib]
    return Timing(
        step=fmean(each.step for each in seen),
        score=fmean(each.score for each in seen),
        start=fmean(started) if started else 0.0,
        memory_mib=max(memory) if memory else None,
        device=seen[0].device,
        origin=origin,
    )


def _runs(number: int) -> str:
    return f"{number} run{'s' * (number > 1)}"


def read(planned: Sequence[Planned], statuses: Mapping[str, Mapping[str, Any]], root: Path) -> list[Seen]:
    """The sweep's own runs that have a timing, done ones first, a few of each shape; and of other runs in the folder
    those with a backbone of the sweep, where its own leave a shape open."""
    shapes = Shapes()
    wanted = {id(of): of for plan in planned if (of := shapes(plan.experiment))}.values()
    started = [plan for plan in planned if plan.id in statuses]
    started.sort(key=lambda plan: statuses[plan.id].get("state") != "done")
    own: dict[Experiment, list[Seen]] = {}
    for plan in started:
        seen = own.setdefault(shapes(plan.experiment), [])
        if len(seen) < READ and (one := _seen(Run(root / plan.id), statuses[plan.id], plan.experiment)):
            seen.append(one)
    found = [one for seen in own.values() for one in seen]
    missing = {of.backbone.name for of in wanted if not own.get(of)}
    return found + (_others(missing, {plan.id for plan in planned}, root) if missing else [])


def _others(backbones: set[str], own: set[str], root: Path) -> list[Seen]:
    """Runs of other sweeps, the newest with one of these backbones: found by their text, which is quicker than YAML."""
    found: list[Seen] = []
    for path in _newest(root):
        if path.parent.name in own or not any(f"name: {name}\n" in path.read_text() for name in backbones):
            continue
        if len(found) == OTHERS:
            break
        run = Run(path.parent)
        with suppress(ConfigError):  # of a run of another version, which tells nothing
            if one := _seen(run, run.status(), run.experiment()):
                found.append(one)
    return found


def _newest(root: Path) -> list[Path]:
    files = [(path.stat().st_mtime, path) for path in root.glob("*/experiment.yaml")]
    return [path for _, path in sorted(files, reverse=True)]


def _seen(run: Run, status: Mapping[str, Any], experiment: Experiment) -> Seen | None:
    found = timing(run, status)
    if found is None:
        return None
    once = status.get("state") == "done" and status.get("attempt") == 1
    return Seen(experiment, found, status.get("seconds") if once else None)
