"""An axis a target, a line a variant."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rein.config import Figure
from rein.reports.figures import draw
from rein.reports.study import Study, gather
from tests.reports.figures.drawing import legend, picture, said, texts
from tests.reports.made_up_sweep import World


def test_values_lie_on_their_axes_from_the_start_that_is_said(study: Study) -> None:
    drawn = picture(study, "radar", points=("rein", "full"), rename={"toy-day": "Day", "rein": "Ours"})
    assert "one scale, 35 to 50: it does not start at zero" in drawn.caption
    places = said(drawn)
    # rein scores 48, 46 and 44 in the mean; the first axis points up, the others follow clockwise.
    assert places["Day: Ours: mIoU 48.0 ± 1.0 % (n 3), 2.99 M trainable"] == pytest.approx((0, 13))
    x, y = places["toy-night: Ours: mIoU 46.0 ± 1.0 % (n 3), 2.99 M trainable"]
    assert (x, y) == pytest.approx((11 * np.sin(2 * np.pi / 3), 11 * np.cos(2 * np.pi / 3)))
    assert legend(drawn.canvas) == ["Ours", "full"]
    assert {"Day", "toy-night", "toy-fog", "35", "50"} <= set(texts(drawn.canvas))


def test_a_scale_that_starts_at_zero_needs_no_warning(world: Callable[..., World]) -> None:
    made = world({"rein": ({}, 1, 0.07), "lora": ({"tuning.method": "lora"}, 1, 0.47)}, (0,))
    made.finish_all()
    caption = picture(gather(made.report(), made.runs), "radar").caption
    assert caption.endswith("All axes have one scale, 0 to 60.")


def test_published_lines_are_dotted_and_hollow(paper: Study) -> None:
    drawn = picture(paper, "radar", hue="backbone.name", filter={"name": "Rein"}, published="Rein T2")
    assert legend(drawn.canvas) == ["DINOv2-L", "EVA02-L", "DINOv2-L, published", "EVA02-L, published"]
    lines = {str(line.get_label()): line for line in drawn.canvas.axes[0].lines}
    assert lines["DINOv2-L, published"].get_markerfacecolor() == "white"
    assert lines["DINOv2-L, published"].get_linestyle() != lines["DINOv2-L"].get_linestyle() == "-"
    assert lines["DINOv2-L"].get_marker() != lines["EVA02-L"].get_marker()
    assert "BDD100K: EVA02-L: mIoU 60.5 % (published, Rein T2)" in said(drawn)
    assert "Rein T2: arXiv" in drawn.caption


def test_a_hue_of_several_variants_keeps_them_apart(paper: Study) -> None:
    drawn = picture(paper, "radar", hue="backbone.name")
    lines = {str(line.get_label()): line for line in drawn.canvas.axes[0].lines}
    one, other = lines["Freeze, DINOv2-L"], lines["Rein, DINOv2-L"]
    assert one.get_color() == other.get_color()
    assert (one.get_linestyle(), other.get_linestyle()) == ("-", "--")


def test_fewer_than_three_targets_have_no_radar(world: Callable[..., World]) -> None:
    made = world(seeds=(0,), targets=("toy-day", "toy-night"))
    made.finish_all()
    drawn = draw(gather(made.report(), made.runs), Figure(name="f", kind="radar"))
    assert drawn == "a radar needs three targets or more, and there are 2"


def test_without_runs_nothing_is_drawn(world: Callable[..., World]) -> None:
    made = world(seeds=(0,))
    assert draw(gather(made.report(), made.runs), Figure(name="f", kind="radar")) == "no run has finished"


def test_a_single_variant_has_its_name(study: Study) -> None:
    drawn = picture(study, "radar", filter={"point": "rein"})
    assert legend(drawn.canvas) == ["rein"]
