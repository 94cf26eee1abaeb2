"""What is said of all chapters together, and of the software."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from rein.reports.provenance import altogether, software
from rein.reports.study import gather
from tests.reports.made_up_sweep import POINTS, World


def test_a_run_of_two_chapters_is_one_run(world: Callable[..., World]) -> None:
    made = world(POINTS)
    made.finish_all()
    every = gather(made.report(), made.runs)
    part = replace(every, runs=every.runs[every.runs["point"] == "full"])
    assert altogether([every, part]) == [("all chapters", "12 runs, each counted once, with 12 min of run time")]
    assert altogether([every]) == []


def test_nothing_is_said_of_no_runs(world: Callable[..., World]) -> None:
    made = world(POINTS)
    study = gather(made.report(), made.runs)
    assert altogether([study, study]) == []


def test_the_weights_are_named_by_their_digest(world: Callable[..., World]) -> None:
    made = world({"full": POINTS["full"]}, (0,))
    made.finish_all()
    environment = {"weights": {"file": "a.safetensors", "sha256": "8bea"}, "data": {"toy-day": {"sha256": "12"}}}
    (made.runs / made.planned[0].id / "environment.json").write_text(json.dumps(environment))
    said = software([gather(made.report(), made.runs)])
    assert said == [("weights.file", "a.safetensors"), ("weights.sha256", "8bea")]
