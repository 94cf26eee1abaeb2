"""What a run's folder says of its copy in MLflow, and the address at which a browser finds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rein.ledger import Run, tracked


def noted(path: Path, **more: object) -> Run:
    path.mkdir()
    tracked.write(run := Run(path), {**tracked.NOTHING, "store": "7@1700000000", "run_id": "abc", **more})
    return run


@pytest.mark.parametrize(
    ("uri", "root"),
    [
        ("http://tracker:5000", "http://tracker:5000"),
        ("https://me:secret@tracker/mlflow/", "https://tracker/mlflow"),
        ("sqlite:////runs/mlflow.db", "http://127.0.0.1:5000"),
    ],
)
def test_a_runs_page_is_on_its_server_or_where_rein_ui_serves_it(tmp_path: Path, uri: str, root: str) -> None:
    run = noted(tmp_path / "run", uri=uri, parent="def")
    assert tracked.run_url(run) == f"{root}/#/experiments/7/runs/abc?workflowType=machine_learning"
    assert tracked.sweep_url(run) == f"{root}/#/experiments/7/runs/def?workflowType=machine_learning"


def test_what_was_not_copied_has_no_page(tmp_path: Path) -> None:
    assert tracked.run_url(Run(tmp_path)) is None
    assert tracked.sweep_url(noted(tmp_path / "alone", uri="http://tracker:5000")) is None


def test_a_password_is_not_shown() -> None:
    assert tracked.shown("http://me:secret@tracker:5000") == "http://tracker:5000"
