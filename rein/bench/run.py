"""`rein bench run`: where the time of a run goes, part by part, and of the same run at its full length."""

from __future__ import annotations

import importlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from rein import evaluation
from rein.bench import stopwatch
from rein.bench.stopwatch import Stopwatch
from rein.check.finding import amount
from rein.config import Experiment, Machine
from rein.data.loaders import loader_processes
from rein.data.selection import scored_domains, scored_files, training_files
from rein.device import select_device
from rein.sweeps.bill.timings import scores
from rein.training import loop, one_run, progress, scoring, train
from rein.training.set_up import Learner

#: What a run is made of: each part's spans and what it is counted by. What lies in no other part is `bookkeeping`.
PARTS: Mapping[stopwatch.Path, tuple[str, str]] = {
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
    seconds: Mapping[stopwatch.Path, float]
    counts: Counts
    #: Seconds of all cores, the loader processes' left out.
    cpu: float = 0.0

    @property
    def whole(self) -> float:
        return sum(self.seconds.values())

    def at_full_length(self) -> tuple[Counts, dict[stopwatch.Path, float]]:
        """The same for the experiment's own steps and evaluations, every part by what it is counted by.

        That a run has a checkpoint now and then is reckoned from the time that all the rest takes.
        """
        own, every = self.experiment, self.machine.checkpoint_seconds
        evaluations, records = scores(own), -(-own.steps // progress.interval(own.steps))
        counts = Counts(own.steps, records, 0, evaluations, evaluations * self.counts.image)
        rest = sum(self._grown(counts).values())
        counts = replace(counts, checkpoint=1 + int(rest / every) if every else records)
        return counts, self._grown(counts)

    def _grown(self, counts: Counts) -> dict[stopwatch.Path, float]:
        grown = {}
        for path, (_, unit) in PARTS.items():
            grown[path] = self.seconds.get(path, 0.0) * getattr(counts, unit) / max(getattr(self.counts, unit), 1)
        return grown


def measure(experiment: Experiment, machine: Machine, steps: int = 30) -> Taken:
    """Train so many steps in a ledger that is thrown away, score as the experiment says, and watch the clock.

    It is the first run of this process, imports done: what torch puts off to a first call is in the parts that call.
    Raises DataError where there are no images.
    """
    importlib.import_module("torchmetrics")  # which the first score would else wait for
    short = replace(experiment, steps=steps, evaluation=replace(experiment.evaluation, every=None))
    training_files(short.data, machine.data)  # draws a toy world that is not there yet
    for domain, _ in scored_domains(short):
        scored_files(short.data, domain, machine.data, short.evaluation.images)
    with tempfile.TemporaryDirectory(prefix="rein-bench-") as folder:
        watch, cpu = Stopwatch(_settle(select_device(machine.device))), time.process_time()
        with watched(watch):
            run = train(short, replace(machine, runs=Path(folder)))
        read, cpu = watch.read(), time.process_time() - cpu
        seconds: dict[stopwatch.Path, float] = {}
        for path, second in read.items():  # a span that is no part by itself belongs to the one around it
            part = next(path[:length] for length in range(len(path), -1, -1) if path[:length] in PARTS)
            seconds[part] = seconds.get(part, 0.0) + second
        images = sum(scored["images"] for scored in run.status()["scored"].values())
    records, checkpoints = watch.entered(("steps", "record")), watch.entered(("steps", "checkpoint"))
    return Taken(experiment, machine, seconds, Counts(steps, records, checkpoints, 1, images), cpu)


def _settle(device: torch.device) -> Callable[[], None]:
    """Kernels of CUDA run when they like: a span is over when its own are. Written for it, and never run on one."""
    return (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else lambda: None


@contextmanager
def watched(watch: Stopwatch) -> Iterator[None]:
    """Time the runs that this process trains; the code that trains them knows nothing of it."""
    with ExitStack() as stack:

        def put(owner: Any, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
            stack.enter_context(patch.object(owner, name, wrap(getattr(owner, name))))

        def span(owner: Any, name: str, part: str) -> None:
            put(owner, name, lambda work: watch.around(part, work))

        def span_items(owner: Any, name: str, part: str) -> None:
            put(owner, name, lambda work: lambda *args, **kwargs: watch.over(part, work(*args, **kwargs)))

        def span_learner(set_up: Callable[..., Learner]) -> Callable[..., Learner]:
            def timed(*args: Any) -> Learner:
                learner = watch.around("start", set_up)(*args)
                span(learner.model.backbone, "forward", "trunk")
                span(learner.model.head, "forward", "head")
                span(learner.model.head, "scores", "head")
                span(learner.make_step.criterion, "forward", "loss")
                span(learner.make_step.optimizer, "step", "optimiser")
                span(learner.make_step.optimizer, "zero_grad", "optimiser")
                span(learner.checkpoints, "save", "checkpoint")
                return learner

            return timed

        put(one_run, "set_up", span_learner)
        span(one_run, "make_steps", "steps")
        span(loop, "_batches", "start")
        span_items(loop, "_batches", "data")
        span(torch.Tensor, "backward", "backward")
        span(torch.autograd, "grad", "backward")
        span(progress.Progress, "record", "record")
        span(one_run, "score_at_the_end", "scores")
        span_items(scoring, "evaluate", "evaluation")
        span_items(evaluation, "whole_images", "images")
        span(scoring, "save_examples", "pictures")
        yield


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
