"""What tests ask of processes that are no children of theirs."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil


def alive(process: psutil.Process) -> bool:
    """Whether it still runs; who has no parent to ask for its status stays in the table as a zombie."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def ends_within(seconds: float, process: psutil.Process) -> bool:
    """Whether it is gone before the time is over. How long a process takes to end is the machine's affair."""
    deadline = time.monotonic() + seconds
    while alive(process) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not alive(process)
