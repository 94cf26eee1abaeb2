"""Draws that depend on seed and number alone, and axes that only some runs have."""

from __future__ import annotations

import math
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rein.config import ConfigError, Sweep
from rein.config_io import build
from rein.sweeps.plan import Planned, expand
from rein.sweeps.search.space import Space, contains, draw

RANGES = [{"uniform": [-1.0, 3.0]}, {"loguniform": [1e-5, 1e-2]}, {"int": [2, 9]}, {"logint": [1, 64]}]


def planned(tiny_file: Path, **sweep: Any) -> list[Planned]:
    return expand(build(Sweep, {"experiment": str(tiny_file), **sweep}))


def random(tiny_file: Path, trials: int, seed: int = 0, **sweep: Any) -> list[Planned]:
    return planned(tiny_file, search={"sampler": "random", "trials": trials, "seed": seed}, **sweep)


@given(st.sampled_from(RANGES), st.floats(0, 1, exclude_max=True))
def test_a_drawn_number_lies_in_its_range(axis: dict[str, Any], u: float) -> None:
    assert contains(axis, draw(axis, u))


@given(st.sampled_from(RANGES), st.lists(st.floats(0, 1, exclude_max=True), min_size=2).map(sorted))
def test_draws_rise_with_the_quantile(axis: dict[str, Any], quantiles: list[float]) -> None:
    values = [draw(axis, u) for u in quantiles]
    assert values == sorted(values)


@pytest.mark.parametrize("axis", [{"int": [2, 5]}, [1, 2, 3], {"choice": ["a", "b"]}])
def test_whole_numbers_and_choices_come_equally_often(axis: Any) -> None:
    values = [draw(axis, (i + 0.5) / 1200) for i in range(1200)]
    counts = {value: values.count(value) for value in values}
    assert set(counts.values()) == {1200 // len(counts)}


def test_logint_halves_come_equally_often() -> None:
    values = [draw({"logint": [1, 64]}, (i + 0.5) / 1000) for i in range(1000)]
    # From half below 1 to half above 64: the middle of the logarithms lies at sqrt(0.5 * 64.5).
    below = sum(value <= math.sqrt(0.5 * 64.5) for value in values)
    assert 400 < below < 600 and min(values) == 1 and max(values) == 64


def test_a_range_takes_no_truth_values_and_no_fractions_of_whole_numbers() -> None:
    assert not contains({"int": [0, 3]}, True) and not contains({"int": [0, 3]}, 1.5)
    assert contains({"uniform": [0, 3]}, 1) and not contains({"uniform": [0, 3]}, math.nan)


LR = {"optim.lr": {"loguniform": [1e-5, 1e-1]}}


def test_more_trials_only_add(tiny_file: Path) -> None:
    few, many = random(tiny_file, 4, vary=LR), random(tiny_file, 9, vary=LR)
    assert len(many) == 9 and many[:4] == few
    assert random(tiny_file, 4, seed=1, vary=LR) != few


def test_another_axis_changes_no_draw_of_this_one(tiny_file: Path) -> None:
    alone = [run.axes["optim.lr"] for run in random(tiny_file, 5, vary=LR)]
    beside = [run.axes["optim.lr"] for run in random(tiny_file, 5, vary={"tuning.rank": {"int": [1, 9]}, **LR})]
    assert alone == beside


def test_draws_take_points_as_well(tiny_file: Path) -> None:
    runs = random(tiny_file, 20, points={"a": {}, "b": {"tuning.method": "frozen"}}, vary=LR)
    assert {run.point for run in runs} == {"a", "b"}
    assert all((run.experiment.tuning.method == "frozen") == (run.point == "b") for run in runs)


def test_a_space_of_few_runs_ends(tiny_file: Path) -> None:
    runs = random(tiny_file, 50, vary={"tuning.rank": [1, 2, 3]})
    assert sorted(run.axes["tuning.rank"] for run in runs) == [1, 2, 3]  # type: ignore[type-var]


def test_an_axis_of_one_tuning_is_none_of_another(tiny_file: Path) -> None:
    runs = planned(tiny_file, vary={"tuning.method": ["rein", "full", "lora"], "tuning.rank": [1, 2], "seed": [0, 1]})
    assert [run.variant for run in runs if run.experiment.seed == 0] == [
        "tuning.method=rein, tuning.rank=1", "tuning.method=rein, tuning.rank=2", "tuning.method=full",
        "tuning.method=lora, tuning.rank=1", "tuning.method=lora, tuning.rank=2",
    ]  # fmt: skip
    assert len(runs) == 10


def test_a_point_decides_which_axes_there_are(tiny_file: Path) -> None:
    runs = planned(tiny_file, points={"full": {"tuning.method": "full"}, "rein": {}}, vary={"tuning.rank": [1, 2]})
    assert [(run.point, run.axes) for run in runs] == [
        ("full", {}), ("rein", {"tuning.rank": 1}), ("rein", {"tuning.rank": 2}),
    ]  # fmt: skip


def test_an_axis_that_no_run_has_is_refused_with_the_nearest_key(tiny_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"vary: `tuning\.rnk` is a key of none.*did you mean `tuning\.rank`"):
        planned(tiny_file, vary={"tuning.rnk": [1]})
    with pytest.raises(ConfigError, match=r"vary: `tuning\.rank` is a key of none"):
        planned(tiny_file, points={"a": {"tuning.method": "full"}}, vary={"tuning.rank": [1]})


@pytest.mark.parametrize(
    ("entry", "left"),
    [
        ({"tuning.method": "full"}, 4),
        ({"tuning.method": "f*"}, 4),
        ({"tuning.method": "full", "seed": 1}, 5),
        ({"tuning.rank": 2}, 4),
        ({"tuning.rank": [1, 2]}, 2),
        ({"optim.lr": "1e-3"}, 0),
        ({"data.sources": "toy-*"}, 0),
        ({"data.sources": ["toy-game"], "seed": 0}, 3),
        ({"head.method": "linear"}, 6),
    ],
)
def test_excluded_runs_are_left_out_where_all_keys_fit(tiny_file: Path, entry: dict[str, Any], left: int) -> None:
    sweep = {"vary": {"tuning.method": ["rein", "full"], "tuning.rank": [1, 2], "seed": [0, 1]}, "exclude": [entry]}
    if left:
        assert len(planned(tiny_file, **sweep)) == left
    else:
        with pytest.raises(ConfigError, match="exclude: leaves no run"):
            planned(tiny_file, **sweep)


def test_a_typo_in_exclude_is_refused(tiny_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"exclude: unknown key `tuning\.methd` \(did you mean `tuning\.method`\?\)"):
        planned(tiny_file, exclude=[{"tuning.methd": "full"}])


def test_draws_do_not_end(tiny_file: Path) -> None:
    space = Space(
        build(Sweep, {"experiment": str(tiny_file), "vary": LR, "search": {"sampler": "random", "trials": 1}})
    )
    assert len(list(islice(space.draws(), 100))) == 100
