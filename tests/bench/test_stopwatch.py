"""Spans inside one another: each without those in it, and all of them the whole time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from rein.bench.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_a_span_is_counted_without_those_in_it(clock: list[float]) -> None:
    watch = Stopwatch()
    clock[0] += 1
    with watch.span("outer"):
        clock[0] += 2
        with watch.span("inner"):
            clock[0] += 4
        clock[0] += 8
    clock[0] += 16
    assert watch.read() == {(): 17, ("outer",): 10, ("outer", "inner"): 4}


def test_a_span_that_fails_is_over(clock: list[float]) -> None:
    watch = Stopwatch()

    def fail() -> None:
        clock[0] += 2
        raise ValueError

    with pytest.raises(ValueError):
        watch.around("work", fail)()
    clock[0] += 1
    assert watch.read() == {(): 1, ("work",): 2}


def test_of_an_iterator_the_waiting_is_counted(clock: list[float]) -> None:
    def slow() -> Iterator[int]:
        for item in range(3):
            clock[0] += 1
            yield item
        clock[0] += 1

    watch, got = Stopwatch(), []
    for item in watch.over("data", slow()):
        clock[0] += 10
        got.append(item)
    assert got == [0, 1, 2]
    assert watch.read() == {(): 30, ("data",): 4}


def test_other_threads_are_not_heard(clock: list[float]) -> None:
    watch = Stopwatch()

    def beside() -> None:
        with watch.span("beside"):
            clock[0] += 1

    with watch.span("work"):
        thread = threading.Thread(target=beside)
        thread.start()
        thread.join()
    assert watch.read() == {(): 0, ("work",): 1}


def test_what_was_launched_is_waited_for_at_both_ends(clock: list[float]) -> None:
    launched = [0.0]

    def settle() -> None:
        clock[0] += launched[0]
        launched[0] = 0.0

    watch = Stopwatch(settle)
    launched[0] = 1
    with watch.span("work"):
        launched[0] = 5
    assert watch.read() == {(): 1, ("work",): 5}
