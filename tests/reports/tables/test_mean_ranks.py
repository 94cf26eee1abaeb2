"""Ranks over the targets, with Friedman's test and the critical difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from scipy import stats

from rein.config import Table
from rein.reports.grid import MISSING, Grid
from rein.reports.statistics import critical_difference
from rein.reports.study import gather
from rein.reports.tables import table
from tests.reports.made_up_sweep import POINTS, World

RANKS = Table(name="t", kind="ranks")


def texts(grid: Grid) -> dict[str, list[str]]:
    return {row[0].text: [cell.text for cell in row[1:]] for row in grid.rows}


def test_rows_stand_by_mean_rank_with_what_is_told_apart(world: Callable[..., World]) -> None:
    made = world()
    made.finish_all()
    grid = table(gather(made.report(), made.runs), RANKS)
    # One order on all three targets: only the ends lie further apart than the critical difference of 2.71.
    assert texts(grid) == {
        "rein": ["3", "1.00", "a", "1", "1", "1"], "lora": ["3", "2.00", "ab", "2", "2", "2"],
        "full": ["3", "3.00", "ab", "3", "3", "3"], "frozen": ["3", "4.00", "b", "4", "4", "4"],
    }  # fmt: skip
    p = stats.friedmanchisquare([4, 4, 4], [2, 2, 2], [1, 1, 1], [3, 3, 3]).pvalue
    assert (
        f"p = {p:.3f}" in grid.full_caption
        and f"critical difference {critical_difference(4, 3):.2f}." in grid.full_caption
    )


def test_rows_that_lack_runs_are_not_ranked(world: Callable[..., World]) -> None:
    made = world()
    for item in made.planned:
        if item.point != "rein":
            made.finish(item)
    grid = table(gather(made.report(), made.runs), RANKS)
    assert list(texts(grid)) == ["lora", "full", "frozen", "rein"]
    assert texts(grid)["rein"] == [MISSING] * 6 and "1 of 4 rows lack runs" in grid.full_caption


def unlike_seeds(made: World, seeds: Mapping[str, tuple[int, ...]]) -> Grid:
    for item in made.planned:
        if item.experiment.seed in seeds[item.point]:
            made.finish(item)
    return table(gather(made.report(), made.runs), RANKS)


def test_ranks_are_over_the_seeds_that_all_rows_have(world: Callable[..., World]) -> None:
    """A seed is worth a point: lora's better seeds would put it before rein, which is better with each."""
    points = {"rein": POINTS["rein"], "lora": (*POINTS["lora"][:2], 0.46)}
    made = world(points, seeds=(0, 1, 2, 3, 4))
    grid = unlike_seeds(made, {"rein": (0, 1), "lora": (0, 1, 3, 4)})
    assert texts(grid) == {"rein": ["2", "1.00", "a", "1", "1", "1"], "lora": ["2 of 4", "2.00", "a", "2", "2", "2"]}
    assert "over the n seeds that all ranked rows have" in grid.full_caption
    assert "Seeds that some row lacks are left out." in grid.full_caption
    assert grid.values["n"].tolist() == [2, 2]


def test_rows_without_a_common_seed_are_not_ranked(world: Callable[..., World]) -> None:
    made = world({name: POINTS[name] for name in ("rein", "lora")}, seeds=(0, 1, 2))
    grid = unlike_seeds(made, {"rein": (0, 1), "lora": (2,)})
    assert texts(grid) == {"rein": ["0 of 2", *[MISSING] * 5], "lora": ["0 of 1", *[MISSING] * 5]}
    assert "share no seed: nothing was ranked" in grid.full_caption and "Friedman" not in grid.full_caption


@pytest.mark.parametrize("targets", [("toy-day",), ("toy-day", "toy-fog")])
def test_too_little_is_ranked_and_not_tested(world: Callable[..., World], targets: tuple[str, ...]) -> None:
    made = world(targets=targets)
    if len(targets) == 1:
        made.finish_all()
    grid = table(gather(made.report(), made.runs), RANKS)
    assert "nothing was tested" in grid.full_caption
    assert texts(grid)["rein"][1] == ("1.00" if len(targets) == 1 else MISSING)
