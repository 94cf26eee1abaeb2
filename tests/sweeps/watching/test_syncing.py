"""`rein sync` says what it copied, what was there already, and which runs it could not copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from rein.config import Experiment, run_id
from rein.ledger import Run, State
from rein.sweeps.folder import SweepFolder
from rein.sweeps.plan import Planned
from rein.sweeps.watching.syncing import sync, told
from rein.tracking import Store, Tracker, default_uri


def made(root: Path, seed: int, state: State = "done") -> Run:
    run = Run.create(root, Experiment(seed=seed))
    run.start(step=0, steps=2)
    run.append({"step": 1, "time": 1.0, "loss": 2.0})
    run.finish(state)
    return run


def numbers(row: dict[str, object]) -> tuple[object, ...]:
    return row["copied"], row["there"], row["failed"]


def test_what_is_copied_is_told_from_what_was_there_and_what_cannot_be(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    made(runs, 0), made(runs, 1)
    (row,) = sync([], runs)
    assert numbers(row) == (2, 0, 0)

    broken = made(runs, 2)
    (broken.path / "experiment.yaml").write_text("nonsense: 1\n")
    made(runs, 3)
    said: list[str] = []
    (row,) = sync([], runs, said.append)
    assert numbers(row) == (1, 2, 1) and told([row])[0]["runs"] == "copied 1, already there 2, not copied 1"
    assert len(said) == 1 and broken.id in said[0] and "nonsense" in said[0]

    shown = {path.name for path in runs.iterdir() if not path.name.startswith(".")}
    assert shown - {path.parent.name for path in runs.glob("*/experiment.yaml")} == {"mlflow.db", "mlartifacts"}, (
        "what lies about"
    )


def test_a_search_with_a_run_that_diverged_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses: list[str] = []
    monkeypatch.setattr(Tracker, "close_sweep", lambda self, status: statuses.append(status))
    for seed, state in enumerate(("done", "diverged")):
        made(tmp_path, seed, state)
    plans = [Planned(run_id(Experiment(seed=seed)), "", {}, Experiment(seed=seed)) for seed in range(2)]
    for name, trials in (("a-search", 2), ("a-table", None)):
        with SweepFolder(tmp_path, name).driven(plans, trials):
            pass
    sync([], tmp_path)
    assert statuses == ["FINISHED", "FAILED"]


def test_a_store_that_fails_meanwhile_is_not_taken_for_a_run_that_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, 0)
    Tracker(default_uri(tmp_path), tmp_path)

    def refused(*_: object) -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr(Tracker, "sync", refused)
    monkeypatch.setattr(Store, "check", refused)
    with pytest.raises(OSError, match=r"refused.*goes on where this one ended"):
        sync([], tmp_path)
