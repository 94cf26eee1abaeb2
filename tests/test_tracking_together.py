"""Many at once on one fresh MLflow store: every point arrives, in SQLite and on a server, also if it was away."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rein.config import Experiment, run_id
from rein.ledger import Run
from rein.sweeps.folder import SweepFolder
from rein.sweeps.plan import Planned
from rein.sweeps.watching.syncing import sync
from rein.tracking import EXPERIMENT, default_uri

pytestmark = pytest.mark.slow

RUNS, RECORDS = 8, 200

#: One process that works on a run: 200 records, one after another.
WORKER = """
import sys, time
from pathlib import Path
from rein.config import Experiment
from rein.ledger import Run
run = Run.create(Path(sys.argv[1]), Experiment(seed=int(sys.argv[2])))
with run.claimed():
    run.start(step=0, steps=200)
    for step in range(1, 201):
        run.append({"step": step, "loss": 1 / step, "time": time.time()})
        run.update(step=step)
        time.sleep(0.01)
    run.finish("done")
"""

#: One driver that watches runs of the ledger and copies them.
DRIVER = """
import sys
from pathlib import Path
from rich.console import Console
from rein.config import Experiment, run_id
from rein.sweeps.watching.copying import Copying
from rein.sweeps.plan import Planned
from rein.sweeps.watching.watch import Watch
from rein.ledger import Run
import time
root, seeds = Path(sys.argv[1]), [int(word) for word in sys.argv[2].split(",")]
plans = [Planned(run_id(Experiment(seed=seed)), "s", {"seed": seed}, Experiment(seed=seed)) for seed in seeds]
sink = Copying(root, sys.argv[3])
with Watch(plans, root, sink, Console(file=sys.stderr, quiet=True), interval=0.2):
    while any(Run(root / plan.id).state != "done" for plan in plans):
        time.sleep(0.1)
sink.close(plans, complete=True)
"""

SYNC = (
    "from pathlib import Path; from rein.sweeps.watching.syncing import sync; import sys; sync([], Path(sys.argv[1]))"
)


def python(code: str, *words: object, uri: str) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": uri,
        "OMP_NUM_THREADS": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    }
    return subprocess.Popen([sys.executable, "-c", code, *map(str, words)], env=environment)


def campaign(root: Path, uri: str, drivers: int = 1) -> None:
    """Eight processes append to eight runs at the same time while drivers copy, each its share of them."""
    root.mkdir(parents=True, exist_ok=True)
    seeds = list(range(RUNS))
    shares = [seeds[number::drivers] for number in range(drivers)]
    processes = [
        python(DRIVER, root, ",".join(map(str, share)), f"sweep{number}", uri=uri)
        for number, share in enumerate(shares)
    ]
    processes += [python(WORKER, root, seed, uri=uri) for seed in seeds]
    assert [process.wait(600) for process in processes] == [0] * len(processes)


def points(uri: str) -> dict[str, int]:
    """How many points of `loss` MLflow has of each of our runs."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`rein.kind` = 'run'")
    counted = [(run.data.tags["rein.run_id"], run.info.run_id) for run in runs]
    found = {id: len(client.get_metric_history(shown, "loss")) for id, shown in counted}
    assert len(found) == len(counted), "a run is shown twice"
    return found


Server = Callable[[], subprocess.Popen[bytes]]


@contextmanager
def server_at(folder: Path) -> Iterator[tuple[str, Server]]:
    """The address of an MLflow server on loopback, and what starts it, again and again."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    uri, started = f"http://127.0.0.1:{port}", []

    def start() -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
        ]
        store = ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--default-artifact-root", str(folder / "a")]
        with open(folder / "server.log", "ab") as log:
            started.append(
                subprocess.Popen([*command, *store], stdout=log, stderr=log, start_new_session=True, cwd=folder)
            )
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return started[-1]
            except OSError:
                time.sleep(0.3)
        raise AssertionError((folder / "server.log").read_text())

    try:
        yield uri, start
    finally:
        for process in started:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(120)


def full(root: Path) -> dict[str, int]:
    return {run_id(Experiment(seed=seed)): RECORDS for seed in range(RUNS)}


def test_eight_workers_on_a_fresh_sqlite_store_lose_no_point(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/fresh.db"
    campaign(tmp_path / "runs", uri)
    assert points(uri) == full(tmp_path) and sum(points(uri).values()) == 1600


def test_eight_drivers_on_one_fresh_sqlite_store_lose_no_point(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/fresh.db"
    campaign(tmp_path / "runs", uri, drivers=8)
    assert sum(points(uri).values()) == 1600 and points(uri) == full(tmp_path)


def test_eight_workers_on_a_fresh_server_lose_no_point(tmp_path: Path) -> None:
    with server_at(tmp_path) as (uri, start):
        start()
        campaign(tmp_path / "runs", uri)
        assert sum(points(uri).values()) == 1600 and points(uri) == full(tmp_path)


def test_what_a_server_missed_while_it_was_away_is_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server_at(tmp_path) as (uri, start):
        campaign(tmp_path / "runs", uri)
        start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        for _ in range(2):
            sync([], tmp_path / "runs")
            assert points(uri) == full(tmp_path)


def made(root: Path, number: int) -> None:
    plans = [Planned(run_id(one := Experiment(seed=seed)), "s", {"seed": seed}, one) for seed in range(number)]
    with SweepFolder(root, "ranks").driven(plans):
        for plan in plans:
            run = Run.create(root, plan.experiment)
            run.start(step=0, steps=3)
            for step in (1, 2, 3):
                run.append({"step": step, "loss": 1 / step, "time": 1e9})
            run.finish("done")


def test_a_lost_store_is_rebuilt_whole_and_twice_is_once(tmp_path: Path) -> None:
    made(tmp_path, 3)
    uri = default_uri(tmp_path)
    assert python(SYNC, tmp_path, uri=uri).wait(600) == 0
    before = {run_id(Experiment(seed=seed)): 3 for seed in range(3)}
    for file in tmp_path.glob("mlflow.db*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    for _ in range(2):  # by processes of their own: MLflow keeps a file open that was deleted
        assert python(SYNC, tmp_path, uri=uri).wait(600) == 0
        assert points(uri) == before


def test_a_sync_that_is_killed_anywhere_is_finished_by_the_next(tmp_path: Path) -> None:
    made(tmp_path, 4)
    uri = default_uri(tmp_path)
    for seconds in (0.0, 0.3, 0.8):  # counted from where the first run of this sync has begun to be copied
        process = python(SYNC, tmp_path, uri=uri)
        while process.poll() is None and not list(tmp_path.glob("*/mlflow.json")):
            time.sleep(0.02)
        time.sleep(seconds)
        process.kill()
        process.wait(120)
        for note in sorted(tmp_path.glob("*/mlflow.json"))[:1]:
            note.unlink()  # as if the kill had come between making the run and noting it
    sync([], tmp_path)
    assert points(uri) == {run_id(Experiment(seed=seed)): 3 for seed in range(4)}
    assert json.loads(next(tmp_path.glob("*/mlflow.json")).read_text())["final"]
