"""`rein stop`: a run ends at its next record, a sweep starts no more; the same command goes on with both."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from rein.config import ConfigError, Experiment, run_id
from rein.ledger import Run, State, write_atomic
from rein.sweeps import folder as module
from rein.sweeps.folder import SweepFolder
from rein.sweeps.plan import Planned
from rein.sweeps.queue import Queue, UntilStopped
from rein.sweeps.watching import stopping
from rein.sweeps.watching.stopping import meaning, stop, told


def plan(seed: int) -> Planned:
    experiment = Experiment(seed=seed, steps=9)
    return Planned(run_id(experiment), "rein", {"seed": seed}, experiment)


PLANS = [plan(seed) for seed in range(3)]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "INTERVAL", 0.02)


class Driver(threading.Thread):
    """Works on the runs of a source one after another, each until it is asked to stop, for a sweep of its own."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root, self.folder, self.begun = root, SweepFolder(root, "ranks"), threading.Event()
        self.worked: list[str] = []

    def run(self) -> None:
        with self.folder.driven(PLANS):
            source = UntilStopped(Queue(PLANS, self.root), self.folder)
            while not source.exhausted and (item := source.next()):
                run = Run.create(self.root, item.experiment)
                with run.claimed():
                    run.start(step=0, steps=9)
                    self.worked.append(run.id)
                    self.begun.set()
                    while run.asked_to_stop() is None:
                        time.sleep(0.01)
                    run.finish("preempted")
                source.ended(item)


def test_a_stopped_sweep_lets_go_and_starts_no_further_run(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    driver.start()
    assert driver.begun.wait(120)
    said: list[str] = []
    (row,) = stop(["ranks"], tmp_path, patience=120, say=said.append)
    driver.join(120)
    assert (row["run"], row["variant"], row["outcome"]) == (PLANS[0].id, "rein, seed 0", "stopped")
    assert "step 0 of 9" in row["state"]
    assert driver.worked == [PLANS[0].id] and Run(tmp_path / PLANS[0].id).state == "preempted"
    assert PLANS[0].id in said[0]
    assert driver.folder.asked_to_stop() and not driver.folder.drivers()


def test_a_driver_that_had_no_run_at_work_is_said_to_have_let_go(tmp_path: Path) -> None:
    folder, begun = SweepFolder(tmp_path, "ranks"), threading.Event()

    def drive() -> None:
        with folder.driven(PLANS):
            begun.set()
            while folder.asked_to_stop() is None:
                time.sleep(0.01)

    driver = threading.Thread(target=drive)
    driver.start()
    assert begun.wait(120)
    (row,) = stop(["ranks"], tmp_path, patience=120)
    driver.join(120)
    assert (row["variant"], row["outcome"]) == ("its driver", "stopped") and "let go" in row["state"]
    (row,) = stop(["ranks"], tmp_path, patience=120)
    assert row["outcome"] == "idle"


def test_a_run_that_a_search_begins_meanwhile_is_asked_too(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path, "ranks")
    with folder.driven([], trials=9):
        asked = meaning(tmp_path, "ranks")
        folder.add(PLANS[0])
        run = Run.create(tmp_path, PLANS[0].experiment)
        with run.claimed():
            run.start(step=0, steps=9)
            asked.ask("by somebody")
            assert run.asked_to_stop() is not None and run.id in asked.at_work()[0]


def test_driving_it_again_withdraws_the_request(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path, "ranks")
    with folder.driven(PLANS):
        folder.ask_to_stop("by a person")
    with folder.driven(PLANS):
        assert folder.asked_to_stop() is None
        source = UntilStopped(Queue(PLANS, tmp_path), folder)
        assert source.next() == PLANS[0]
        folder.ask_to_stop("by a person")
        assert source.next() is None and source.exhausted


def test_a_run_that_does_not_let_go_in_time_is_named(tmp_path: Path) -> None:
    run = Run.create(tmp_path, PLANS[0].experiment)
    with run.claimed():
        run.start(step=0, steps=9)
        (row,) = stop([run.id[:6]], tmp_path, patience=0.1)
        assert (row["run"], row["outcome"]) == (run.id, "at work") and "process" in row["state"]
        request = run.asked_to_stop()
        assert request is not None and request.state == "preempted"


def test_what_does_not_run_is_left_as_it_is(tmp_path: Path) -> None:
    run = Run.create(tmp_path, PLANS[0].experiment)
    run.start(step=0, steps=9)
    run.finish("done")
    (row,) = stop([run.id], tmp_path, patience=5)
    assert (row["outcome"], row["state"]) == ("idle", "nothing was running") and run.asked_to_stop() is None


@pytest.mark.parametrize(("end", "word"), [("done", "finished by itself: done"), ("failed", "by itself at step 9")])
def test_a_run_that_ends_by_itself_meanwhile_was_not_stopped(tmp_path: Path, end: State, word: str) -> None:
    run = Run.create(tmp_path, PLANS[0].experiment)
    begun = threading.Event()

    def work() -> None:
        with run.claimed():
            run.start(step=9, steps=9)
            begun.set()
            while run.asked_to_stop() is None:
                time.sleep(0.01)
            run.finish(end, ValueError("no room") if end == "failed" else None)

    worker = threading.Thread(target=work)
    worker.start()
    assert begun.wait(120)
    (row,) = stop([run.id], tmp_path, patience=120)
    worker.join(120)
    assert row["outcome"] == "ended by itself" and word in row["state"]
    assert ("no room" in row["state"]) == (end == "failed")


def test_of_many_runs_a_person_reads_numbers_and_who_is_still_at_work() -> None:
    states = ["stopped"] * 20 + ["at work"]
    rows = [
        {"name": "ranks", "run": f"r{number}", "variant": None, "outcome": state, "state": f"{state} at step 3"}
        for number, state in enumerate(states)
    ]
    assert len(told(rows[-12:])) == 12
    lines = told(rows)
    assert [line["state"] for line in lines] == ["20 stopped, 1 at work", "at work at step 3"]
    assert [line["run"] for line in lines] == ["21 runs", "r20"]
    busy = told([{**row, "outcome": "at work"} for row in rows])
    assert len(busy) == 1 + 12 + 1 and busy[-1]["state"] == "and 9 more at work"


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nonsense.*nor is it a sweep"):
        stop(["nonsense"], tmp_path, patience=1)


def test_runs_of_an_earlier_plan_stay_members_once_they_were_started(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path, "ranks")
    with folder.driven(PLANS[:2]):
        Run.create(tmp_path, PLANS[0].experiment).start(step=0, steps=9)
    with folder.driven(PLANS[2:]):
        assert [member.id for member in folder.members()] == [PLANS[2].id, PLANS[0].id]


def test_two_drivers_of_one_host_name_and_number_drive_side_by_side(tmp_path: Path) -> None:
    """As processes of two containers do."""
    with SweepFolder(tmp_path, "ranks").driven(PLANS), SweepFolder(tmp_path, "ranks").driven(PLANS):
        assert len(SweepFolder(tmp_path, "ranks").drivers()) == 2


def test_a_search_that_is_started_again_is_one_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = SweepFolder(tmp_path, "ranks")
    with sweep.driven([], trials=9):
        pass
    seen: list[int | None] = []

    def write(path: Path, content: str) -> None:
        seen.append(sweep.trials())
        write_atomic(path, content)

    monkeypatch.setattr(module, "write_atomic", write)
    with sweep.driven([], trials=12):
        assert seen and None not in seen and sweep.trials() == 12
    with sweep.driven([]):
        assert sweep.trials() is None
