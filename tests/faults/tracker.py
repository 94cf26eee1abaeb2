"""Where the campaign's sweeps are tracked: an SQLite file beside the runs, or a server that can be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil

#: Without the processes that a server keeps for jobs of its own.
LEAN = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


class Tracker:
    """The store of one sweep, as a file (`server=False`) or behind `mlflow server`."""

    def __init__(self, folder: Path, server: bool) -> None:
        self.folder, self.server = folder, server
        self.file = folder / ("server.db" if server else "runs/mlflow.db")
        self.process: subprocess.Popen[bytes] | None = None
        self.port = _free_port() if server else 0
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        return {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{self.port}"} if self.server else {}

    def start(self) -> None:
        """Start the server, if this is one and it is down."""
        if not self.server or self.process:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{self.file}",
                   "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]  # fmt: skip
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env={**os.environ, **LEAN}, start_new_session=True
            )

    def kill(self) -> None:
        """SIGKILL to the server and all of its workers."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def processes(self) -> set[int]:
        """Ids of the server's processes."""
        if self.process is None:
            return set()
        with contextlib.suppress(psutil.NoSuchProcess):
            server = psutil.Process(self.process.pid)
            return {server.pid, *(child.pid for child in server.children(recursive=True))}
        return set()

    def lose(self) -> None:
        """Delete the store; a server that comes back makes a new one."""
        self.kill()
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(f"{self.file}{suffix}").unlink(missing_ok=True)
        self.start()

    def _wait(self) -> None:
        for _ in range(1800):
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2),
            ):
                return
            time.sleep(0.1)
        raise TimeoutError(f"mlflow server did not come up; see {self.folder / 'server.log'}")

    def ready(self) -> None:
        """Start it if it is down, and wait until it answers."""
        self.start()
        if self.server:
            self._wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
