"""What `rein bench run` tells of a run: its parts are the whole, and the run is the one that is trained elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from rein.bench import run
from rein.bench.parts import PARTS, Counts, Taken, table
from rein.bench.run import measure
from rein.bench.stopwatch import Stopwatch
from rein.bench.watching import watched
from rein.cli import app
from rein.config import Experiment, Machine
from rein.ledger import Run
from rein.training import train

Tiny = Callable[..., Experiment]


@pytest.mark.parametrize("changes", [{}, {"head.method": "semfpn"}, {"data.augmentation": "advstyle"}])
def test_the_parts_of_a_run_add_up_to_its_time(
    monkeypatch: pytest.MonkeyPatch, tiny: Tiny, machine: Machine, changes: dict[str, Any]
) -> None:
    alone: list[float] = []

    def timed(*args: Any) -> Run:
        began = time.perf_counter()
        done = train(*args)
        alone.append(time.perf_counter() - began)
        return done

    monkeypatch.setattr(run, "train", timed)
    began = time.perf_counter()
    taken = run.measure(tiny(changes), machine, steps=2)
    took = time.perf_counter() - began
    assert set(taken.seconds) == set(PARTS) and all(second > 0 for second in taken.seconds.values())
    assert alone[0] <= taken.whole <= took
    assert sum(row["s"] for row in table(taken)[:-1]) == pytest.approx(taken.whole, abs=0.0005 * len(PARTS))
    assert taken.counts == Counts(step=2, record=2, checkpoint=2, evaluation=1, image=2)
    assert not machine.runs.exists()


def test_a_run_that_is_watched_is_the_same(tiny: Tiny, machine: Machine) -> None:
    with watched(Stopwatch()):
        seen = train(tiny(), machine)
    alone = train(tiny(), replace(machine, runs=machine.runs.with_name("others")))
    for name in ("scores.csv", "images.npz", "checkpoint/step_0000003/model.safetensors"):
        assert (seen.path / name).read_bytes() == (alone.path / name).read_bytes()
    assert [entry.get("loss") for entry in seen.metrics()[0]] == [entry.get("loss") for entry in alone.metrics()[0]]


def test_what_trains_is_left_as_it_was(tiny: Tiny, machine: Machine) -> None:
    before = torch.Tensor.backward, torch.autograd.grad
    measure(tiny(), machine, steps=1)
    assert (torch.Tensor.backward, torch.autograd.grad) == before


def test_at_full_length_every_part_grows_by_what_it_is_counted_by(tiny: Tiny, machine: Machine) -> None:
    seconds = dict.fromkeys(PARTS, 1.0)
    own = tiny({"steps": 1000, "evaluation.every": 250})
    taken = Taken(own, replace(machine, checkpoint_seconds=100), seconds, Counts(10, 10, 1, 1, 4))
    counts, grown = taken.at_full_length()
    units = {unit: grown[path] for path, (_, unit) in PARTS.items()}
    # 1000 steps are recorded every 20th, and scored after 250, 500, 750 and 1000
    assert units["step"] == 100 and units["record"] == 5 and units["evaluation"] == units["image"] == 4
    assert units["run"] == 1
    without = sum(grown.values()) - units["checkpoint"]
    assert counts.checkpoint == units["checkpoint"] == 1 + without // 100


def test_the_command_prints_parts_and_how_they_were_measured(tiny_file: Path, toy_data: Path) -> None:
    command = f"bench run {tiny_file} steps=400 --steps 1 --data {toy_data} --device cpu"
    said = CliRunner().invoke(app, [*command.split(), "--json"])
    assert said.exit_code == 0, said.output
    found = json.loads(said.stdout)
    assert found["parts"][-1]["part"] == "all" and found["parts"][-1]["share %"] == 100
    assert (
        found["how"]["in full"].startswith("400 steps, 1 evaluation, 1 checkpoint: ")
        and found["how"]["device"] == "cpu"
    )
