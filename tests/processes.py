"""What tests ask of processes that are no children of theirs."""

from __future__ import annotations

from contextlib import suppress

import psutil

from tests.waiting import comes


def alive(process: psutil.Process) -> bool:
    """Whether it still runs; who has no parent to ask for its status stays in the table as a zombie."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def ends(process: psutil.Process) -> bool:
    """Whether it is gone soon."""
    return comes(lambda: not alive(process))
