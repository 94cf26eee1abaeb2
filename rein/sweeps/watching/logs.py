"""`rein logs`: what a run has said, and what it says while it is worked on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from rein.ledger import Run
from rein.ledger.run_log import NAME, OLD

#: Seconds between two looks for more.
INTERVAL = 0.5


def lines(run: Run, number: int | None = None) -> list[str]:
    """The last `number` lines of a run's log, or all that is kept; empty where none was written."""
    return _last([*_lines(run.path / OLD), *_lines(run.path / NAME)], number)


def follow(run: Run, number: int | None, wait: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """The last lines of a log, and each that comes until nobody works on the run any more."""
    path = run.path / NAME
    while (file := _opened(path)) is None:
        if not is_worked_on(run):
            return
        wait(INTERVAL)
    try:
        before = _lines(run.path / OLD)
        if not _is_replaced(file, run.path / OLD):  # it has become the old one just now: what it says is said once
            before = []
        yield from _last([*before, *_complete(file)], number)
        while True:
            over = not is_worked_on(run)  # before the last look: what is said at the end is seen
            yield from _complete(file)
            if _is_replaced(file, path):  # it had grown large
                yield from _complete(file)
                file.close()
                file = open(path, encoding="utf-8", errors="replace")  # noqa: SIM115
            elif over:
                return
            else:
                wait(INTERVAL)
    finally:
        file.close()


def is_worked_on(run: Run) -> bool:
    """Whether a process works on the run now."""
    return run.holder() is not None


def _opened(path: Path) -> IO[str] | None:
    """A log, if there is one: where files change there is none for a moment."""
    try:
        return open(path, encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _complete(file: IO[str]) -> Iterator[str]:
    """The complete lines behind where a file was read to."""
    while True:
        at = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(at)
            return
        yield line[:-1]


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []


def _last(found: list[str], number: int | None) -> list[str]:
    return found if number is None else found[max(0, len(found) - number) :]


def _is_replaced(file: IO[str], path: Path) -> bool:
    """Whether another file has taken the open one's place."""
    try:
        return path.stat().st_ino != os.fstat(file.fileno()).st_ino
    except FileNotFoundError:  # between the two
        return False
