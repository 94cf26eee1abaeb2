"""A search never chooses by a target, never among seeds, and not without what it chooses by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rein.config import ConfigError, Sweep
from rein.config_io import build
from rein.sweeps.plan import expand, final

EVERY: dict[str, Any] = {"evaluation.every": [1]}


def refusal(tiny_file: Path, **sweep: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        expand(build(Sweep, {"experiment": str(tiny_file), **sweep}))
    return str(caught.value)


@pytest.mark.parametrize(
    "metric",
    ["toy-day", "toy-day/miou", "targets/miou", "target", "target_mean", "test/miou", "test", "oracle", "kitti/miou"],
)
def test_a_target_is_no_metric_and_the_reason_is_said(tiny_file: Path, metric: str) -> None:
    said = refusal(tiny_file, search={"metric": metric}, points={"a": {}, "b": {"data.targets": ["kitti"]}})
    assert f"`{metric}` is a score on the targets" in said and "choose by `source_val`" in said


def test_one_source_or_a_typo_is_no_metric(tiny_file: Path) -> None:
    assert "the mean over all of them" in refusal(tiny_file, search={"metric": "toy-game/miou"})
    assert "did you mean `source_val`?" in refusal(tiny_file, search={"metric": "sorce_val"})


@pytest.mark.parametrize(
    "sweep",
    [
        {"vary": {"seed": [0, 1]}},
        {"vary": {"seed": {"int": [0, 9]}}, "search": {"sampler": "random", "trials": 2}},
        {"points": {"a": {"seed": 1}, "b": {"seed": 2}}},
        {"points": {"a": {"seed": 1}, "b": {}}},
    ],
)
def test_a_search_among_seeds_is_refused_with_the_next_step(tiny_file: Path, sweep: dict[str, Any]) -> None:
    said = refusal(tiny_file, **{"search": {}, **sweep})
    assert "choose the lucky one" in said and "then put what it finds into a sweep with several" in said


def test_one_seed_is_fine(tiny_file: Path) -> None:
    sweep = {"vary": {"seed": [3], "optim.lr": [0.1, 0.2]}, "search": {}, "points": {"a": {}, "b": {"tuning.rank": 1}}}
    assert len(expand(build(Sweep, {"experiment": str(tiny_file), **sweep}))) == 4


def test_a_distribution_wants_a_sampler_and_a_sampler_its_trials(tiny_file: Path) -> None:
    assert "sampler: random, trials: 20" in refusal(tiny_file, vary={"optim.lr": {"uniform": [0, 1]}})
    assert "search.trials is missing" in refusal(tiny_file, search={"sampler": "random"})
    assert "take `trials` out" in refusal(tiny_file, search={"trials": 3})


def test_a_scheduler_wants_scores_on_the_way(tiny_file: Path) -> None:
    said = refusal(tiny_file, search={"scheduler": "asha"})
    assert "`evaluation.every` is None of 3 steps" in said
    assert "is 3 of 3 steps" in refusal(tiny_file, search={"scheduler": "asha"}, vary={"evaluation.every": [3]})
    assert expand(build(Sweep, {"experiment": str(tiny_file), "search": {"scheduler": "asha"}, "vary": EVERY}))


def test_a_search_wants_a_source_with_a_val_split(tiny_file: Path) -> None:
    without = {"data.sources": ["gta"], "data.targets": ["cityscapes"]}
    said = refusal(tiny_file, search={"sampler": "random", "trials": 2}, points={"a": without})
    assert "no val split" in said and "data.holdout=1/20" in said
    held = {**without, "data.holdout": "1/20"}
    sweep = {"experiment": str(tiny_file), "search": {"sampler": "random", "trials": 2}, "points": {"a": held}}
    assert expand(build(Sweep, sweep))


def test_a_table_wants_runs_done_that_a_search_has_stopped() -> None:
    assert final(Sweep(experiment="toy")) == ("done",)
    assert final(build(Sweep, {"experiment": "toy", "search": {}})) == ("done", "pruned", "diverged")
