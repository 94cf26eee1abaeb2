"""A report among the artifacts of its sweep in MLflow: where the sweep is there, and never at the report's expense."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rein.config import Experiment, run_id
from rein.ledger import Run, tracked
from rein.sweeps.folder import SweepFolder
from rein.sweeps.plan import Planned
from rein.sweeps.watching.attaching import attach
from rein.sweeps.watching.syncing import sync
from rein.tracking import Tracker, default_uri


def made(runs: Path) -> Run:
    experiment = Experiment()
    with SweepFolder(runs, "ranks").driven([Planned(run_id(experiment), "", {}, experiment)]):
        run = Run.create(runs, experiment)
        run.start(step=0, steps=1)
        run.finish("done")
    return run


def report(root: Path) -> list[Path]:
    paths = [root / "report.html", root / "tables" / "main.md"]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return paths


@pytest.mark.slow
def test_a_report_lies_below_its_sweep_and_replaces_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    runs, out = tmp_path / "runs", tmp_path / "out"
    run = made(runs)
    sync([], runs)
    for _ in range(2):
        (page,) = attach(runs, ["ranks", "of-nothing"], "mine", out, report(out))
    assert page == tracked.sweep_url(run)
    client, parent = Tracker(default_uri(runs), runs).store.client, page.partition("?")[0].rpartition("/")[2]
    found = [
        file.path for place in ("report/mine", "report/mine/tables") for file in client.list_artifacts(parent, place)
    ]
    assert found == ["report/mine/report.html", "report/mine/tables", "report/mine/tables/main.md"]

    (runs / "mlflow.db").unlink()
    with pytest.raises(OSError, match=r"mlflow\.db is gone; `rein sync`"):
        attach(runs, ["ranks"], "mine", out, report(out))
    assert not (runs / "mlflow.db").exists(), "nothing is made in place of what is lost"


def test_where_no_store_is_known_mlflow_is_not_even_imported(tmp_path: Path) -> None:
    made(tmp_path / "runs")
    code = (
        "import sys; from pathlib import Path; from rein.sweeps.watching.attaching import attach;"
        f"root = Path({str(tmp_path)!r}); assert attach(root / 'runs', ['ranks'], 'mine', root, []) == [];"
        "assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_server_that_is_away_is_an_os_error_without_its_password(tmp_path: Path) -> None:
    run = made(tmp_path / "runs")
    note = {"uri": "http://me:secret@127.0.0.1:9", "store": "1@1", "run_id": "a", "parent": "b"}
    tracked.write(run, {**tracked.NOTHING, **note})
    with pytest.raises(OSError, match=r"MLflow at http://127\.0\.0\.1:9: ") as caught:
        attach(tmp_path / "runs", ["ranks"], "mine", tmp_path, [])
    assert "secret" not in str(caught.value)
