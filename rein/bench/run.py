"""`rein bench run`: where the time of a run goes, part by part, and of the same run at its full length."""

from __future__ import annotations

import importlib
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from rein.bench import stopwatch
from rein.bench.parts import PARTS, Counts, Taken
from rein.bench.stopwatch import Stopwatch
from rein.bench.watching import settle, watched
from rein.config import Experiment, Machine
from rein.data.selection import scored_domains, scored_files, training_files
from rein.device import select_device
from rein.training import train


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
        watch, cpu = Stopwatch(settle(select_device(machine.device))), time.process_time()
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
