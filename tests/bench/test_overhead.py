"""What `rein bench overhead` measures: every side runs every trial, and the line tells fixed cost from a run's."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rein.bench import overhead
from rein.bench.overhead import TRIAL, Case, Place, measure
from rein.cli import app
from rein.config import Experiment
from rein.config_io import build
from rein.ledger import runs


def test_costs_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def takes(fixed: float, each: float) -> object:
        def side(place: Place, *words: str) -> None:
            clock[0] += fixed + each * len(place.trials)

        return side

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(overhead, "_bare", takes(0.0, 6.0))
    monkeypatch.setattr(overhead, "_alone", takes(5.0, 1.0))
    monkeypatch.setattr(overhead, "_sweep", takes(14.0, 1.5))
    rows = {row["side"]: row for row in measure(Case(few=2, many=5, repeats=1))}
    assert (rows["rein sweep"]["fixed s"], rows["rein sweep"]["s a run"]) == (14, 1.5)
    assert (rows["rein sweep"]["fixed s over bare"], rows["rein sweep"]["s a run over bare"]) == (14, -4.5)
    assert rows[overhead.BARE]["s a run over bare"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "side", [overhead._bare, overhead._alone, lambda place: overhead._sweep(place, "--executor", "local")]
)
def test_a_side_runs_every_trial(tmp_path: Path, toy_data: Path, side: object) -> None:
    trials = [build(Experiment, {**TRIAL, "seed": seed}) for seed in range(2)]
    side(Place(toy_data, tmp_path, trials))  # pyright: ignore[reportCallIssue]
    done = [run for run in runs(tmp_path / "runs") if run.state == "done"]
    assert sorted(run.experiment().seed for run in done) == [0, 1]


def test_a_side_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="lost its way"):
        overhead._run("raise SystemExit('lost its way')")


def test_a_line_needs_two_sizes() -> None:
    done = CliRunner().invoke(app, ["bench", "overhead", "--few", "4", "--many", "4"])
    assert "--many 4" in str(done.exception)


def test_the_command_prints_a_row_a_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overhead, "measure", lambda case: [{"side": "x", "runs": case.many}])
    done = CliRunner().invoke(app, ["bench", "overhead", "--many", "9", "--json"])
    assert json.loads(done.stdout) == [{"side": "x", "runs": 9}]
