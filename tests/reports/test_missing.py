"""What the missing cells of a report would cost, and how that is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from rein.config import Report
from rein.reports.missing import duration, hours_to_fill, missing
from rein.reports.provenance import provenance
from rein.reports.study import gather
from rein.reports.write import write
from tests.reports.made_up_sweep import POINTS, World

Make = Callable[..., World]
TWO = {name: POINTS[name] for name in ("frozen", "rein")}


def on_a_gpu(world: World, gpu: float | str = 1) -> World:
    sweep = yaml.safe_load(world.sweep.read_text())
    world.sweep.write_text(yaml.safe_dump({**sweep, "resources": {"gpu": gpu}}, sort_keys=False))
    return world


def test_runs_of_the_same_variant_say_it_before_those_of_the_sweep(world: Make) -> None:
    made = world(TWO)
    first = next(item for item in made.planned if item.point == "rein")
    made.finish(first, seconds=7200.0)
    study = gather(made.report(), made.runs)
    alike, other = missing([study])
    assert (alike.runs, alike.low, alike.basis) == (2, 4 * 3600, "by the finished runs of the same variants")
    assert (other.runs, other.low, other.basis) == (3, 6 * 3600, "by the finished runs of the same sweep")
    assert hours_to_fill([study]).startswith("about 4.0 hours for 2 missing runs, by the finished runs of the same var")


def test_where_nothing_has_run_the_paper_says_it_by_steps_and_gpus(world: Make) -> None:
    made = on_a_gpu(world({"rein": POINTS["rein"]}, seeds=(0, 1)))
    [one] = missing([gather(made.report(), made.runs)])
    # 200 steps of 40,000, twice, at 9.5 to 11.8 hours.
    assert (one.low / 3600, one.high / 3600) == pytest.approx((0.095, 0.118))
    assert hours_to_fill([gather(made.report(), made.runs)]) == (
        "about 6 min–7 min of a GPU for 2 missing runs, by the 9.5–11.8 h that Rein T8 has for 40,000 steps of 4 crops "
        "of 512² of a ViT-L on one RTX 3090 Ti, in proportion to steps and pixels, AdvStyle thrice; backbones are not "
        "told apart"
    )
    # A part of a GPU takes as much longer.
    for part in (0.5, 4, "auto"):
        assert missing([gather(on_a_gpu(made, part).report(), made.runs)])[0].low == pytest.approx(one.low)


def test_hours_grow_with_what_goes_through_the_network(world: Make) -> None:
    wide = {"data.crop_size": 1024, "data.batch_size": 8}
    points = {"rein": ({}, 10, 0.4), "wide": (wide, 10, 0.4), "adv": ({"data.augmentation": "advstyle"}, 10, 0.4)}
    alone = on_a_gpu(world({"rein": points["rein"]}, seeds=(0,)))
    [one] = missing([gather(alone.report(), alone.runs)])
    made = on_a_gpu(world(points, seeds=(0,)))
    [three] = missing([gather(made.report(), made.runs)])
    assert three.low == pytest.approx((1 + 8 + 3) * one.low)
    made.finish(made.planned[0], seconds=60.0)
    [others] = missing([gather(made.report(), made.runs)])
    assert others.low == pytest.approx((8 + 3) * 60), "and so they do from run to run of a sweep"


def test_neither_a_processor_nor_a_world_is_measured_by_the_papers_gpu(world: Make, tmp_path: Path) -> None:
    made = world({"rein": POINTS["rein"]}, seeds=(0,))
    said = "nothing has run yet that tells how long 1 missing run would take"
    assert hours_to_fill([gather(made.report(), made.runs)]) == said
    (tmp_path / "paper.yaml").write_text(
        yaml.safe_dump({"experiment": "rein_dinov2_gta", "vary": {"seed": [0]}, "resources": {"gpu": 1}})
    )
    paper = Report(title="t", sweep=str(tmp_path / "paper.yaml"))
    assert "GPU-hours" in hours_to_fill([gather(paper, made.runs)])
    assert hours_to_fill([gather(paper, made.runs, "toy")]) == said


def test_what_a_run_has_done_is_not_asked_for_again(world: Make) -> None:
    made = world({"rein": POINTS["rein"]}, seeds=(0, 1))
    done, cut = made.planned
    made.finish(done, seconds=3600.0, step=200)
    made.finish(cut, "preempted", (100,), step=100)
    [one] = missing([gather(made.report(), made.runs)])
    assert one.low == pytest.approx(1800)


def test_a_run_of_several_chapters_is_counted_once(world: Make) -> None:
    made = world(TWO)
    both = gather(made.report(), made.runs)
    assert [one.runs for one in missing([both, both])] == [6]


def test_it_stands_in_the_documents_head_and_in_the_chapters_facts(world: Make, tmp_path: Path) -> None:
    made = world(TWO)
    made.finish(made.planned[0])
    assert "to fill the missing cells" in dict(provenance(gather(made.report(), made.runs)))
    write(made.report(figures=()), made.runs, tmp_path / "out")
    assert "by the finished runs of the same sweep" in (tmp_path / "out/report.md").read_text().split("##")[0]
    for item in made.planned[1:]:
        made.finish(item)
    study = gather(made.report(), made.runs)
    assert hours_to_fill([study]) == "" and "to fill the missing cells" not in dict(provenance(study))


def test_durations() -> None:
    assert [duration(seconds) for seconds in (42, 720, 11_520, 360_000)] == [
        "42 s",
        "12 min",
        "3 h 12 min",
        "100 h 00 min",
    ]
