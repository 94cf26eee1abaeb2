"""What a run is made of, how long each part took in a short one, and what that says of the run at its full length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from rein.bench.stopwatch import Path
from rein.check.finding import amount
from rein.config import Experiment, Machine
from rein.data.loaders import loader_processes
from rein.device import select_device
from rein.sweeps.bill.timings import scores
from rein.training import progress

#: What a run is made of: each part's spans and what it is counted by. What lies in no other part is `bookkeeping`.
PARTS: Mapping[Path, tuple[str, str]] = {
    ("start",): ("start", "run"),
    ("steps", "start"): ("start: lists of files", "run"),
    ("steps", "data"): ("data", "step"),
    ("steps", "trunk"): ("trunk", "step"),
    ("steps", "head"): ("head", "step"),
    ("steps", "loss"): ("loss", "step"),
    ("steps", "backward"): ("backward", "step"),
    ("steps", "optimiser"): ("optimiser", "step"),
    ("steps",): ("between these", "step"),
    ("steps", "record"): ("records of the loss", "record"),
    ("steps", "checkpoint"): ("checkpoints", "checkpoint"),
    ("scores", "evaluation", "images"): ("evaluation: reading images", "image"),
    ("scores", "evaluation", "trunk"): ("evaluation: trunk", "image"),
    ("scores", "evaluation", "head"): ("evaluation: head", "image"),
    ("scores", "evaluation"): ("evaluation: the rest", "image"),
    ("scores", "pictures"): ("pictures", "run"),
    ("scores",): ("records of the scores", "evaluation"),
    (): ("bookkeeping", "run"),
}


@dataclass(frozen=True)
class Counts:
    """How often a run does what its parts are counted by."""

    step: int
    record: int
    checkpoint: int
    evaluation: int
    image: int
    run: int = 1


@dataclass(frozen=True)
class Taken:
    """A short run of an experiment: seconds of every part, exclusive, so that they add up to the run's whole time."""

    experiment: Experiment
    machine: Machine
    seconds: Mapping[Path, float]
    counts: Counts
    #: Seconds of all cores, the loader processes' left out.
    cpu: float = 0.0

    @property
    def whole(self) -> float:
        return sum(self.seconds.values())

    def at_full_length(self) -> tuple[Counts, dict[Path, float]]:
        """The same for the experiment's own steps and evaluations, every part by what it is counted by.

        That a run has a checkpoint now and then is reckoned from the time that all the rest takes.
        """
        own, every = self.experiment, self.machine.checkpoint_seconds
        evaluations, records = scores(own), -(-own.steps // progress.interval(own.steps))
        counts = Counts(own.steps, records, 0, evaluations, evaluations * self.counts.image)
        rest = sum(self._grown(counts).values())
        counts = replace(counts, checkpoint=1 + int(rest / every) if every else records)
        return counts, self._grown(counts)

    def _grown(self, counts: Counts) -> dict[Path, float]:
        grown = {}
        for path, (_, unit) in PARTS.items():
            grown[path] = self.seconds.get(path, 0.0) * getattr(counts, unit) / max(getattr(self.counts, unit), 1)
        return grown


def table(taken: Taken) -> list[dict[str, Any]]:
    """A row for each part that took time, and one of all; shares in percent, `in full` at the experiment's length."""
    _, grown = taken.at_full_length()
    whole = sum(grown.values())
    rows = []
    for path, (name, unit) in PARTS.items():
        if path in taken.seconds:
            second, count = taken.seconds[path], getattr(taken.counts, unit)
            rows.append(_row(name, second, taken.whole, grown[path], whole, 1000 * second / max(count, 1), unit))
    return [*rows, _row("all", taken.whole, taken.whole, whole, whole, 1000 * taken.whole, "run")]


def _row(name: str, second: float, of: float, in_full: float, of_full: float, ms: float, unit: str) -> dict[str, Any]:
    return {
        "part": name,
        "s": round(second, 3),
        "share %": round(100 * second / of, 1),
        "ms": round(ms, 2),
        "for each": unit,
        "s in full": round(in_full, 1),
        "share % in full": round(100 * in_full / of_full, 1),
    }


def how(taken: Taken) -> dict[str, Any]:
    """What was measured, and on what; `cpu s` far below the threads' share of `wall s`: others had the cores."""
    device = select_device(taken.machine.device)
    counts, grown = taken.at_full_length()
    return {
        "measured": f"{_said(taken.counts)} of {amount(taken.counts.image, 'image', 'images')}",
        "in full": f"{_said(counts)}, {amount(counts.checkpoint, 'checkpoint', 'checkpoints')}: "
        f"{sum(grown.values()):,.0f} s",
        "wall s": round(taken.whole, 1),
        "cpu s": round(taken.cpu, 1),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "clock": "waits for the device at both ends of a part" if device.type == "cuda" else "wall",
        "threads": torch.get_num_threads(),
        "loader processes": loader_processes(device, taken.machine.workers),
        "torch": torch.__version__,
    }


def _said(counts: Counts) -> str:
    return f"{amount(counts.step, 'step', 'steps')}, {amount(counts.evaluation, 'evaluation', 'evaluations')}"
