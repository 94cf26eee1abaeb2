"""How much a rule that looks at the test labels flatters."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from rein.config import Table
from rein.reports.study import gather
from rein.reports.tables import table
from tests.reports.made_up_sweep import POINTS, World


def test_the_oracle_gains_what_the_earlier_checkpoint_had_more(world: Callable[..., World]) -> None:
    made = world({"rein": POINTS["rein"]}, seeds=(0, 1), targets=("toy-day",))
    for item in made.planned:
        run = made.finish(item)
        # At step 100 the target has 5 points more than at the end, with seed 1 also 3 more than that.
        more = (47 + 5 + 4 * item.experiment.seed) / 100
        lines = (run.path / "scores.csv").read_text().splitlines()
        found = [line for line in lines if line.startswith("100,toy-day,target,all")]
        assert len(found) == 1
        better = [f"100,toy-day,target,all,miou,{more}" if line in found else line for line in lines]
        (run.path / "scores.csv").write_text("\n".join(better) + "\n")
    grid = table(gather(made.report(), made.runs), Table(name="t", kind="selection"))
    titles = [column.title for column in grid.columns]
    assert titles == ["variant", "n", "last", "source_val", "oracle", "oracle − last"]
    cells = dict(zip(titles, grid.rows[0], strict=True))
    assert cells["last"].text == cells["source_val"].text == "47.5 ± 0.7"
    assert cells["oracle"].text == "54.0 ± 2.8"
    # 5 points with seed 0, 8 with seed 1, whose end is a point higher.
    assert cells["oracle − last"].value == pytest.approx(6.5)
    assert cells["oracle − last"].text == "+6.5 ± 2.1"
    assert "chosen on the test labels" in grid.full_caption


def test_the_oracle_judges_by_the_targets_that_the_table_names(world: Callable[..., World]) -> None:
    """On fog the first checkpoint is the better one, on all targets together the last."""
    made = world({"rein": POINTS["rein"]}, seeds=(0, 1))
    for item in made.planned:
        run = made.finish(item)
        scores = pd.read_csv(run.path / "scores.csv")
        fog = (scores["domain"] == "toy-fog") & (scores["metric"] == "miou")
        scores.loc[fog & (scores["step"] == 200), "value"] -= 0.06
        scores.to_csv(run.path / "scores.csv", index=False)
    study = gather(made.report(), made.runs)
    grid = table(study, Table(name="t", kind="selection", domains=("toy-fog",)))
    cells = dict(zip([column.title for column in grid.columns], grid.rows[0], strict=True))
    assert cells["oracle − last"].value == pytest.approx(1.0)
    everywhere = table(study, Table(name="t", kind="selection")).rows[0][-1]
    assert everywhere.value == pytest.approx(0)


def test_without_a_val_split_of_the_source_there_is_no_such_rule(world: Callable[..., World]) -> None:
    made = world({"rein": ({"data.sources": ["gta"]}, 7, 0.4)})
    grid = table(gather(made.report(), made.runs), Table(name="t", kind="selection"))
    assert [column.title for column in grid.columns][2:] == ["last", "oracle", "oracle − last"]
    assert "no source has a val split" in grid.full_caption
