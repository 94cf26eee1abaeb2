"""What a search tried and cost, beside its runs taken to their end; and that other tables say it was one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rein.config import ConfigError, Sweep, Table
from rein.config_io import load
from rein.ledger import Run
from rein.reports.grid import MISSING, Grid
from rein.reports.provenance import progress
from rein.reports.study import gather
from rein.reports.tables import table
from rein.reports.write import write
from rein.sweeps.plan import expand
from tests.reports.made_up_sweep import POINTS, World

KINDS: tuple[Any, ...] = ("search", "cost", "domains")


def searched(folder: Path, **search: Any) -> World:
    """Three rates of one seed: the first two are stopped at step 100 of 200, the last one comes to its end."""
    world = World(folder, {"rein": POINTS["rein"]}, (0,), ("toy-day",), **{"optim.lr": [1e-4, 1e-3, 1e-2]})
    sweep = yaml.safe_load(world.sweep.read_text())
    sweep["search"] = search
    sweep["vary"]["evaluation.every"] = [100]
    world.sweep.write_text(yaml.safe_dump(sweep))
    world.planned = expand(load(Sweep, world.sweep))
    for item in world.planned[:2]:
        world.finish(item, "pruned", (100,), step=100, seconds=30.0)
        Run(world.runs / item.id).update(pruned_at={"step": 100, "seconds": 30.0})
    world.finish(world.planned[2], step=200)
    return world


def build(world: World, kind: Any) -> Grid:
    return table(gather(world.report(), world.runs), Table(name="t", kind=kind))


def texts(grid: Grid) -> list[list[str]]:
    return [[cell.text for cell in row] for row in grid.rows]


def test_every_trial_stands_with_its_end_and_its_steps(tmp_path: Path) -> None:
    grid = build(searched(tmp_path, scheduler="asha"), "search")
    # The source scores 20 points more than the first target: 0.47 + 0.2.
    assert texts(grid) == [
        ["rein, optim.lr=0.0001", "pruned at 100", "100", "30", "67.0"],
        ["rein, optim.lr=0.001", "pruned at 100", "100", "30", "67.0"],
        ["rein, optim.lr=0.01", "done", "200", "60", "67.0"],
    ]
    assert "In all 400 steps of the 600" in grid.full_caption and "in 120 s" in grid.full_caption


def test_the_cost_stands_beside_that_of_the_runs_that_came_to_their_end(tmp_path: Path) -> None:
    world = searched(tmp_path, scheduler="asha")
    grid = build(world, "cost")
    assert texts(grid)[1][:3] == ["all runs to their end", "1 done, 2 pruned", "200"]
    assert [row[3] for row in texts(grid)] == [MISSING, MISSING]
    assert "2 of the 3 runs have not been taken to their end" in grid.full_caption

    for item in world.planned[:2]:  # a plain sweep goes on with them
        world.finish(item, step=200, seconds=70.0)
        assert Run(world.runs / item.id).status()["pruned_at"] == {"step": 100, "seconds": 30.0}
    grid = build(world, "cost")
    assert texts(grid) == [
        ["the search", "3", "400", "67", "120", "60", "67.0"],
        ["all runs to their end", "3", "600", "100", "200", "100", "67.0"],
    ]
    assert "have not been taken" not in grid.full_caption


def test_other_tables_say_that_rows_were_searched_and_show_finished_runs(tmp_path: Path) -> None:
    world = searched(tmp_path, scheduler="asha")
    grid = build(world, "domains")
    assert (
        "asha stopped 2 of 3 early" in grid.full_caption and "searched by `source_val`, not tabled" in grid.full_caption
    )
    assert [row[3].text for row in grid.rows] == ["0 of 1", "0 of 1", "1"]
    assert progress([gather(world.report(), world.runs)]) == "", "a search is through with what it has stopped"


def test_a_plain_sweeps_tables_never_count_pruned_runs(tmp_path: Path) -> None:
    world = searched(tmp_path, scheduler="asha")
    sweep = yaml.safe_load(world.sweep.read_text())
    del sweep["search"]
    world.sweep.write_text(yaml.safe_dump(sweep))
    grid = build(world, "domains")
    assert [row[3].text for row in grid.rows] == ["0 of 1", "0 of 1", "1"] and "searched" not in grid.full_caption
    assert progress([gather(world.report(), world.runs)]) == "partial: 1 of 3 runs done (2 pruned)"
    with pytest.raises(ConfigError, match="is no search"):
        build(world, "search")


def test_it_is_written_in_all_formats(tmp_path: Path) -> None:
    world = searched(tmp_path, scheduler="asha")
    report = replace(world.report(), tables=tuple(Table(name=kind, kind=kind) for kind in KINDS), figures=())
    write(report, world.runs, tmp_path / "out")
    for kind in ("search", "cost"):
        for suffix in ("tex", "md", "csv"):
            assert (tmp_path / f"out/tables/{kind}.{suffix}").stat().st_size
    assert "pruned at 100" in (tmp_path / "out/report.html").read_text()


def test_optunas_trials_are_the_runs_of_its_space(tmp_path: Path) -> None:
    world = searched(tmp_path, sampler="grid")
    sweep = yaml.safe_load(world.sweep.read_text())
    sweep["vary"]["optim.lr"] = {"loguniform": [1e-3, 1e-1]}
    sweep["search"] = {"sampler": "optuna", "trials": 9}
    world.sweep.write_text(yaml.safe_dump(sweep))
    found = sorted(row[0] for row in texts(build(world, "search")))
    assert found == ["rein, optim.lr=0.001", "rein, optim.lr=0.01"]


def test_a_search_that_has_not_begun_says_so(tmp_path: Path) -> None:
    world = searched(tmp_path, sampler="grid")
    sweep = yaml.safe_load(world.sweep.read_text())
    sweep["search"] = {"sampler": "optuna", "trials": 9}
    world.sweep.write_text(yaml.safe_dump(sweep))
    with pytest.raises(ConfigError, match=r"has no run in .* yet"):
        gather(world.report(), tmp_path / "elsewhere")
