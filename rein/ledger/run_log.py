"""`log.txt` of a run: what was said while it was worked on, for people; a worker's own output ends with its node.

One line an event, with the day and the time of the machine that worked on the run. Where it has grown large the file
becomes `log.old.txt`, and a new one is begun.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rein.ledger.lease import LostError
from rein.ledger.run import Run
from rein.ledger.states import Stopped

NAME, OLD = "log.txt", "log.old.txt"
#: Bytes from which a new file is begun; a run keeps at most twice as much.
LIMIT = 4 << 20


class RunLog(logging.Handler):
    """Writes what `rein` logs into a run's folder. A log that cannot be written costs no run."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        super().__init__(logging.INFO)
        self.path, self.limit = folder / NAME, limit

    def emit(self, record: logging.LogRecord) -> None:
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        self.say(level + record.getMessage())

    def say(self, text: str) -> None:
        """Append an event; of a text of several lines all but the first are indented."""
        lines = f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}".rstrip().replace("\n", "\n    ") + "\n"
        with contextlib.suppress(OSError):
            if self.path.exists() and self.path.stat().st_size > self.limit:
                os.replace(self.path, self.path.with_name(OLD))
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(lines)

    def before(self, observe: Callable[[Mapping[str, Any]], None]) -> Callable[[Mapping[str, Any]], None]:
        """An observer that says each record first: whoever observes may end the run."""

        def both(record: Mapping[str, Any]) -> None:
            self.observe(record)
            observe(record)

        return both

    def observe(self, record: Mapping[str, Any]) -> None:
        """Say a record of metrics.jsonl: `step 40  loss 1.234  lr 0.0001`."""
        values = (f"{key} {value:.4g}" for key, value in record.items() if key not in ("step", "time"))
        self.say("  ".join([f"step {record['step']}", *values]))


@contextmanager
def logged(run: Run) -> Iterator[RunLog]:
    """Keep a log of an attempt: who works on the run, what is logged meanwhile, and how it ended."""
    log, status = RunLog(run.path), run.status()
    log.say(f"attempt {status.get('attempt', 1)} by process {status.get('pid')} on {status.get('host')}")
    logging.getLogger("rein").addHandler(log)
    try:
        yield log
    except (KeyboardInterrupt, SystemExit, LostError, Stopped) as error:
        log.say(f"stopped: {str(error) or type(error).__name__}")
        raise
    except BaseException as error:
        log.say("".join(traceback.format_exception(error)))
        raise
    else:
        log.say("done")
    finally:
        logging.getLogger("rein").removeHandler(log)
