"""Which run comes next: longest first, each once, held ones later, and none after the first have failed alike."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rein.config import Experiment, run_id
from rein.ledger import Run
from rein.sweeps import queue as module
from rein.sweeps.plan import Planned
from rein.sweeps.queue import ALIKE, Comebacks, Patient, Queue


def plans(number: int) -> list[Planned]:
    experiments = [Experiment(seed=seed, steps=10) for seed in range(number)]
    return [Planned(run_id(experiment), "", {"seed": experiment.seed}, experiment) for experiment in experiments]


def seeds(queue: Queue) -> list[int]:
    """What it hands out, in order, until it has nothing at present."""
    found = []
    while plan := queue.next():
        found.append(plan.experiment.seed)
    return found


def end(queue: Queue, plan: Planned | None, state: str = "done", error: str | None = None) -> None:
    assert plan is not None
    run = Run.create(queue.runs, plan.experiment)
    run.start(step=0, steps=10)
    run.finish(state, RuntimeError(error) if error else None)  # pyright: ignore[reportArgumentType]
    queue.ended(plan)


@contextmanager
def held_by_another(run: Run) -> Iterator[Callable[[], None]]:
    """A run that a process of its own works on, and how to kill that."""
    run.path.mkdir(parents=True, exist_ok=True)
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom rein.ledger import Run\n"
        f"with Run(Path({str(run.path)!r})).claimed():\n    print('held', flush=True)\n    time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"

    def kill() -> None:
        process.kill()
        process.wait()

    try:
        yield kill
    finally:
        kill()
        process.stdout.close()


def test_longest_first_and_those_as_long_in_the_order_given(tmp_path: Path) -> None:
    seconds = {0: 5.0, 1: 9.0, 2: 5.0, 3: 7.0}
    queue = Queue(plans(4), tmp_path, lambda plan: seconds[plan.experiment.seed])
    assert seeds(queue) == [1, 3, 0, 2]
    assert seeds(Queue(plans(4), tmp_path)) == [0, 1, 2, 3]


def test_what_is_final_is_skipped_and_what_was_cut_or_failed_is_not(tmp_path: Path) -> None:
    for plan, state in zip(plans(5), ("done", "pruned", "failed", "preempted", "running"), strict=True):
        run = Run.create(tmp_path, plan.experiment)
        run.start(step=0, steps=10)
        run.update(state=state)
    assert seeds(Queue(plans(6), tmp_path)) == [2, 3, 4, 5]


@settings(max_examples=30)
@given(number=st.integers(0, 12), jobs=st.integers(1, 4), seed=st.integers(0, 99))
def test_every_run_is_handed_out_once_however_they_end(
    tmp_path_factory: pytest.TempPathFactory, number: int, jobs: int, seed: int
) -> None:
    queue = Queue(plans(number), tmp_path_factory.mktemp("runs"), keep_going=True)
    dice, out, handed = random.Random(seed), [], []
    while not queue.exhausted:
        while len(out) < jobs and (plan := queue.next()):
            out.append(plan)
            handed.append(plan.id)
        state = dice.choice(["done", "failed", "diverged"])
        end(queue, out.pop(dice.randrange(len(out))), state, "broken" if state == "failed" else None)
    assert sorted(handed) == sorted(plan.id for plan in plans(number))
    assert queue.next() is None and out == []


def test_a_run_that_another_driver_works_on_comes_when_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_AGAIN", 0.0)
    queue = Queue(plans(2), tmp_path)
    with held_by_another(Run.create(tmp_path, plans(1)[0].experiment)) as kill:
        assert seeds(queue) == [1]
        end(queue, plans(2)[1])
        assert queue.next() is None and not queue.exhausted
        kill()
        plan = queue.next()
    assert plan is not None and plan.experiment.seed == 0
    end(queue, plan)
    assert queue.exhausted


@pytest.mark.parametrize("state", ["done", "failed"])
def test_a_run_that_another_driver_brought_to_an_end_is_left_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(module, "LOOK_AGAIN", 0.0)
    queue = Queue(plans(1), tmp_path)
    run = Run.create(tmp_path, plans(1)[0].experiment)
    with held_by_another(run):
        assert queue.next() is None
        run.start(step=0, steps=10)
        run.finish(state)  # pyright: ignore[reportArgumentType]
    assert queue.next() is None and queue.exhausted


def test_where_another_driver_was_faster_the_run_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_AGAIN", 0.0)
    queue = Queue(plans(1), tmp_path)
    plan = queue.next()
    assert plan
    with held_by_another(Run.create(tmp_path, plan.experiment)):
        queue.ended(plan)
        assert queue.next() is None and not queue.exhausted
    assert queue.next() == plan


def test_a_run_that_comes_back_unended_goes_out_again_but_not_for_ever(tmp_path: Path) -> None:
    queue = Queue(plans(2), tmp_path)
    for _ in range(module.LOST + 1):
        assert not queue.exhausted
        plan = queue.next()
        assert plan and plan.experiment.seed == 0
        queue.ended(plan)
    assert seeds(queue) == [1]


def test_first_runs_that_fail_alike_end_the_sweep_and_say_why(tmp_path: Path) -> None:
    queue = Queue(plans(9), tmp_path)
    for number in range(ALIKE):
        assert not queue.exhausted
        end(queue, queue.next(), "failed", f"/data/{number}/img_{number}7.png: cannot be read at step {number}")
    assert queue.next() is None and queue.exhausted
    assert queue.stopped
    for word in ("cannot be read", "the other 6 were not started", "--keep-going"):
        assert word in queue.stopped


@pytest.mark.parametrize(
    "ends",
    [
        [("done", None), *[("failed", "broken")] * 5],
        [("failed", "broken"), ("failed", "torn"), *[("failed", "broken")] * 4],
        [("failed", "broken"), ("oom", "broken"), *[("failed", "broken")] * 4],
        [("diverged", "no finite loss")] * 7,
    ],
)
def test_failures_behind_another_end_do_not_stop_a_sweep(tmp_path: Path, ends: list[tuple[str, str | None]]) -> None:
    queue = Queue(plans(8), tmp_path)
    for state, error in ends:
        end(queue, queue.next(), state, error)
    assert queue.next() is not None and queue.stopped is None


def test_a_run_that_another_driver_has_done_keeps_a_sweep_going(tmp_path: Path) -> None:
    queue = Queue(plans(8), tmp_path)
    run = Run.create(tmp_path, plans(8)[0].experiment)
    run.start(step=0, steps=10)
    run.finish("done")
    for _ in range(6):
        end(queue, queue.next(), "failed", "broken")
    assert queue.next() is not None and queue.stopped is None


def test_a_run_that_its_machine_let_go_of_goes_out_again_and_one_that_was_stopped_does_not(tmp_path: Path) -> None:
    queue = Queue(plans(2), tmp_path)
    for _ in range(module.LOST + 1):
        plan = queue.next()
        assert plan and plan.experiment.seed == 0
        end(queue, plan, "preempted")
    plan = queue.next()
    assert plan and plan.experiment.seed == 1
    run = Run.create(tmp_path, plan.experiment)
    run.start(step=0, steps=10)
    run.ask_to_stop("preempted", "by somebody")
    run.finish("preempted")
    queue.ended(plan)
    assert queue.next() is None and queue.exhausted
    assert seeds(Queue(plans(2), tmp_path)) == [0, 1], "the same command goes on with both"


@pytest.mark.parametrize("state", ["preempted", "pruned"])
def test_a_run_that_is_lost_before_it_begins_is_not_taken_for_stopped_by_a_request_of_old(
    tmp_path: Path, state: Any
) -> None:
    run = Run.create(tmp_path, plans(1)[0].experiment)
    run.start(step=0, steps=10)
    run.ask_to_stop(state, "the sweep was interrupted, or a scheduler had seen enough")
    run.finish(state)
    queue = Queue(plans(1), tmp_path, final=("done",))
    plan = queue.next()
    assert plan
    queue.ended(plan)
    assert queue.next() == plan
    run.start(step=0, steps=10)
    run.ask_to_stop("preempted", "by somebody")
    run.finish("preempted")
    queue.ended(plan)
    assert queue.next() is None and queue.exhausted, "this time it was asked"


def test_progress_between_two_losses_makes_them_count_anew() -> None:
    comebacks = Comebacks()
    assert all(comebacks.again("run", {"step": step}) for step in range(1, 50))
    assert [comebacks.again("run", {"step": 49}) for _ in range(3)] == [True, True, False]


def test_a_run_that_was_stopped_in_another_drivers_hands_is_not_taken_up(tmp_path: Path) -> None:
    queue = Queue(plans(2), tmp_path)
    run = Run.create(tmp_path, plans(2)[0].experiment)
    run.start(step=0, steps=10)
    run.ask_to_stop("preempted", "by somebody")
    run.finish("preempted")
    assert seeds(queue) == [1]


@pytest.mark.parametrize("skew", [-7200.0, 7200.0])
def test_a_nodes_clock_does_not_say_whether_a_run_was_stopped_before(tmp_path: Path, skew: float) -> None:
    def stopped(seed: int) -> None:
        run = Run.create(tmp_path, plans(2)[seed].experiment)
        run.start(step=0, steps=10)
        run.ask_to_stop("preempted", "by somebody")
        run.finish("preempted")
        run.update(ended=time.time() + skew)

    stopped(0)
    queue = Queue(plans(2), tmp_path)
    stopped(1)
    assert seeds(queue) == [0], "gone on with what had stopped before, and with nothing that was stopped since"
    queue = Queue(plans(2), tmp_path)
    stopped(0)
    assert seeds(queue) == [1], "its second attempt was stopped since"


def test_a_ledger_out_of_reach_costs_a_sweep_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = Patient(Queue(plans(6), tmp_path), tmp_path)
    dice, status, done = random.Random(0), Run.status, []

    def stumbling(run: Run) -> dict[str, Any]:
        if dice.random() < 0.5:
            raise OSError(116, "Stale file handle")
        return status(run)

    while not source.exhausted:
        with monkeypatch.context() as patched:
            patched.setattr(Run, "status", stumbling)
            plan = source.next()
        if plan is None:
            continue
        run = Run(tmp_path / plan.id)
        run.start(step=0, steps=10)
        run.finish("done")
        done.append(plan.id)
        with monkeypatch.context() as patched:
            patched.setattr(Run, "status", stumbling)
            source.ended(plan)
    assert done == [plan.id for plan in plans(6)] and "Stale file handle" in caplog.text


def test_a_sweep_that_is_to_keep_going_does(tmp_path: Path) -> None:
    queue = Queue(plans(8), tmp_path, keep_going=True)
    for _ in range(8):
        end(queue, queue.next(), "failed", "broken")
    assert queue.exhausted and queue.stopped is None


def test_asking_costs_no_look_at_runs_whose_turn_has_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    status = Run.status
    monkeypatch.setattr(Run, "status", lambda run: looked.append(run.id) or status(run))
    queue = Queue(plans(50), tmp_path)
    first = queue.next()
    assert first and set(looked) == {first.id}
