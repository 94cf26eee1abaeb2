"""Tune's schedulers stop runs through the ledger: pruned, with a checkpoint, by the sources' scores alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from ray.tune.schedulers import TrialScheduler
from safetensors.torch import load_file

from rein.config import ConfigError, Experiment, Machine, Sweep, run_id
from rein.config_io import build
from rein.ledger import Run, Stopped
from rein.sweeps.drive import drive
from rein.sweeps.on_ray.execute import _reporter
from rein.sweeps.on_ray.schedulers import SIGHT, Asking, _Ghost, _HalvingFirst, scheduler
from rein.sweeps.plan import Planned, expand
from rein.training import checkpoint, train

CONTINUE, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP
VARY: dict[str, Any] = {"optim.lr": [1e-4, 1e-3, 1e-2], "steps": [40], "evaluation.every": [10]}


@pytest.fixture
def planned(tiny_file: Path) -> list[Planned]:
    return expand(build(Sweep, {"experiment": str(tiny_file), "vary": VARY}))


def asked(tiny_file: Path, planned: list[Planned], runs: Path, **options: Any) -> Asking:
    sweep = build(Sweep, {"experiment": str(tiny_file), "vary": VARY, "search": {"scheduler": options}})
    return scheduler(sweep, planned, runs)


class Trial:
    def __init__(self, plan: Planned, runs: Path) -> None:
        Run.create(runs, plan.experiment)
        self.trial_id, self.status, self.config = plan.id, "RUNNING", {"run": plan.id}
        self.is_saving = False


def result(step: int, value: float) -> dict[str, Any]:
    return {"step": step, "source_val": value}


@pytest.mark.parametrize("options", [{"method": "asha", "reduction_factor": 2}, {"method": "median", "min_samples": 2}])
def test_a_stop_is_a_request_and_tune_is_told_to_go_on(
    tiny_file: Path, planned: list[Planned], tmp_path: Path, options: dict[str, Any]
) -> None:
    asking = asked(tiny_file, planned, tmp_path, **options)
    trials = [Trial(plan, tmp_path) for plan in planned]
    for one in trials:
        asking.on_trial_add(None, one)  # type: ignore[arg-type]
    for one, value in zip(trials, (0.5, 0.4, 0.1), strict=True):
        assert asking.on_trial_result(None, one, result(10, value)) == CONTINUE  # type: ignore[arg-type]
    requests = [Run(tmp_path / plan.id).asked_to_stop() for plan in planned]
    assert requests[0] is None
    last = requests[2]
    assert last is not None and last.state == "pruned"
    assert last.why == f"{options['method']} stopped it at step 10, source_val 10.0"


def test_a_run_that_was_lost_before_it_obeyed_is_asked_again(
    tiny_file: Path, planned: list[Planned], tmp_path: Path
) -> None:
    asking = asked(tiny_file, planned, tmp_path, method="asha", reduction_factor=2)
    trial: Any = Trial(planned[0], tmp_path)
    run = Run(tmp_path / planned[0].id)
    asking.ask(trial, result(10, 0.1))
    before = run.asked_to_stop()
    run.start(step=10, steps=40)
    assert before and run.asked_to_stop() is None
    assert asking.on_trial_result(None, trial, result(20, 0.1)) == CONTINUE and run.asked_to_stop() == before


def full(*_: Any, **more: Any) -> Any:
    raise OSError(28, "No space left on device")


def test_a_run_that_could_not_be_asked_on_a_full_disk_is_asked_at_its_next_score(
    tiny_file: Path, planned: list[Planned], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = asked(tiny_file, planned, tmp_path, method="asha", reduction_factor=2)
    trial: Any = Trial(planned[0], tmp_path)
    run = Run(tmp_path / planned[0].id)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "ask_to_stop", full)
        asking.ask(trial, result(10, 0.1))
        assert asking.on_trial_result(None, trial, result(20, 0.1)) == CONTINUE  # type: ignore[arg-type]
    assert run.asked_to_stop() is None
    assert asking.on_trial_result(None, trial, result(30, 0.1)) == CONTINUE  # type: ignore[arg-type]
    request = run.asked_to_stop()
    assert request and request.why == "asha stopped it at step 10, source_val 10.0"


def test_hyperband_counts_evaluations(tiny_file: Path, planned: list[Planned], tmp_path: Path) -> None:
    inner: Any = asked(tiny_file, planned, tmp_path, method="hyperband").inner
    assert (inner._max_t_attr, inner._time_attr) == (4, "evaluation")


@pytest.mark.parametrize("options", [{"method": "asha", "reduction_factor": 2}, {"method": "median", "min_samples": 2}])
def test_runs_that_are_there_warm_it(
    tiny_file: Path, planned: list[Planned], tmp_path: Path, options: dict[str, Any]
) -> None:
    for plan, value in zip(planned[:2], (0.5, 0.4), strict=True):
        run = Run.create(tmp_path, plan.experiment)
        run.start(step=40, steps=40)
        for step in (10, 20, 30, 40):
            run.append({"step": step, "toy-game/miou": value, "toy-day/miou": 0.0})
        run.finish("done")
    asking = asked(tiny_file, planned, tmp_path, **options)
    late = Trial(planned[2], tmp_path)
    asking.on_trial_add(None, late)  # type: ignore[arg-type]
    asking.on_trial_result(None, late, result(10, 0.1))  # type: ignore[arg-type]
    assert Run(tmp_path / planned[2].id).asked_to_stop() is not None


def test_one_that_was_set_aside_and_is_not_to_go_on_is_pruned(
    tiny_file: Path, planned: list[Planned], tmp_path: Path
) -> None:
    asking = asked(tiny_file, planned, tmp_path, method="hyperband")
    assert asking.pauses
    aside = Trial(planned[0], tmp_path)
    run = Run(tmp_path / planned[0].id)
    run.start(step=10, steps=40)
    stopped: list[Any] = []
    controller = SimpleNamespace(stop_trial=lambda one: stopped.append((one, run.state)))
    asking._prudent(controller).stop_trial(aside)
    assert stopped == [(aside, "pruned")]


def test_hyperband_halves_first_what_does_not_run_all_at_once(
    tiny_file: Path, planned: list[Planned], tmp_path: Path
) -> None:
    """As on a machine with a single place: each run is set aside at its first score, until all have theirs."""
    asking = asked(tiny_file, planned, tmp_path, method="hyperband", reduction_factor=2)
    trials: list[Any] = [Trial(plan, tmp_path) for plan in planned]
    stopped: list[Any] = []
    controller: Any = SimpleNamespace(stop_trial=stopped.append)
    asking.on_trial_add(controller, trials[0])
    for number, (one, value) in enumerate(zip(trials, (0.1, 0.5, 0.2), strict=True)):
        if number + 1 < len(trials):
            asking.on_trial_add(controller, trials[number + 1])
        decision = asking.on_trial_result(controller, one, result(10, value))
        assert decision == TrialScheduler.PAUSE or number == 2
        one.status = "PAUSED"
    assert [one for one in trials if Run(tmp_path / one.trial_id).state == "pruned"] == stopped
    assert 0 < len(stopped) < 3 and trials[1] not in stopped


@pytest.mark.parametrize("trouble", ["a full disk", "a process that still works on it"])
def test_what_cannot_be_marked_yet_keeps_neither_tune_nor_its_bracket_waiting(
    tiny_file: Path, planned: list[Planned], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    asking = asked(tiny_file, planned, tmp_path, method="hyperband", reduction_factor=2)
    trials: list[Any] = [Trial(plan, tmp_path) for plan in planned]
    stopped: list[Any] = []
    controller: Any = SimpleNamespace(stop_trial=stopped.append)
    for one in trials:
        asking.on_trial_add(controller, one)
    worst = Run(tmp_path / planned[0].id)
    slept: list[float] = []
    monkeypatch.setattr("rein.ledger.lease.time", SimpleNamespace(sleep=slept.append, time=time.time))
    with ExitStack() as stack:
        if trouble == "a full disk":
            stack.enter_context(monkeypatch.context()).setattr(Run, "finish", full)
        else:
            stack.enter_context(Run(worst.path).claimed())
        for one, value in zip(trials, (0.1, 0.5, 0.2), strict=True):
            if asking.on_trial_result(controller, one, result(10, value)) == TrialScheduler.PAUSE:
                one.status = "PAUSED"
        asking.choose_trial_to_run(controller)
        assert trials[0] not in stopped and worst.state is None
        bracket, _ = asking.inner._trial_info[trials[1]]  # type: ignore[attr-defined]
        assert trials[0] not in bracket.current_trials()
    asking.choose_trial_to_run(controller)
    assert trials[0] in stopped and worst.state == "pruned" and trials[1] not in stopped
    assert not slept, "Tune does nothing else meanwhile"


@pytest.mark.parametrize(("evaluations", "factor"), [(729, 3), (81, 3), (4, 2), (1000, 10), (10, 3)])
def test_the_first_bracket_begins_with_a_whole_evaluation(evaluations: int, factor: int) -> None:
    inner: Any = _HalvingFirst(max_t=evaluations, reduction_factor=factor, **{**SIGHT, "time_attr": "evaluation"})
    one: Any = _Ghost("one")
    inner.on_trial_add(None, one)
    bracket, _ = inner._trial_info[one]
    assert bracket._r0 == evaluations // factor ** (inner._s_max_1 - 1) >= 1


def test_a_grace_period_longer_than_the_runs_is_refused(
    tiny_file: Path, planned: list[Planned], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="grace_period is 40: no run has more than 40 steps"):
        asked(tiny_file, planned, tmp_path, method="asha", grace_period=40)


def test_tune_is_told_the_sources_score_on_the_way_and_nothing_else(
    planned: list[Planned], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import tune

    told: list[dict[str, Any]] = []
    monkeypatch.setattr(tune, "report", told.append)
    observe = _reporter(Run.create(tmp_path, planned[0].experiment))
    for step in (10, 40):
        observe({"step": step, "loss": 1.0, "lr": 0.1})
        observe({"step": step, "toy-day/miou": 0.9, "targets/miou": 0.9, "source_val": 0.5, "time": 1.0})
    assert told == [{"step": 10, "source_val": 0.5}]


def test_a_scheduler_without_ray_is_refused(tmp_path: Path, tiny_file: Path, machine: Machine) -> None:
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({"experiment": str(tiny_file), "vary": VARY}))
    with pytest.raises(ConfigError, match="asha needs Ray"):
        drive(str(tmp_path / "s.yaml"), ["search={scheduler: asha}"], machine, "local")


def test_a_pruned_run_that_a_table_takes_up_ends_in_the_weights_of_one_that_never_stopped(
    machine: Machine, tmp_path: Path, tiny: Callable[..., Experiment]
) -> None:
    experiment = tiny({"steps": 12, "evaluation.every": 4})

    def stop_at_eight(record: Any) -> None:
        if "source_val" in record and record["step"] == 8:
            run.ask_to_stop("pruned", "asha stopped it")
            raise SystemExit(0)

    run = Run(machine.runs / run_id(experiment))
    with pytest.raises(Stopped):
        train(experiment, machine, stop_at_eight)
    assert run.state == "pruned" and run.status()["pruned_at"]["step"] == 8
    train(experiment, machine)
    status = run.status()
    assert status["state"] == "done" and status["attempt"] == 2
    assert status["pruned_at"]["step"] == 8, "what the search has spent on it stays known"
    whole = train(experiment, Machine(**{**vars(machine), "runs": tmp_path / "whole"}))
    files = [load_file(checkpoint.newest(one.path / "checkpoint")) for one in (run, whole)]
    assert files[0].keys() == files[1].keys()
    assert [name for name, tensor in files[0].items() if not torch.equal(tensor, files[1][name])] == []
    assert (run.path / "scores.csv").read_text() == (whole.path / "scores.csv").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["asha", "hyperband"])
def test_a_search_on_ray_ends_with_all_runs_done_or_pruned(
    tmp_path: Path, tiny_file: Path, toy_data: Path, method: str
) -> None:
    rates = [1e-5, 1e-4, 1e-3, 1e-2] if method == "asha" else [1e-4, 1e-3]
    vary = {"optim.lr": rates, "tuning.rank": [1, 2], "steps": [10], "evaluation.every": [2]}
    search = {"scheduler": {"method": method, "reduction_factor": 2}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({"experiment": str(tiny_file), "vary": vary, "search": search}))
    environment = {**os.environ, "REIN_DATA": str(toy_data), "REIN_RUNS": str(tmp_path / "runs")}
    words = ("sweep", "s.yaml", "--no-track", "--json")
    command = [sys.executable, "-c", "from rein.cli import main; main()", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["failed"] == 0 and counts["done"] + counts["pruned"] == counts["runs"] == 2 * len(rates)
    for path in (tmp_path / "runs").glob("*/status.json"):
        status = json.loads(path.read_text())
        if status["state"] == "pruned":
            assert list((path.parent / "checkpoint").glob("step_*")), "a table can go on with it"
            assert status["pruned_at"]["step"] < 10
