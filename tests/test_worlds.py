"""A sweep in another world: what is kept, what is replaced, what has no place there."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rein.config import ConfigError, Experiment, Sweep
from rein.config_io import build, load
from rein.sweeps.plan import expand
from rein.worlds import load_sweep, move, name_in


def a_world(folder: Path, **changes: object) -> str:
    values = {
        "experiment": "toy",
        "domains": {"gta": "toy-game", "cityscapes": "toy-day", "bdd100k": "toy-rain", "mapillary": "toy-night"},
        "backbones": {
            "vit_large_patch14_dinov2.lvd142m": "vit_toy_patch8_96",
            "eva02_large_patch14_224.mim_m38m": "test_vit",
        },
        **changes,
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(values))
    return str(folder / "mine.yaml")


def test_points_and_axes_stay_and_sizes_are_those_of_the_world(tmp_path: Path) -> None:
    toy = load(Experiment, "toy")
    there = expand(load_sweep("paper_tunings", world=a_world(tmp_path)))
    here = expand(load(Sweep, "paper_tunings"))
    assert [(run.point, run.experiment.seed) for run in there] == [(run.point, run.experiment.seed) for run in here]
    assert {run.experiment.steps for run in there} == {toy.steps}
    assert {run.experiment.head for run in there} == {toy.head}
    assert {run.experiment.data.targets for run in there} == {("toy-day", "toy-rain", "toy-night")}
    assert {run.experiment.backbone.name for run in there} == {"vit_toy_patch8_96", "test_vit"}


def test_an_axis_is_replaced_value_by_value_and_a_method_brings_its_own_keys(tmp_path: Path) -> None:
    backbones = {"vit_large_patch14_dinov2.lvd142m": "vit_toy_patch8_96", "resnet50.a1_in1k": "test_resnet.r160_in1k"}
    world = a_world(tmp_path, backbones=backbones)
    points = {"lora": {"tuning.method": "lora", "tuning.rank": 2}, "fpn": {"head.method": "semfpn"}}
    sweep = build(Sweep, {"experiment": "rein_dinov2_gta", "points": points, "vary": {"backbone.name": [*backbones]}})
    moved = move(sweep, world)
    runs = expand(moved.sweep)
    assert {run.experiment.backbone.name for run in runs} == {*backbones.values()}
    assert [getattr(run.experiment.tuning, "rank", None) for run in runs[:2]] == [2, 2]
    assert {run.experiment.head.method for run in runs[2:]} == {"semfpn"}
    assert moved.stands_for["test_resnet.r160_in1k"] == "resnet50.a1_in1k"
    assert moved.stands_for["toy-day"] == "cityscapes"


def test_a_pattern_leaves_out_the_same_runs_there(tmp_path: Path) -> None:
    """`*eva02*` fits no name of the world."""
    names = ["vit_large_patch14_dinov2.lvd142m", "eva02_large_patch14_224.mim_m38m"]
    exclude = [{"tuning.rank": 4, "backbone.name": "*eva02*"}]
    vary = {"backbone.name": names, "tuning.rank": [4, 8]}
    sweep = build(Sweep, {"experiment": "rein_dinov2_gta", "vary": vary, "exclude": exclude})
    runs = expand(move(sweep, a_world(tmp_path)).sweep)
    found = [(run.experiment.backbone.name, getattr(run.experiment.tuning, "rank", None)) for run in runs]
    assert found == [("vit_toy_patch8_96", 4), ("vit_toy_patch8_96", 8), ("test_vit", 8)]


def test_the_members_of_a_family_stand_for_those_of_the_other(tmp_path: Path) -> None:
    domains = {"cityscapes": "toy-day", "cityscapes-c": "toy-c"}
    axes = {"data.targets": [["cityscapes-c"]]}
    sweep = build(Sweep, {"experiment": "rein_dinov2_cityscapes_1024", "vary": axes})
    moved = move(sweep, a_world(tmp_path, domains=domains))
    assert moved.stands_for["toy-c-fog-3"] == "cityscapes-c-fog-3"


def test_what_has_no_place_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml: `backbones` has nothing for vit_large_patch16_224\.mae"):
        load_sweep("paper_backbones", ['vary={backbone.name: ["vit_large_patch16_224.mae"]}'], a_world(tmp_path))
    both = {"gta": "toy-game", "cityscapes": "toy-day", "bdd100k": "toy-day", "mapillary": "toy-night"}
    with pytest.raises(ConfigError, match="toy-day would stand for cityscapes and for bdd100k in one sweep"):
        load_sweep("paper_rank", world=a_world(tmp_path, domains=both))


def test_without_a_world_nothing_changes() -> None:
    sweep = load(Sweep, "paper_rank")
    assert move(sweep, None).sweep is sweep and load_sweep("paper_rank") == sweep
    assert name_in("sweeps/rank.yaml", None) == "rank" and name_in("rank", "worlds/toy.yaml") == "rank-toy"
