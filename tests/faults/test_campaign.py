"""The fault campaign in short: a few faults, and its parts that can lie without anybody noticing."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rein.ledger import Run
from tests.faults.plan import KINDS, Fault, draw
from tests.faults.traps import Caught
from tests.faults.verdict import good_checkpoint, once

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_sweep_survives_a_killed_worker_a_lost_node_and_a_killed_driver() -> None:
    words = (
        "--seed",
        "0",
        "--faults",
        "3",
        "--kind",
        "worker killed",
        "--kind",
        "node lost",
        "--kind",
        "driver killed",
    )
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", *words], cwd=ROOT, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("all "))
    assert line.split() == ["all", "3", "3"]


def test_a_campaign_has_every_kind_and_is_a_function_of_its_seed() -> None:
    faults = [fault for plan in draw(5, 51, 40) for fault in plan.faults]
    assert set(Counter(fault.kind for fault in faults).values()) == {3} and len(KINDS) == 17
    assert all(fault.phase in KINDS[fault.kind] for fault in faults)
    assert [plan.faults for plan in draw(5, 51, 40)] == [plan.faults for plan in draw(5, 51, 40)]
    assert [plan.faults for plan in draw(6, 51, 40)] != [plan.faults for plan in draw(5, 51, 40)]


def history(*events: tuple[int, int, str, dict[str, Any]]) -> list[dict[str, Any]]:
    """(pid, attempt, event, facts) in the order of time."""
    return [
        {"t": t, "pid": pid, "attempt": attempt, "event": event, "run": "/runs/a", **facts}
        for t, (pid, attempt, event, facts) in enumerate(events)
    ]


KILLED = [(Fault("worker killed", "step", 3, 0), Caught("1", 1, "/runs/a", 3))]
FIRST = [
    (1, 1, "start", {}),
    (1, 1, "resumed", {"step": 0}),
    (1, 1, "record", {"step": 3}),
    (1, 1, "saved", {"step": 3}),
]
SECOND = [(2, 2, "start", {}), (2, 2, "resumed", {"step": 3}), (2, 2, "record", {"step": 4})]
DONE = (2, 2, "finish", {"state": "done"})


def test_a_run_that_was_cut_and_went_on_from_its_last_checkpoint_was_done_once() -> None:
    assert list(once(history(*FIRST, *SECOND, DONE), KILLED)) == []


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([*FIRST, *SECOND, (1, 1, "record", {"step": 4}), DONE], "had taken the run over"),
        ([*FIRST, (2, 2, "start", {}), (2, 2, "resumed", {"step": 0}), DONE], "went on from step 0, though 3"),
        ([*FIRST, *SECOND, DONE, (3, 3, "start", {})], "after the run was done"),
        ([*FIRST, *SECOND, *[(n, n, "start", {}) for n in range(3, 9)], DONE], "was begun 8 times"),
    ],
)
def test_what_was_done_twice_is_found(events: Sequence[tuple[int, int, str, dict[str, Any]]], words: str) -> None:
    assert any(words in wrong for wrong in once(history(*events), KILLED))


@pytest.mark.parametrize(("event", "lost"), [("saved", 1), ("record", 0)])
def test_a_diverged_run_must_keep_what_it_has_saved(tmp_path: Path, tiny: Any, event: str, lost: int) -> None:
    run = Run.create(tmp_path, tiny())
    run.start(step=0, steps=3)
    run.finish("diverged")
    assert len(list(good_checkpoint(run, [{"event": event, "run": str(run.path)}]))) == lost
