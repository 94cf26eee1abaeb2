"""How runs are doing, in numbers: states, rates, what is left. Values in, values out; nothing is read or drawn here."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from rein.config import Experiment
from rein.ledger import FAILED
from rein.sweeps.clock import clock

#: The order in which states are counted.
STATES = ("done", "pruned", "imported", "running", "scoring", *FAILED, "cut", "to do")
#: States in which somebody works on a run.
AT_WORK = ("running", "scoring")
#: Of a run that has done less than this share of its steps the rate would be a guess: starting up takes its time too.
KNOWN_FROM = 0.05
#: Share of the time spent waiting for data that is worth a word.
HIGH_WAIT = 0.2


@dataclass(frozen=True)
class Row:
    """One run as its status.json has it."""

    folder: Path
    #: What its sweep calls it.
    name: str
    status: Mapping[str, Any] = field(default_factory=dict)
    #: Steps of the whole run, as planned; the status knows them once it was started.
    planned: int = 0
    #: Whether a process works on it; of a run that counts as running it is else cut.
    is_held: bool = True

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def state(self) -> str:
        """The ledger's state, but: `cut` with its process, `to do` never started, `scoring` after the last step."""
        state = self.status.get("state", "to do")
        if state == "preempted" or (state == "running" and not self.is_held):
            return "cut"
        return "scoring" if state == "running" and self.steps and self.step >= self.steps else state

    @property
    def step(self) -> int:
        return self.status.get("step", 0)

    @property
    def steps(self) -> int:
        return self.status.get("steps") or self.planned

    @property
    def share(self) -> float:
        """Of its steps that are done, in 0..1."""
        return 1.0 if self.state in ("done", "imported") else min(1.0, self.step / self.steps) if self.steps else 0.0

    @property
    def seconds(self) -> float | None:
        """What it took so far; of attempts that were cut before their first record nothing is known."""
        started, ended = self.status.get("started"), self.status.get("ended")
        if started is None:
            return None
        return max(0.0, ended - started) if ended else max(0.0, time.time() - started)

    @property
    def rate(self) -> float | None:
        """Steps a second of this attempt."""
        if self.status.get("rate"):
            return self.status["rate"]
        return self.step / self.seconds if self.seconds and self.step and self.share >= KNOWN_FROM else None

    @property
    def seconds_left(self) -> float | None:
        """Until the last step of a run that is worked on; None where that cannot be said, as while it is scored."""
        known = self.state == "running" and self.rate and self.share >= KNOWN_FROM
        return (self.steps - self.step) / self.rate if known and self.rate else None

    @property
    def waits_for_data(self) -> float | None:
        """Share of the time, where it is high: more `--workers`, or `data.cache`, would help."""
        share = self.status.get("data_wait", 0.0)
        return share if self.state == "running" and share >= HIGH_WAIT else None

    @property
    def variant(self) -> str:
        """Its name without the seed: what takes equally long."""
        return self.name.rpartition(", seed ")[0] or self.name


def described(experiment: Experiment) -> str:
    """What a run is called that no sweep has named."""
    return f"{experiment.tuning.method}, {experiment.backbone.name}, seed {experiment.seed}"


def counts(rows: Iterable[Row], to_come: int = 0) -> dict[str, int]:
    """How many runs are in each state that occurs, good ends first; those `to_come` are to do."""
    found = Counter(row.state for row in rows)
    found["to do"] += to_come
    return {state: found[state] for state in (*STATES, *sorted(found.keys() - STATES)) if found[state]}


def ended(rows: Iterable[Row]) -> int:
    """How many runs are over, for better or worse: one that was cut is not, for the same command goes on with it."""
    return sum(row.state not in (*AT_WORK, "cut", "to do") for row in rows)


def seconds_left(rows: Sequence[Row], to_come: int = 0) -> float | None:
    """Until all are done that are worked on, cut, to do or yet `to_come`, if as many are worked on at once as now.

    A run that was not started is taken to last as the runs of its variant, or else of all, one to come as all; and so
    is one that has only just been started, once another one has ended. None where nothing runs, or nothing is known
    yet, or the last ones are scored.
    """
    running, paces = [row for row in rows if row.state in AT_WORK], _paces(rows)
    begun = paces if any(row.state == "done" for row in rows) else {}
    left = [0.0 if row.state == "scoring" else _seconds_left(row, begun) for row in running]
    known = [seconds for seconds in left if seconds is not None]
    waiting = [_seconds_left(row, paces) for row in rows if row.state in ("cut", "to do")]
    if to_come:
        waiting += [fmean(row.steps for row in rows) * paces[""] if paces else None] * to_come
    rest = [seconds for seconds in waiting if seconds is not None]
    if not running or len(known) < len(left) or len(rest) < len(waiting):
        return None
    return max([*known, (sum(known) + sum(rest)) / len(running)]) or None


def _seconds_left(row: Row, paces: Mapping[str, float]) -> float | None:
    """Of one run, by its own rate where that is known, else by the pace of its like."""
    if row.seconds_left is not None:
        return row.seconds_left
    return (row.steps - row.step) * paces.get(row.variant, paces[""]) if paces else None


def _paces(rows: Iterable[Row]) -> dict[str, float]:
    """Seconds a step by variant, and under an empty name of all together; empty where nothing is known."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.state == "done" and row.steps and row.status.get("seconds"):
            pace = row.status["seconds"] / row.steps
        elif row.state in ("running", "done") and row.rate:
            pace = 1 / row.rate
        else:
            continue
        for name in (row.variant, ""):
            found[name].append(pace)
    return {name: fmean(paces) for name, paces in found.items()}


def progress(rows: Sequence[Row], before: int = 0, trials: int | None = None) -> str:
    """`3 of 13 ended, ≈ 2:10 left`; `before` of the sweep's had ended already, and a search may come to `trials`."""
    known = before + len(rows)
    of = max(trials or 0, known)
    text = f"{before + ended(rows)} of {of} {'trials ' if trials else ''}ended"
    left = seconds_left(rows, of - known)
    return text if left is None else f"{text}, ≈ {clock(left)} left"
