"""What is said and copied while runs execute, read from the ledger alone."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rein.config import Experiment, run_id
from rein.ledger import Run
from rein.sweeps.clock import clock
from rein.sweeps.plan import Planned
from rein.sweeps.watching.screen import chosen
from rein.sweeps.watching.watch import Watch, failures
from tests.waiting import comes


def plan(seed: int = 0, point: str = "rein", axes: dict[str, object] | None = None) -> Planned:
    experiment = Experiment(seed=seed)
    return Planned(run_id(experiment), point, axes or {}, experiment)


class Sink:
    """Remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str | None]] = []

    def sync(self, run: Run, name: str) -> None:
        self.seen.append((run.id, name, run.state))


def watch(plans: list[Planned], runs: Path, sink: Sink | None, work: Callable[[], None], terminal: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=terminal)
    with Watch(plans, runs, sink, console, interval=0.01):
        work()
    return out.getvalue()


LOOKED = threading.Condition()


@pytest.fixture(autouse=True)
def _heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look of a watch is heard of by who waits for it."""
    look = Watch._tick

    def told(watch: Watch) -> None:
        look(watch)
        with LOOKED:
            LOOKED.notify_all()

    monkeypatch.setattr(Watch, "_tick", told)


def seen() -> None:
    """Return when a watch has looked at what is there now: with its second look, the first may have been begun."""
    with LOOKED:
        assert LOOKED.wait(120) and LOOKED.wait(120)


def finish(runs: Path, item: Planned, state: Any, error: Exception | None = None, watched: bool = True) -> None:
    run = Run.create(runs, item.experiment)
    run.start(step=0, steps=9)
    if watched:
        seen()
    run.update(step=9, loss=1.25)
    run.finish(state, error)


def test_starts_and_ends_are_said_in_lines(tmp_path: Path) -> None:
    def work() -> None:
        finish(tmp_path, plan(0), "done")
        finish(tmp_path, plan(1), "failed", ValueError("no such thing"))

    text = watch([plan(seed, axes={"seed": seed}) for seed in (0, 1)], tmp_path, None, work)
    assert "started   rein, seed 0" in text
    assert "done      rein, seed 0  0:00" in text
    assert "failed    rein, seed 1" in text and "no such thing" in text
    assert "(2 of 2 ended)" in text, "an end says how far things are"


def test_a_long_silence_is_broken_by_how_far_things_are(tmp_path: Path) -> None:
    said = r"1 of 3 ended, ≈ \d+:\d\d left; rein, seed 1 3/9"

    def work() -> None:
        finish(tmp_path, plan(0), "done")
        run = Run.create(tmp_path, plan(1).experiment)
        run.start(step=0, steps=9)
        run.update(step=3)
        assert comes(lambda: re.search(said, out.getvalue()))

    out = io.StringIO()
    plans = [plan(seed, axes={"seed": seed}) for seed in (0, 1, 2)]
    with Watch(plans, tmp_path, None, Console(file=out, width=120), interval=0.01, silence=0.1):
        work()


def test_a_screen_too_small_shows_what_runs_or_went_wrong(tmp_path: Path) -> None:
    plans = [plan(seed) for seed in range(9)]

    def work() -> None:
        finish(tmp_path, plans[0], "done")
        finish(tmp_path, plans[1], "failed")
        for item in plans[2:4]:
            Run.create(tmp_path, item.experiment).start(step=0, steps=9)
        seen()

    out = io.StringIO()
    with Watch(plans, tmp_path, None, Console(file=out, width=120, height=10, force_terminal=True), interval=0.01) as w:
        work()
        assert [row.id for row in chosen(w.rows, 6)] == [item.id for item in plans[1:4]]
    last = out.getvalue().rpartition("variant")[2]
    assert [item.id for item in plans if item.id not in last] == [], "in the end all are listed"


def test_a_terminal_gets_a_table(tmp_path: Path) -> None:
    text = watch([plan(0), plan(1)], tmp_path, None, lambda: finish(tmp_path, plan(0), "done"), terminal=True)
    assert plan(0).id in text and "9/9" in text and "1.25" in text and "to do" in text


@pytest.mark.parametrize(("skipped", "words"), [({"train": 1}, "1 image skipped"), ({"a": 1, "b": 2}, "3 images skip")])
@pytest.mark.parametrize("terminal", [False, True])
def test_skipped_files_are_said_with_the_state(
    tmp_path: Path, skipped: dict[str, int], words: str, terminal: bool
) -> None:
    def work() -> None:
        finish(tmp_path, plan(0), "done")
        Run.create(tmp_path, plan(1).experiment).update(skipped_files=skipped)
        finish(tmp_path, plan(1), "done")

    text = watch([plan(0), plan(1)], tmp_path, None, work, terminal).rpartition("variant")[2]
    assert words in text and text.count("skipped") == 1


def test_the_sink_gets_the_last_state_of_every_run(tmp_path: Path) -> None:
    sink = Sink()
    watch([plan(0), plan(1)], tmp_path, sink, lambda: [finish(tmp_path, plan(s), "done") for s in (0, 1)] and None)
    assert {(plan(0).id, "rein", "done"), (plan(1).id, "rein", "done")} <= set(sink.seen)


def test_what_an_earlier_attempt_left_is_not_news(tmp_path: Path) -> None:
    finish(tmp_path, plan(), "failed", ValueError("long ago"), watched=False)
    sink = Sink()
    assert watch([plan()], tmp_path, sink, lambda: None) == ""
    assert sink.seen == []


def test_what_a_worker_warned_of_is_said_once(tmp_path: Path) -> None:
    def work() -> None:
        run = Run.create(tmp_path, plan().experiment)
        run.start(step=0, steps=9)
        run.update(pid=1)
        run.note("a checkpoint is damaged")
        seen()

    assert watch([plan()], tmp_path, None, work).count("note      rein  a checkpoint is damaged") == 1


def test_a_disk_that_fails_for_a_moment_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, failed = Run.status, []

    def stale(run: Run) -> dict[str, Any]:
        if len(failed) < 3 and threading.current_thread().name == "rein-watch":
            failed.append(run.id)
            raise OSError(116, "Stale file handle")
        return status(run)

    def work() -> None:
        monkeypatch.setattr(Run, "status", stale)
        finish(tmp_path, plan(), "preempted")
        assert comes(lambda: len(failed) == 3)
        seen()
        finish(tmp_path, plan(), "done")

    assert "done" in watch([plan()], tmp_path, None, work) and len(failed) == 3


def test_an_error_in_the_work_passes_through(tmp_path: Path) -> None:
    def work() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch([plan()], tmp_path, None, work)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (-5, "0:00"), (59.9, "0:59"), (61, "1:01"), (3600, "1:00:00"), (5025, "1:23:45")]
)
def test_clocks(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_failures_are_the_runs_that_did_not_end_well(tmp_path: Path) -> None:
    for seed, state in enumerate(("done", "pruned", "failed", "diverged")):
        finish(tmp_path, plan(seed), state, watched=False)
    assert [p.experiment.seed for p, _ in failures([plan(seed) for seed in range(5)], tmp_path)] == [2, 3, 4]
