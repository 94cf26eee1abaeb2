"""Of what is warned of, a run keeps what concerns it."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from rein.config import Experiment
from rein.ledger import Run
from rein.ledger.notes import noted


def test_only_what_the_thread_that_works_on_a_run_warns_of_is_a_note_of_it(tmp_path: Path) -> None:
    run, log = Run.create(tmp_path, Experiment()), logging.getLogger("rein.elsewhere")
    with noted(run):
        log.warning("mine")
        other = threading.Thread(target=log.warning, args=("another run's",))
        other.start()
        other.join()
    log.warning("too late")
    assert run.status()["notes"] == ["mine"]
