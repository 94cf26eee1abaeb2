"""`rein status`: what a ledger of any kind of run says on a screen, in a pipe and to a program."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rein.config import ConfigError, Experiment, run_id
from rein.ledger import Run
from rein.sweeps.folder import SweepFolder
from rein.sweeps.plan import Planned
from rein.sweeps.watching.status import Ledger, drawn, show, summary


def plan(seed: int) -> Planned:
    experiment = Experiment(seed=seed, steps=100)
    return Planned(run_id(experiment), "rein", {"seed": seed}, experiment)


PLANS = [plan(seed) for seed in range(6)]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Path]:
    """A sweep of six runs: done, running, failed, cut with its process, asked to end, new; and a single run."""
    runs = [Run.create(tmp_path, item.experiment) for item in PLANS[:5]]
    with ExitStack() as held, SweepFolder(tmp_path, "ranks").driven(PLANS):
        for run in runs:
            run.start(step=0, steps=100)
        runs[0].update(step=100, seconds=50.0, loss=0.5)
        runs[0].finish("done")
        held.enter_context(runs[1].claimed())
        runs[1].update(step=40, rate=2.0, loss=1.25, data_wait=0.61, device="cuda:1")
        runs[2].finish("failed", ValueError("no such thing"))
        runs[3].update(step=10)
        runs[4].finish("preempted")
        other = Run.create(tmp_path, Experiment(seed=99))
        other.start(step=0, steps=10)
        other.finish("done")
        yield tmp_path


def screen_of(ledger: Path, width: int = 120, height: int | None = None, every_run: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width)
    if height is None:
        show(Ledger(ledger), console, watch=False, every_run=every_run)
    else:
        console.print(drawn(Ledger(ledger), width, height, every_run))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_sweeps_states_are_counted_and_the_rest_is_estimated(ledger: Path) -> None:
    text = screen_of(ledger)
    assert "ranks  6 runs: 1 done, 1 running, 1 failed, 2 cut, 1 to do" in text
    # 60 steps at 2 a second; then 90, 100 and 100 steps at the mean of what is known, (1/2 + 50/100) / 2 seconds each
    assert f"≈ {(30 + 290 * 0.5) // 60:.0f}:{(30 + 290 * 0.5) % 60:02.0f} left" in text
    assert "runs of no sweep  1 run: 1 done" in text and "GB free" in text


def test_what_runs_is_shown_with_where_and_how_fast(ledger: Path) -> None:
    status = Run(ledger / PLANS[1].id).status()
    (line,) = (line for line in screen_of(ledger).splitlines() if line.startswith(PLANS[1].id))
    assert f"{status['host'][:14]}:{status['pid']} cuda:1" in line
    assert ("40/100" in line, "1.25" in line, "2.00" in line, "0:30" in line) == (True,) * 4
    assert "waits for data 61% of the time" in screen_of(ledger)


def test_what_went_wrong_is_shown_with_its_first_line_and_its_traceback(ledger: Path) -> None:
    text = screen_of(ledger, width=300)
    assert "failed: no such thing" in text and f"traceback: {ledger / PLANS[2].id / 'traceback.txt'}" in text


def test_in_a_pipe_done_and_waiting_runs_are_only_counted_unless_all_are_asked_for(ledger: Path) -> None:
    assert PLANS[0].id not in screen_of(ledger) and PLANS[5].id not in screen_of(ledger)
    assert PLANS[0].id in screen_of(ledger, every_run=True) and PLANS[5].id in screen_of(ledger, every_run=True)


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("height", [12, 24, 50])
def test_a_screen_holds_it_whatever_its_size(ledger: Path, width: int, height: int) -> None:
    lines = screen_of(ledger, width, height).splitlines()
    assert len(lines) <= height and max(map(len, lines)) <= width
    assert any(line.startswith("ranks") for line in lines)


def test_a_program_gets_every_run(ledger: Path) -> None:
    found = summary(Ledger(ledger))
    (ranks,) = (sweep for sweep in found["sweeps"] if sweep["name"] == "ranks")
    states = {run["run"]: run["state"] for run in ranks["runs"]}
    assert [states[item.id] for item in PLANS] == ["done", "running", "failed", "cut", "cut", "to do"]
    assert json.loads(json.dumps(found)) == found and found["free_bytes"] > 0
    assert [driver["pid"] for driver in ranks["drivers"]] == [os.getpid()]


def test_only_the_named_sweeps_are_shown(ledger: Path) -> None:
    assert [sweep["name"] for sweep in summary(Ledger(ledger, ["ranks"]))["sweeps"]] == ["ranks"]
    with pytest.raises(ConfigError, match=r"nonsense.*started in .*: ranks"):
        Ledger(ledger, ["nonsense"])


def test_a_sweep_that_was_never_started_is_all_to_do(tmp_path: Path) -> None:
    (board,) = summary(Ledger(tmp_path, ["demo"]))["sweeps"]
    assert board["counts"] == {"to do": len(board["runs"])} and board["runs"]


def test_an_empty_ledger_says_so(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=80)
    show(Ledger(tmp_path / "none"), console, watch=False)
    assert "no runs in" in console.file.getvalue()  # type: ignore[attr-defined]


def test_it_needs_no_torch_ray_or_mlflow(ledger: Path) -> None:
    code = (
        "import sys; from rein.cli import main; sys.argv = ['rein', 'status', '--json', '--runs', sys.argv[1]]\n"
        "try: main()\nexcept SystemExit as stop: assert not stop.code\n"
        "assert not {'torch', 'ray', 'mlflow'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(ledger)], capture_output=True, text=True)
    assert done.returncode == 0 and json.loads(done.stdout)["sweeps"], done.stderr


def test_ten_thousand_finished_runs_are_counted_at_once(tmp_path: Path) -> None:
    status: dict[str, Any] = {"state": "done", "step": 9, "steps": 9, "started": 1.0, "ended": 2.0, "attempt": 1}
    for number in range(10_000):
        (tmp_path / f"{number:012x}").mkdir()
        (tmp_path / f"{number:012x}/status.json").write_text(json.dumps(status))
    began = time.process_time()  # of this process alone, whatever else the machine does
    ledger = Ledger(tmp_path)
    (board,) = ledger.boards()
    drawn(ledger, 120, 40)
    assert len(board.rows) == 10_000 and time.process_time() - began < 4.0
