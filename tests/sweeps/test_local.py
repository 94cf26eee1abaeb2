"""Sweeps without Ray: in this process, in a few of their own, and where Ray cannot even be imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from rein.config import Experiment, Machine, Sweep, run_id, to_dict
from rein.ledger import Run
from rein.sweeps.local import several
from rein.sweeps.plan import Planned
from rein.sweeps.queue import Patient, Queue
from rein.sweeps.resources import Allotment
from rein.training import checkpoint, train
from tests.processes import ends
from tests.waiting import comes

Tiny = Callable[..., Experiment]


def planned(*experiments: Experiment) -> list[Planned]:
    return [Planned(run_id(experiment), "", {}, experiment) for experiment in experiments]


def test_a_sweep_needs_no_ray(tmp_path: Path, toy_data: Path, tiny: Tiny) -> None:
    """Whoever imports it, wherever: it cannot be found."""
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray/__init__.py").write_text("raise ImportError('there is no Ray on this machine')")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(to_dict(tiny())))
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({"experiment": "tiny.yaml", "vary": {"seed": [0, 1]}}))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "REIN_DATA": str(toy_data), "REIN_RUNS": "runs", "PYTHONPATH": path}
    words = ("sweep", "sweep.yaml", "--executor", "local", "--no-track", "--json")
    command = [sys.executable, "-c", "from rein.cli import main; main()", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["done"] == 2


@pytest.mark.slow
def test_several_processes_give_the_numbers_of_one_and_outlive_a_failure(
    machine: Machine, tiny: Tiny, tmp_path: Path
) -> None:
    bad = tiny({"optim.lr": 1e30, "tuning.method": "full", "optim.backbone_lr": 1e30})
    plans = planned(tiny(), bad, tiny({"seed": 1}), tiny({"seed": 2}))
    several(Patient(Queue(plans, machine.runs), machine.runs), machine, Allotment(Sweep(experiment="toy")), jobs=2)
    records = [Run(machine.runs / plan.id) for plan in plans]
    assert [record.state for record in records] == ["done", "diverged", "done", "done"]
    assert len({record.status()["pid"] for record in records}) == 2, "a process is kept from run to run"
    here = train(tiny(), Machine(**{**vars(machine), "runs": tmp_path / "here"}))
    assert (here.path / "scores.csv").read_text() == (records[0].path / "scores.csv").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "driver"])
def test_a_process_that_is_killed_costs_no_run_and_leaves_none_behind(
    tmp_path: Path, toy_data: Path, tiny: Tiny, victim: str
) -> None:
    experiment = tiny({"steps": 400 if victim == "worker" else 100_000})
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(to_dict(experiment)))
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({"experiment": "tiny.yaml"}))
    environment = {
        **os.environ,
        "REIN_DATA": str(toy_data),
        "REIN_RUNS": str(tmp_path / "runs"),
        "REIN_CHECKPOINT_SECONDS": "0",
    }
    words = ("sweep", "sweep.yaml", "--executor", "local", "--jobs", "2", "--no-track")
    command = [sys.executable, "-c", "from rein.cli import main; main()", *words]
    driver = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL)
    run = Run(tmp_path / "runs" / run_id(experiment))
    assert comes(lambda: run.status().get("loss"), 600)
    worker = psutil.Process(run.status()["pid"])
    assert worker.pid != driver.pid
    if victim == "worker":
        worker.kill()
        assert driver.wait(600) == 0
        assert run.state == "done" and run.status()["attempt"] == 2
    else:
        driver.kill()
        driver.wait()
        assert ends(worker)
        assert run.state == "preempted" and checkpoint.newest(run.path / "checkpoint")
