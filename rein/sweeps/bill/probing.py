"""A process of its own that finds figures out for a bill: one line of JSON in, one out a job.

`count` counts a step on shapes alone (`step_cost`). `probe` tries a run out on this machine: a few steps and a score of
one image a domain, through the very code that runs take, in a runs folder that is thrown away.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rein.config import Experiment, Machine
from rein.config_io import build
from rein.data.domain import DataError
from rein.data.domains import expand, find
from rein.data.selection import scored_domains, scored_files, training_files

log = logging.getLogger(__name__)

#: Steps of a first look, and seconds that a second one takes where steps are quick.
FIRST, SECONDS = 4, 6.0
#: Steps at most: up to here every step leaves a record.
MOST = 60


def count(experiment: Experiment) -> dict[str, Any]:
    """What a step costs, as `StepCost` has it."""
    from rein.sweeps.bill.step_cost import step_cost

    return asdict(step_cost(experiment))


def probe(experiment: Experiment, machine: Machine) -> dict[str, Any]:
    """What a run takes here, as `Timing` has it, on toy images where the run's own are not there.

    The weights are random, which costs the same and needs no file; reading them is not in the start.
    """
    experiment = replace(experiment, backbone=replace(experiment.backbone, weights="none"))
    images, stand_in = _images(experiment, machine.data)
    with tempfile.TemporaryDirectory(prefix="rein-probe-") as scratch:
        place = replace(machine, runs=Path(scratch) / "runs")
        if stand_in:
            experiment, place = _on_toy_images(experiment), replace(place, data=Path(scratch) / "data")
        first = again = _tried(experiment, place, FIRST)
        if first.step < SECONDS / FIRST:
            again = _tried(experiment, place, max(FIRST, min(MOST, int(SECONDS / first.step))))
    origin = "a probe on toy images" if stand_in else "a probe"
    return asdict(replace(again, start=first.start, score=again.score * images, origin=origin))


def _tried(experiment: Experiment, machine: Machine, steps: int) -> Any:
    from rein.sweeps.bill.timings import timing
    from rein.training import train

    evaluation = replace(experiment.evaluation, images=1, every=steps // 2)
    run = train(replace(experiment, steps=steps, evaluation=evaluation), machine)
    found = timing(run, run.status())
    assert found is not None  # it has a record a step
    return found


def _images(experiment: Experiment, root: Path) -> tuple[float, bool]:
    """Images that a score has for every one of a score of one image a domain, and whether they are missing here."""
    domains = [name for name, _ in scored_domains(experiment)]
    limit = experiment.evaluation.images
    try:
        training_files(experiment.data, root)
        number = sum(len(scored_files(experiment.data, name, root, limit)) for name in domains)
        return number / len(domains), False
    except DataError:
        numbers = [split.count or limit or 0 for name in domains if (split := find(name).splits.get("val"))]
        whole = sum(min(number, limit) if limit else number for number in numbers)
        return whole / 2, True  # on toy images two domains stand for all


def _on_toy_images(experiment: Experiment) -> Experiment:
    """The experiment on the toy world, whose images are brought to the size of those that it would be scored on."""
    names = [member for name in experiment.data.targets for member in expand(name)]
    sizes = [size for name in names if (size := find(name).evaluation_size)]
    size = experiment.evaluation.size or max(sizes, default=None)
    data = replace(
        experiment.data, sources=("toy-game",), targets=("toy-day",), weights=None, fraction=1.0, holdout=0.0
    )
    return replace(experiment, data=data, evaluation=replace(experiment.evaluation, size=size))


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    try:
        experiment = build(Experiment, job["experiment"], "experiment")
        if job["kind"] == "count":
            return count(experiment)
        return probe(experiment, Machine.from_plain(job["machine"]))
    except Exception as error:  # a figure that cannot be had is said to be unknown, with the reason
        log.debug("no figure", exc_info=True)
        return {"error": (str(error).strip() or type(error).__name__).splitlines()[0]}


def main() -> None:
    """Answer jobs until there are no more; whatever else is printed goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with contextlib.redirect_stdout(sys.stderr):
        for line in sys.stdin:
            print(json.dumps(_answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
