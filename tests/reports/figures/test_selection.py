"""How much a choice on the test labels flatters."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from rein.config import Figure
from rein.reports.figures import draw
from rein.reports.study import gather
from tests.reports.figures.drawing import legend, picture, said, texts
from tests.reports.made_up_sweep import POINTS, World

TWO = {name: POINTS[name] for name in ("rein", "full")}


def fall(made: World, point: str, points: float) -> None:
    """Let the targets' mIoU of one variant end that many points below its first checkpoint."""
    for item in made.planned:
        if item.point == point:
            file = made.runs / item.id / "scores.csv"
            scores = pd.read_csv(file)
            targets = (scores["role"] == "target") & (scores["metric"] == "miou")
            first = scores[targets & (scores["step"] == 100)].set_index("domain")["value"]
            last = targets & (scores["step"] == 200)
            scores.loc[last, "value"] = scores.loc[last, "domain"].map(first) - points / 100
            scores.to_csv(file, index=False)


def test_what_the_oracle_adds_stands_beside_every_variant(world: Callable[..., World]) -> None:
    made = world(TWO, (0, 1))
    made.finish_all()
    fall(made, "rein", 3.0)
    drawn = picture(gather(made.report(), made.runs), "selection", rename={"rein": "Rein"})
    assert legend(drawn.canvas) == ["last", "source_val", "oracle"]
    assert [text for text in texts(drawn.canvas) if "−" not in text] == ["+3.0", "0"]
    places = said(drawn)
    # rein scores 47 and 0.5 for the seeds, less 2 for the targets and 5 at step 100; its sources like step 200.
    assert places["Rein, oracle: 40.5 ± 0.7 (n 2)"] == pytest.approx((40.5, 0))
    assert places["Rein, last: 37.5 ± 0.7 (n 2)"] == pytest.approx((37.5, 0))
    assert places["Rein, source_val: 37.5 ± 0.7 (n 2)"] == pytest.approx((37.5, 0))
    assert "1.5 points in the mean of 4 runs, 3.0 at most" in drawn.caption


def test_a_single_checkpoint_leaves_nothing_to_choose(world: Callable[..., World]) -> None:
    made = world(TWO, (0,))
    for item in made.planned:
        made.finish(item, steps=(200,))
    drawn = draw(gather(made.report(), made.runs), Figure(name="f", kind="selection"))
    assert drawn == "every finished run was scored at one checkpoint alone, so that there is nothing to choose"


def test_without_a_scored_source_two_rules_are_left(world: Callable[..., World]) -> None:
    made = world(TWO, (0,), **{"data.sources": [["gta"]]})
    made.finish_all()
    drawn = picture(gather(made.report(), made.runs), "selection")
    assert legend(drawn.canvas) == ["last", "oracle"]
    assert "`source_val` is not drawn" in drawn.caption


def test_without_runs_nothing_is_drawn(world: Callable[..., World]) -> None:
    made = world(TWO, (0,))
    assert draw(gather(made.report(), made.runs), Figure(name="f", kind="selection")) == "no run has finished"
