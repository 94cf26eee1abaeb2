"""What is left, from what is known: properties that hold for any runs, and figures worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rein.sweeps.clock import clock
from rein.sweeps.watching.rows import Row, counts, progress, seconds_left
from rein.sweeps.watching.screen import headline, shortened


def running(step: int, steps: int, rate: float, name: str = "a, seed 0") -> Row:
    return Row(Path("x"), name, {"state": "running", "step": step, "steps": steps, "rate": rate, "started": 0.0})


def to_do(steps: int, name: str = "a, seed 1") -> Row:
    return Row(Path("y"), name, planned=steps)


def test_what_waits_is_shared_by_as_many_as_run_now() -> None:
    rows = [running(50, 100, 1.0), running(50, 100, 1.0), to_do(100), to_do(100)]
    assert seconds_left(rows) == pytest.approx((50 + 50 + 100 + 100) / 2)


def test_a_run_is_taken_to_last_as_those_of_its_variant() -> None:
    rows = [running(50, 100, 1.0, "slow, seed 0"), running(50, 100, 10.0, "fast, seed 0"), to_do(1000, "fast, seed 1")]
    assert seconds_left(rows) == pytest.approx((50 + 5 + 100) / 2)


@pytest.mark.parametrize("rows", [[], [to_do(9)], [running(0, 100, 0.0)], [running(0, 100, 0.0), running(9, 10, 1.0)]])
def test_nothing_is_guessed(rows: list[Row]) -> None:
    assert seconds_left(rows) is None


def test_once_a_run_has_ended_one_that_has_just_begun_is_taken_to_last_as_long() -> None:
    done = Row(Path("z"), "a, seed 2", {"state": "done", "steps": 100, "seconds": 50.0})
    rows = [done, running(0, 100, 0.0), to_do(100)]
    assert seconds_left(rows) == pytest.approx((100 * 0.5 + 100 * 0.5) / 1)
    assert seconds_left([done]) is None, "where all has ended nothing is left"


def test_trials_that_are_not_chosen_yet_are_counted_and_take_their_time() -> None:
    done = Row(Path("z"), "a", {"state": "done", "steps": 100, "seconds": 50.0})
    rows = [done, running(50, 100, 1.0)]
    assert seconds_left(rows, to_come=8) == pytest.approx(50 + 8 * 100 * (0.5 + 1.0) / 2)
    assert headline("s", rows, trials=10).plain.startswith("s  1 of 10 trials: 1 done, 1 running, 8 to do; ≈ ")
    assert headline("s", rows[:1], trials=1).plain == "s  1 of 1 trials: 1 done"
    assert progress(rows, before=2, trials=10).startswith("3 of 10 trials ended, ≈ ")


@given(st.lists(st.tuples(st.integers(5, 99), st.floats(0.01, 100)), min_size=1, max_size=9), st.integers(0, 9))
def test_more_to_do_never_ends_sooner_and_never_before_the_longest_run(
    known: list[tuple[int, float]], waiting: int
) -> None:
    rows = [running(step, 100, rate) for step, rate in known]
    alone, more = seconds_left(rows), seconds_left([*rows, *[to_do(50)] * waiting])
    assert alone == pytest.approx(max((100 - step) / rate for step, rate in known))
    assert more is not None and more >= alone - 1e-9


def test_states_are_counted_good_ends_first() -> None:
    rows = [to_do(1), Row(Path("z"), "", {"state": "failed"}), Row(Path("z"), "", {"state": "done"})]
    assert list(counts(rows).items()) == [("done", 1), ("failed", 1), ("to do", 1)]


def test_a_run_without_a_process_is_cut_and_after_its_last_step_scoring() -> None:
    status = {"state": "running", "step": 9, "steps": 9}
    assert Row(Path("x"), "", status, is_held=False).state == "cut"
    scoring = Row(Path("x"), "", status)
    assert scoring.state == "scoring" and scoring.seconds_left is None


def test_what_was_cut_has_not_ended_and_what_was_stopped_is_not_whole() -> None:
    cut = Row(Path("x"), "", {"state": "preempted", "step": 5, "steps": 10})
    pruned = Row(Path("y"), "", {"state": "pruned", "step": 2, "steps": 10})
    assert progress([cut, pruned]) == "1 of 2 ended" and progress([cut], before=1, trials=9) == "1 of 9 trials ended"
    assert (cut.share, pruned.share) == (0.5, 0.2)


def test_a_long_name_keeps_its_beginning_and_its_seed() -> None:
    assert shortened("rein, rank 16, seed 0", 15) == "rein, r… seed 0"
    assert shortened("rein", 4) == "rein"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (61, "1:01"), (5025, "1:23:45"), (2 * 86400 + 3 * 3600 + 600, "2 d 03:10")]
)
def test_clocks(seconds: float, text: str) -> None:
    assert clock(seconds) == text
