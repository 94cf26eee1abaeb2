"""Copying to a tracker beside the work: one that hangs, fails or comes back costs the work nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rein.config import Experiment, run_id
from rein.ledger import Run
from rein.sweeps.plan import Planned
from rein.sweeps.watching import copying
from rein.sweeps.watching.copying import Copying
from tests.waiting import comes


class Fake:
    """A tracker that fails for its first `failures` calls."""

    failures = 0

    def __init__(self, uri: str, runs: Path) -> None:
        self.sweep: str | None = None
        self.status: str | None = None
        self.copied: list[str] = []

    def open_sweep(self, name: str) -> None:
        self.sweep = name

    def sync(self, run: Run, name: str) -> None:
        if type(self).failures > 0:
            type(self).failures -= 1
            raise ConnectionError("refused")
        self.copied.append(name)

    def adopt(self, run: Run) -> None: ...

    def close_sweep(self, status: str) -> None:
        self.status = status


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    class Other(Fake): ...

    monkeypatch.setattr(copying, "Tracker", Other)
    monkeypatch.setattr(copying, "prepare", lambda: None)
    monkeypatch.setattr(copying, "AGAIN", 0.02)
    return Other


def plan(runs: Path, seed: int) -> Planned:
    experiment = Experiment(seed=seed)
    run = Run.create(runs, experiment)
    run.start(step=0, steps=1)
    run.finish("done")
    return Planned(run_id(experiment), f"s{seed}", {}, experiment)


def test_what_failed_for_a_while_is_copied_while_the_work_goes_on(tmp_path: Path, fake: type[Fake]) -> None:
    fake.failures = 5
    sink, item = Copying(tmp_path, "ranks"), plan(tmp_path, 0)
    sink.sync(Run(tmp_path / item.id), item.label)
    assert comes(lambda: sink.tracker and sink.tracker.copied)  # type: ignore[attr-defined]
    assert sink.tracker and sink.tracker.copied == ["s0"]  # type: ignore[attr-defined]
    sink.close([item], complete=True)
    assert sink.tracker.status == "FINISHED"  # type: ignore[attr-defined]


def test_a_run_that_cannot_be_copied_does_not_keep_the_others(
    tmp_path: Path, fake: type[Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = fake.sync

    def picky(self: Fake, run: Run, name: str) -> None:
        if name == "s0":
            raise ValueError("a bad value")
        sync(self, run, name)

    monkeypatch.setattr(fake, "sync", picky)
    sink = Copying(tmp_path, None)
    plans = [plan(tmp_path, seed) for seed in range(3)]
    sink.close(plans, complete=True)
    assert sink.tracker and {"s1", "s2"} == set(sink.tracker.copied)  # type: ignore[attr-defined]


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "600")
        yield uri


@pytest.mark.slow
def test_a_server_that_never_answers_costs_the_work_nothing_and_its_end_seconds(
    tmp_path: Path, silent: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(copying, "GRACE", 3.0)
    sink, item = Copying(tmp_path, "ranks"), plan(tmp_path, 0)
    asked = time.monotonic()
    for _ in range(100):
        sink.sync(Run(tmp_path / item.id), item.label)
    assert time.monotonic() - asked < 30, "a single answer would take longer"
    copying.prepare()  # what importing MLflow takes is not the server's; behind it the end waits for no answer
    asked = time.monotonic()
    sink.close([item], complete=True)
    assert time.monotonic() - asked < 60 and "rein sync" in caplog.text
