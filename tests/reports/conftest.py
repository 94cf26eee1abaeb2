"""Made-up sweeps as fixtures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rein.reports.study import Study, gather
from rein.reports.write import write
from tests.reports.made_up_sweep import CONTROL, FIGURES, POINTS, TABLES, TARGETS, World


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A sweep with all runs done and its report written; for tests that change nothing."""
    made = World(tmp_path_factory.mktemp("finished"), {**POINTS, **CONTROL}, (0, 1, 2), TARGETS)
    made.finish_all()
    made.keep_predictions()
    for item in made.planned:
        facts = {"git": {"commit": "abc123"}, "packages": {"torch": "2.14"}, "data": {"x": {"images": 1}}}
        (made.runs / item.id / "environment.json").write_text(json.dumps(facts))
    report = made.report(tables=TABLES, figures=FIGURES, text="One.\n\nTwo `tuning.rank`.")
    made.files = write(report, made.runs, made.out, "demo")
    return made


@pytest.fixture(scope="session")
def study(finished: World) -> Study:
    return gather(finished.report(), finished.runs)


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., World]:
    def make(
        points: dict[str, Any] = POINTS,
        seeds: Sequence[int] = (0, 1, 2),
        targets: Sequence[str] = TARGETS,
        **vary: Any,
    ) -> World:
        return World(tmp_path, points, seeds, targets, **vary)

    return make
