"""A bill drawn up from known figures: its sums, its states, its rows and its words."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from rein.config import Experiment, Machine, Resources, Sweep, run_id
from rein.ledger import Run
from rein.sweeps.bill import screen as bill_screen
from rein.sweeps.bill.bill import Bill, as_json, draw_up, merged, price
from rein.sweeps.bill.estimate import Estimate
from rein.sweeps.bill.states import again, statuses
from rein.sweeps.bill.timings import Timing, Timings
from rein.sweeps.bill.where_it_runs import Place
from rein.sweeps.plan import Planned
from rein.sweeps.resources import Node

Tiny = Callable[..., Experiment]
COST = {"backbone": 1000, "trainable": 50, "trained": 80, "flops": 7_000_000, "memory": 2**20, "checkpoints": 1000}
TIMING = Timing(step=2.0, score=10.0, start=4.0, memory_mib=500, device="cpu", origin="3 runs")


def drawn(tiny: Tiny, root: Path, timing: Timing | None, ranks: int = 2) -> Bill:
    """Two seeds of some ranks of three steps (20 s a run): the first is done, the second cut behind step 2."""
    plans = []
    for rank in range(1, ranks + 1):
        for seed in (0, 1):
            experiment = tiny({"tuning.rank": rank, "seed": seed})
            plans.append(Planned(run_id(experiment), "", {"tuning.rank": rank, "seed": seed}, experiment))
    Run.create(root, plans[0].experiment).update(state="done")
    Run.create(root, plans[1].experiment).update(state="preempted", step=2)
    needs = Resources(cpu=2)
    known = statuses(plans, root)
    nodes, taken_up = [Node(4, 0)], again(Sweep(experiment="toy"))
    return draw_up(plans, known, root, lambda p, of: price(of, COST, timing, needs), Timings([]), nodes, taken_up)


def test_the_sums(tiny: Tiny, tmp_path: Path) -> None:
    bill = drawn(tiny, tmp_path, TIMING)
    said = as_json(bill)
    assert said["totals"]["done"] == said["totals"]["cut"] == 1 and said["totals"]["to_do"] == 2
    assert [row["seconds_left"] for row in said["runs"]] == [0, 4 + 2 + 10, 20, 20]
    assert bill.cpu_hours == pytest.approx(2 * (16 + 20 + 20) / 3600) and bill.gpu_hours == 0
    assert bill.wall_seconds == 36 and bill.at_once == 2 and bill.longest_seconds == 20
    assert [one["share"] for one in said["variants"]] == [0.05, 0.05] and said["variants"][1]["seconds_left"] == 40


def test_what_is_not_known_is_said(tiny: Tiny, tmp_path: Path) -> None:
    bill = drawn(tiny, tmp_path, None)
    assert bill.unknown == bill.left == 3 and bill.wall_seconds is None
    assert as_json(bill)["totals"]["cpu_hours"] is None and as_json(bill)["totals"]["gpu_hours"] is None
    text = screen(bill)
    assert "how long they take is unknown: add --probe" in text and "≈ 1 MiB" in text and "known from" not in text


def test_many_variants_of_one_price_share_a_row(tiny: Tiny, tmp_path: Path) -> None:
    bill = drawn(tiny, tmp_path, TIMING, ranks=30)
    rows = merged(bill, 24)
    assert sum(row.runs for row in rows) == 60 and sum(row.variants for row in rows) == 30 and len(rows) == 1
    assert merged(bill, 30) == bill.variants


def test_no_line_is_wider_than_a_hundred_letters(tiny: Tiny, tmp_path: Path) -> None:
    text = screen(drawn(tiny, tmp_path, TIMING))
    assert max(map(len, text.splitlines())) <= 100 and "3 runs left: 0.03 CPU hours; done in 0:36" in text
    assert text.startswith("x: 4 runs of 2 variants: 1 done, 1 cut, 2 to do")


def screen(bill: Bill) -> str:
    file = io.StringIO()
    bill_screen.show(bill, "x", Console(file=file, highlight=False))
    return file.getvalue()


@pytest.mark.parametrize(("executor", "jobs", "at_once"), [("ray", 1, 1), ("local", None, 1), ("local", 3, 3)])
def test_how_many_go_at_once_is_the_executors(
    executor: str, jobs: int | None, at_once: int, tiny_file: Path, machine: Machine
) -> None:
    sweep = tiny_file.with_name("s.yaml")
    sweep.write_text(f"experiment: {tiny_file}\nvary: {{seed: [0, 1, 2, 3, 4]}}\n")
    assert Estimate(str(sweep), [], Place.find(machine, executor, None, jobs)).bill().at_once == at_once
