"""A member that takes over goes on from the other's checkpoint at changed rates; its past is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rein import results
from rein.config import PBT, ConfigError, Experiment, Machine, Resources, Rule, Search, Sweep
from rein.ledger import Run
from rein.sweeps.on_ray import population
from rein.sweeps.on_ray.population import evolve, new_root, outcome, schedule, take_over
from rein.sweeps.plan import Planned
from rein.sweeps.resources import Allotment, Node
from tests.waiting import comes

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
    with pytest.raises(ConfigError, match=r"--jobs 2: pbt sets members aside until all 3"):
        of_three(tiny, machine, jobs=2)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"resources": Resources(workers=2)}, "workers: pbt trains each member in one process, and 2 are asked for"),
        ({"rules": (Rule(when={"seed": 2}, cpu=4),)}, "rules: they give the members of pbt unlike resources"),
        ({"resources": Resources(gpu=2)}, r"resources\.gpu: .*2 GPU asked for, which no node has \(4 CPU, 1 GPU\)"),
    ],
)
def test_what_a_population_cannot_be_given_is_refused_before_anything_is_made(
    given: dict[str, Any], why: str, tiny: Callable[..., Experiment], machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(population, "started", nullcontext)
    monkeypatch.setattr(population, "nodes", lambda: [Node(4, 1)])
    with pytest.raises(ConfigError, match=why):
        of_three(tiny, machine, **given)


def test_an_address_at_which_no_cluster_is_leaves_no_population(
    tiny: Callable[..., Experiment], machine: Machine
) -> None:
    with pytest.raises(ConfigError, match="no address of a Ray cluster"):
        of_three(tiny, machine, address="nowhere")


def test_a_cluster_that_does_not_see_the_runs_is_refused_before_anything_is_made(
    tiny: Callable[..., Experiment], machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unseen(runs: Path) -> None:
        raise ConfigError(f"{runs}: unseen")

    monkeypatch.setattr(population, "started", nullcontext)
    monkeypatch.setattr(population, "nodes", lambda: [Node(4, 1)])
    monkeypatch.setattr(population, "check_shared", unseen)
    with pytest.raises(ConfigError, match="unseen"):
        of_three(tiny, machine, address="auto")


def test_a_member_keeps_to_its_share_of_a_gpu(
    member: Run, tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[float] = []
    monkeypatch.setattr(population, "keep_to_share", kept.append)
    monkeypatch.setattr("rein.training.train", lambda *given: None)
    population._member({"run": member.id}, replace(machine, runs=tmp_path), Resources(gpu=0.5))
    assert kept == [0.5]


def of_three(
    tiny: Callable[..., Experiment],
    machine: Machine,
    address: str | None = None,
    jobs: int | None = None,
    **given: Any,
) -> None:
    """A population of three seeds, which leaves nothing where it is refused."""
    sweep = Sweep(experiment="toy", search=Search(scheduler=PBT(mutate=MUTATE)), **given)
    members = [Planned(str(seed), "", {}, tiny({"seed": seed})) for seed in range(3)]
    try:
        evolve(sweep, members, machine, Allotment(sweep), "s", address, jobs)
    finally:
        assert not (machine.runs / "pbt").exists()


def test_one_that_diverged_is_an_outcome_and_all_of_them_are_a_failure(member: Run, tmp_path: Path) -> None:
    second = Run(tmp_path / take_over(tmp_path, {"run": member.id, "optim.lr": 0.002}, MUTATE)["run"])
    for run in (member, second):
        run.start(step=20, steps=40)
    second.finish("diverged", FloatingPointError("nan"))
    assert outcome(tmp_path, MUTATE, lost=1) == {"stretches": 2, "done": 0, "failed": 2}
    member.finish("done")
    assert outcome(tmp_path, MUTATE)["failed"] == 0


def test_a_member_whose_process_was_lost_has_failed(member: Run, tmp_path: Path) -> None:
    second = Run(tmp_path / take_over(tmp_path, {"run": member.id, "optim.lr": 0.002}, MUTATE)["run"])
    for run in (member, second):
        run.start(step=20, steps=40)
    member.finish("done")
    assert second.state == "running" and outcome(tmp_path, MUTATE, lost=1)["failed"] == 1


@pytest.mark.slow
def test_a_population_is_trained_on_ray_and_no_table_sees_it(tmp_path: Path, tiny_file: Path, toy_data: Path) -> None:
    driver = started(tmp_path, tiny_file, toy_data, steps=8, every=4)
    stdout, stderr = driver.communicate(timeout=600)
    assert driver.returncode == 0, stderr
    said, root = json.loads(stdout), tmp_path / "runs/pbt/s/1"
    assert said["stretches"] > 2 and said["done"] >= 2 and said["schedule"].startswith("0: optim.lr=")
    assert results.load(tmp_path / "runs").empty and len(list(root.iterdir())) == said["stretches"], "nothing of Tune's"


@pytest.mark.slow
def test_a_member_whose_process_is_killed_is_counted(tmp_path: Path, tiny_file: Path, toy_data: Path) -> None:
    driver = started(tmp_path, tiny_file, toy_data, steps=12, every=6)
    root = tmp_path / "runs/pbt/s/1"
    assert comes(lambda: list(root.glob("*/status.json")), 600)
    assert list(root.glob(".ray-*")), "Tune's own files, where all nodes see them"
    os.kill(Run(next(root.glob("*/status.json")).parent).status()["pid"], signal.SIGKILL)
    try:
        stdout, stderr = driver.communicate(timeout=600)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)
    said = json.loads(stdout)
    assert (driver.returncode, said["failed"], said["done"]) == (1, 1, 1), stderr
    assert "a member was lost" in stderr


def started(folder: Path, tiny_file: Path, data: Path, steps: int, every: int) -> subprocess.Popen[str]:
    """`rein sweep` of a population of two."""
    vary = {"optim.lr": [1e-5, 1e-3], "steps": [steps], "evaluation.every": [every]}
    search = {"scheduler": {"method": "pbt", "mutate": MUTATE, "quantile": 0.5}}
    (folder / "s.yaml").write_text(yaml.safe_dump({"experiment": str(tiny_file), "vary": vary, "search": search}))
    return subprocess.Popen(
        [sys.executable, "-m", "rein", "sweep", "s.yaml", "--no-track", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "REIN_DATA": str(data), "REIN_RUNS": str(folder / "runs")},
        cwd=folder,
        start_new_session=True,
    )
