"""How fast a bill of many runs is drawn up where its figures are known, and how near probes come to real runs."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from rein.config import Machine, Sweep
from rein.config_io import load
from rein.sweeps.bill.estimate import bill_of
from rein.sweeps.bill.states import statuses
from rein.sweeps.bill.timings import Seen, read
from rein.sweeps.bill.where_it_runs import Place
from rein.sweeps.drive import drive
from rein.sweeps.plan import expand

RUNS = 100_000


@pytest.mark.benchmark
def test_the_bill_of_100000_runs_takes_less_than_ten_seconds(tmp_path: Path, machine: Machine) -> None:
    vary = {"tuning.rank": [1, 2, 4, 8, 16], "seed": list(range(RUNS // 5))}
    (tmp_path / "big.yaml").write_text(yaml.safe_dump({"experiment": "toy", "vary": vary}))
    place = Place.find(machine)
    bill_of(str(tmp_path / "big.yaml"), [], place)  # counts the five networks
    began, worked = time.perf_counter(), time.process_time()
    bill = bill_of(str(tmp_path / "big.yaml"), [], place)
    took, wall = time.process_time() - worked, time.perf_counter() - began  # others may use the machine as well
    print(f"{len(bill.lines):,} runs: {took:.1f} s of one core, {wall:.1f} s by the clock")
    assert bill.left == RUNS and took < 10


@pytest.mark.benchmark
def test_probes_foretell_toy_runs(tmp_path: Path, machine: Machine) -> None:
    points = {
        name: {"tuning.method": name, "steps": 150, "evaluation.images": 2} for name in ("frozen", "rein", "full")
    }
    (tmp_path / "few.yaml").write_text(yaml.safe_dump({"experiment": "toy", "points": points}))
    place = Place.find(replace(machine, threads=1), "local", None, 1)
    told = bill_of(str(tmp_path / "few.yaml"), [], place, probe=True)
    drive(str(tmp_path / "few.yaml"), [], place.machine, "local", track=False)
    plans = expand(load(Sweep, tmp_path / "few.yaml"))
    seen: list[Seen] = read(plans, statuses(plans, machine.runs), machine.runs)
    real = {one.experiment.tuning.method: one.whole for one in seen}
    ratios = {line.variant: (real[line.variant] or 0) / (line.seconds or 1) for line in told.lines}
    print("real by predicted time:", ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))
    assert all(0.4 < ratio < 2.5 for ratio in ratios.values())
