"""The campaign's cluster: three raylets, of which all but the head's can be lost and replaced at any moment."""

from __future__ import annotations

import contextlib

import psutil

from tests.raylets import Node, Raylets

#: A machine that others use must not have its workers killed for what they use; and no run is a leak of a CPU's time.
ENVIRONMENT = {"RAY_memory_monitor_refresh_ms": "0", "RAY_DEDUP_LOGS": "0"}

#: Titles of a raylet's children that do no work.
RESTING = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent")


class Nodes:
    """A context with the cluster; `environment` is what its processes get beside this process's own."""

    def __init__(self, environment: dict[str, str], number: int = 3) -> None:
        self.number = number
        self.raylets = Raylets(number, environment={**ENVIRONMENT, **environment})
        self.address, self.environment = self.raylets.address, self.raylets.environment

    def fill(self, skew: float = 0.0) -> None:
        """Let nodes join until there are as many as at the beginning; `skew` shifts their clocks by seconds."""
        while len(self.raylets.nodes) < self.number:
            self.raylets.environment["REIN_FAULTS_SKEW"] = str(skew)
            self.raylets.add()
            self.raylets.environment["REIN_FAULTS_SKEW"] = "0"

    def of(self, worker: int) -> Node:
        """The node that started a worker; where that is the head, another one."""
        if len(self.raylets.nodes) == 1:
            self.fill()
        others = self.raylets.nodes[1:]
        return next((node for node in others if node.holds(worker)), others[worker % len(others)])

    def kill_raylet(self, node: Node) -> None:
        """SIGKILL to the raylet alone: its workers find out by themselves."""
        if raylet := node.raylet():
            raylet.kill()
        self.raylets.nodes.remove(node)

    def lose(self, node: Node) -> None:
        """SIGKILL to the raylet and to all its workers at once, as when a machine loses power."""
        self.raylets.kill(node)

    def at_rest(self) -> set[int]:
        """The processes that a cluster without work consists of."""
        return {self.raylets._keeper.pid, *(one.pid for one in self.raylets.processes() if _rests(one))}

    def close(self) -> None:
        """End every process of the cluster."""
        self.raylets.close()


def _rests(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        title = (process.cmdline() or [""])[0]
        return not title.startswith("ray::") or title in RESTING
    return True
