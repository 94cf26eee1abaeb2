"""Every figure is drawn from what is there, and says what it leaves out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rein import config
from rein.config import ConfigError
from rein.config_io import load
from rein.data.classes import PALETTE
from rein.reports.figures import draw
from rein.reports.figures.picture import Picture
from rein.reports.figures.predictions import colourise
from rein.reports.study import Study, gather
from rein.worlds import Moved
from tests.reports.figures.drawing import picture, said, texts
from tests.reports.made_up_sweep import CONTROL, FIGURES, POINTS, World

Make = Callable[..., World]


def test_files_are_of_print_quality(finished: World) -> None:
    for kind in ("inverted-u", "curves", "predictions"):
        with Image.open(finished.out / f"figures/{kind}.png") as image:
            assert image.info["dpi"] == pytest.approx((200, 200), abs=0.5)
            assert image.width <= 7.2 * 200
        content = (finished.out / f"figures/{kind}.pdf").read_bytes()
        assert content.startswith(b"%PDF") and b"/Type3" not in content


@pytest.mark.parametrize("kind", ["radar", "scatter", "lines", "heatmap", "ranks", "selection"])
def test_every_kind_is_of_print_quality_and_the_same_each_time(study: Study, tmp_path: Path, kind: str) -> None:
    more = {"x": "tuning.rank"} if kind == "lines" else {}
    for name in ("once", "again"):
        picture(study, kind, **more).save(tmp_path / name)
    with Image.open(tmp_path / "once.png") as image:
        assert image.width <= 7.2 * 200
    assert b"/Type3" not in (tmp_path / "once.pdf").read_bytes()
    for suffix in ("png", "pdf"):
        assert (tmp_path / f"once.{suffix}").read_bytes() == (tmp_path / f"again.{suffix}").read_bytes()


@pytest.mark.parametrize(
    ("kind", "more"),
    [("radar", {"published": "Rein T2"}), ("scatter", {"published": "Rein T2"}), ("heatmap", {"published": "Rein T6"})],
)
def test_in_a_world_nothing_published_is_drawn(paper: Study, kind: str, more: dict[str, Any]) -> None:
    """On one axis with numbers of drawn streets it would be read as one of them."""
    more = {**more, "filter": {"backbone.name": "*dino*"}}
    here = picture(paper, kind, **more)
    assert "(published, Rein T" in " ".join(said(here)) and "Table" in here.caption
    there = picture(replace(paper, moved=Moved(paper.sweep, load(config.World, "toy"))), kind, **more)
    assert there.points and not [text for text in said(there) if "published" in text]
    assert "Rein T" not in there.caption


def test_the_same_results_give_the_same_bytes(finished: World, study: Study, tmp_path: Path) -> None:
    files = picture(study, "curves").save(tmp_path / "again").files
    assert [file.read_bytes() for file in files] == [
        (finished.out / "figures/curves").with_suffix(file.suffix).read_bytes() for file in files
    ]


def test_inverted_u_draws_domains_average_loss_and_names(study: Study) -> None:
    drawn = picture(study, "inverted_u", caption="Mine.")
    left, right = drawn.canvas.axes
    assert set(POINTS) <= set(texts(drawn.canvas))
    labels = [text.get_text() for text in drawn.canvas.legends[0].get_texts()]
    assert labels == ["toy-day", "toy-night", "toy-fog", "average", "training loss"]
    average = next(line for line in left.lines if line.get_label() == "average")
    assert average.get_ydata() == pytest.approx([39.0, 43.0, 46.0, 41.0])
    assert average.get_xdata() == pytest.approx(np.log10([78_643.2, 786_432, 2_990_080, 22_000_000]))
    assert right.lines[0].get_linestyle() == "--"
    assert drawn.caption.startswith("Mine. ")
    assert "one decade below" in drawn.caption
    (verdict,) = drawn.verdicts
    assert "12 runs at 4 parameter counts" in verdict.evidence


def test_a_control_is_no_point_of_the_axis(study: Study) -> None:
    drawn = picture(study, "inverted_u")
    assert "frozen, untrained" not in texts(drawn.canvas)
    assert "differ: frozen, untrained." in drawn.caption
    named = picture(study, "inverted_u", points=("rein", "full"))
    assert "Not drawn: frozen; lora; frozen, untrained." in named.caption
    assert "too little data" in named.verdicts[0].claim


def test_a_claim_over_unlike_methods_says_so(study: Study) -> None:
    (verdict,) = picture(study, "inverted_u").verdicts
    assert "rises and then falls" in verdict.claim
    assert "differ in `tuning.method`" in verdict.evidence
    # As test_two_lines measures it.
    assert "a fall in 20 to 30 % of simulated sweeps (9 points, 3 seeds)" in verdict.evidence


def test_a_claim_over_one_axis_needs_no_caveat(world: Make) -> None:
    heights = {4: 0.40, 8: 0.45, 16: 0.48, 32: 0.44, 64: 0.40}
    points = {f"r{r}": ({"tuning.rank": r}, 2_000_000 + 30_000 * r, mean) for r, mean in heights.items()}
    made = world(points)
    made.finish_all()
    (verdict,) = picture(gather(made.report(), made.runs), "inverted_u").verdicts
    assert "rises and then falls" in verdict.claim
    assert "differ in" not in verdict.evidence


def test_a_domain_keeps_its_colour_in_later_chapters(study: Study) -> None:
    def colours(drawn: Picture) -> dict[str, object]:
        return {str(line.get_label()): line.get_color() for line in drawn.canvas.axes[0].lines}

    first, alike = colours(picture(study, "inverted_u")), replace(study, earlier=("toy-rain", "toy-fog"))
    later = colours(picture(alike, "inverted_u"))
    assert later["toy-fog"] == first["toy-night"], "the second of all"
    assert len({later[name] for name in study.targets}) == 3
    crowd = replace(study, earlier=tuple(f"d{i}" for i in range(9)))
    assert colours(picture(crowd, "inverted_u")) == first, "hues are too few for all"


@pytest.mark.parametrize(("loss", "rises"), [(24, True), (20, False), (16, False)])
def test_a_fall_with_a_rising_loss_is_not_of_fitting_too_well(world: Make, loss: float, rises: bool) -> None:
    made = world(POINTS)
    for item in made.planned:
        made.finish(item, loss=loss if item.point == "full" else 20)
    (verdict,) = picture(gather(made.report(), made.runs), "inverted_u").verdicts
    assert "rises and then falls" in verdict.claim
    assert verdict.claim.endswith("falls, and training loss rises with the fall.") == rises
    assert ("Training loss is 25.31 at 22.0 M, the largest count, and 21.31 at 2.99 M" in verdict.evidence) == rises
    assert "differ in `tuning.method`" in verdict.evidence


def test_curves_follow_runs_in_progress(world: Make) -> None:
    made = world({"rein": POINTS["rein"]})
    for item in made.planned[:2]:
        made.finish(item, "running", steps=(50, 100))
    drawn = picture(gather(made.report(), made.runs), "curves", rename={"rein": "Ours"})
    left, right = drawn.canvas.axes
    assert max(line.get_xdata().max() for line in left.lines if len(line.get_xdata())) <= 101
    assert any(len(line.get_xdata()) == 2 for line in right.lines)
    assert [point.text for point in drawn.points] == ["Ours, step 50: mIoU 43.0 %", "Ours, step 100: mIoU 45.5 %"]
    assert "Unfinished runs" in drawn.caption


def test_predictions_show_the_first_common_image(study: Study) -> None:
    drawn = picture(study, "predictions")
    titles = [axes.get_title().replace("\n", " ") for axes in drawn.canvas.axes if axes.get_title()]
    assert titles == ["image", "label", *POINTS, *CONTROL]
    assert len(drawn.canvas.axes) == 4 * len(titles)  # three targets and the source
    legend = [text.get_text() for text in drawn.canvas.legends[0].get_texts()]
    assert legend == ["road", "building", "sky", "void"]


def test_predictions_have_several_rows_where_there_are_images(world: Make) -> None:
    made = world({"rein": POINTS["rein"]}, (0,), ("toy-day",))
    made.finish_all()
    made.keep_predictions()
    for file in made.runs.rglob("0001_*.png"):
        for stem in ("0002", "0003", "0004", "0005"):
            shutil.copy(file, file.with_name(file.name.replace("0001", stem)))
    drawn = picture(gather(made.report(), made.runs), "predictions", rename={"toy-day": "Day", "rein": "Ours"})
    assert [axes.get_ylabel() for axes in drawn.canvas.axes[::3]] == ["Day", "", "", "toy-game", "", ""]
    assert [axes.get_title() for axes in drawn.canvas.axes[:3]] == ["image", "label", "Ours"]
    assert "Up to 3 images a domain" in drawn.caption


def test_a_variant_without_predictions_leaves_a_gap(world: Make) -> None:
    made = world({name: POINTS[name] for name in ("rein", "lora")}, seeds=(0,))
    made.finish_all()
    made.keep_predictions()
    for item in made.planned:
        if item.point == "lora":
            for file in (made.runs / item.id / "predictions").rglob("*.png"):
                file.unlink()
    assert texts(picture(gather(made.report(), made.runs), "predictions").canvas).count("–") == 4


def test_colours_are_cityscapes_and_void_is_black() -> None:
    assert colourise(np.array([[0, 18, 255, 19]])).tolist() == [[list(PALETTE[0]), list(PALETTE[18]), [0] * 3, [0] * 3]]


def test_nothing_to_draw_is_said(world: Make) -> None:
    made = world(seeds=(0,))
    empty = gather(made.report(), made.runs)
    assert all(isinstance(draw(empty, figure), str) for figure in FIGURES)


def test_an_unknown_point_is_refused_with_the_nearest(study: Study) -> None:
    with pytest.raises(ConfigError, match="did you mean `lora`"):
        picture(study, "curves", points=("lorra",))


def test_a_figure_is_of_the_domains_that_it_names(study: Study) -> None:
    drawn = picture(study, "ranks", domains=("toy-fog", "toy-day"))
    assert "over 2 targets (toy-fog, toy-day)" in drawn.caption
    with pytest.raises(ConfigError, match=r"figure 'f': `domains`: 'toy-fgo' is no target .*did you mean `toy-fog`"):
        picture(study, "radar", domains=("toy-fgo",))


def test_a_point_that_the_filter_takes_away_is_refused(study: Study) -> None:
    with pytest.raises(ConfigError, match=r"figure 'f': no point 'full'; its `filter` leaves: lora"):
        picture(study, "ranks", points=("full",), filter={"tuning.method": "lora"})


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("curves", "x", "nonsense"), ("curves", "panels", ("head.method",)), ("heatmap", "hue", "seed"),
        ("inverted_u", "published", "Rein T2"), ("lines", "panels", ("head.method",)),
    ],
)  # fmt: skip
def test_a_key_that_a_kind_does_not_know_is_refused(study: Study, kind: str, key: str, value: object) -> None:
    said = rf"figure 'f': a figure of kind `{kind}` has no `{key}`; it has name, kind, caption, filter, points"
    with pytest.raises(ConfigError, match=said):
        picture(study, kind, **{key: value})
