"""How tests wait for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable


def comes(what: Callable[[], object], seconds: float = 120) -> bool:
    """Whether it comes true before the time is over. The limit is for what is broken: how long a thing takes that is
    not is the machine's affair."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
