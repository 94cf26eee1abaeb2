"""A real Ray cluster of several raylets on this machine: nodes that can be killed, suspended and added.

Each node is a `ray start --block` with a session (`setsid`) and a loopback address (127.0.0.2, 127.0.0.3, ...) of its
own, so whatever it starts is found by the session: raylet, agents, workers, and the workers' own children. The cluster
has a token of its own, and other Ray clusters on the machine neither see it nor are touched.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

from tests.processes import alive

#: Ends every session that it was told of when the pipe closes: also when the tests are killed, however hard.
KEEPER = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
def kill(sessions):
    alive = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getsid(int(pid)) in sessions:
                os.kill(int(pid), signal.SIGKILL)
                alive += open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            pass
    return alive
sessions = {int(line) for line in sys.stdin}
while kill(sessions):
    time.sleep(0.05)
"""

#: A node that was killed is found out in some three seconds, a silent one in fifteen (by default five times as long);
#: one that starts on a busy machine is waited for.
PATIENCE = {
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "2500",
    "RAY_health_check_failure_threshold": "5",
    "RAY_raylet_start_wait_time_s": "600",
    "RAY_USAGE_STATS_ENABLED": "0",
}

RAY = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]


@dataclass(frozen=True)
class Node:
    """One node of the cluster: its address on the loopback, its `ray start`, and what that said."""

    address: str
    started: subprocess.Popen[bytes]
    log: Path

    @property
    def session(self) -> int:
        """Id of the session that all of the node's processes belong to."""
        return self.started.pid

    def processes(self) -> list[psutil.Process]:
        """Every process of the node that is alive: raylet, agents, workers and what they started."""
        return [process for process in psutil.process_iter() if _session(process) == self.session and alive(process)]

    def raylet(self) -> psutil.Process | None:
        """The process whose death is the death of the node, as Ray sees it."""
        return next((process for process in self.processes() if process.name() == "raylet"), None)

    def workers(self) -> list[psutil.Process]:
        """Processes that run tasks or actors or wait for some: the raylet's children that are none of its agents."""
        raylet = self.raylet()
        children = raylet.children() if raylet else []
        return [child for child in children if not any("Agent" in word for word in _words(child))]

    def holds(self, pid: int) -> bool:
        """Whether a process is, or was started by, this node."""
        with contextlib.suppress(ProcessLookupError):
            return os.getsid(pid) == self.session
        return False

    def kill(self) -> None:
        """What a power cut does: no process of the node sees it coming, and none is left."""
        while processes := self.processes():
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(processes, timeout=5)
        self.started.wait()

    def suspend(self) -> None:
        """What a cut cable does: the node's processes live and are heard of no more."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: int) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


class Raylets:
    """A context with a cluster of `nodes` nodes of `cpus` CPUs each, as Ray counts them; the first one is the head.

    `environment` is what a process needs to join it as a driver: the address (also for `--address auto`) and the token.
    """

    def __init__(self, nodes: int = 3, cpus: int = 1, environment: dict[str, str] | None = None) -> None:
        self.cpus = cpus
        self.folder = Path(tempfile.mkdtemp(prefix="raylets-"))  # short: a socket's path has 107 characters at most
        self.environment = {
            **os.environ,
            **PATIENCE,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            **(environment or {}),
        }
        self.nodes: list[Node] = []
        self._started = 0
        self._keeper = subprocess.Popen([sys.executable, "-c", KEEPER], stdin=subprocess.PIPE, start_new_session=True)
        try:
            self._start(nodes)
        except BaseException:
            self.close()
            raise

    def _start(self, nodes: int) -> None:
        head = self._launch("--head", "--port=0", "--include-dashboard=false")
        _wait(head)
        self.address = _written(self.folder / "1" / "ray_current_cluster")
        self.environment["RAY_ADDRESS"] = self.address
        for node in [self._launch(f"--address={self.address}") for _ in range(nodes - 1)]:
            _wait(node)

    @property
    def head(self) -> Node:
        return self.nodes[0]

    def add(self, cpus: int | None = None) -> Node:
        """A further node, ready when this returns."""
        node = self._launch(f"--address={self.address}", cpus=cpus)
        _wait(node)
        return node

    def kill(self, node: Node) -> None:
        """Kill a node and forget it."""
        node.kill()
        self.nodes.remove(node)

    def processes(self) -> list[psutil.Process]:
        """Every process of every node that was not killed by `kill`."""
        return [process for node in self.nodes for process in node.processes()]

    def close(self) -> None:
        """End all nodes, and all that they started; nothing is left of them but what runs wrote."""
        assert self._keeper.stdin
        self._keeper.stdin.close()
        self._keeper.wait(timeout=600)
        for node in self.nodes:
            node.started.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _launch(self, *options: str, cpus: int | None = None) -> Node:
        self._started += 1
        address, log = f"127.0.0.{self._started + 1}", self.folder / f"node-{self._started}.log"
        common = [
            "--block",
            "--disable-usage-stats",
            f"--temp-dir={self.folder / str(self._started)}",  # in one folder two may choose the same socket's name
            f"--node-ip-address={address}",
            f"--num-cpus={self.cpus if cpus is None else cpus}",
            "--object-store-memory=80000000",  # bytes, about the least that Ray takes
            "--include-log-monitor=false",
            "--log-style=record",
        ]
        with open(log, "w") as file:
            started = subprocess.Popen(
                [*RAY, "start", *options, *common],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )
        node = Node(address, started, log)
        self.nodes.append(node)
        assert self._keeper.stdin
        self._keeper.stdin.write(f"{started.pid}\n".encode())
        self._keeper.stdin.flush()
        return node

    def __enter__(self) -> Raylets:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _wait(node: Node, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while "Ray runtime started" not in node.log.read_text():
        if time.monotonic() > deadline or not node.processes():
            raise RuntimeError(f"a node did not start:\n{node.log.read_text()}")
        time.sleep(0.05)


def _written(file: Path, seconds: float = 60) -> str:
    """What stands in a file that is written soon: Ray says that it has started, and then writes its address."""
    deadline = time.monotonic() + seconds
    while not (text := file.read_text() if file.exists() else ""):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{file}: not written within {seconds:.0f} s")
        time.sleep(0.05)
    return text


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except ProcessLookupError:
        return None


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []
