"""IoU of classes by variants."""

from __future__ import annotations

from collections.abc import Callable

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
    assert said(drawn)["LoRA (n 3), Street: 53.0"] == (0.5, 1.5)
    assert "Target: toy-day, toy-night, toy-fog." in drawn.caption


def test_a_published_row_stands_below_its_variants(paper: Study) -> None:
    drawn = picture(paper, "heatmap", published="Rein T6", filter={"backbone.name": "*dino*"})
    names = [text.get_text() for text in drawn.canvas.axes[0].get_yticklabels()]
    assert names == ["Freeze", "Freeze, published", "Rein", "Full", "Full, published"]
    styles = [text.get_fontstyle() for text in drawn.canvas.axes[0].get_yticklabels()]
    assert styles == ["normal", "italic", "normal", "normal", "italic"]
    assert "Full (published, Rein T6), road: 89.0" in said(drawn)
    # Of Cityscapes alone, as the published numbers are: 42 and 0.5 for the seeds.
    assert "Full (n 2), mIoU: 42.5" in said(drawn)
    assert "Target: Cityscapes." in drawn.caption
    assert "printed mIoU 61.1 is the three-set average of T2" in drawn.caption


def test_without_classes_nothing_is_drawn(world: Callable[..., World]) -> None:
    made = world({"rein": POINTS["rein"]}, (0,))
    drawn = draw(gather(made.report(), made.runs), Figure(name="f", kind="heatmap"))
    assert drawn == "no finished run has scores of classes"
