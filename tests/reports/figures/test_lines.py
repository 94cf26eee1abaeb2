"""Target mIoU over a number, a line a hue."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rein.config import ConfigError, Figure
from rein.reports.figures import draw
from rein.reports.study import Study, gather
from tests.reports.figures.conftest import DINO, EVA, GTA, TARGETS
from tests.reports.figures.drawing import legend, picture, said
from tests.reports.made_up_sweep import POINTS, World


@pytest.fixture
def ranks(world: Callable[..., World]) -> Study:
    """Rein at three ranks on two backbones, and the frozen ones, which have no rank."""
    made = world(
        {"Rein": ({"tuning.method": "rein"}, 2_990_000, 0.5), "Freeze": ({"tuning.method": "frozen"}, 0, 0.4)},
        (0, 1), TARGETS, **GTA, **{"backbone.name": [EVA, DINO], "tuning.rank": [4, 16, 64]},
    )  # fmt: skip
    made.finish_all()
    return gather(made.report(), made.runs)


def test_every_hue_has_a_line_and_what_was_published_a_dashed_one(ranks: Study) -> None:
    drawn = picture(ranks, "lines", x="tuning.rank", hue="backbone.name", published="Rein T7")
    axes = drawn.canvas.axes[0]
    assert axes.get_xlabel() == "rank"
    assert axes.get_xscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["4", "16", "64"]
    assert legend(drawn.canvas) == ["EVA02-L", "DINOv2-L", "EVA02-L, published", "DINOv2-L, published"]
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert [list(line.get_ydata()) for line in dashed] == [[61.6, 63.6, 62.7], [63.7, 64.3, 64.1]]
    assert {line.get_markerfacecolor() for line in dashed} == {"white"}
    assert said(drawn)["Rein, DINOv2-L, rank 16: mIoU 48.5 ± 0.7 % (n 2), 2.99 M trainable"] == pytest.approx(
        (16, 48.5)
    )
    assert not any("Freeze" in point.text for point in drawn.points)
    assert "Hollow and dashed: published values (Rein T7: arXiv" in drawn.caption


def test_a_row_without_a_rank_is_that_of_the_methods_own(ranks: Study) -> None:
    drawn = picture(ranks, "lines", x="tuning.rank", hue="backbone.name", published="Rein T2")
    published = [(point.x, point.y) for point in drawn.points if "published" in point.text]
    assert sorted(published) == [(16, 63.6), (16, 64.3)]


def test_without_a_hue_a_line_joins_what_differs_in_x_alone(ranks: Study) -> None:
    drawn = picture(ranks, "lines", x="tuning.rank")
    assert legend(drawn.canvas) == ["Rein, EVA02-L", "Rein, DINOv2-L"]
    assert all(
        list(line.get_xdata()) == [4, 16, 64] for line in drawn.canvas.axes[0].lines if line.get_marker() in "os"
    )


def test_a_line_that_would_join_unlike_variants_is_refused(ranks: Study) -> None:
    with pytest.raises(ConfigError, match=r"several variants at tuning.rank 4, which differ in backbone.name"):
        picture(ranks, "lines", x="tuning.rank", hue="tuning.method")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ("", "`x` is missing"),
        ("tuning.rnk", "did you mean `tuning.rank`"),
        ("backbone.name", "is no number"),
    ],
)
def test_an_axis_that_is_none_is_refused(ranks: Study, x: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        picture(ranks, "lines", x=x)


def test_one_seed_has_no_bars_and_says_so(world: Callable[..., World]) -> None:
    made = world({"Rein": ({}, 2_990_000, 0.5)}, (0,), **{"tuning.token_length": [50, 100, 150]})
    made.finish_all()
    drawn = picture(gather(made.report(), made.runs), "lines", x="tuning.token_length")
    assert drawn.canvas.axes[0].get_xscale() == "linear"
    assert [point.text for point in drawn.points][1] == "token length 100: mIoU 48.0 % (n 1), 2.99 M trainable"
    assert "One run each: there is no spread to show." in drawn.caption


def test_without_runs_nothing_is_drawn(world: Callable[..., World]) -> None:
    made = world({"lora": POINTS["lora"]}, (0,))
    empty = gather(made.report(), made.runs)
    assert draw(empty, Figure(name="f", kind="lines", x="tuning.rank")) == "no finished run has a `tuning.rank`"
