"""Several processes make one run: the numbers of one process, whatever is trained, and one end for all of them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rein import results
from rein.config import Experiment, Machine, run_id, to_dict
from rein.config_io import dump
from rein.ledger import Run
from rein.ranks import ERRORS, Ranks, _code
from rein.training import checkpoint, train

Tiny = Callable[..., Experiment]
#: At the rates of the recipe: rounding grows with them, by the steps of a run.
STEPS = {"steps": 20, "data.batch_size": 4, "optim.lr": 1e-4, "optim.backbone_lr": 1e-5}
VARIANTS: dict[str, dict[str, Any]] = {
    "rein": {**STEPS},
    "rein in micro-batches": {**STEPS, "seed": 1},
    "rein linked by addition": {**STEPS, "tuning.link": "add", "seed": 2},
    "full": {**STEPS, "tuning.method": "full"},
    "lora": {**STEPS, "tuning.method": "lora", "tuning.rank": 2},
    "frozen semfpn": {**STEPS, "tuning.method": "frozen", "head.method": "semfpn", "head.width": 8},
    "rein linear": {**STEPS, "head.method": "linear"},
    "advstyle": {**STEPS, "data.augmentation": "advstyle"},
}
#: Trained by two processes that share out what of the backbone does not train.
SHARDED: dict[str, dict[str, Any]] = {
    "rein": {**STEPS, "seed": 20},
    "lora": {**STEPS, "seed": 20, "tuning.method": "lora", "tuning.rank": 2},
    "norms": {**STEPS, "seed": 20, "tuning.method": "norm"},
    "frozen linear": {**STEPS, "seed": 20, "tuning.method": "frozen", "head.method": "linear"},
}
#: Scored on all images of a folder of several, of which one cannot be read.
SCORED = {**STEPS, "seed": 50, "steps": 2, "evaluation.images": None, "data.on_error": "skip"}
#: What goes wrong, in which process; with a seed of its own each.
WRONG: dict[str, dict[str, Any]] = {
    "data": {"kind": "data", "rank": 1, "step": 3},
    "cut": {"kind": "cut", "rank": 0, "step": 10},
    "memory": {"kind": "memory", "rank": 1, "step": 5},
}
DIVERGES = {"optim.lr": 1e30, "tuning.method": "full", "optim.backbone_lr": 1e30, "data.batch_size": 4, "steps": 8}


def together(world: int, plan: dict[str, Any], folder: Path) -> None:
    """Start the processes as `torchrun` would, and wait for them to end, all of them well."""
    (folder / "plan.json").write_text(json.dumps(plan))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {**os.environ, "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = [sys.executable, str(Path(__file__).with_name("one_of_several.py")), str(folder / "plan.json")]
    processes = [
        subprocess.Popen(
            command, env={**shared, "RANK": str(r), "LOCAL_RANK": str(r)}, stderr=subprocess.PIPE, text=True
        )
        for r in range(world)
    ]
    try:
        ends = [(process.communicate(timeout=600)[1], process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert all(code == 0 for _, code in ends), "\n".join(text for text, _ in ends)


def wrong(tiny: Tiny, name: str) -> Experiment:
    return tiny({**STEPS, "seed": 10 + list(WRONG).index(name)})


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Machine:
    folder = tmp_path_factory.mktemp("alone")
    return Machine(data=toy_data, runs=folder, weights=folder, device="cpu", threads=1, checkpoint_seconds=0)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Path:
    """The toy data with seven images of the day to be scored on, of which the second cannot be read."""
    root = tmp_path_factory.mktemp("several")
    shutil.copytree(toy_data / "toy", root / "toy")
    for kind in ("images", "labels"):
        for file in (toy_data / "toy" / "game" / kind / "train").iterdir():
            shutil.copy(file, root / "toy" / "day" / kind / "val")
    (root / "toy/day/images/val/000001.png").write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, toy_data: Path, several: Path, tiny: Tiny, alone: Machine) -> Path:
    """The runs folder of two processes that train all variants, and live through all that goes wrong."""
    folder = tmp_path_factory.mktemp("pair")
    scored = train(tiny(SCORED), replace(alone, data=several))  # trained by one process, to be scored by two
    shutil.copytree(scored.path, folder / "scored" / scored.id)
    Run(folder / "scored" / scored.id).update(state="running")
    for name in ("scores.csv", "confusion.npz", "images.npz"):
        (folder / "scored" / scored.id / name).unlink()
    shutil.rmtree(folder / "scored" / scored.id / "predictions")
    machine = {"data": str(toy_data), "runs": str(folder), "device": "cpu", "threads": 1, "checkpoint_seconds": 0}
    jobs = [(to_dict(tiny(changes)), {}) for name, changes in VARIANTS.items() if name != "rein in micro-batches"]
    jobs += [(to_dict(wrong(tiny, name)), what) for name, what in WRONG.items()]
    jobs += [(to_dict(tiny(DIVERGES)), {})]
    together(2, {"machine": machine, "experiments": jobs}, folder)
    finer = [(to_dict(tiny(VARIANTS["rein in micro-batches"])), {})]
    together(2, {"machine": {**machine, "micro_batch": 1}, "experiments": finer}, folder)
    shares = [(to_dict(tiny(changes)), {}) for changes in SHARDED.values()]
    together(2, {"machine": {**machine, "shard": True}, "experiments": shares}, folder)
    again = {**machine, "data": str(several), "runs": str(folder / "scored")}
    together(2, {"machine": again, "experiments": [(to_dict(tiny(SCORED)), {})]}, folder)
    return folder


def losses(run: Run) -> list[float]:
    records = {record["step"]: record["loss"] for record in run.metrics()[0] if "loss" in record}
    assert list(records) == list(range(1, len(records) + 1))
    return list(records.values())


def assert_same_but_for_ties(found: list[float], expected: list[float]) -> None:
    """Rounding may tip a choice, which of two points is the less certain, and with it one step's loss."""
    apart = [abs(mine / other - 1) for mine, other in zip(found, expected, strict=True)]
    assert sum(difference > 1e-6 for difference in apart) <= len(apart) // 10 and max(apart) < 1e-3, apart


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_two_processes_give_the_losses_of_one(pair: Path, alone: Machine, tiny: Tiny, name: str) -> None:
    one = train(tiny(VARIANTS[name]), alone)
    two = Run(pair / one.id)
    assert two.state == "done" and len(losses(two)) == 20
    assert json.loads((two.path / "environment.json").read_text())["processes"] == 2
    print(f"{name}: {max(abs(a / b - 1) for a, b in zip(losses(two), losses(one), strict=True)):.1e}")
    assert losses(two) == pytest.approx(losses(one), rel=1e-6)
    files = [load_file(checkpoint.newest(run.path / "checkpoint")) for run in (one, two)]
    assert {name: t.shape for name, t in files[0].items()} == {name: t.shape for name, t in files[1].items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARDED)
def test_with_the_trunk_in_shares_the_losses_and_scores_are_those_of_one(
    pair: Path, alone: Machine, tiny: Tiny, name: str
) -> None:
    one = train(tiny(SHARDED[name]), alone)
    two = Run(pair / one.id)
    assert two.state == "done", two.status().get("error")
    print(f"{name}: {max(abs(a / b - 1) for a, b in zip(losses(two), losses(one), strict=True)):.1e}")
    assert losses(two) == pytest.approx(losses(one), rel=1e-6)
    files = [load_file(checkpoint.newest(run.path / "checkpoint")) for run in (one, two)]
    assert {name: t.shape for name, t in files[0].items()} == {name: t.shape for name, t in files[1].items()}
    assert two.status()["scored"] == one.status()["scored"]
    keys = ("parameters.backbone", "parameters.backbone_trainable", "parameters.head")
    assert [two.status()[key] for key in keys] == [one.status()[key] for key in keys]


@pytest.mark.slow
def test_torchrun_starts_a_run_over_the_command_line(tmp_path: Path, alone: Machine, tiny: Tiny) -> None:
    """Twice: the second time there is nothing to do, and no process waits for another."""
    experiment = tiny({**STEPS, "seed": 30, "steps": 3})
    (tmp_path / "tiny.yaml").write_text(dump(experiment))
    words = ["train", str(tmp_path / "tiny.yaml"), "--no-track", "--json", "--runs", str(tmp_path / "runs")]
    places = ["--data", str(alone.data), "--device", "cpu"]
    starter = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "rein"]
    for _ in range(2):
        ended = subprocess.run([*starter, *words, *places], capture_output=True, text=True, timeout=600)
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["state"] == "done", "the first process alone speaks"
    run = Run(tmp_path / "runs" / run_id(experiment))
    assert run.status()["attempt"] == 1
    assert json.loads((run.path / "environment.json").read_text())["processes"] == 2
    assert losses(run) == pytest.approx(losses(train(experiment, alone)), rel=1e-6)


@pytest.mark.slow
def test_a_score_over_two_processes_is_that_of_one(pair: Path, alone: Machine, tiny: Tiny) -> None:
    one, two = (Run(runs / run_id(tiny(SCORED))) for runs in (alone.runs, pair / "scored"))
    assert two.state == "done" and two.status()["scored"] == one.status()["scored"]
    assert (two.path / "scores.csv").read_text() == (one.path / "scores.csv").read_text()
    matrices = [np.load(run.path / "confusion.npz") for run in (one, two)]
    assert all((matrices[0][name] == matrices[1][name]).all() for name in matrices[0].files)
    images = [results.images(run.path) for run in (one, two)]
    assert images[0]["toy-day"].names == tuple(f"00000{i}" for i in (0, 2, 3, 4, 5, 6))
    for name in matrices[0].files:
        assert images[0][name].names == images[1][name].names != ()
        assert (images[0][name].counts == images[1][name].counts).all(), name
    files = [sorted(path.relative_to(run.path) for path in run.path.rglob("predictions/*/*")) for run in (one, two)]
    assert files[0] == files[1] != []


@pytest.mark.slow
def test_a_run_that_two_processes_began_is_gone_on_with_by_one(pair: Path, alone: Machine, tiny: Tiny) -> None:
    experiment = wrong(tiny, "cut")
    cut, uncut = Run(pair / run_id(experiment)), train(experiment, alone)
    assert cut.state == "preempted" and cut.status()["step"] == 10
    went_on: list[int] = []
    train(experiment, replace(alone, runs=pair), lambda record: went_on.append(record["step"]))
    assert went_on[0] == 10 and cut.state == "done"
    assert_same_but_for_ties(losses(cut), losses(uncut))


@pytest.mark.slow
def test_a_checkpoint_between_two_records_holds_the_losses_of_all_processes(
    tmp_path: Path, alone: Machine, tiny: Tiny
) -> None:
    """Records are of every second step. One run is pruned behind the score of the third, another one fails at the
    record after, and a third one is ended by a signal."""
    linear = {**STEPS, "steps": 100, "head.method": "linear"}  # which chooses no points
    pruned = tiny({**linear, "seed": 40, "evaluation.every": 3})
    failed, ended = (tiny({**linear, "seed": seed}) for seed in (41, 42))
    kept: dict[int, list[float]] = {}
    for world in (1, 2):
        runs = tmp_path / str(world)
        runs.mkdir()
        machine = {"data": str(alone.data), "runs": str(runs), "device": "cpu", "threads": 1}
        jobs = [
            (to_dict(pruned), {"kind": "pruned", "rank": 0, "step": 3}),
            (to_dict(failed), {"kind": "data", "rank": world - 1, "step": 4}),
            (to_dict(ended), {"kind": "signal", "rank": world - 1, "step": 3}),
        ]
        together(world, {"machine": {**machine, "checkpoint_seconds": 1e-9}, "experiments": jobs}, runs)
        records = [Run(runs / run_id(experiment)) for experiment in (pruned, failed, ended)]
        assert [record.state for record in records] == ["pruned", "failed", "preempted"]
        newest = [checkpoint.newest(record.path / "checkpoint").parent for record in records]
        assert [path.name for path in newest] == ["step_0000003"] * 3
        unrecorded = [json.loads((path / "state.json").read_text())["losses"] for path in newest]
        assert [len(losses) for losses in unrecorded] == [1, 1, 1]
        kept[world] = [loss for (loss,) in unrecorded]
    assert kept[2] == pytest.approx(kept[1], rel=1e-6)


@pytest.mark.slow
def test_where_one_process_cannot_go_on_all_end_and_the_run_says_which_and_why(pair: Path, tiny: Tiny) -> None:
    status = Run(pair / run_id(wrong(tiny, "data"))).status()
    assert (status["state"], status["step"]) == ("failed", 3)
    assert status["error"] == "process 1 of 2: a.png: not a readable image"


@pytest.mark.slow
def test_a_divergence_ends_all_processes_as_that(pair: Path, tiny: Tiny) -> None:
    status = Run(pair / run_id(tiny(DIVERGES))).status()
    assert status["state"] == "diverged" and "a lower optim.lr may help" in status["error"]


@pytest.mark.slow
def test_where_one_process_is_short_of_memory_all_halve(pair: Path, alone: Machine, tiny: Tiny) -> None:
    experiment = wrong(tiny, "memory")
    run, expected = Run(pair / run_id(experiment)), train(experiment, alone)
    assert (run.state, run.status()["micro_batch"]) == ("done", 1)
    assert any("step 5: out of memory (in another process)" in note for note in run.status()["notes"])
    assert_same_but_for_ties(losses(run), losses(expected))


@pytest.mark.slow
def test_four_processes_with_one_image_each(tmp_path: Path, alone: Machine, tiny: Tiny) -> None:
    machine = {"data": str(alone.data), "runs": str(tmp_path), "device": "cpu", "threads": 1}
    experiment = tiny(VARIANTS["rein"])
    together(4, {"machine": machine, "experiments": [(to_dict(experiment), {})]}, tmp_path)
    one, four = train(experiment, alone), Run(tmp_path / run_id(experiment))
    assert four.state == "done"
    print(f"{max(abs(a / b - 1) for a, b in zip(losses(four), losses(one), strict=True)):.1e}")
    assert losses(four) == pytest.approx(losses(one), rel=1e-6)


def test_alone_there_is_nobody_to_ask() -> None:
    ranks, tensor = Ranks.here(), torch.ones(3)
    assert ranks.first and ranks.world == 1
    assert ranks.exchange([1, 2.5]) == [[1, 2.5]] and ranks.texts("a") == ["a"]
    ranks.add([tensor])
    assert tensor.tolist() == [1, 1, 1]
    with pytest.raises(KeyError), ranks.ending_together():
        raise KeyError


def test_a_want_of_memory_is_told_to_the_others_as_that() -> None:
    short = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
    assert ERRORS[int(_code(short)) - 1] is MemoryError and ERRORS[int(_code(RuntimeError())) - 1] is RuntimeError
