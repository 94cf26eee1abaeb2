"""The adaptive search over a ledger: warm from what is there, each run once, as many as asked for in all."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from rein.config import ConfigError, Sweep
from rein.config_io import build
from rein.ledger import Run
from rein.sweeps.plan import Planned, expand
from rein.sweeps.queue import ALIKE
from rein.sweeps.search.adaptive import Adaptive
from rein.sweeps.search.members import Members, known

VARY: dict[str, Any] = {"optim.lr": {"loguniform": [1e-5, 1e-1]}, "tuning.rank": [1, 2]}


def sweep(tiny_file: Path, trials: int, **changes: Any) -> Sweep:
    search = {"sampler": "optuna", "trials": trials}
    return build(Sweep, {"experiment": str(tiny_file), "vary": VARY, "search": search, **changes})


def finish(runs: Path, plan: Planned, state: Any = "done", value: float | None = None) -> Run:
    """Leave in the ledger what a run does that scores best at a rate of 1e-3."""
    run = Run.create(runs, plan.experiment)
    run.start(step=3, steps=3)
    quality = 0.5 - 0.1 * abs(math.log10(plan.experiment.optim.lr) + 3) if value is None else value
    for step in (2, 3):
        run.append({"step": step, "toy-game/miou": quality, "toy-day/miou": 1 - quality, "source_val": quality})
    run.finish(state, RuntimeError("bang") if state in ("failed", "diverged") else None)
    return run


def work_off(search: Adaptive, runs: Path, state: Any = "done") -> list[Planned]:
    worked = []
    while not search.exhausted:
        if plan := search.next():
            worked.append(plan)
            finish(runs, plan, state)
            search.ended(plan)
    return worked


def test_it_hands_out_as_many_different_runs_as_trials(tiny_file: Path, tmp_path: Path) -> None:
    heard: list[Planned] = []
    worked = work_off(Adaptive(sweep(tiny_file, 6), tmp_path, heard.append), tmp_path)
    assert len({plan.id for plan in worked}) == 6 and heard == worked
    assert all(set(plan.axes) == {"optim.lr", "tuning.rank"} for plan in worked)


def test_more_trials_go_on_from_the_ledger(tiny_file: Path, tmp_path: Path) -> None:
    first = work_off(Adaptive(sweep(tiny_file, 5), tmp_path), tmp_path)
    again = Adaptive(sweep(tiny_file, 5), tmp_path)
    assert again.exhausted and again.next() is None
    warmed = Adaptive(sweep(tiny_file, 8), tmp_path)
    told = sorted(trial.value for trial in warmed.study.trials)
    assert told == sorted(0.5 - 0.1 * abs(math.log10(plan.experiment.optim.lr) + 3) for plan in first)
    more = work_off(warmed, tmp_path)
    assert len(more) == 3 and not {plan.id for plan in more} & {plan.id for plan in first}


def test_it_learns(tiny_file: Path, tmp_path: Path) -> None:
    """After a start at random, TPE stays near the best rate, 1e-3, of four decades."""
    worked = work_off(Adaptive(sweep(tiny_file, 40), tmp_path), tmp_path)
    distances = [abs(math.log10(plan.experiment.optim.lr) + 3) for plan in worked]
    assert sum(distances[-15:]) / 15 < 0.6 * sum(distances[:10]) / 10


def test_runs_of_others_in_the_space_count_and_those_outside_do_not(tiny_file: Path, tmp_path: Path) -> None:
    inside = expand(build(Sweep, {"experiment": str(tiny_file), "vary": {"optim.lr": [1e-4, "1e-2"]}}))
    outside = {"optim.lr": [1.0], "tuning.rank": [3], "seed": [1], "tuning.method": ["full"]}
    others = [expand(build(Sweep, {"experiment": str(tiny_file), "vary": {k: v}}))[0] for k, v in outside.items()]
    for plan in [*inside, *others]:
        finish(tmp_path, plan)
    asked = sweep(tiny_file, 3)
    assert {plan.id for plan in known(asked, tmp_path)} == {plan.id for plan in inside}
    assert len(work_off(Adaptive(asked, tmp_path), tmp_path)) == 1


def test_a_member_is_found_with_its_values_as_written(tiny_file: Path) -> None:
    written = {
        "optim.lr": ["1e-4", 1],
        "data.scale": [[1, 2]],
        "tuning.method": ["lora", "full"],
        "tuning.rank": [1, 2],
    }
    asked = build(Sweep, {"experiment": str(tiny_file), "points": {"a": {"seed": 1}, "b": {}}, "vary": written})
    members = Members(asked)
    for plan in expand(asked):
        found = members.member(plan.experiment)
        assert found is not None and found[0] == plan


def test_unfinished_runs_are_gone_on_with_first_and_failed_ones_tried_again(tiny_file: Path, tmp_path: Path) -> None:
    states = ["preempted", "failed", "pruned", "diverged"]
    begun = work_off(Adaptive(sweep(tiny_file, 4), tmp_path), tmp_path)
    for plan, state in zip(begun, states, strict=True):
        finish(tmp_path, plan, state)
    again = Adaptive(sweep(tiny_file, 5), tmp_path)
    handed = [again.next(), again.next()]
    assert {plan.id for plan in handed if plan} == {begun[0].id, begun[1].id}
    new = again.next()
    assert new is not None and new.id not in {plan.id for plan in begun}
    assert sorted(trial.state.name for trial in again.study.trials) == [
        "FAIL",
        "PRUNED",
        "RUNNING",
        "RUNNING",
        "RUNNING",
    ]


def test_a_run_that_another_driver_holds_is_waited_for(tiny_file: Path, tmp_path: Path) -> None:
    (plan,) = work_off(Adaptive(sweep(tiny_file, 1), tmp_path), tmp_path)
    run = Run(tmp_path / plan.id)
    run.update(state="running")
    with run.claimed():
        search = Adaptive(sweep(tiny_file, 1), tmp_path)
        assert search.next() is None and not search.exhausted
        finish(tmp_path, plan)
    assert search.next() is None and search.exhausted


def test_a_run_that_its_machine_let_go_of_is_handed_out_again_as_the_same_trial(
    tiny_file: Path, tmp_path: Path
) -> None:
    search = Adaptive(sweep(tiny_file, 2), tmp_path)
    first = search.next()
    assert first
    finish(tmp_path, first, "preempted")
    search.ended(first)
    assert search.next() == first
    finish(tmp_path, first, "done")
    search.ended(first)
    assert [trial.state.name for trial in search.study.trials] == ["COMPLETE"]
    second = search.next()
    assert second
    Run(tmp_path / second.id).path.mkdir()
    finish(tmp_path, second, "running")
    Run(tmp_path / second.id).ask_to_stop("preempted", "by somebody")
    Run(tmp_path / second.id).finish("preempted")
    search.ended(second)
    assert search.exhausted and search.next() is None


def test_a_run_that_is_lost_before_it_begins_is_not_taken_for_stopped_by_a_request_of_old(
    tiny_file: Path, tmp_path: Path
) -> None:
    (plan,) = work_off(Adaptive(sweep(tiny_file, 1), tmp_path), tmp_path)
    run = finish(tmp_path, plan, "preempted")
    run.ask_to_stop("preempted", "the sweep was interrupted")
    search = Adaptive(sweep(tiny_file, 1), tmp_path)
    assert search.next() == plan
    search.ended(plan)
    assert search.next() == plan


def test_a_search_that_has_done_runs_is_not_stopped_by_others_that_fail(tiny_file: Path, tmp_path: Path) -> None:
    work_off(Adaptive(sweep(tiny_file, 1), tmp_path), tmp_path)
    assert len(work_off(Adaptive(sweep(tiny_file, 9), tmp_path), tmp_path, "failed")) == 8


def test_a_small_space_ends_before_its_trials(tiny_file: Path, tmp_path: Path) -> None:
    heard: list[int] = []
    search = Adaptive(sweep(tiny_file, 9, vary={"tuning.rank": [1, 2]}), tmp_path, fewer=heard.append)
    seen = []
    for _ in range(3):
        plan = search.next()
        if plan:
            seen.append(plan.experiment.tuning)
            finish(tmp_path, plan)
            search.ended(plan)
    assert len(seen) == 2 and search.exhausted and heard == [2]


def test_axes_depend_on_the_method_and_excluded_runs_never_come(tiny_file: Path, tmp_path: Path) -> None:
    vary = {"tuning.rank": {"int": [1, 4]}, "tuning.method": ["rein", "full", "lora"], "optim.lr": [0.1, 0.2, 0.3]}
    exclude = [{"tuning.method": "lora", "optim.lr": 0.1}]
    worked = work_off(Adaptive(sweep(tiny_file, 12, vary=vary, exclude=exclude), tmp_path), tmp_path)
    assert len(worked) == 12
    full = [plan for plan in worked if plan.experiment.tuning.method == "full"]
    assert full and not any("tuning.rank" in plan.axes for plan in full)
    assert not any(p.experiment.tuning.method == "lora" and p.experiment.optim.lr == 0.1 for p in worked)


def test_the_first_trials_failing_alike_end_the_search(tiny_file: Path, tmp_path: Path) -> None:
    search = Adaptive(sweep(tiny_file, 9), tmp_path)
    assert len(work_off(search, tmp_path, "failed")) == ALIKE
    assert search.stopped and "ended alike (failed: bang)" in search.stopped
    assert len(work_off(Adaptive(sweep(tiny_file, 9), tmp_path, keep_going=True), tmp_path, "failed")) == 9


def test_diverged_trials_end_nothing(tiny_file: Path, tmp_path: Path) -> None:
    assert len(work_off(Adaptive(sweep(tiny_file, 5), tmp_path), tmp_path, "diverged")) == 5


def test_what_is_told_is_the_source_alone(tiny_file: Path, tmp_path: Path) -> None:
    work_off(Adaptive(sweep(tiny_file, 2), tmp_path), tmp_path)
    (first, second) = Adaptive(sweep(tiny_file, 2), tmp_path).study.trials
    for trial in (first, second):
        (lr,) = (value for key, value in trial.params.items() if key == "optim.lr")
        assert trial.value == pytest.approx(0.5 - 0.1 * abs(math.log10(lr) + 3))
        assert trial.intermediate_values == {2: trial.value, 3: trial.value}


def test_what_it_needs_is_said_before_anything_starts(tiny_file: Path, tmp_path: Path) -> None:
    """And an axis may bring it: what counts is the run, not the base."""
    vary = {**VARY, "data.sources": [["gta"]], "data.targets": [["cityscapes"]]}
    with pytest.raises(ConfigError, match="no val split"):
        Adaptive(sweep(tiny_file, 3, vary=vary), tmp_path)
    assert Adaptive(sweep(tiny_file, 3, vary={**vary, "data.holdout": ["1/20"]}), tmp_path).next() is not None


def test_a_plan_of_what_is_chosen_on_the_way_is_refused(tiny_file: Path) -> None:
    with pytest.raises(ConfigError, match="chosen one by one"):
        expand(sweep(tiny_file, 3))
