"""The inverted U in small multiples."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from rein.config import ConfigError
from rein.reports.study import Study, gather
from tests.reports.figures.conftest import DINO, EVA
from tests.reports.figures.drawing import legend, picture, said, texts
from tests.reports.made_up_sweep import POINTS, World


def test_every_panel_has_a_verdict_of_its_own(world: Callable[..., World]) -> None:
    made = world(POINTS, **{"head.method": ["mask2former", "semfpn"]})
    for item in made.planned:
        if item.experiment.head.method == "mask2former" or item.point != "full":
            made.finish(item)
    drawn = picture(gather(made.report(), made.runs), "inverted_u", panels=("head.method",), rename={"lora": "LoRA"})
    first, second = drawn.verdicts
    assert "average target mIoU (Mask2Former) rises and then falls" in first.claim
    assert "too little data to test whether average target mIoU (SemFPN)" in second.claim
    assert drawn.tested is not None
    assert [(row[0].text, row[4].text) for row in drawn.tested.rows] == [
        ("Mask2Former", "yes"),
        ("SemFPN", "too few runs"),
    ]
    assert "The points differ in" in drawn.tested.caption
    titled = [axes for axes in drawn.canvas.axes if axes.get_title()]
    assert [axes.get_title() for axes in titled] == ["Mask2Former", "SemFPN"]
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in titled}) == 1
    # In a panel a variant needs no name of the panel.
    assert {"frozen", "LoRA", "rein", "full"} == set(texts(drawn.canvas)) - {"//"}
    assert legend(drawn.canvas)[-2:] == ["average", "training loss"]


def test_a_loss_that_rises_is_said_of_its_panel(world: Callable[..., World]) -> None:
    made = world(POINTS, **{"head.method": ["mask2former", "semfpn"]})
    for item in made.planned:
        made.finish(item, loss=30 if (item.point, item.experiment.head.method) == ("full", "semfpn") else 20)
    drawn = picture(gather(made.report(), made.runs), "inverted_u", panels=("head.method",))
    assert ["loss" in one.claim for one in drawn.verdicts] == [False, True]
    assert drawn.tested is not None
    assert "SemFPN: Training loss is" in drawn.tested.caption
    assert "Mask2Former: Training loss is" not in drawn.tested.caption


def test_losses_of_one_head_have_one_scale(paper: Study) -> None:
    drawn = picture(paper, "inverted_u", panels=("backbone.name",))
    losses = [axes for axes in drawn.canvas.axes if not axes.get_title()]
    assert len(losses) == 2
    assert losses[0].get_ylim() == losses[1].get_ylim()
    assert "EVA02-L: Rein: mIoU 44.5 ± 0.7 % (n 2), 2.99 M trainable" in said(drawn)
    assert "EVA02-L: Rein, BDD100K: mIoU 44.5 %" in said(drawn)
    assert sum("training loss: " in text for text in said(drawn)) == 6
    assert len(drawn.verdicts) == 2


def test_small_losses_of_another_head_do_not_lie_along_an_edge(world: Callable[..., World]) -> None:
    made = world(POINTS, (0,), **{"head.method": ["mask2former", "semfpn"]})
    for item in made.planned:
        file = made.finish(item).path / "metrics.jsonl"
        if item.experiment.head.method == "semfpn":
            records = (json.loads(line) for line in file.read_text().splitlines())
            file.write_text("".join(json.dumps({**one, "loss": one["loss"] / 100}) + "\n" for one in records))
    drawn = picture(gather(made.report(), made.runs), "inverted_u", panels=("head.method",))
    first, second = [axes for axes in drawn.canvas.axes if axes.get_ylabel() == "training loss" or not axes.get_title()]
    low, high = second.get_ylim()
    lines = second.get_lines()[0].get_ydata()
    assert first.get_ylim()[0] > 10 and low < min(lines) and max(lines) < high < 2 * max(lines)


def test_a_panel_without_runs_is_said(world: Callable[..., World]) -> None:
    made = world(POINTS, (0,), **{"backbone.name": [DINO, EVA]})
    for item in made.planned:
        if item.experiment.backbone.name == DINO:
            made.finish(item)
    drawn = picture(gather(made.report(), made.runs), "inverted_u", panels=("backbone.name",))
    assert len(drawn.verdicts) == 1 and drawn.tested is None, "one sentence is no table"
    assert "EVA02-L: no finished run." in drawn.caption


def test_an_unknown_key_is_refused(paper: Study) -> None:
    with pytest.raises(ConfigError, match=r"`panels`: .*did you mean `head.method`"):
        picture(paper, "inverted_u", panels=("head.methd",))
