"""A process that runs one experiment after another, as lines on its input say; it ends when its driver does.

`python -m rein.sweeps.lane`: a line `{"run": ID, "machine": {...}}` on the input is a run of the ledger to work on, a
line on the output says that it is no longer worked on. Where the input ends, the run is interrupted.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sys
import threading

from rein.config import Machine
from rein.ledger import Run

log = logging.getLogger(__name__)


def main() -> None:
    """Work until the input ends. What runs print goes to stderr, for the output is the driver's."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_read, args=(lines, busy), name="rein-driver", daemon=True).start()
    from rein.training import train

    while line := lines.get():
        told = json.loads(line)
        busy.set()
        machine = Machine.from_plain(told["machine"])
        try:
            train(Run(machine.runs / told["run"]).experiment(), machine)
        except Exception:  # the run's status.json and traceback.txt say how it ended
            log.debug("%s ended early", told["run"], exc_info=True)
        busy.clear()
        print(told["run"], file=answers, flush=True)


def _read(lines: queue.SimpleQueue[str], busy: threading.Event) -> None:
    """Take in what the driver says; when it is no more, interrupt what is worked on."""
    for line in sys.stdin:
        lines.put(line)
    lines.put("")
    if busy.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
