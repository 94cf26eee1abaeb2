"""SIGTERM and Ctrl-C while a run trains: heard at once, obeyed between two steps, where a checkpoint can be written."""

from __future__ import annotations

import atexit
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

#: Seconds that a process which ends waits for the checkpoint of a run in another of its threads: less than whoever
#: takes the run up again waits for the process to let go of it (`rein.ledger.PATIENCE`).
GRACE = 15.0


#: Seconds after a signal in which another one is the same wish: Ctrl-C reaches a whole group of processes, and whoever
#: started one of them passes it on.
ECHO = 2.0


class Interrupted(KeyboardInterrupt):
    """A signal asked the run to end; it was between two steps when it obeyed."""


class Interrupts:
    """A context in which the first signal is kept for `check` while `stepping`; a second one, `ECHO` seconds later,
    interrupts at once.

    Only a process's main thread can hear signals. In any other one (Ray runs a trial in such a thread, and ends its
    process by SIGTERM, which Ray's own handler turns into the interpreter's exit) the run is asked when the interpreter
    exits, which then waits for it for at most `GRACE` seconds.
    """

    def __init__(self) -> None:
        self.signal = ""
        #: Whether the weights may be changing just now.
        self.stepping = False
        self._first = 0.0
        self._before: dict[signal.Signals, Any] = {}
        self._left = threading.Event()

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._heard)
        else:
            atexit.register(self._process_ends)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._left.set()
        atexit.unregister(self._process_ends)

    def check(self) -> None:
        """Raise Interrupted if a signal came."""
        if self.signal:
            raise Interrupted(f"ended by {self.signal}")

    @contextmanager
    def anywhere(self) -> Iterator[None]:
        """A stretch in which nothing changes that a checkpoint holds, so that a signal need not wait."""
        before, self.stepping = self.stepping, False
        try:
            self.check()
            yield
        finally:
            self.stepping = before

    def _heard(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.signal and now - self._first < ECHO:
            return
        if self.signal:  # a second one: KeyboardInterrupt, as without us
            signal.default_int_handler(number, frame)
        self.signal, self._first = signal.Signals(number).name, now
        if not self.stepping:
            self.check()

    def _process_ends(self) -> None:
        self.signal = "the end of its process"
        self._left.wait(GRACE)
