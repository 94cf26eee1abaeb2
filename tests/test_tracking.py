"""MLflow as a view: what it shows follows from the ledger, twice is once, and a lost view is made anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rein.config import Experiment, flatten
from rein.ledger import Run
from rein.ledger.tracked import is_copied
from rein.tracking import Tracker, default_uri

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    """One store for the module: creating one takes seconds."""
    runs = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return Tracker(default_uri(runs), runs)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Run]:
    def run(state: str | None = "done", seed: int = 0, steps: int = 2) -> Run:
        record = Run.create(tmp_path, Experiment(seed=seed))
        record.start(step=0, steps=steps)
        for step in range(1, steps + 1):
            record.append({"step": step, "loss": 10.0 / step, "lr": 0.1, "time": 1e9 + step})
        record.append({"step": steps, "time": 1e9 + steps, "kitti/miou": 0.25, "carla/miou": float("nan")})
        record.update(**{"parameters.backbone_trainable": 7, "seconds": 2.5})
        if state:
            record.finish(state, RuntimeError("why") if state == "failed" else None)  # type: ignore[arg-type]
        return record

    return run


def shown(tracker: Tracker, run: Run) -> list[Any]:
    """The MLflow runs that stand for a run of the ledger, of this folder."""
    return tracker.client.search_runs([tracker.experiment], f"tags.`rein.folder` = '{run.path}'")


def only(tracker: Tracker, run: Run) -> Any:
    found = shown(tracker, run)
    assert len(found) == 1
    return found[0]


def history(tracker: Tracker, run: Run, key: str) -> list[tuple[int, float]]:
    points = tracker.client.get_metric_history(only(tracker, run).info.run_id, key)
    return sorted((point.step, point.value) for point in points)


def test_a_run_is_shown_with_dotted_params_and_every_metric(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make()
    tracker.sync(run, "rein, seed 0")
    view = only(tracker, run)
    assert view.info.run_name == "rein, seed 0" and view.info.status == "FINISHED"
    assert view.data.params == {key: str(value) for key, value in flatten(run.experiment()).items()}
    assert history(tracker, run, "loss") == [(1, 10.0), (2, 5.0)]
    assert history(tracker, run, "kitti/miou") == [(2, 0.25)]
    assert "carla/miou" not in view.data.metrics
    assert view.data.metrics["parameters.backbone_trainable"] == 7 and view.data.metrics["seconds"] == 2.5
    assert view.data.tags["rein.run_id"] == run.id and view.data.tags["rein.state"] == "done"


def test_the_times_are_the_runs_own(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make(seed=8)
    tracker.sync(run, "r")
    info, status = only(tracker, run).info, run.status()
    assert info.start_time == int(1000 * status["started"]) and info.end_time == int(1000 * status["ended"])
    points = tracker.client.get_metric_history(info.run_id, "loss")
    assert [point.timestamp for point in points] == [int(1000 * (1e9 + step)) for step in (1, 2)]


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("done", "FINISHED"),
        ("pruned", "FINISHED"),
        ("failed", "FAILED"),
        ("oom", "FAILED"),
        ("diverged", "FAILED"),
        ("preempted", "KILLED"),
        (None, "RUNNING"),
    ],
)
def test_states_read_as_mlflows(tracker: Tracker, make: Callable[..., Run], state: str | None, status: str) -> None:
    run = make(state)
    with run.claimed():
        tracker.sync(run, "r")
    assert only(tracker, run).info.status == status


def test_a_run_that_was_cut_with_its_process_does_not_read_as_running(
    tracker: Tracker, make: Callable[..., Run]
) -> None:
    run = make(None)
    tracker.sync(run, "r", verify=True)
    assert only(tracker, run).info.status == "KILLED"


def test_syncing_twice_adds_nothing(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make()
    for _ in range(2):
        tracker.sync(run, "r")
    assert history(tracker, run, "loss") == [(1, 10.0), (2, 5.0)]
    assert is_copied(run, tracker.uri)


def test_a_running_run_is_filled_up_as_it_goes(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make(None)
    tracker.sync(run, "r")
    assert not is_copied(run, tracker.uri)
    run.append({"step": 3, "loss": 1.0, "lr": 0.1, "time": 1e9})
    run.finish("done")
    tracker.sync(run, "r")
    assert history(tracker, run, "loss") == [(1, 10.0), (2, 5.0), (3, 1.0)]
    assert only(tracker, run).info.status == "FINISHED"


def test_another_attempt_goes_on_in_the_same_mlflow_run(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make("preempted")
    tracker.sync(run, "r")
    run.start(step=0, steps=2)
    with run.claimed():
        tracker.sync(run, "r")
    assert only(tracker, run).info.status == "RUNNING"
    run.finish("done")
    tracker.sync(run, "r")
    assert only(tracker, run).info.status == "FINISHED"


def test_deleting_the_note_rebuilds_the_view(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make()
    tracker.sync(run, "r")
    first = only(tracker, run).info.run_id
    tracker.client.delete_run(first)
    (run.path / "mlflow.json").unlink()
    tracker.sync(run, "r")
    assert only(tracker, run).info.run_id != first
    assert history(tracker, run, "loss") == [(1, 10.0), (2, 5.0)]


def test_a_note_of_another_store_is_not_believed(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make()
    note = {"uri": "http://elsewhere", "run_id": "x", "offset": 9999, "final": True, "attempt": 1}
    (run.path / "mlflow.json").write_text(json.dumps(note))
    assert not is_copied(run, tracker.uri)
    tracker.sync(run, "r")
    assert history(tracker, run, "loss") == [(1, 10.0), (2, 5.0)]


def test_a_sweeps_runs_are_children_of_one_parent(tracker: Tracker, make: Callable[..., Run]) -> None:
    runs = [make(seed=seed) for seed in (1, 2)]
    try:
        for _ in range(2):  # the second time finds the parent of the first
            tracker.open_sweep("ranks")
            for run in runs:
                tracker.sync(run, f"seed {run.id}")
            tracker.close_sweep("FINISHED")
        parents = tracker.client.search_runs([tracker.experiment], "tags.`rein.kind` = 'sweep'")
        assert [parent.info.run_name for parent in parents] == ["ranks"]
        assert parents[0].info.status == "FINISHED"
        tags = {only(tracker, run).data.tags["mlflow.parentRunId"] for run in runs}
        assert tags == {parents[0].info.run_id}
    finally:
        tracker.parent = None


def test_a_run_that_came_by_itself_is_adopted_by_its_sweep(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make(seed=7)
    tracker.sync(run, "alone")
    try:
        tracker.open_sweep("family")
        tracker.adopt(run)
        assert only(tracker, run).data.tags["mlflow.parentRunId"] == tracker.parent
    finally:
        tracker.parent = None


def test_a_run_that_is_gone_from_mlflow_is_made_anew(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make(state=None, seed=8)
    tracker.sync(run, "r")
    tracker.client.delete_run(only(tracker, run).info.run_id)
    run.append({"step": 9, "time": 1e9, "loss": 4.0})
    tracker.known.clear()  # as in another process
    tracker.sync(run, "r")
    assert (9, 4.0) in history(tracker, run, "loss") and len(history(tracker, run, "loss")) > 1


def test_the_default_store_is_absolute_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_uri(Path("runs")) == f"sqlite:///{tmp_path}/runs/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert default_uri(Path("runs")) == "http://tracker:5000"
