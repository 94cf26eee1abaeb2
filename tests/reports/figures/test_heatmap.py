"""IoU of classes by variants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rein.config import Figure
from rein.reports.figures import draw
from rein.reports.study import Study, gather
from tests.reports.figures.drawing import picture, said, texts
from tests.reports.made_up_sweep import CONTROL, POINTS, World


def test_cells_hold_means_of_classes_and_of_the_targets(study: Study) -> None:
    drawn = picture(study, "heatmap", rename={"lora": "LoRA", "road": "Street"})
    axes = drawn.canvas.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["Street", "car", "mIoU"]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == ["frozen", "LoRA", "rein", "full", *CONTROL]
    cells = texts(drawn.canvas)
    # lora: 0.44 and 0, 1, 2 points for the seeds, less 0, 2, 4 for the targets; road 10 more, car 10 less.
    assert cells[3:6] == ["53.0", "33.0", "43.0"]
    assert said(drawn)["LoRA (n 3), Street: IoU 53.0 %"] == (0.5, 1.5)
    assert "Targets: toy-day, toy-night, toy-fog." in drawn.caption


def test_colours_are_gains_over_the_first_row_and_numbers_stand_out(study: Study) -> None:
    drawn = picture(study, "heatmap")
    axes = drawn.canvas.axes[0]
    mesh = axes.collections[0]
    gains = np.asarray(mesh.get_array()).reshape(5, 3)
    assert (gains[0] == 0).all() and gains[2, 2] == pytest.approx(47 - 40)
    assert mesh.get_clim() == (-np.abs(gains).max(), np.abs(gains).max())
    assert "the difference to the first row, frozen;" in drawn.caption
    mesh.update_scalarmappable()
    for text, colour in zip(axes.texts, np.asarray(mesh.get_facecolor()), strict=True):
        # sRGB's luminance, nearly: at the least the 4.5 that small text needs.
        light = float(np.dot([0.2126, 0.7152, 0.0722], colour[:3] ** 2.2))
        mine = 0.0 if text.get_color() == "black" else 1.0
        assert (max(light, mine) + 0.05) / (min(light, mine) + 0.05) >= 4.5


def test_a_published_row_stands_below_its_variants(paper: Study) -> None:
    drawn = picture(paper, "heatmap", published="Rein T6", filter={"backbone.name": "*dino*"})
    names = [text.get_text() for text in drawn.canvas.axes[0].get_yticklabels()]
    assert names == ["Freeze", "Freeze, published", "Rein", "Full", "Full, published"]
    styles = [text.get_fontstyle() for text in drawn.canvas.axes[0].get_yticklabels()]
    assert styles == ["normal", "italic", "normal", "normal", "italic"]
    assert "Full (published, Rein T6), road: IoU 89.0 %" in said(drawn)
    # Of Cityscapes alone, as the published numbers are: 42 and 0.5 for the seeds.
    assert "Full (n 2), mIoU: 42.5 %" in said(drawn)
    assert "Target: Cityscapes." in drawn.caption
    assert "printed mIoU 61.1 is the three-set average of T2" in drawn.caption


def test_without_classes_nothing_is_drawn(world: Callable[..., World]) -> None:
    made = world({"rein": POINTS["rein"]}, (0,))
    drawn = draw(gather(made.report(), made.runs), Figure(name="f", kind="heatmap"))
    assert drawn == "no finished run has scores of classes"
