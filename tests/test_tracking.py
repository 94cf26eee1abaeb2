"""MLflow as a view: what it shows follows from the ledger, twice is once, and a lost view is made anew."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rein.config import Experiment, flatten
from rein.ledger import Run, tracked
from rein.ledger.tracked import is_copied
from rein.sweeps.folder import SweepFolder
from rein.sweeps.plan import Planned
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
    return tracker.store.client.search_runs([tracker.store.experiment], f"tags.`rein.folder` = '{run.path}'")


def only(tracker: Tracker, run: Run) -> Any:
    found = shown(tracker, run)
    assert len(found) == 1
    return found[0]


def history(tracker: Tracker, run: Run, key: str) -> list[tuple[int, float]]:
    points = tracker.store.client.get_metric_history(only(tracker, run).info.run_id, key)
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
    points = tracker.store.client.get_metric_history(info.run_id, "loss")
    assert [point.timestamp for point in points] == [int(1000 * (1e9 + step)) for step in (1, 2)]


def scored(run: Run, *steps: int, value: float = 0.5) -> None:
    """Score a run after some steps, as `rein.training.scoring` does: the rows first."""
    for step in steps:
        constant = {"step": step, "domain": "kitti", "role": "target"}
        run.scores(
            [
                {**constant, "class": "all", "metric": "miou", "value": value},
                {**constant, "class": "traffic light", "metric": "iou", "value": value + step / 100},
            ]
        )
        run.append({"step": step, "time": 2e9 + step, "kitti/miou": value})


def test_iou_by_class_is_a_metric_at_the_steps_that_were_scored(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make(None)
    scored(run, 1)
    tracker.sync(run, "r")
    assert history(tracker, run, "kitti/iou/traffic light") == [(1, 0.51)]
    scored(run, 2)
    run.finish("done")
    for _ in range(2):
        tracker.sync(run, "r")
    assert history(tracker, run, "kitti/iou/traffic light") == [(1, 0.51), (2, 0.52)]


@pytest.mark.parametrize("lost", ["log_batch", "set_tag", "set_terminated", "log_artifacts"])
def test_a_kill_between_two_calls_costs_no_point_and_makes_none_twice(
    tracker: Tracker, make: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    run = make()
    scored(run, 1, 2)
    inner = getattr(tracker.store.client, lost)

    def killed(*words: object, **more: object) -> None:
        inner(*words, **more)
        raise KeyboardInterrupt  # behind the call, before it is noted

    with monkeypatch.context() as patch:
        patch.setattr(tracker.store.client, lost, killed)
        with pytest.raises(KeyboardInterrupt):
            tracker.sync(run, "r")
    tracker.sync(run, "r", verify=True)
    assert history(tracker, run, "loss") == [(1, 10.0), (2, 5.0)]
    assert history(tracker, run, "kitti/iou/traffic light") == [(1, 0.51), (2, 0.52)]
    assert only(tracker, run).info.status == "FINISHED" and tracked.read(run)["files"]


def test_what_was_copied_when_less_was_shown_is_filled_up(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make()
    scored(run, 2)
    tracker.sync(run, "r")
    first = only(tracker, run).info.run_id
    tracked.write(run, {**tracked.read(run), "layout": 0})
    tracker.store.client.delete_tag(first, "point")
    assert not is_copied(run, tracker.store.uri)
    tracker.sync(run, "r")
    assert is_copied(run, tracker.store.uri) and only(tracker, run).data.tags["point"] == "r"
    assert history(tracker, run, "loss") == [(1, 10.0), (2, 5.0)]
    assert history(tracker, run, "kitti/iou/traffic light") == [(2, 0.52)]


def test_runs_are_grouped_by_tags_and_described(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make()
    scored(run, 2, value=0.234)
    tracker.sync(run, "rein, rank 4, seed 0")
    tags = only(tracker, run).data.tags
    assert (tags["point"], tags["seed"]) == ("rein, rank 4", "0")
    assert tags["targets"] == ", ".join(run.experiment().data.targets)
    assert "| kitti (target) | 23.4 |" in tags["mlflow.note.content"]


def test_a_run_that_has_ended_has_its_files_and_no_checkpoint(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make("failed")
    (run.path / "checkpoint").mkdir()
    (run.path / "checkpoint" / "weights.safetensors").write_bytes(b"0")
    tracker.sync(run, "r")
    found = {file.path for file in tracker.store.client.list_artifacts(only(tracker, run).info.run_id)}
    assert found == {"experiment.yaml", "traceback.txt"}


def test_a_store_that_takes_no_files_costs_a_warning_and_gets_them_later(
    tracker: Tracker, make: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runs = [make(seed=seed) for seed in (3, 4)]

    def refused(*_: object) -> None:
        raise PermissionError("not allowed")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "rein"):
        patch.setattr(tracker.store.client, "log_artifacts", refused)
        patch.setattr(tracker, "_takes_files", True)
        for run in runs:
            tracker.sync(run, "r")
    assert caplog.text.count("not allowed") == 1
    assert all(is_copied(run, tracker.store.uri) and history(tracker, run, "loss") for run in runs)
    tracker.sync(runs[0], "r", verify=True)
    assert tracker.store.client.list_artifacts(only(tracker, runs[0]).info.run_id)


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
    assert is_copied(run, tracker.store.uri)


def test_a_running_run_is_filled_up_as_it_goes(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make(None)
    tracker.sync(run, "r")
    assert not is_copied(run, tracker.store.uri)
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
    tracker.store.client.delete_run(first)
    (run.path / "mlflow.json").unlink()
    tracker.sync(run, "r")
    assert only(tracker, run).info.run_id != first
    assert history(tracker, run, "loss") == [(1, 10.0), (2, 5.0)]


def test_a_note_of_another_store_is_not_believed(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make()
    note = {"uri": "http://elsewhere", "run_id": "x", "offset": 9999, "final": True, "attempt": 1}
    (run.path / "mlflow.json").write_text(json.dumps(note))
    assert not is_copied(run, tracker.store.uri)
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
        parents = tracker.store.client.search_runs([tracker.store.experiment], "tags.`rein.kind` = 'sweep'")
        assert [parent.info.run_name for parent in parents] == ["ranks"]
        assert parents[0].info.status == "FINISHED"
        tags = {only(tracker, run).data.tags["mlflow.parentRunId"] for run in runs}
        assert tags == {parents[0].info.run_id}
    finally:
        tracker.leave_sweep()


def test_a_sweep_is_described_with_a_view_of_its_runs(tracker: Tracker, make: Callable[..., Run]) -> None:
    runs = [make(seed=seed) for seed in (1, 2)]
    plans = [Planned(run.id, "rein", {"seed": seed}, run.experiment()) for seed, run in enumerate(runs, 1)]
    ledger, tracker.store.runs = tracker.store.runs, runs[0].path.parent
    try:
        with SweepFolder(tracker.store.runs, "seeds").driven(plans, question="Which seed?"):
            tracker.open_sweep("seeds")
            for plan, run in zip(plans, runs, strict=True):
                tracker.sync(run, plan.label)
            tracker.close_sweep("FINISHED")
        assert tracker.sweep
        note = tracker.store.client.get_run(tracker.sweep.id).data.tags["mlflow.note.content"]
        assert "Which seed?" in note and "**2 of 2 runs done**" in note
        tags = tracker.store.client.get_experiment(tracker.store.experiment).tags
        assert "mlflow.sharedViewState.rein-seeds-means" in tags and "viewStateShareKey=rein-seeds-means" in note
        shown = [only(tracker, run).data.tags for run in runs]
        assert {tags["rein.sweep"] for tags in shown} == {"seeds"}
        assert len({tags["mlflow.runColor"] for tags in shown}) == 1, "seeds of a variant share a colour"
    finally:
        tracker.store.runs = ledger
        tracker.leave_sweep()


def test_a_run_that_came_by_itself_is_adopted_by_its_sweep(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make(seed=7)
    tracker.sync(run, "alone")
    try:
        tracker.open_sweep("family")
        tracker.adopt(run)
        assert only(tracker, run).data.tags["mlflow.parentRunId"] == tracker.sweep.id
    finally:
        tracker.leave_sweep()


def test_a_run_that_is_gone_from_mlflow_is_made_anew(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make(state=None, seed=8)
    tracker.sync(run, "r")
    tracker.store.client.delete_run(only(tracker, run).info.run_id)
    run.append({"step": 9, "time": 1e9, "loss": 4.0})
    tracker.store.known.clear()  # as in another process
    tracker.sync(run, "r")
    assert (9, 4.0) in history(tracker, run, "loss") and len(history(tracker, run, "loss")) > 1


def test_the_default_store_is_absolute_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_uri(Path("runs")) == f"sqlite:///{tmp_path}/runs/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert default_uri(Path("runs")) == "http://tracker:5000"


def test_a_run_of_unpacked_results_is_shown_too(tracker: Tracker, make: Callable[..., Run]) -> None:
    run = make(seed=77)
    lines = [{key: value for key, value in record.items() if key != "time"} for record in run.metrics()[0]]
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run.update(unpacked=True)
    assert tracker.sync(run, "r") and not tracker.sync(run, "r")
    assert history(tracker, run, "loss") == [(1, 10.0), (2, 5.0)]
    started = int(1000 * run.status()["started"])
    assert only(tracker, run).info.start_time == started
