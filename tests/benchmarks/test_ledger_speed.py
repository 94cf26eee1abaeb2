"""How long a ledger of ten thousand finished runs takes, beside a plain loop that reads the same files as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rein.catalogue import entries
from rein.config import Experiment, Optim, run_id
from rein.config_io import dump
from rein.ledger import Run, runs

RUNS = 10_000


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten thousand runs with the status that a run of the paper's recipe leaves, no two of one learning rate."""
    root = tmp_path_factory.mktemp("ledger")
    one = Run.create(root / "one", Experiment())
    one.start(step=0, steps=40_000)
    scored = {name: {"images": 500, "pixels": 1_048_576_000} for name in ("cityscapes", "bdd100k", "mapillary")}
    parameters = {"parameters.backbone": 303_228_928, "parameters.backbone_trainable": 2_990_081}
    one.update(step=40_000, loss=12.3, peak_memory_mib=10_000, data_wait=0.01, scored=scored, **parameters)
    one.finish("done", seconds=36_000.0)
    status = (one.path / "status.json").read_bytes()
    for number in range(RUNS):
        experiment = Experiment(seed=number % 5, optim=Optim(lr=1e-4 + number * 1e-8))
        folder = root / "runs" / run_id(experiment)
        folder.mkdir(parents=True)
        (folder / "experiment.yaml").write_text(dump(experiment))
        (folder / "status.json").write_bytes(status)
    return root / "runs"


def seconds(call: Callable[[], object]) -> float:
    """Of the fastest of three calls."""
    took = []
    for _ in range(3):
        started = time.perf_counter()
        call()
        took.append(time.perf_counter() - started)
    return min(took)


@pytest.mark.benchmark
def test_10000_finished_runs_are_known_in_five_seconds(root: Path) -> None:
    def plain() -> list[object]:
        return [json.loads(path.read_bytes()) for path in root.glob("*/status.json")]

    def states() -> list[object]:
        return [run.state for run in runs(root)]

    def listed() -> list[object]:
        return [row["state"] for row in entries("runs", root)]

    assert states() == listed() == RUNS * ["done"] and len(plain()) == RUNS
    base = seconds(plain)
    for name, call in {"their states": states, "rein list runs": listed}.items():
        took = seconds(call)
        print(f"{RUNS} runs: {name} {took:.2f} s, json.loads alone {base:.2f} s, {took / base:.1f} times as long")
        assert took < 5
