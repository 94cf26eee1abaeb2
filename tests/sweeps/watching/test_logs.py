"""A run's log: written while it is worked on, bounded, and followed until it ends."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from rein.config import Experiment
from rein.ledger import Run
from rein.ledger.run_log import NAME, OLD, RunLog, logged
from rein.sweeps.watching import logs


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path, Experiment())
    run.start(step=0, steps=9)
    return run


def test_attempts_records_warnings_and_the_traceback_are_kept(run: Run) -> None:
    with pytest.raises(ValueError, match="unlucky"), logged(run) as log:
        log.before(lambda record: None)({"step": 4, "loss": 1.25, "time": 1e9})
        logging.getLogger("rein.data").warning("a file is bad")
        raise ValueError("unlucky")
    text = "\n".join(logs.lines(run))
    assert f"attempt 1 by process {run.status()['pid']} on {run.status()['host']}" in text
    assert "step 4  loss 1.25" in text and "warning: a file is bad" in text
    assert "Traceback" in text and text.endswith("ValueError: unlucky")
    logging.getLogger("rein.data").warning("of nobody")
    assert "of nobody" not in (run.path / NAME).read_text()


def test_a_record_is_said_before_an_observer_that_ends_the_run(run: Run) -> None:
    def observe(record: object) -> None:
        raise SystemExit

    with pytest.raises(SystemExit), logged(run) as log:
        log.before(observe)({"step": 7, "loss": 1.0, "time": 0.0})
    assert "step 7" in (run.path / NAME).read_text()


def test_it_stays_bounded(run: Run) -> None:
    log = RunLog(run.path, limit=1000)
    for number in range(500):
        log.say(f"line {number}")
    assert (run.path / NAME).stat().st_size + (run.path / OLD).stat().st_size < 2200
    assert logs.lines(run, 1)[0].endswith("line 499")


@pytest.mark.parametrize("reading", [False, True], ids=["between two looks", "while it is read"])
def test_it_is_followed_until_the_run_ends_through_a_change_of_files(run: Run, reading: bool) -> None:
    log = RunLog(run.path, limit=400)
    log.say("begun")

    def work() -> Iterator[None]:
        """A line a time, as the reader goes: who is two changes of files behind has lost some."""
        with run.claimed():
            for number in range(60):
                yield
                log.say(f"line {number}")

    seen, working = [], work()
    next(working)
    for line in logs.follow(run, None, wait=lambda _: next(working, None)):
        seen.append(line.partition("  ")[2])
        if reading:
            next(working, None)
    assert seen == ["begun", *(f"line {number}" for number in range(60))]
    assert (run.path / OLD).is_file()


def test_files_that_change_as_a_log_begins_to_be_followed_say_nothing_twice(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, read = RunLog(run.path, limit=10), logs._lines
    log.say("first")

    def late(path: Path) -> list[str]:
        log.say("second")
        return read(path)

    monkeypatch.setattr(logs, "_lines", late)
    assert [line.partition("  ")[2] for line in logs.follow(run, None)] == ["first", "second"]


def test_nothing_is_waited_for_where_nobody_works(run: Run) -> None:
    assert list(logs.follow(run, None)) == [] and logs.lines(run) == []
