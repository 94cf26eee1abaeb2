"""A run over two workers of Ray Train, started by `rein sweep`: the numbers of one process, and one that is lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from rein.config import Experiment, Machine, run_id, to_dict
from rein.ledger import Run
from rein.sweeps.on_ray.trainer import _follow
from rein.training import train
from tests.waiting import comes

Tiny = Callable[..., Experiment]
STEPS = {"steps": 20, "data.batch_size": 4, "optim.lr": 1e-4, "optim.backbone_lr": 1e-5}


def losses(run: Run) -> list[float]:
    records = {record["step"]: record["loss"] for record in run.metrics()[0] if "loss" in record}
    return list(records.values())


def sweep(folder: Path, data: Path, experiment: Experiment) -> subprocess.Popen[str]:
    """`rein sweep` of one experiment over two workers, each with a CPU: on two cores there is nothing left over."""
    (folder / "tiny.yaml").write_text(yaml.safe_dump(to_dict(experiment)))
    question = {"experiment": "tiny.yaml", "resources": {"cpu": 1, "workers": 2}}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(question))
    environment = {**os.environ, "REIN_DATA": str(data), "REIN_RUNS": str(folder / "runs"), "OMP_NUM_THREADS": "1",
                   "REIN_CHECKPOINT_SECONDS": "0", "REIN_LEASE_SECONDS": "5"}  # fmt: skip
    command = [sys.executable, "-m", "rein", "sweep", "sweep.yaml", "--no-track", "--json"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder,
        start_new_session=True,
    )  # fmt: skip


@pytest.mark.slow
def test_two_workers_give_the_losses_of_one_process(tmp_path: Path, toy_data: Path, tiny: Tiny) -> None:
    experiment = tiny(STEPS)
    out, err = sweep(tmp_path, toy_data, experiment).communicate(timeout=600)
    assert out and json.loads(out)["done"] == 1, err
    machine = Machine(data=toy_data, runs=tmp_path / "alone", weights=tmp_path, device="cpu", threads=1)
    one, two = train(experiment, machine), Run(tmp_path / "runs" / run_id(experiment))
    assert json.loads((two.path / "environment.json").read_text())["processes"] == 2
    print(f"{max(abs(a / b - 1) for a, b in zip(losses(two), losses(one), strict=True)):.1e}")
    assert len(losses(two)) == 20 and losses(two) == pytest.approx(losses(one), rel=1e-6)
    assert [path.name for path in two.path.iterdir() if path.name.startswith(".ray")] == []


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_a_checkpoint_interval(tmp_path: Path, toy_data: Path, tiny: Tiny) -> None:
    experiment = tiny({**STEPS, "steps": 60})
    driver = sweep(tmp_path, toy_data, experiment)
    run = Run(tmp_path / "runs" / run_id(experiment))
    try:
        assert comes(lambda: run.status().get("step"), 600)
        workers = [process for process in psutil.Process(driver.pid).children(recursive=True) if _trains(process)]
        victim = next(process for process in workers if process.pid != run.status()["pid"])
        assert len(workers) == 2
        assert comes(lambda: run.status()["step"] >= 8)
        victim.send_signal(signal.SIGKILL)
        out, err = driver.communicate(timeout=600)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)
    assert out and json.loads(out)["done"] == 1, err
    assert run.status()["attempt"] == 2
    steps = [record["step"] for record in run.metrics()[0] if "loss" in record]
    assert steps.count(4) == 1, "it did not start again at the first step"


def _trains(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return "RayTrainWorker" in " ".join(process.cmdline())
    return False


def test_whoever_stops_the_trial_stops_the_run_and_waits_for_it(tmp_path: Path, tiny: Tiny) -> None:
    run = Run.create(tmp_path, tiny())
    seen: list[int] = []

    def fit() -> None:
        run.append({"step": 1, "loss": 2.0})
        while not run.asked_to_stop():
            time.sleep(0.01)
        run.finish("preempted")

    def observe(record: Any) -> None:
        seen.append(record["step"])
        raise SystemExit(0)

    with pytest.raises(SystemExit):
        _follow(run, fit, observe)
    assert seen == [1] and run.state == "preempted"
