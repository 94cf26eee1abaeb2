"""Which process of which machine, so that one that is gone is told from one that lives, and a clock for waiting."""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path


def clock() -> float:
    """Seconds that go on while the machine sleeps, where there is such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def node() -> str:
    """This machine's name."""
    return os.uname().nodename[:64]


@cache
def machine() -> str:
    """This boot of this machine and its space of process numbers (a container has its own); empty if unknown.

    With the name, since virtual machines that were woken from one image share even the boot.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()} {node()}"
    except OSError:
        return ""


def began(pid: int) -> int | None:
    """When a process of this machine began, in ticks since the boot; None for one that is no more, or a zombie."""
    fields = _stat(pid)
    return None if not fields or fields[0] in ("Z", "X") else int(fields[19])


def is_suspended(pid: int) -> bool:
    """Whether a process of this machine was stopped by a signal or a debugger."""
    return _stat(pid)[:1] in (["T"], ["t"])


def _stat(pid: int) -> list[str]:
    """State, parent and so on, the start as the 20th of them; nothing for a process that is no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # behind its name, which may hold any
    except OSError:
        return []
