"""Tables of any number over any two keys, and what all kinds take of `order`, `rename`, `best` and `spread`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from rein.config import ConfigError, Table
from rein.reports.grid import MISSING, Grid
from rein.reports.study import Study, gather
from rein.reports.tables import table
from tests.reports.made_up_sweep import World

Make = Callable[..., World]


def build(study: Study, **wanted: Any) -> Grid:
    return table(study, Table(**cast(Any, {"name": "t", "kind": "pivot", **wanted})))


def texts(grid: Grid) -> dict[str, list[str]]:
    return {row[0].text: [cell.text for cell in row[1:]] for row in grid.rows}


def titles(grid: Grid) -> list[str]:
    return [column.title for column in grid.columns]


@pytest.fixture
def by_rank(world: Make) -> Study:
    """Two tunings by three ranks and two seeds; LoRA of the highest rank has not run."""
    points = {"rein": ({"tuning.method": "rein"}, 1000, 0.5), "lora": ({"tuning.method": "lora"}, 500, 0.4)}
    made = world(points, seeds=(0, 1), **{"tuning.rank": [16, 4, 64]})
    for item in made.planned:
        if (item.point, item.axes["tuning.rank"]) != ("lora", 64):
            made.finish(item, seconds=100.0 * cast(int, item.axes["tuning.rank"]))
    return gather(made.report(), made.runs)


def test_rows_by_columns_of_any_key(by_rank: Study) -> None:
    grid = build(by_rank, rows=("tuning.method",), columns="tuning.rank")
    assert titles(grid) == ["tuning", "n", "16", "4", "64"] and grid.columns[2].group == "rank"
    # 50.5 on the first target, two and four points less on the others: their mean is two less.
    assert texts(grid) == {
        "rein": ["2", "48.5 ± 0.7", "48.5 ± 0.7", "48.5 ± 0.7"],
        "lora": ["2", "38.5 ± 0.7", "38.5 ± 0.7", MISSING],
    }
    assert grid.rows[0][2].value == pytest.approx(48.5)
    assert "the mean over 3 targets" in grid.full_caption
    assert {"tuning.method", "tuning.rank=64 mean"} <= set(grid.values), "the file keeps the keys"


def test_facts_and_losses_are_values_too(by_rank: Study) -> None:
    grid = build(by_rank, rows=("tuning.method",), columns="tuning.rank", value="seconds", best="min")
    assert texts(grid)["rein"][1:] == ["1600 ± 0", "400 ± 0", "6400 ± 0"]
    grid = build(by_rank, rows=("tuning.method",), columns="tuning.rank", value="source_val")
    assert texts(grid)["rein"][1:] == ["70.5 ± 0.7"] * 3, "20 points above the first target, in the made-up runs"
    grid = build(by_rank, rows=("tuning.rank",), columns="name", value="loss", spread="none")
    assert titles(grid)[2:] == ["rein", "lora"] and all("±" not in text for row in texts(grid).values() for text in row)
    assert float(texts(grid)["4"][1]) == pytest.approx(20.5 + 40 * 0.0076, abs=0.05)


def test_the_best_value_of_a_key_is_marked_along_its_row(by_rank: Study) -> None:
    grid = build(by_rank, rows=("tuning.method",), columns="tuning.rank", value="seconds", best="min")
    assert {row[0].text: [cell.mark for cell in row[2:]] for row in grid.rows} == {
        "rein": ["second", "best", ""],
        "lora": ["", "best", ""],
    }
    assert "Bold is the lowest mean of a row" in grid.full_caption
    grid = build(by_rank, columns="domain", filter={"tuning.rank": 16}, rows=("tuning.method",))
    assert [row[2].mark for row in grid.rows] == ["best", ""] and "mean of a column, underlined" in grid.full_caption


@pytest.mark.parametrize(
    ("wanted", "columns", "first"),
    [
        ({}, ["toy-day", "toy-night", "toy-fog", "Avg."], "48.0 ± 1.0"),
        ({"domains": ("toy-fog", "toy-day")}, ["toy-fog", "toy-day", "Avg."], "44.0 ± 1.0"),
        ({"value": "iou", "columns": "class"}, ["road", "car"], "56.0 ± 1.0"),
        ({"value": "iou", "columns": "class", "classes": ("car",)}, ["car"], "36.0 ± 1.0"),
        ({"value": "iou", "classes": ("car",)}, ["toy-day", "toy-night", "toy-fog"], "38.0 ± 1.0"),
    ],
)
def test_domains_and_classes(study: Study, wanted: dict[str, Any], columns: list[str], first: str) -> None:
    grid = build(study, **wanted)
    assert titles(grid)[2:] == columns and texts(grid)["rein"][1] == first


def test_order_rename_and_marks(study: Study) -> None:
    order = ("full", "rein")
    grid = build(study, order=order, rename={"rein": "Rein (ours)", "toy-day": "Day", "point": "how"}, best="min")
    assert list(texts(grid)) == ["full", "Rein (ours)", "frozen", "lora", "frozen, untrained"]
    assert titles(grid)[0] == "how" and titles(grid)[2] == "Day"
    assert [row[2].mark for row in grid.rows] == ["", "", "second", "", "best"]
    assert grid.values["point"].tolist()[1] == "rein", "the file keeps the names"
    assert not any(cell.mark for row in build(study, best="none").rows for cell in row)
    assert list(texts(table(study, Table(name="t", order=order)))) == [*order, "frozen", "lora", "frozen, untrained"]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"value": "miuo"}, r"table 't': `value`: no run has a 'miuo' \(did you mean `miou`"),
        ({"columns": "tuning.rnk"}, r"table 't': `columns`: `tuning.rnk` is no column .*did you mean `tuning.rank`"),
        ({"rows": ("tuning.methd",)}, r"table 't': `rows`: `tuning.methd` is no column .*did you mean `tuning.method`"),
        ({"columns": "class"}, r"`value: miou` is over all classes; of a class take `value: iou`"),
        ({"value": "seconds"}, r"`value: seconds` is of a whole run"),
        ({"rows": ("head.method",), "columns": "tuning.method"}, r"mix runs that differ in tuning\.rank"),
        ({"value": "iou", "columns": "class", "classes": ("cart",)}, r"`classes`: 'cart' .*did you mean `car`"),
        (
            {"kind": "cost", "published": "Rein T2"},
            r"table 't': a table of kind `cost` has no `published`; it has name",
        ),
        ({"kind": "ranks", "against": "rein"}, r"a table of kind `ranks` has no `against`"),
        ({"kind": "domains", "columns": "tuning.rank"}, r"a table of kind `domains` has no `columns`"),
    ],
)
def test_mistakes_are_named(by_rank: Study, wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build(by_rank, **wanted)


def test_columns_stand_in_the_order_of_their_axis(by_rank: Study) -> None:
    runs = by_rank.runs[~(by_rank.runs["name"].eq("rein") & by_rank.runs["tuning.rank"].eq(16))]
    grid = build(replace(by_rank, runs=runs), rows=("tuning.method",), columns="tuning.rank")
    assert titles(grid)[2:] == ["16", "4", "64"], "the first row has nothing in the first column"
