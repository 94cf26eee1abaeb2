"""`rein train` and `rein sweep` as functions: what is skipped, settled, summed up and copied."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rein.config import ConfigError, Experiment, Machine, Sweep, run_id
from rein.config_io import load
from rein.data.domain import DataError
from rein.ledger import Run
from rein.sweeps import followed, local, queue
from rein.sweeps import work as module
from rein.sweeps.drive import drive, drive_one
from rein.sweeps.folder import SweepFolder
from rein.sweeps.plan import Planned, expand
from rein.sweeps.queue import Source
from rein.sweeps.watching import copying
from tests.waiting import comes

Tiny = Callable[..., Experiment]


DIVERGES = {"optim.lr": 1e30, "tuning.method": "full", "optim.backbone_lr": 1e30}


class FakeTracker:
    """Remembers what it was given; stands in for MLflow, which takes seconds."""

    opened: list[FakeTracker]
    error: Exception | None = None
    sync_error: Exception | None = None

    def __init__(self, uri: str, runs: Path) -> None:
        if type(self).error:
            raise type(self).error
        self.seen: list[tuple[str, str | None]] = []
        self.status: str | None = None
        self.sweep: str | None = None
        type(self).opened.append(self)

    def open_sweep(self, name: str) -> None:
        self.name = self.sweep = name

    def sync(self, run: Run, name: str) -> None:
        if type(self).sync_error:
            raise type(self).sync_error
        self.seen.append((run.id, run.state))

    def adopt(self, run: Run) -> None:
        pass

    def close_sweep(self, status: str) -> None:
        self.status = status


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> type[FakeTracker]:
    class Fake(FakeTracker):
        opened: list[FakeTracker] = []  # noqa: RUF012

    monkeypatch.setattr(copying, "Tracker", Fake)
    monkeypatch.setattr(copying, "prepare", lambda: None)
    monkeypatch.setattr(copying, "AGAIN", 0.05)
    return Fake


@pytest.fixture
def sweep_file(tiny_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "question.yaml"
    path.write_text(yaml.safe_dump({"experiment": str(tiny_file), "points": {"a": {}}, "vary": {"seed": [0, 1]}}))
    return path


Work = Callable[[Planned, Path], None]


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands in for Ray: ends every run as done, or as its entry in `fate` says; returns the ids it was given."""
    ids: list[str] = []

    def execute(source: Source, planned: Sequence[Planned], machine: Machine, *_: Any) -> None:
        while plan := source.next():
            ids.append(plan.id)
            run = Run.create(machine.runs, plan.experiment)
            run.start(step=0, steps=plan.experiment.steps)
            if plan.experiment.seed == 13:
                run.finish("failed", RuntimeError("unlucky"))
            elif plan.experiment.seed == 99:
                raise KeyboardInterrupt
            else:
                run.finish("done")
            source.ended(plan)

    from rein.sweeps.on_ray import execute as real

    monkeypatch.setattr(real, "execute", execute)
    return ids


# ---------------------------------------------------------------- one run


def test_a_run_is_trained_and_its_scores_are_returned(tiny: Tiny, machine: Machine) -> None:
    result = drive_one(tiny(), machine, "tiny", track=False)
    assert result["state"] == "done" and result["run"] == run_id(tiny())
    run = Run(Path(result["folder"]))
    for domain in ("toy-day", "toy-game"):
        assert result[f"{domain}/miou"] == f"{100 * run.metrics()[0][-1][f'{domain}/miou']:.2f}"


def test_skipped_images_are_said_in_words(finished: tuple[Run, Machine], tiny: Tiny, tmp_path: Path) -> None:
    run, machine = finished
    shutil.copytree(run.path, tmp_path / run.id)
    Run(tmp_path / run.id).update(skipped_files={"train": 4, "toy-day": 1})
    assert drive_one(tiny(), replace(machine, runs=tmp_path), "tiny", track=False)["skipped images"] == (
        "4 in training, 1 of toy-day"
    )
    assert "skipped images" not in drive_one(tiny(), machine, "tiny", track=False)


def test_a_run_that_is_done_is_returned_at_once(finished: tuple[Run, Machine], tiny: Tiny) -> None:
    run, machine = finished
    attempt = run.status()["attempt"]
    result = drive_one(tiny(), machine, "tiny", track=False)
    assert result["state"] == "done" and "toy-day/miou" in result
    assert run.status()["attempt"] == attempt


def test_a_run_that_fails_raises_and_is_copied(tiny: Tiny, machine: Machine, tracker: type[FakeTracker]) -> None:
    experiment = tiny(DIVERGES)
    with pytest.raises(FloatingPointError):
        drive_one(experiment, machine, "tiny")
    assert tracker.opened[0].seen[-1] == (run_id(experiment), "diverged")


def test_a_run_that_ended_while_its_sweep_settled_stays_as_it_ended(
    sweep_file: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = expand(load(Sweep, str(sweep_file)))[0]
    run = Run.create(machine.runs, plan.experiment)
    run.start(step=0, steps=3)
    claimed = Run.claimed

    def late(run: Run, patience: float | None = None) -> AbstractContextManager[None]:
        run.finish("done")  # between the look at its state and the claim
        return claimed(run, patience)

    monkeypatch.setattr(Run, "claimed", late)
    followed._settle([plan], machine.runs)
    assert run.state == "done"


def test_missing_data_is_said_once_and_starts_nothing(sweep_file: Path, machine: Machine, executed: list[str]) -> None:
    with pytest.raises(DataError, match="kitti"):
        drive(str(sweep_file), ["vary={data.targets: [[kitti], [toy-day]]}"], machine, track=False)
    assert executed == [] and not machine.runs.exists()


# ---------------------------------------------------------------- sweeps


def test_a_sweep_runs_what_is_left_and_says_what_came_out(
    sweep_file: Path, machine: Machine, executed: list[str]
) -> None:
    result = drive(str(sweep_file), [], machine, track=False)
    assert result == {"runs": 2, "already done": 0, "done": 2, "failed": 0}
    assert len(executed) == 2
    assert drive(str(sweep_file), [], machine, track=False) == {"runs": 2, "already done": 2, "done": 2, "failed": 0}
    assert len(executed) == 2
    wider = drive(str(sweep_file), ["vary.seed=[0, 1, 2]"], machine, track=False)
    assert wider == {"runs": 3, "already done": 2, "done": 3, "failed": 0}
    assert len(executed) == 3 and len(set(executed)) == 3


def test_a_failing_run_is_listed_with_its_reason_and_tried_again(
    sweep_file: Path, machine: Machine, executed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    result = drive(str(sweep_file), ["vary.seed=[0, 13]"], machine, track=False)
    assert (result["done"], result["failed"]) == (1, 1)
    error = capsys.readouterr().err
    assert "a, seed 13" in error and "unlucky" in error and "traceback.txt" in error
    drive(str(sweep_file), ["vary.seed=[0, 13]"], machine, track=False)
    assert len(executed) == 3, "only the failed one ran again"


def test_an_interrupted_sweep_settles_what_was_running(
    sweep_file: Path, machine: Machine, executed: list[str], tracker: type[FakeTracker]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        drive(str(sweep_file), ["vary.seed=[0, 99, 1]"], machine)
    sweep = load(Sweep, str(sweep_file), ["vary.seed=[0, 99, 1]"])
    states = [Run(machine.runs / plan.id).state or "to do" for plan in expand(sweep)]
    assert states == ["done", "preempted", "to do"]
    assert tracker.opened[0].status == "KILLED"


def test_a_run_that_another_command_works_on_is_left_to_it_and_taken_up_when_that_was_cut(
    sweep_file: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "LOOK_AGAIN", 0.1)
    monkeypatch.setattr(local, "LOOK_AGAIN", 0.1)
    first, second = (Run(machine.runs / plan.id) for plan in expand(load(Sweep, str(sweep_file))))
    first.path.mkdir(parents=True)
    seen: list[str | None] = []

    def cut() -> None:
        with first.claimed():
            first.start(step=1, steps=3)
            held.set()
            assert comes(lambda: second.state == "done", 600)
            seen.append(first.state)
            first.finish("preempted")

    held = threading.Event()
    other = threading.Thread(target=cut)
    other.start()
    assert held.wait(120)
    result = drive(str(sweep_file), [], machine, "local", track=False)
    other.join()
    assert (result["done"], result["failed"]) == (2, 0)
    assert seen == ["running"] and first.status()["attempt"] == 2


def test_first_runs_that_fail_alike_end_a_sweep(
    sweep_file: Path, machine: Machine, executed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    axes = ["vary={seed: [13], optim.lr: [1e-1, 1e-2, 1e-3, 1e-4, 1e-5]}"]
    result = drive(str(sweep_file), axes, machine, track=False)
    assert (len(executed), result["failed"], result["to do"]) == (3, 3, 2)
    assert "unlucky" in caplog.text and "--keep-going" in caplog.text
    drive(str(sweep_file), axes, machine, track=False, keep_going=True)
    assert len(executed) == 8


def test_a_sweep_that_was_stopped_has_runs_left_and_none_failed(
    sweep_file: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(source: Source, *_: Any) -> None:
        assert source.next() is not None
        SweepFolder(machine.runs, "question").ask_to_stop("by somebody")

    monkeypatch.setattr(module, "one_after_another", stop)
    result = drive(str(sweep_file), [], machine, "local", track=False)
    assert (result["failed"], result["left"], result["to do"]) == (0, 2, 2)


def test_a_search_of_a_space_that_has_no_more_runs_leaves_none_to_do(
    sweep_file: Path, machine: Machine, executed: list[str]
) -> None:
    axes = ["search={sampler: optuna, trials: 9}", "vary={tuning.rank: [1, 2]}"]
    drive(str(sweep_file), axes, machine, track=False)
    assert len(executed) == 2 and SweepFolder(machine.runs, "question").trials() == 2


def test_a_run_of_a_search_that_diverged_has_ended(
    tiny_file: Path, sweep_file: Path, machine: Machine, tracker: type[FakeTracker]
) -> None:
    axes = ["search={sampler: grid}", "vary={}", "points={a: {}}", "experiment=" + str(tiny_file)]
    (plan,) = expand(load(Sweep, str(sweep_file), axes))
    run = Run.create(machine.runs, plan.experiment)
    run.start(step=0, steps=3)
    run.finish("diverged")
    result = drive(str(sweep_file), axes, machine, "local")
    assert result == {"runs": 1, "already ended": 1, "diverged": 1, "failed": 0}
    assert tracker.opened[0].status == "FINISHED"


def test_a_disk_that_is_away_does_not_stand_for_why_a_sweep_ends(
    sweep_file: Path, machine: Machine, executed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OSError("the disk is away")

    def work(source: Source, *_: object) -> None:
        monkeypatch.setattr(SweepFolder, "asked_to_stop", away)

    with monkeypatch.context() as patch:
        patch.setattr(followed, "failures", away)
        with pytest.raises(KeyboardInterrupt):
            drive(str(sweep_file), ["vary.seed=[99]"], machine, track=False)
    monkeypatch.setattr(module, "one_after_another", work)
    assert drive(str(sweep_file), [], machine, "local", track=False)["left"] == 2


@pytest.mark.parametrize(
    ("changes", "address", "words"),
    [
        (["resources.gpu=1000"], None, "resources.gpu.*1000 GPU"),
        (["resources.workers=2"], None, "drop --executor local"),
        ([], "auto", "drop --address"),
    ],
)
def test_what_the_local_executor_cannot_do_is_refused(
    sweep_file: Path, machine: Machine, changes: list[str], address: str | None, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        drive(str(sweep_file), changes, machine, "local", address, track=False)
    assert not list(machine.runs.glob("*/experiment.yaml"))


def test_the_longest_runs_come_first(sweep_file: Path, machine: Machine, executed: list[str]) -> None:
    axes = ["vary={steps: [2, 9, 4]}"]
    drive(str(sweep_file), axes, machine, track=False)
    steps = {plan.id: plan.label for plan in expand(load(Sweep, str(sweep_file), axes))}
    assert [steps[id] for id in executed] == ["a, steps=9", "a, steps=4", "a, steps=2"]


def test_the_local_executor_runs_one_after_another_and_outlives_a_failure(
    sweep_file: Path, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    axes = [f"points={json.dumps({'bad': DIVERGES, 'good': {}})}", "vary={}"]
    result = drive(str(sweep_file), axes, machine, "local", track=False)
    assert (result["done"], result["failed"]) == (1, 1)
    assert "a lower optim.lr may help" in capsys.readouterr().err
    assert drive(str(sweep_file), axes, machine, "local", track=False)["already done"] == 1


@pytest.mark.parametrize(("seeds", "status"), [("[0, 1]", "FINISHED"), ("[0, 13]", "FAILED")])
def test_the_tracker_gets_every_run_and_the_sweeps_end(
    sweep_file: Path, machine: Machine, executed: list[str], tracker: type[FakeTracker], seeds: str, status: str
) -> None:
    drive(str(sweep_file), [f"vary.seed={seeds}"], machine)
    (opened,) = tracker.opened
    assert opened.name == "question" and opened.status == status
    assert {id for id, _ in opened.seen} == set(executed)


def test_a_tracker_that_is_away_costs_no_run_and_is_filled_in_later(
    sweep_file: Path,
    machine: Machine,
    executed: list[str],
    tracker: type[FakeTracker],
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracker.error = ConnectionError("refused")
    assert drive(str(sweep_file), [], machine)["done"] == 2
    assert "refused" in caplog.text
    tracker.error = None
    drive(str(sweep_file), [], machine)
    assert len(executed) == 2
    assert {id for id, _ in tracker.opened[0].seen} == set(executed)


def test_a_tracker_that_dies_in_between_costs_no_run(
    sweep_file: Path, machine: Machine, executed: list[str], tracker: type[FakeTracker]
) -> None:
    tracker.sync_error = ConnectionError("reset")
    assert drive(str(sweep_file), [], machine)["done"] == 2


def test_a_sweep_with_nothing_left_imports_neither_ray_nor_torch_nor_mlflow(
    sweep_file: Path, machine: Machine, executed: list[str]
) -> None:
    drive(str(sweep_file), [], machine, track=False)
    code = f"""
        import sys
        from pathlib import Path
        from rein.config import Machine
        from rein.sweeps.drive import drive
        result = drive({str(sweep_file)!r}, [], Machine(runs=Path({str(machine.runs)!r})), track=False)
        assert result["already done"] == 2, result
        print(*({{"ray", "torch", "mlflow"}} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
