"""A sweep's saved view: its own runs, what varies in them, and charts that have what they need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rein.config import Experiment, Full, LoRA, Rein
from rein.ledger import Run
from rein.view.saved import DOMAINS, Seen, views


def runs(root: Path, seeds: int = 2) -> list[Run]:
    tunings = (Rein(), LoRA(rank=4), LoRA(rank=8), Full())
    made = [Run.create(root, Experiment(tuning=tuning, seed=seed)) for tuning in tunings for seed in range(seeds)]
    row = {"step": 1, "class": "all", "metric": "miou", "value": 0.5}
    made[0].scores([{**row, "domain": "gta", "role": "source"}, {**row, "domain": "kitti", "role": "target"}])
    (made[0].path / "predictions" / "kitti").mkdir(parents=True)
    for stem in ("b", "a"):
        (made[0].path / "predictions" / "kitti" / f"{stem}_image.png").touch()
    return made


def state(value: str) -> dict[str, Any]:
    return json.loads(json.loads(value)["state"])


def test_what_varies_is_seen_and_an_axis_is_what_every_run_has(tmp_path: Path) -> None:
    seen = Seen.of(runs(tmp_path))
    assert seen and seen.seeds == 2 and seen.domains == ["kitti", "gta"] and seen.pictures == ["kitti/a"]
    assert "tuning.rank" in seen.varied and "seed" not in seen.varied
    assert seen.shared == ["tuning.method"], "not every run has a rank"
    assert "optim.lr" not in seen.varied


def test_variants_are_grouped_where_there_are_seeds_and_runs_have_axes_and_pictures(tmp_path: Path) -> None:
    seen = Seen.of(runs(tmp_path))
    assert seen
    means, every = (state(view.value) for view in views("o'hara", seen))
    assert means["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": "point"}] and every["groupBy"] is None
    assert every["searchFilter"] == "tags.`rein.sweep` = \"o'hara\" and tags.`rein.kind` = 'run'"
    kinds = [{chart["type"] for chart in one["compareRunCharts"]} for one in (means, every)]
    assert kinds[1] - kinds[0] == {"PARALLEL", "IMAGE"}
    for one in (means, every):
        sections = {section["uuid"] for section in one["compareRunSections"]}
        assert {chart["metricSectionId"] for chart in one["compareRunCharts"]} <= sections
        identities = [chart["uuid"] for chart in one["compareRunCharts"]]
        assert len(set(identities)) == len(identities)
        assert "metrics.`kitti/miou`" in one["selectedColumns"] and "params.`tuning.rank`" in one["selectedColumns"]


def test_a_sweep_of_one_seed_has_one_view(tmp_path: Path) -> None:
    seen = Seen.of(runs(tmp_path, seeds=1))
    assert seen and [view.title for view in views("ranks", seen)] == ["ranks, every run"]


def test_a_view_fits_into_a_tag_and_its_address_names_it(tmp_path: Path) -> None:
    seen = Seen.of(runs(tmp_path))
    assert seen
    many = [f"cityscapes-c/blur-{number}" for number in range(DOMAINS)]
    wide = Seen(seen.varied, seen.shared, 3, 100, 40_000, many, [f"{name}/a" for name in many])
    for view in views("a b", wide):
        assert len(view.value) < 20_000, "what MLflow takes"
        assert f"viewStateShareKey={view.tag.rpartition('.')[2].replace(' ', '%20')}&" in view.query


def test_runs_that_cannot_be_read_make_no_view(tmp_path: Path) -> None:
    assert Seen.of([Run(tmp_path / "none")]) is None
