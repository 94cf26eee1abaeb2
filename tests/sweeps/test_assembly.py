"""A plan's experiments and run ids are those of building and hashing one by one, which is the slow way."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rein.config import ConfigError, Experiment, run_id
from rein.config_io import build, find, override, read_yaml
from rein.sweeps.assembly import Assembly

TOY = read_yaml(find(Experiment, "toy"))
VALUES: dict[str, list[Any]] = {
    "seed": [0, 1, "2", 3.0],
    "steps": [10, 20],
    "optim.lr": [0.1, "1e-4", 1],
    "optim.weight_decay": [0, 0.0, 0.05],
    "data.fraction": [1.0, "1/16", [0.5]],
    "data.scale": [[0.5, 1.0], [1, 2]],
    "data.classes": [None, ["road", "sky"]],
    "evaluation.size": [None, [64, 32]],
    "backbone.weights": ["none", "a/w.safetensors", "w.safetensors"],
    "tuning.method": ["rein", "lora", "full", "partial"],
    "tuning.also": [[], ["norm"]],
    "tuning": [{"method": "lora", "rank": 4}, {"rank": 3}, {}],
    "head.method": ["mask2former", "linear"],
    "head.width": [32, 33],
    "tuning.rank": [1, 2, "x"],
    "sead": [1],
}
CHANGES = st.dictionaries(st.sampled_from(sorted(VALUES)), st.integers(0, 3), max_size=5).map(
    lambda drawn: {key: VALUES[key][index % len(VALUES[key])] for key, index in drawn.items()}
)


def one_by_one(changes: dict[str, Any], to_run: bool = True) -> tuple[str, Experiment] | str:
    try:
        experiment = build(Experiment, override(TOY, changes), "here", to_run)
    except ConfigError as error:
        return str(error)
    return run_id(experiment), experiment


@settings(max_examples=60)
@given(st.lists(CHANGES, min_size=1, max_size=8))
def test_experiments_ids_and_refusals_are_those_of_building_one_by_one(many: list[dict[str, Any]]) -> None:
    assembly = Assembly(TOY)
    for changes in many:
        found: tuple[str, Experiment] | str
        try:
            found = assembly.experiment(changes, "here")
        except ConfigError as error:
            found = str(error)
        assert found == one_by_one(changes)


@pytest.mark.parametrize(
    "base", [{"sead": 1}, {"data": {"sources": ["nowhere"]}}, {"optim": {"lr": -1}}, {"tuning": 3}]
)
def test_a_wrong_base_is_refused_as_by_building(base: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as slow:
        build(Experiment, base, "here")
    with pytest.raises(ConfigError) as fast:
        Assembly(base).experiment({}, "here")
    assert str(fast.value) == str(slow.value)


def test_what_a_change_mends_in_the_base_is_no_mistake() -> None:
    base = {**TOY, "optim": {"lr": -1}}
    id, experiment = Assembly(base).experiment({"optim.lr": 0.5}, "here")
    assert experiment.optim.lr == 0.5 and id == run_id(experiment)


def test_unknown_domains_pass_where_nothing_is_to_run() -> None:
    changes = {"data.targets": ["nowhere"]}
    assert Assembly(TOY, to_run=False).experiment(changes, "here") == one_by_one(changes, to_run=False)


def test_runs_share_the_parts_that_they_have_in_common() -> None:
    assembly = Assembly(TOY)
    made = [
        assembly.experiment({"seed": seed, "optim.lr": lr}, "")[1] for seed, lr in itertools.product((0, 1), (0.1, 1))
    ]
    assert len({id(one.data) for one in made}) == 1 and len({id(one.optim) for one in made}) == 2
