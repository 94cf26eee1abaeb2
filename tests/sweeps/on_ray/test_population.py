"""A member that takes over goes on from the other's checkpoint at changed rates; its past is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rein import results
from rein.config import PBT, ConfigError, Experiment, Machine, Search, Sweep
from rein.ledger import Run
from rein.sweeps.on_ray.population import evolve, new_root, outcome, schedule, take_over
from rein.sweeps.plan import Planned
from rein.sweeps.resources import Allotment

MUTATE: dict[str, Any] = {"optim.lr": {"loguniform": [1e-5, 1e-2]}}


@pytest.fixture
def member(tiny: Callable[..., Experiment], tmp_path: Path) -> Run:
    run = Run.create(tmp_path, tiny({"steps": 40}))
    for step in (10, 20):
        (run.path / f"checkpoint/step_{step:07d}").mkdir(parents=True)
        (run.path / f"checkpoint/step_{step:07d}/state.json").write_text(str(step))
        run.append({"step": step, "toy-game/miou": step / 100, "source_val": step / 100})
    return run


def test_it_begins_with_the_others_newest_checkpoint_and_past(member: Run, tmp_path: Path) -> None:
    config = take_over(tmp_path, {"run": member.id, "optim.lr": 0.0012}, MUTATE)
    run = Run(tmp_path / config["run"])
    assert run.id != member.id and config["optim.lr"] == run.experiment().optim.lr == 0.0012
    assert [path.name for path in (run.path / "checkpoint").iterdir()] == ["step_0000020"]
    assert run.metrics()[0] == member.metrics()[0]
    (mutation,) = map(json.loads, (run.path / "mutations.jsonl").read_text().splitlines())
    assert mutation == {"step": 20, "from": member.id, "optim.lr": 0.0012}


def test_rates_stay_within_their_bounds(member: Run, tmp_path: Path) -> None:
    assert take_over(tmp_path, {"run": member.id, "optim.lr": 3.0}, MUTATE)["optim.lr"] == 0.01


def test_two_that_take_over_alike_are_two_folders(member: Run, tmp_path: Path) -> None:
    both = [take_over(tmp_path, {"run": member.id, "optim.lr": 0.002}, MUTATE)["run"] for _ in range(2)]
    assert len({*both, member.id}) == 3


def test_the_best_members_schedule_is_told(member: Run, tmp_path: Path) -> None:
    second = Run(tmp_path / take_over(tmp_path, {"run": member.id, "optim.lr": 0.002}, MUTATE)["run"])
    (second.path / "checkpoint/step_0000030").mkdir()
    third = Run(tmp_path / take_over(tmp_path, {"run": second.id, "optim.lr": 0.003}, MUTATE)["run"])
    for run, value in ((member, 0.3), (third, 0.6)):
        run.start(step=40, steps=40)
        run.append({"step": 40, "toy-game/miou": value, "toy-day/miou": 1 - value})
        run.finish("done")
    assert schedule(tmp_path, third, MUTATE) == "0: optim.lr=0.001; 20: optim.lr=0.002; 30: optim.lr=0.003"
    said = outcome(tmp_path, MUTATE)
    assert (said["best"], said["source_val"], said["done"]) == (str(third.path), "60.00", 2)


def test_each_start_has_a_folder_of_its_own_and_leaves_the_others(tmp_path: Path) -> None:
    first = new_root(tmp_path, "s")
    (first / "kept").touch()
    assert new_root(tmp_path, "s") != first and (first / "kept").is_file()


def test_fewer_jobs_than_members_are_refused_before_anything_is_made(
    tiny: Callable[..., Experiment], machine: Machine
) -> None:
    sweep = Sweep(experiment="toy", search=Search(scheduler=PBT(mutate=MUTATE)))
    members = [Planned(str(seed), "", {}, tiny({"seed": seed})) for seed in range(3)]
    with pytest.raises(ConfigError, match=r"--jobs 2: pbt sets members aside until all 3"):
        evolve(sweep, members, machine, Allotment(sweep), "s", None, jobs=2)
    assert not (machine.runs / "pbt").exists()


@pytest.mark.slow
def test_a_population_is_trained_on_ray_and_no_table_sees_it(tmp_path: Path, tiny_file: Path, toy_data: Path) -> None:
    vary = {"optim.lr": [1e-5, 1e-4, 1e-3, 1e-2], "steps": [12], "evaluation.every": [4]}
    search = {"scheduler": {"method": "pbt", "mutate": MUTATE}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({"experiment": str(tiny_file), "vary": vary, "search": search}))
    runs = tmp_path / "runs"
    environment = {**os.environ, "REIN_DATA": str(toy_data), "REIN_RUNS": str(runs)}
    command = [sys.executable, "-c", "from rein.cli import main; main()", "sweep", "s.yaml", "--no-track", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=400)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["stretches"] > 4 and said["done"] >= 4 and said["schedule"].startswith("0: optim.lr=")
    assert results.load(runs).empty and (runs / "pbt" / "s" / "1").is_dir()
