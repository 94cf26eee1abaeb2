"""What Tune is told: one run at a time where there is room, when all is done, and when losses are too many."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rein.config import Experiment, Sweep, run_id
from rein.config_io import build
from rein.ledger import Run
from rein.sweeps.on_ray import adapter
from rein.sweeps.on_ray.adapter import LOSSES, Losses, Suggestions, bundles
from rein.sweeps.plan import Planned
from rein.sweeps.queue import Queue
from rein.sweeps.resources import Allotment, Node


def plans(number: int) -> list[Planned]:
    experiments = [Experiment(seed=seed) for seed in range(number)]
    return [Planned(run_id(experiment), "", {"seed": experiment.seed}, experiment) for experiment in experiments]


def suggestions(runs: Path, number: int, jobs: int | None = None, **sweep: Any) -> Suggestions:
    allotment = Allotment(build(Sweep, {"experiment": "toy", **sweep}))
    return Suggestions(Queue(plans(number), runs), runs, allotment, [Node(4, 2), Node(4, 2)], jobs)


def done(asked: Suggestions, trial: str) -> None:
    run = Run(asked.runs / asked._out[trial][0].id)
    run.start(step=0, steps=1)
    run.finish("done")
    asked.on_trial_complete(trial)


def test_every_run_is_suggested_once_and_its_folder_made(tmp_path: Path) -> None:
    asked = suggestions(tmp_path, 3)
    configs = [asked.suggest(str(number)) for number in range(3)]
    assert [config["run"] for config in configs if isinstance(config, dict)] == [plan.id for plan in plans(3)]
    assert all((tmp_path / plan.id / "experiment.yaml").is_file() for plan in plans(3))
    assert asked.suggest("3") is None, "a run that is out may come back"
    for number in range(3):
        done(asked, str(number))
    assert asked.suggest("4") == Suggestions.FINISHED


def test_no_folder_is_made_before_a_runs_turn(tmp_path: Path) -> None:
    suggestions(tmp_path, 3).suggest("0")
    assert len(list(tmp_path.iterdir())) == 1


def test_at_most_so_many_jobs_at_once(tmp_path: Path) -> None:
    asked = suggestions(tmp_path, 3, jobs=2)
    assert [asked.suggest(str(number)) is None for number in range(3)] == [False, False, True]
    done(asked, "0")
    assert asked.suggest("3") is not None


def test_workers_that_tune_does_not_see_are_counted_here(tmp_path: Path) -> None:
    asked = suggestions(tmp_path, 4, resources={"gpu": 1, "workers": 2})
    assert [asked.suggest(str(number)) is None for number in range(3)] == [False, False, True]
    done(asked, "0")
    held_back = asked.suggest("3")
    assert isinstance(held_back, dict) and held_back["run"] == plans(3)[2].id, "it was kept, not lost"


def test_a_run_with_workers_leaves_them_to_take_their_own(tmp_path: Path) -> None:
    one = bundles({"resources": {"cpu": 2, "gpu": 0.5, "workers": 1}})
    assert one.bundles == [{"CPU": 2, "GPU": 0.5}]
    assert bundles({"resources": {"cpu": 2, "gpu": 1, "workers": 4}}).required_resources == {"memory": 1}, "a byte"


def test_a_node_that_does_not_see_the_ledger_is_a_failure_of_the_run(tmp_path: Path) -> None:
    asked = suggestions(tmp_path, 1)
    config = asked.suggest("0")
    assert isinstance(config, dict)
    asked.on_trial_complete("0", {"error": "/runs: not shared with n7"})
    status = Run(tmp_path / config["run"]).status()
    assert status["state"] == "failed" and "not shared with n7" in status["error"]
    assert asked.suggest("1") == Suggestions.FINISHED


def test_a_disk_that_stumbles_costs_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumbles(*_: Any, **more: Any) -> Any:
        raise OSError(116, "Stale file handle")

    asked = suggestions(tmp_path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "create", stumbles)
        assert asked.suggest("0") is None
    config = asked.suggest("1")
    assert isinstance(config, dict) and config["run"] == plans(1)[0].id
    with monkeypatch.context() as patch:
        patch.setattr(asked.allotment, "learn", stumbles)
        patch.setattr(Run, "finish", stumbles)
        asked.on_trial_complete("1", {"error": "not shared with n7"})
    assert asked.suggest("2") == config, "how it ended could not be written"


@pytest.mark.parametrize("name", ["status", "finish"])
def test_a_loss_on_a_disk_that_stumbles_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def stumbles(*_: Any, **more: Any) -> Any:
        raise OSError(116, "Stale file handle")

    run, losses = Run.create(tmp_path, plans(1)[0].experiment), Losses(tmp_path)
    trial: Any = FakeTrial({"run": run.id})
    with monkeypatch.context() as patch:
        patch.setattr(Run, name, stumbles)
        for _ in range(LOSSES + 1):
            losses.on_trial_recover(0, [], trial)
        assert trial.max_failures == -1
    for _ in range(LOSSES + 1):
        losses.on_trial_recover(0, [], trial)
    assert trial.max_failures == 0 and run.state == "failed"


def test_tune_may_write_it_down(tmp_path: Path) -> None:
    assert pickle.loads(pickle.dumps(suggestions(tmp_path, 1))).__dict__ == {}


def test_a_cluster_without_nodes_is_noticed_and_what_was_out_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = suggestions(tmp_path, 2)
    first = asked.suggest("0")
    monkeypatch.setattr(adapter, "nodes", lambda: [])
    with pytest.raises(adapter.ClusterLost):
        adapter.Vigil(lambda: asked.handed_out).on_step_begin(0, [])
    asked.give_back()
    assert asked.suggest("1") == first


def test_what_waited_for_room_comes_back_too(tmp_path: Path) -> None:
    asked = suggestions(tmp_path, 2, resources={"gpu": 1, "workers": 4})
    asked.suggest("0")
    assert asked.suggest("1") is None
    asked.give_back()
    assert asked.handed_out == []
    for number in range(2, 4):
        assert asked.suggest(str(number)) is not None
        done(asked, str(number))
    assert asked.suggest("4") == Suggestions.FINISHED


def test_what_waited_for_room_is_not_started_once_the_source_has_stopped(tmp_path: Path) -> None:
    asked = suggestions(tmp_path, 2, resources={"gpu": 1, "workers": 4})
    asked.suggest("0")
    assert asked.suggest("1") is None
    asked.source.stopped = "enough"
    done(asked, "0")
    assert asked.suggest("2") == Suggestions.FINISHED


def test_who_waits_for_a_node_that_is_gone_is_named_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = suggestions(tmp_path, 1, resources={"gpu": 1})
    asked.suggest("0")
    monkeypatch.setattr(adapter, "nodes", lambda: [Node(8, 1)])
    vigil = adapter.Vigil(lambda: asked.handed_out, every=0)
    vigil.on_step_begin(0, [])
    assert not caplog.messages
    monkeypatch.setattr(adapter, "nodes", lambda: [Node(8, 0)])
    for _ in range(3):
        vigil.on_step_begin(0, [])
    assert len(caplog.messages) == 1 and f"holds {plans(1)[0].id} (1 CPU, 1 GPU)" in caplog.text


def test_an_error_of_the_drivers_own_passes_through_tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = suggestions(tmp_path, 1)
    monkeypatch.setattr(asked.source, "next", lambda: 1 / 0)
    with pytest.raises(adapter.Broken) as broken:
        asked.suggest("0")
    assert isinstance(broken.value.__cause__, ZeroDivisionError) and not isinstance(broken.value, Exception)


@dataclass
class FakeTrial:
    config: dict[str, Any]
    max_failures: int = -1
    said: list[str] = field(default_factory=lambda: ["the node died"])

    def set_config(self, config: dict[str, Any]) -> None:
        self.config = config

    def get_pickled_error(self) -> Exception:
        return RuntimeError(self.said[0])


def test_a_run_for_which_no_process_can_be_started_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, losses = Run.create(tmp_path, plans(1)[0].experiment), Losses(tmp_path)
    trial: Any = FakeTrial({"run": run.id})
    for _ in range(LOSSES):
        losses.on_trial_recover(0, [], trial)
        assert trial.max_failures == -1 and "given_up" not in trial.config
    losses.on_trial_recover(0, [], trial)
    assert trial.max_failures == 0 and trial.config["given_up"]
    assert run.state == "failed" and "the node died" in run.status()["error"]
    assert "goes on from its last checkpoint" in caplog.text


def test_a_run_that_a_lost_node_still_holds_is_given_up_once_it_does_not(tmp_path: Path) -> None:
    run, losses = Run.create(tmp_path, plans(1)[0].experiment), Losses(tmp_path)
    trial: Any = FakeTrial({"run": run.id})
    with Run(run.path).claimed():
        for _ in range(LOSSES + 2):
            losses.on_trial_recover(0, [], trial)
        assert trial.max_failures == -1 and run.state is None
    losses.on_trial_recover(0, [], trial)
    assert trial.max_failures == 0 and run.state == "failed"


def test_losses_of_a_run_that_began_in_between_are_the_ledgers_to_count(tmp_path: Path) -> None:
    run, losses = Run.create(tmp_path, plans(1)[0].experiment), Losses(tmp_path)
    trial: Any = FakeTrial({"run": run.id})
    for attempt in range(3 * LOSSES):
        run.update(state="running", attempt=attempt)
        losses.on_trial_recover(0, [], trial)
    assert trial.max_failures == -1 and run.state == "running"
