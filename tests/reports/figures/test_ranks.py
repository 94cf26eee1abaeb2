"""A critical-difference diagram says what the targets tell apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rein.config import Figure
from rein.reports.figures import draw
from rein.reports.study import Study, gather
from tests.reports.figures.drawing import picture, texts
from tests.reports.made_up_sweep import POINTS, World


def test_names_stand_in_the_order_of_their_mean_ranks(study: Study) -> None:
    drawn = picture(study, "ranks", rename={"lora": "LoRA"})
    assert [(point.text, point.x) for point in drawn.points] == [
        ("rein: mean rank 1.00", 1), ("LoRA: mean rank 2.00", 2), ("full: mean rank 3.00", 3),
        ("frozen: mean rank 4.00", 4), ("frozen, untrained: mean rank 5.00", 5),
    ]  # fmt: skip
    assert {"rein (1.00)", "(4.00) frozen", "(5.00) frozen, untrained"} <= set(texts(drawn.canvas))
    assert "Mean ranks over 3 targets (toy-day, toy-night, toy-fog)" in drawn.caption


def test_bars_join_what_is_not_told_apart(study: Study) -> None:
    drawn = picture(study, "ranks")
    bars = [line.get_xdata() for line in drawn.canvas.axes[0].lines if line.get_linewidth() > 2]
    # Nemenyi for five variants on three targets: 2.728 * sqrt(5 * 6 / 18) = 3.52
    assert "critical difference (3.52" in drawn.caption
    assert "critical difference 3.52" in texts(drawn.canvas)
    assert [(round(low), round(high)) for low, high in bars] == [(1, 4), (2, 5)]


def test_targets_too_few_to_tell_anything_say_so(study: Study) -> None:
    caption = picture(study, "ranks", points=("rein", "full", "lora", "frozen", "frozen, untrained")).caption
    assert "too few" not in caption
    two = picture(study, "ranks", points=("rein", "lora")).caption
    assert "3 targets are too few to tell any of 2 variants apart" in two


@pytest.mark.parametrize(
    ("targets", "names"), [(("toy-day",), ("rein", "lora", "full")), (("toy-day", "toy-fog"), ("rein",))]
)
def test_ranks_need_two_of_each(world: Callable[..., World], targets: tuple[str, ...], names: tuple[str, ...]) -> None:
    made = world({name: POINTS[name] for name in names}, (0,), targets)
    made.finish_all()
    drawn = draw(gather(made.report(), made.runs), Figure(name="f", kind="ranks"))
    assert drawn == f"ranks need two variants on two targets, and there are {len(names)} on {len(targets)}"


def test_variants_rank_over_the_seeds_that_all_have(world: Callable[..., World]) -> None:
    """A seed is worth a point: lora's better seeds would put it before rein, which is better with each."""
    made = world({"rein": POINTS["rein"], "lora": (*POINTS["lora"][:2], 0.46)}, (0, 1, 2, 3, 4))
    for item in made.planned:
        if item.experiment.seed in {"rein": (0, 1), "lora": (0, 1, 3, 4)}[item.point]:
            made.finish(item)
    drawn = picture(gather(made.report(), made.runs), "ranks")
    assert [point.text for point in drawn.points] == ["rein: mean rank 1.00", "lora: mean rank 2.00"]
    assert "the means over the 2 seeds that all have (of 2–4)" in drawn.caption


def test_variants_without_a_common_seed_are_not_ranked(world: Callable[..., World]) -> None:
    made = world({name: POINTS[name] for name in ("rein", "lora")}, (0, 1))
    for item in made.planned:
        if item.experiment.seed == {"rein": 0, "lora": 1}[item.point]:
            made.finish(item)
    drawn = draw(gather(made.report(), made.runs), Figure(name="f", kind="ranks"))
    assert drawn == "the 2 variants with runs share no seed, so that they cannot be ranked against each other"
