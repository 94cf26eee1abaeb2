"""What each kind of fault does, while a process sits in its trap: signals and files, from outside."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.faults.plan import Fault
from tests.faults.sweep import LEASE, Disturbed, Strike
from tests.faults.traps import Caught
from tests.processes import ends

#: Seconds until a new raylet joins in place of one that was lost.
JOINS = 4.0
#: Seconds that a disk stays full, and that a tracker is away.
FULL, AWAY = 3.0, 8.0
#: Seconds that a process is suspended: more than its lease.
SUSPENDED = 2.5 * LEASE


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _worker(number: signal.Signals) -> Strike:
    def strike(sweep: Disturbed, fault: Fault, caught: Caught) -> None:
        _signal(caught.pid, number)

    return strike


def _driver(number: signal.Signals) -> Strike:
    def strike(sweep: Disturbed, fault: Fault, caught: Caught) -> None:
        for driver in sweep.alive():
            _signal(driver.pid, number)

    return strike


def raylet_killed(sweep: Disturbed, fault: Fault, caught: Caught) -> None:
    sweep.cluster.kill_raylet(sweep.cluster.of(caught.pid))
    sweep.after(JOINS, sweep.cluster.fill)


def node_lost(sweep: Disturbed, fault: Fault, caught: Caught) -> None:
    sweep.cluster.lose(sweep.cluster.of(caught.pid))
    sweep.after(JOINS, sweep.cluster.fill)


def suspended(pid: int, sweep: Disturbed) -> None:
    _signal(pid, signal.SIGSTOP)
    sweep.after(SUSPENDED, lambda: _signal(pid, signal.SIGCONT))


def worker_suspended(sweep: Disturbed, fault: Fault, caught: Caught) -> None:
    """Every second time another driver is there, that takes the run as soon as its lease has expired."""
    suspended(caught.pid, sweep)
    if fault.seed % 2:
        sweep.command()


def driver_suspended(sweep: Disturbed, fault: Fault, caught: Caught) -> None:
    for driver in sweep.alive():
        suspended(driver.pid, sweep)


def out_of_memory(sweep: Disturbed, fault: Fault, caught: Caught) -> str:
    return "oom"


def diverging(sweep: Disturbed, fault: Fault, caught: Caught) -> None:
    """The diverging run is in the sweep from the beginning; this kills a process beside it."""
    _signal(caught.pid, signal.SIGKILL)


def disk_full(sweep: Disturbed, fault: Fault, caught: Caught) -> None:
    filler = sweep.runs / ".filler"
    _fill(filler)
    sweep.after(FULL / 3, lambda: _fill(filler))  # what was deleted meanwhile made room
    sweep.after(FULL, lambda: filler.unlink(missing_ok=True))


def _fill(filler: Path) -> None:
    with open(filler, "ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def tracker_down(sweep: Disturbed, fault: Fault, caught: Caught) -> None:
    sweep.tracker.ready()
    sweep.tracker.kill()
    sweep.after(AWAY, sweep.tracker.start)


def store_lost(sweep: Disturbed, fault: Fault, caught: Caught) -> None:
    sweep.tracker.lose()


def two_drivers(sweep: Disturbed, fault: Fault, caught: Caught) -> None:
    sweep.command()


def clock_skew(sweep: Disturbed, fault: Fault, caught: Caught) -> None:
    """A node, or the driver, is lost and comes back with a clock that is hours off."""
    hours = random.Random(fault.seed).choice((-9, -5, 3, 7)) * 3600.0
    if fault.seed % 2:
        sweep.cluster.lose(sweep.cluster.of(caught.pid))
        sweep.cluster.fill(hours)
        return
    _driver(signal.SIGKILL)(sweep, fault, caught)
    for driver in sweep.drivers:
        driver.wait()
    sweep.command(REIN_FAULTS_SKEW=str(hours))


def torn_file(sweep: Disturbed, fault: Fault, caught: Caught) -> None:
    """A process is killed, and what it wrote last did not reach the disk whole."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(caught.pid)
        process.kill()
        ends(process)
    for tear in random.Random(fault.seed).sample(TEARS, 2):
        tear(Path(caught.run))


def _half_a_line(run: Path) -> None:
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"step": 3, "lo')


def _half_a_checkpoint(run: Path) -> None:
    for file in sorted(run.glob("checkpoint/step_*/model.safetensors"))[-1:]:
        os.truncate(file, file.stat().st_size // 2)


def _strays(run: Path) -> None:
    (run / ".status.json.4194303").write_text("{")
    stray = run / "checkpoint/.step_0000003.4194303"
    stray.mkdir(parents=True, exist_ok=True)
    (stray / "model.safetensors").write_bytes(b"half")


TEARS: list[Callable[[Path], None]] = [_half_a_line, _half_a_checkpoint, _strays]

STRIKES: dict[str, Strike] = {
    "worker killed": _worker(signal.SIGKILL),
    "raylet killed": raylet_killed,
    "node lost": node_lost,
    "driver killed": _driver(signal.SIGKILL),
    "driver terminated": _driver(signal.SIGTERM),
    "driver interrupted": _driver(signal.SIGINT),
    "worker terminated": _worker(signal.SIGTERM),
    "worker suspended": worker_suspended,
    "driver suspended": driver_suspended,
    "out of memory": out_of_memory,
    "diverging run": diverging,
    "disk full": disk_full,
    "tracker down": tracker_down,
    "tracker's store lost": store_lost,
    "two drivers": two_drivers,
    "clock skew": clock_skew,
    "torn file": torn_file,
}
