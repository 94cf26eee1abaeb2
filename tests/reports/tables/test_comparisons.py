"""Every variant against one: paired seeds, Holm, images, and the star that asks for all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rein.config import ConfigError, Table
from rein.image_counts import ImageCounts, pack, read
from rein.ledger import Run
from rein.reports.grid import MISSING, Cell, Grid
from rein.reports.study import gather
from rein.reports.tables import table
from tests.reports.made_up_sweep import POINTS, World

Make = Callable[..., World]

#: Mean mIoU by seed; the report shows them less the two points that targets lie below the first one on average.
SCORES: Mapping[str, tuple[float, ...]] = {
    "frozen": (40.0, 41.0, 40.5), "lora": (41.0, 40.0, 43.0), "rein": (46.0, 47.5, 46.2), "full": (42.0, 41.0),
}  # fmt: skip


def finish(world: World) -> None:
    for item in world.planned:
        scores = SCORES[item.point]
        if (seed := item.experiment.seed) < len(scores):
            changes, trainable, _ = POINTS[item.point]
            world.points = {item.point: (changes, trainable, scores[seed] / 100 - 0.01 * seed)}
            world.finish(item)


def keep_images(
    world: World,
    hits: Mapping[str, int],
    images: int = 20,
    spread: int = 0,
    names: Mapping[str, str] | None = None,
    labelled: Mapping[str, int] | None = None,
) -> None:
    """Every run kept counts in which its variant hits so many of 100 pixels, give or take, of each image and class.

    What makes an image hard is common to all; by `spread` each variant does better or worse on it by itself.
    """
    common = np.random.default_rng(0).integers(-5, 6, (images, 2))
    for item in world.planned:
        if not (world.runs / item.id).exists():
            continue
        own = np.random.default_rng([*hits].index(item.point)).integers(-spread, spread + 1, (images, 2))
        hit = hits[item.point] + common + own
        size = np.full_like(hit, (labelled or {}).get(item.point, 100))
        counts = np.stack([hit, size, np.full_like(hit, 100)], axis=1)
        prefix = (names or {}).get(item.point, "")
        one = ImageCounts(tuple(f"{prefix}{image}" for image in range(images)), counts)
        (world.runs / item.id / "images.npz").write_bytes(pack(dict.fromkeys(item.experiment.data.targets, one)))


def build(world: World, classes: tuple[str, ...] = (), **wanted: Any) -> Grid:
    given: dict[str, Any] = {"name": "t", "kind": "comparisons", "against": "frozen", **wanted}
    return table(gather(world.report(classes=classes), world.runs), Table(**given))


def row(grid: Grid, name: str) -> dict[str, Cell]:
    cells = next(cells for cells in grid.rows if cells[0].text == name)
    titles = (f"{column.group} {column.title}".strip() for column in grid.columns)
    return dict(zip(titles, cells, strict=True))


def test_differences_are_those_of_paired_seeds_and_p_is_holms(world: Make) -> None:
    made = world()
    finish(made)
    grid = build(made)
    known = {name: stats.ttest_rel(SCORES[name], SCORES["frozen"]) for name in ("lora", "rein")}
    low, high = known["rein"].confidence_interval(0.95)
    rein, lora, full = (row(grid, name) for name in ("rein", "lora", "full"))
    assert rein["over seeds difference"].value == pytest.approx(np.mean(SCORES["rein"]) - np.mean(SCORES["frozen"]))
    assert rein["over seeds 95 % interval"].text == f"+{low:.1f} to +{high:.1f}"
    # Two were tested: the smaller p counts twice, the larger once.
    assert rein["over seeds p (Holm)"].value == pytest.approx(2 * known["rein"].pvalue)
    assert lora["over seeds p (Holm)"].value == pytest.approx(known["lora"].pvalue)
    assert rein["over seeds difference"].text == "+6.1*" and not lora["over seeds difference"].text.endswith("*")
    assert "2 of 3 comparisons were tested over seeds." in grid.full_caption
    # Two seeds are too few for a test, and the number is given.
    assert full["over seeds difference"].text == "+1.0"
    assert [full[f"over seeds {title}"].text for title in ("n", "95 % interval", "p (Holm)")] == ["2", MISSING, "n < 3"]
    assert "1 of 3 comparisons share fewer than 3 seeds" in grid.full_caption
    # The means, each over the seeds that a row has, lie 1.0 apart by chance: 39.5 less 38.5.
    assert full["mIoU"].text == "39.5 ± 0.7" and "is over the n seeds that both rows have" in grid.full_caption
    assert row(grid, "frozen")["over seeds difference"].text == "against"
    assert "over images 95 % interval" not in rein


def test_images_have_an_interval_of_their_own_and_can_take_the_star(world: Make) -> None:
    made = world()
    finish(made)
    keep_images(made, {"frozen": 60, "lora": 60, "rein": 70, "full": 50})
    grid = build(made)
    # Hits of 70 and of 60 among 100 labelled and 100 predicted pixels: 70/130 less 60/140.
    assert row(grid, "rein")["over images difference"].value == pytest.approx(11.0, abs=0.1)
    assert row(grid, "lora")["over images difference"].text == "0.0"
    assert row(grid, "rein")["over seeds difference"].text == "+6.1*"
    assert "A star:" in grid.full_caption
    assert "bootstrap of the images" in grid.full_caption
    assert row(grid, "rein")["over images p (Holm)"].value < 0.05 < row(grid, "lora")["over images p (Holm)"].value
    keep_images(made, {"frozen": 60, "lora": 60, "rein": 60, "full": 50})
    assert row(build(made), "rein")["over seeds difference"].text == "+6.1", "the images do not bear it"


def test_targets_of_a_few_images_are_named_and_earn_no_star(world: Make) -> None:
    made = world()
    finish(made)
    keep_images(made, {"frozen": 60, "lora": 60, "rein": 70, "full": 50}, images=5)
    grid = build(made)
    assert row(grid, "rein")["over seeds difference"].text == "+6.1"
    assert not any(column.group == "over images" for column in grid.columns)
    assert "no star" in grid.full_caption and "that takes 8, and toy-day has 5, toy-night has 5" in grid.full_caption
    assert "A star:" not in grid.full_caption


def test_a_report_of_some_classes_compares_those(world: Make) -> None:
    made = world()
    finish(made)
    keep_images(made, {"frozen": 60, "lora": 60, "rein": 70, "full": 50})
    for item in made.planned:  # of the second class every variant hits all
        path = made.runs / item.id / "images.npz"
        if path.exists():
            kept = {name: ImageCounts(one.names, one.counts.copy()) for name, one in read(path).items()}
            for one in kept.values():
                one.counts[:, :, 1] = 100
            path.write_bytes(pack(kept))
    every, some = (build(made, of) for of in ((), ("road",)))
    assert row(every, "rein")["over images difference"].value == pytest.approx(11.0 / 2, abs=0.1)
    assert row(some, "rein")["over images difference"].value == pytest.approx(11.0, abs=0.1)


def test_over_images_p_is_corrected_as_over_seeds(world: Make) -> None:
    made = world()
    finish(made)
    hits = {"frozen": 60, "lora": 60, "rein": 64, "full": 60}
    keep_images(made, hits, spread=28)
    alone = build(made, filter={"point": ["frozen", "rein"]})
    among = build(made)
    first, line = (row(grid, "rein") for grid in (alone, among))
    raw = alone.values["images p"].iloc[1]
    assert 0.02 < raw < 0.05 and first["over images p (Holm)"].value == raw
    assert first["over seeds difference"].text == "+6.1*", "one comparison"
    # Of three the images bear it no longer.
    assert line["over images p (Holm)"].value > 0.05 and line["over seeds difference"].text == "+6.1"


def scored_on(world: World, digests: Mapping[str, str]) -> None:
    for item in world.planned:
        scored = {domain: {"images": 20, "digest": "0"} for domain in item.experiment.data.targets}
        scored["toy-fog"]["digest"] = digests.get(item.point, "0")
        Run(world.runs / item.id).update(scored=scored)


def test_runs_scored_on_other_images_have_a_number_and_no_test(world: Make) -> None:
    made = world({name: POINTS[name] for name in ("frozen", "lora", "rein")})
    finish(made)
    scored_on(made, {"rein": "1"})
    grid = build(made)
    rein, lora = row(grid, "rein"), row(grid, "lora")
    assert [rein[f"over seeds {title}"].text for title in ("difference", "95 % interval", "n", "p (Holm)")] == [
        "+6.1", MISSING, "3", "other images",
    ]  # fmt: skip
    assert lora["over seeds p (Holm)"].value == pytest.approx(stats.ttest_rel(SCORES["lora"], SCORES["frozen"]).pvalue)
    assert "1 of 2 comparisons rest on runs that were not all scored on the same images" in grid.full_caption
    assert "1 of 2 comparisons was tested over seeds." in grid.full_caption
    # Unlike against: nothing is left to test.
    assert "p is corrected" not in build(made, against="rein").full_caption


def test_kept_images_tell_that_they_are_others(world: Make) -> None:
    made = world({name: POINTS[name] for name in ("frozen", "rein")})
    finish(made)
    hits = {"frozen": 60, "rein": 70}
    keep_images(made, hits)
    assert row(build(made), "rein")["over seeds difference"].text == "+6.1*"
    keep_images(made, hits, names={"rein": "other "})
    assert row(build(made), "rein")["over seeds p (Holm)"].text == "other images"
    keep_images(made, hits, labelled={"rein": 120})
    assert row(build(made), "rein")["over seeds p (Holm)"].text == "other images"


def test_against_may_be_named_as_it_is_written(world: Make) -> None:
    made = world({name: POINTS[name] for name in ("frozen", "rein")})
    finish(made)
    rename = {"frozen": "Freeze", "vit_large_patch14_dinov2.lvd142m": "L"}
    grid = build(made, rows=("backbone.name", "point"), rename=rename, against="L, Freeze")
    assert [line[3].text for line in grid.rows] == ["against", "+6.1*"]


def test_against_is_the_first_row_unless_named(world: Make) -> None:
    made = world()
    finish(made)
    assert build(made, against="", order=("rein",)).rows[0][2].text == "against"
    with pytest.raises(ConfigError, match=r"table 't': `against`: no row has 'forzen' \(did you mean `frozen`"):
        build(made, against="forzen")


def test_before_anything_has_run_nothing_is_tested(world: Make) -> None:
    grid = build(world())
    assert row(grid, "rein")["over seeds difference"].text == MISSING
    assert row(grid, "rein")["over seeds n"].text == "0" and "3 of 3 comparisons share fewer" in grid.full_caption
