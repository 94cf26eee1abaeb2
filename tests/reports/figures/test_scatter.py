"""Target mIoU over trainable parameters, measured and published."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rein.config import ConfigError, Figure
from rein.reports.figures import draw
from rein.reports.study import Study, gather
from tests.reports.figures.drawing import legend, picture, said, texts
from tests.reports.made_up_sweep import World


def test_a_point_stands_at_its_parameters_and_its_mean(paper: Study) -> None:
    drawn = picture(paper, "scatter", hue="backbone.name")
    places = said(drawn)
    assert places["Rein, DINOv2-L: mIoU 44.5 ± 0.7 % (n 2), 2.99 M trainable"] == pytest.approx(
        (np.log10(2_990_000), 44.5)
    )
    assert places["Freeze, EVA02-L: mIoU 38.5 ± 0.7 % (n 2), 0 trainable"] == pytest.approx((np.log10(299_000), 38.5))
    assert len(places) == 6  # nothing published unless a table is named
    assert "one decade below" in drawn.caption
    assert legend(drawn.canvas) == ["DINOv2-L", "EVA02-L"]
    assert sorted(set(texts(drawn.canvas)) - {"//"}) == ["Freeze", "Full", "Rein"]


def test_published_points_are_hollow_and_have_their_source(paper: Study) -> None:
    drawn = picture(paper, "scatter", hue="backbone.name", published="Rein T2")
    places = said(drawn)
    assert places["Rein, DINOv2-L: mIoU 64.3 % (published, Rein T2)"] == pytest.approx((np.log10(2_990_000), 64.3))
    assert places["Full, EVA02-L: mIoU 60.9 % (published, Rein T2)"] == pytest.approx((np.log10(304_240_000), 60.9))
    assert len(places) == 12
    hollow = [line for line in drawn.canvas.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert sorted(line.get_ydata()[0] for line in hollow) == [56.2, 60.9, 61.1, 61.7, 63.6, 64.3]
    assert "Hollow: published values (Rein T2: arXiv 2312.04265v1 Table 2; " in drawn.caption


def test_what_a_table_says_of_others_is_not_drawn(paper: Study) -> None:
    drawn = picture(paper, "scatter", published="Rein T9")  # of another head
    assert len(drawn.points) == 6
    assert "No row of Rein T9 is about one of these variants" in drawn.caption


def test_a_mean_that_nobody_has_printed_is_not_drawn(world: Callable[..., World]) -> None:
    """Rein's table 2 has all three data sets and their mean, and none over two of them."""
    dino = {"backbone.name": ["vit_large_patch14_dinov2.lvd142m"], "data.sources": [["gta"]]}
    made = world({"Rein": ({}, 2_990_000, 0.6)}, (0,), ("bdd100k", "mapillary"), **dino)
    made.finish_all()
    drawn = picture(gather(made.report(), made.runs), "scatter", published="Rein T2")
    assert len(drawn.points) == 1 and "No row of Rein T2 is about one of these variants and targets" in drawn.caption


def test_a_misprinted_average_is_said(world: Callable[..., World]) -> None:
    dino = {"backbone.name": ["vit_large_patch14_dinov2.lvd142m"]}
    points = {"Freeze": ({"tuning.method": "frozen"}, 0, 0.6), "Rein": ({}, 2_990_000, 0.6)}
    made = world(points, (0,), ("bdd100k", "mapillary"), **dino, **{"data.sources": [["cityscapes"]]})
    made.finish_all()
    drawn = picture(gather(made.report(), made.runs), "scatter", published="Rein T5")
    assert "On Freeze, DINOv2-L: printed average 66.7; mean of the two columns is 66.55." in drawn.caption
    assert "One run each" in drawn.caption


def test_names_cover_neither_each_other_nor_a_point(world: Callable[..., World]) -> None:
    points = {f"variant {rank}": ({"tuning.rank": rank}, 2_500_000 + 9_000 * rank, 0.4 + 0.0004 * rank)
              for rank in range(1, 13)}  # fmt: skip
    made = world(points, (0, 1))
    made.finish_all()
    drawn = picture(gather(made.report(), made.runs), "scatter")
    axes = drawn.canvas.axes[0]
    drawn.canvas.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text().startswith("variant")]
    assert len(boxes) == 12
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:index])
        assert not any(box.contains(*axes.transData.transform((point.x, point.y))) for point in drawn.points)
        assert axes.get_window_extent().fully_contains(*box.min)
        assert axes.get_window_extent().fully_contains(*box.max)


def test_runs_that_are_missing_are_said(world: Callable[..., World]) -> None:
    made = world(seeds=(0, 1))
    empty = gather(made.report(), made.runs)
    assert draw(empty, Figure(name="f", kind="scatter")) == "no finished run with a recorded number of parameters"
    for item in made.planned:
        if item.point == "lora" and item.experiment.seed == 0:
            made.finish(item)
    drawn = picture(gather(made.report(), made.runs), "scatter")
    assert drawn.points[0].text == "lora: mIoU 42.0 % (n 1 of 2), 786 k trainable"
    assert "not drawn: frozen; rein; full." in drawn.caption


def test_an_unknown_hue_is_refused(paper: Study) -> None:
    with pytest.raises(ConfigError, match=r"did you mean `backbone.name`"):
        picture(paper, "scatter", hue="backbone.nam")


def test_an_unknown_table_is_refused(paper: Study) -> None:
    with pytest.raises(ConfigError, match=r"figure 'f': `published`: no table 'Rein T22' \(did you mean `Rein T2`"):
        picture(paper, "scatter", published="Rein T22")


def test_a_name_is_written_once_above_a_column_that_is_its_own(paper: Study) -> None:
    drawn = picture(paper, "scatter", hue="backbone.name")
    assert sorted(set(texts(drawn.canvas)) - {"//"}) == ["Freeze", "Full", "Rein"]
    assert [texts(drawn.canvas).count(name) for name in ("Freeze", "Rein", "Full")] == [1, 1, 1]
    # With names that differ every point has its own.
    drawn = picture(paper, "scatter")
    assert len([text for text in texts(drawn.canvas) if text != "//"]) == 6
