"""`rein bench overhead`: what a sweep costs beside a bare loop of subprocesses that runs the same trials."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from rein.config import Experiment, to_dict
from rein.config_io import build
from rein.data import toy

#: The paper's recipe shrunk to a second of work: an untrained ViT of six narrow blocks, a head of one layer.
TRIAL: dict[str, Any] = {
    "backbone": {"name": "test_vit", "weights": "none", "patch_size": 8},
    "tuning": {"method": "rein", "token_length": 5, "rank": 2},
    "head": {"width": 32, "encoder_layers": 1, "decoder_layers": 1, "heads": 2, "queries": 5, "encoder_ffn": 32,
             "decoder_ffn": 32, "points": 32},
    "data": {"sources": ["toy-game"], "targets": ["toy-day"], "crop_size": 32, "batch_size": 2},
    "evaluation": {"images": 1, "window": 96, "stride": 64},
    "steps": 3,
}  # fmt: skip

#: A trial by hand: an interpreter, our `train`, and nothing of a sweep.
LOOP = """
import json, sys
from pathlib import Path
from rein.config import Experiment, Machine
from rein.config_io import build
from rein.training import train
machine = Machine(data=Path(sys.argv[1]), runs=Path(sys.argv[2]), device="cpu", threads=1)
for line in sys.argv[3:]:
    train(build(Experiment, json.loads(line)), machine)
"""
REIN = "from rein.cli import main; main()"

BARE, ALONE = "a subprocess a run", "all runs in one process"


@dataclass(frozen=True)
class Case:
    """Sweeps of two sizes; a line through their times tells the fixed cost from the cost of a run."""

    few: int = 2
    many: int = 8
    repeats: int = 3
    #: Overrides of the trial.
    steps: int = 3


@dataclass(frozen=True)
class Place:
    """Where a sweep of some size runs: folders of its own, and the trials."""

    data: Path
    root: Path
    trials: Sequence[Experiment]

    @property
    def runs(self) -> Path:
        return self.root / "runs"


def measure(case: Case) -> list[dict[str, Any]]:
    """Seconds of each side, in turns, one run at a time: the fixed cost, that of a run, and both less the bare loop's.

    Everything counts from the command to its exit: interpreters, imports, Ray's start and end, and the training itself.
    """
    sides: dict[str, Callable[[Place], None]] = {
        BARE: _bare,
        ALONE: _alone,
        "rein sweep": lambda place: _sweep(place, "--jobs", "1"),
        "rein sweep --executor local": lambda place: _sweep(place, "--executor", "local"),
    }
    taken: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="rein-bench-") as folder:
        data = Path(folder) / "data"
        for style in ("game", "day"):
            toy.ensure(data / "toy", style)
        for _, (name, side), number in itertools.product(range(case.repeats), sides.items(), (case.few, case.many)):
            root = Path(tempfile.mkdtemp(dir=folder))
            trials = [build(Experiment, {**TRIAL, "steps": case.steps, "seed": seed}) for seed in range(number)]
            began = time.perf_counter()
            side(Place(data, root, trials))
            taken.setdefault((name, number), []).append(time.perf_counter() - began)
    lines = {name: _line(case, median(taken[name, case.few]), median(taken[name, case.many])) for name in sides}
    return [_row(name, *lines[name], *lines[BARE]) for name in sides]


def _line(case: Case, few: float, many: float) -> tuple[float, float]:
    """Fixed cost and cost of a run."""
    each = (many - few) / (case.many - case.few)
    return few - each * case.few, each


def _row(name: str, fixed: float, each: float, bare_fixed: float, bare_each: float) -> dict[str, Any]:
    return {
        "side": name,
        "fixed s": round(fixed, 2),
        "s a run": round(each, 2),
        "fixed s over bare": round(fixed - bare_fixed, 2),
        "s a run over bare": round(each - bare_each, 2),
    }


def _bare(place: Place) -> None:
    for trial in place.trials:
        _run(LOOP, str(place.data), str(place.runs), json.dumps(to_dict(trial)))


def _alone(place: Place) -> None:
    _run(LOOP, str(place.data), str(place.runs), *(json.dumps(to_dict(trial)) for trial in place.trials))


def _sweep(place: Place, *words: str) -> None:
    first = place.trials[0]
    (place.root / "trial.yaml").write_text(yaml.safe_dump(to_dict(first)))
    seeds = [trial.seed for trial in place.trials]
    sweep = {"experiment": str(place.root / "trial.yaml"), "vary": {"seed": seeds}}
    (place.root / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    folders = ("--data", str(place.data), "--runs", str(place.runs))
    _run(REIN, "sweep", str(place.root / "sweep.yaml"), "--no-track", "--device", "cpu", *folders, *words)


def _run(code: str, *words: str) -> None:
    """One process of Python, one thread of torch. Raises RuntimeError with its last words where it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"a side of the benchmark failed:\n{done.stderr[-2000:]}")
