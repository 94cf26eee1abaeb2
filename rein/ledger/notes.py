"""What is warned of while a run is worked on, kept with the run: a worker's own output reaches nobody."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rein.ledger.lease import LostError
from rein.ledger.run import Run


@contextmanager
def noted(record: Run) -> Iterator[None]:
    """Keep what `rein` warns of meanwhile in a run's status."""
    notes, logger = Notes(record), logging.getLogger("rein")
    logger.addHandler(notes)
    try:
        yield
    finally:
        logger.removeHandler(notes)


class Notes(logging.Handler):
    """Keeps the warnings of the thread that works on a run.

    The logger is the whole process's: another thread speaks of something else, such as a driver or a copy to MLflow.
    """

    def __init__(self, record: Run) -> None:
        super().__init__(logging.WARNING)
        self.record, self._thread = record, threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread != self._thread:
            return
        with suppress(OSError, LostError):  # what is to be said may be that the disk is full
            self.record.note(record.getMessage())
