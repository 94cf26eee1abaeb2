"""What the cells of a table say: values, marks, missing runs, captions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rein.config import ConfigError, Table
from rein.reports.grid import Cell, Grid
from rein.reports.study import Study, gather
from rein.reports.tables import table
from rein.reports.tables.numbers import number, ranks
from tests.reports.made_up_sweep import BACKBONE, CONTROL, POINTS, TABLES, World

Make = Callable[..., World]


def build(world: World, wanted: Table | None = None, **changes: Any) -> Grid:
    return table(gather(world.report(**changes), world.runs), wanted or Table(name="main"))


def row(grid: Grid, name: str) -> dict[str, Cell]:
    """A row's cells by column title."""
    cells = next(cells for cells in grid.rows if cells[0].text == name)
    return dict(zip((column.title for column in grid.columns), cells, strict=True))


def test_columns_are_targets_their_mean_and_apart_the_source(study: Study) -> None:
    grid = table(study, TABLES[0])
    assert [column.title for column in grid.columns] == [
        "variant", "trainable", "% of backbone", "n", "toy-day", "toy-night", "toy-fog", "Avg.", "toy-game",
    ]  # fmt: skip
    assert grid.groups() == [("", 4), ("targets", 4), ("source val", 1)]
    assert [cells[0].text for cells in grid.rows] == [*POINTS, *CONTROL]


def test_cells_are_mean_and_sample_deviation_in_percent(study: Study) -> None:
    grid = table(study, TABLES[0])
    rein = row(grid, "rein")
    # The three seeds score 0.47, 0.48, 0.49 on the first target, 0.02 and 0.04 less on the others.
    assert rein["toy-day"].text == "48.0 ± 1.0"
    assert rein["toy-fog"].text == "44.0 ± 1.0"
    assert rein["Avg."].text == "46.0 ± 1.0"
    assert rein["toy-game"].text == "68.0 ± 1.0"
    assert rein["n"].text == "3"
    assert (rein["trainable"].text, rein["% of backbone"].text) == ("2.99 M", "13.59")
    assert row(grid, "frozen")["% of backbone"].text == "0"
    assert row(grid, "full")["% of backbone"].text == "100.00"


def test_the_average_is_taken_in_every_run_first(world: Make) -> None:
    """A run that lacks a target has no average, though its other targets count."""
    made = world({"rein": POINTS["rein"]})
    made.finish_all()
    item = next(item for item in made.planned if item.point == "rein" and item.experiment.seed == 2)
    scores = made.runs / item.id / "scores.csv"
    lines = scores.read_text().splitlines(keepends=True)
    scores.write_text("".join(line for line in lines if "toy-fog" not in line))
    rein = row(build(made), "rein")
    assert rein["toy-day"].text == "48.0 ± 1.0"
    assert rein["toy-fog"].text == "43.5 ± 0.7"
    assert rein["Avg."].text == "45.5 ± 0.7"
    assert rein["n"].text == "2–3 of 3"


def test_best_and_second_are_marked_on_targets_only(study: Study) -> None:
    grid = table(study, TABLES[0])
    for title in ("toy-day", "toy-night", "toy-fog", "Avg."):
        assert {name: row(grid, name)[title].mark for name in POINTS} == {
            "frozen": "", "lora": "second", "rein": "best", "full": "",
        }  # fmt: skip
    assert not any(row(grid, name)["toy-game"].mark for name in POINTS)


def test_ranks_go_by_the_unrounded_mean() -> None:
    assert ranks([45.31, 45.34, 45.3]) == ["second", "best", ""]
    assert ranks([1.0, 2.0]) == ["", "best"]  # a second of two would only say "not the best"
    assert ranks([2.0, 2.0, 1.0]) == ["best", "best", "second"]
    assert ranks([math.nan, 3.0, 2.0, 1.0]) == ["", "best", "second", ""]
    assert ranks([math.nan, 3.0]) == ["", ""]
    assert ranks([2.0, 2.0, 2.0]) == ["", "", ""]


def test_numbers() -> None:
    assert number(45.34, 0.45, 1) == "45.3 ± 0.5"
    assert number(45.34, math.nan, 1) == "45.3"
    assert number(-0.5, math.nan, 1) == "−0.5"
    assert number(math.nan, math.nan, 1) == "–"


def test_a_single_target_has_no_average_and_one_seed_no_spread(world: Make) -> None:
    made = world({"rein": POINTS["rein"]}, seeds=(0,), targets=("toy-night",))
    made.finish_all()
    grid = build(made)
    assert "Avg." not in [column.title for column in grid.columns]
    assert row(grid, "rein")["toy-night"].text == "47.0"
    assert "±" not in grid.full_caption and "Avg." not in grid.full_caption


def test_unfinished_and_failed_runs_count_as_missing(world: Make) -> None:
    made = world()
    states = {"frozen": ["done", "done", "diverged"], "lora": ["running", "failed", "oom"], "rein": ["done"] * 3}
    for item in made.planned:
        if item.point in states:
            made.finish(item, states[item.point][item.experiment.seed])
    grid = build(made)
    assert row(grid, "frozen")["n"].text == "2 of 3"
    assert row(grid, "frozen")["toy-day"].text == "40.5 ± 0.7"
    assert row(grid, "lora")["n"].text == "0 of 3"  # scores of a cut run are no result
    assert row(grid, "lora")["toy-day"].text == "–"
    assert row(grid, "lora")["trainable"].text == "786 k"  # known as soon as the run has begun
    assert row(grid, "full")["trainable"].text == "–"
    assert "n counts finished runs, of those planned" in grid.full_caption
    assert row(grid, "rein")["Avg."].mark == "best"


@pytest.mark.parametrize(
    ("rule", "words"), [("last", "`last`"), ("source_val", "`source_val`"), ("oracle", "on the test labels")]
)
def test_the_caption_names_the_rule_and_the_spread(study: Study, rule: str, words: str) -> None:
    caption = table(replace(study, report=replace(study.report, selection=rule)), TABLES[0]).full_caption
    assert words in caption
    assert "± is the sample standard deviation over n seeds" in caption


def test_the_rule_chooses_the_checkpoint(world: Make) -> None:
    made = world({"rein": POINTS["rein"]}, seeds=(0,))
    for item in made.planned:
        run = made.finish(item)
        lines = (run.path / "scores.csv").read_text().splitlines()
        # At the earlier step the targets (not the source) are better by far.
        old, new = ",all,miou,0.", ",all,miou,0.9"
        better = [line.replace(old, new) if line.startswith("100,toy-day") else line for line in lines]
        (run.path / "scores.csv").write_text("\n".join(better) + "\n")
    assert row(build(made), "rein")["toy-day"].text == "47.0"
    assert row(build(made, selection="source_val"), "rein")["toy-day"].text == "47.0"
    assert float(row(build(made, selection="oracle"), "rein")["toy-day"].text) > 90


def test_rows_may_be_any_column_but_may_not_mix_variants(world: Make) -> None:
    made = world({"rein": ({}, 1000, 0.4)}, seeds=(0, 1), **{"tuning.rank": [4, 16]})
    made.finish_all()
    grid = build(made, Table(name="ranks", rows=("tuning.rank",)))
    assert [cells[0].text for cells in grid.rows] == ["4", "16"]
    assert [cells[0].text for cells in build(made).rows] == ["rein, tuning.rank=4", "rein, tuning.rank=16"]
    with pytest.raises(ConfigError, match=r"differ in tuning\.rank"):
        build(made, Table(name="mixed", rows=("tuning.method",)))
    other = {**POINTS, "wider": ({"tuning.method": "lora", "tuning.rank": 32}, 1000, 0.4)}
    with pytest.raises(ConfigError, match=r"mix runs that differ in tuning\.rank; add"):
        build(world(other, seeds=(0,)), Table(name="mixed", rows=("tuning.method",)))
    with pytest.raises(ConfigError, match="no column"):
        build(made, Table(name="typo", rows=("tuning.ranks",)))


def test_classes(study: Study) -> None:
    grid = table(study, TABLES[1])
    assert [column.title for column in grid.columns] == ["variant", "n", "road", "car", "mIoU"]
    road = row(grid, "rein")["road"]
    assert (road.text, road.mark, road.value) == ("56.0", "best", pytest.approx(56.0))  # 46 on average, 10 more on road
    assert row(grid, "rein")["car"].text == "36.0"
    assert row(grid, "rein")["mIoU"].text == "46.0"
    chosen = table(study, Table(name="t", kind="classes", classes=("car",), domains=("toy-fog",)))
    assert [column.title for column in chosen.columns] == ["variant", "n", "car", "mIoU"]
    assert [row(chosen, "rein")[title].text for title in ("car", "mIoU")] == ["34.0", "44.0"]
    assert ["more classes than are shown" in one.full_caption for one in (grid, chosen)] == [False, True]


def test_convergence(world: Make) -> None:
    made = world({"rein": POINTS["rein"]}, seeds=(0,))
    made.finish_all()
    grid = build(made, Table(name="convergence", kind="convergence"))
    rein = row(grid, "rein")
    last = [20 + 40 * math.exp(-step / 40) for step in (190, 200)]
    before = [20 + 40 * math.exp(-step / 40) for step in (140, 150)]
    assert rein["steps"].text == "200"
    assert rein["final loss"].text == f"{sum(last) / 2:.2f}"
    assert rein["change in %"].text == f"{100 * (sum(last) / sum(before) - 1):.1f}".replace("-", "−")
    assert "checkpoint" not in grid.full_caption.lower()
    by_steps = build(made, Table(name="convergence", kind="convergence", rows=("name", "steps")))
    assert [column.title for column in by_steps.columns].count("steps") == 1


def test_latex_is_a_fragment_to_input(study: Study) -> None:
    text = table(study, TABLES[0]).latex()
    assert text.count(r"\begin{table*}") == text.count(r"\end{table*}") == 1
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"\label{tab:main}", r"\multicolumn{4}{c}{targets}",
                 r"\cmidrule(lr){5-8}", r"\textbf{46.0 $\pm$ 1.0}", r"\underline{43.0 $\pm$ 1.0}",
                 r"\% of backbone"):  # fmt: skip
        assert part in text, part
    assert "±" not in text and "documentclass" not in text


def test_markdown_and_html_carry_the_marks(study: Study) -> None:
    grid = table(study, TABLES[0])
    assert "**46.0 ± 1.0**" in grid.markdown() and "<u>43.0 ± 1.0</u>" in grid.markdown()
    assert "| toy-game (source val) |" in grid.markdown()
    assert "<strong>46.0 ± 1.0</strong>" in grid.html() and '<th colspan="4" scope="colgroup"' in grid.html()
    widths = {line.count("|") for line in grid.markdown().splitlines() if line.startswith("|")}
    assert widths == {len(grid.columns) + 1}


def test_the_numbers_behind_the_cells_are_kept(study: Study) -> None:
    values = table(study, TABLES[0]).values.set_index("point").loc["rein"]
    assert values["target Avg. mean"] == pytest.approx(46.0)
    assert values["target Avg. sd"] == pytest.approx(1.0)
    assert values["runs done"] == values["target toy-day n"] == 3
    assert values["parameters.backbone"] == BACKBONE
