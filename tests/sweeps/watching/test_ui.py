"""`rein ui`: an address on one line, what MLflow lacks copied first, and nothing left behind it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from rein.config import ConfigError, Experiment
from rein.ledger import Run, tracked
from rein.sweeps.watching.ui import address, show
from rein.tracking import default_uri


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def made(runs: Path) -> Run:
    run = Run.create(runs, Experiment())
    run.start(step=0, steps=1)
    run.finish("done")
    return run


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def quiet(text: str) -> None:
    pass


def test_a_server_elsewhere_is_named_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@tracker/mlflow")
    run = made(tmp_path)
    assert address(tmp_path) == "https://tracker/mlflow"
    tracked.write(run, {**tracked.NOTHING, "uri": default_uri(tmp_path), "store": "7@1", "run_id": "a"})
    assert address(tmp_path) == "https://tracker/mlflow/#/experiments/7/runs?workflowType=machine_learning"


def test_a_port_that_is_taken_is_refused_before_anything_is_copied(tmp_path: Path) -> None:
    made(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port} cannot be listened on.*--port"):
            show(tmp_path, "127.0.0.1", port, quiet, quiet)
    assert not (tmp_path / "mlflow.db").exists()


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run is there"):
        show(tmp_path / "typo", "127.0.0.1", free_port(), quiet, quiet)
    assert not (tmp_path / "typo").exists()


@pytest.mark.slow
def test_the_ui_answers_until_it_is_interrupted_and_ends_whole(tmp_path: Path) -> None:
    run, port = made(tmp_path), free_port()
    command = [sys.executable, "-c", "from rein.cli import main; main()", "ui", "--runs", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    process = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith(f"http://127.0.0.1:{port}/#/experiments/1/runs?") and "Ctrl-C" in line
        assert tracked.is_copied(run, default_uri(tmp_path)), "it was copied first"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30) as answer:
            assert answer.status == 200
        servers = psutil.Process(process.pid).children(recursive=True)
        assert servers
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0 and process.stdout.read() == ""
        eventually(lambda: not [server for server in servers if server.is_running()])
        with socket.create_server(("127.0.0.1", port)):
            pass
    finally:
        process.terminate()
        process.communicate(timeout=40)


def eventually(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)
