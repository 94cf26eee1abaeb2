"""An experiment is a value: frozen, flat by dotted keys, named by a hash of all that determines its numbers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rein import config
from rein.config import ConfigError, Experiment, Machine, flatten, run_id, to_dict
from rein.config.experiment import YOUNGER
from rein.config_io import build, override

#: Another valid value for every dotted key of the default experiment.
OTHER: dict[str, Any] = {
    "backbone.name": "vit_base_patch14_dinov2.lvd142m",
    "backbone.weights": "none",
    "backbone.patch_size": None,
    "backbone.resize": "timm",
    "backbone.blocks": [1, 2, 3, 4],
    "tuning.token_length": 50,
    "tuning.rank": None,
    "tuning.shared": False,
    "tuning.link": "add",
    "tuning.softmax": False,
    "tuning.scale": "zero_init",
    "tuning.also": ["norm"],
    "head.width": 128,
    "head.heads": 4,
    "data.sources": ["toy-game"],
    "data.targets": ["cityscapes"],
    "data.classes": ["road", "sky"],
    "data.weights": [1.0],
    "data.fraction": 0.5,
    "data.holdout": 0.1,
    "data.unknown_ids": "void",
    "data.on_error": "skip",
    "data.cache": 512,
    "data.scale": [0.5, 1.5],
    "data.photometric": False,
    "data.augmentation": "pasta",
    "optim.betas": [0.9, 0.99],
    "optim.precision": "bf16",
    "evaluation.every": 100,
    "evaluation.window": 256,
    "evaluation.stride": 100,
    "evaluation.images": 7,
    "evaluation.size": [512, 256],
}
FROZEN_ID = "767771192b2c"
#: The unions' tags change the whole group.
TAGS = ("tuning.method", "head.method")


def changed(key: str, value: Any) -> Any:
    return OTHER[key] if key in OTHER else value + 1


@pytest.mark.parametrize("key", [key for key in flatten(Experiment()) if key not in TAGS])
def test_every_field_changes_the_run_id(key: str) -> None:
    value = changed(key, flatten(Experiment())[key])
    other = build(Experiment, override(to_dict(Experiment()), {key: value}))
    assert flatten(other)[key] == value
    assert run_id(other) != run_id(Experiment())


def test_each_tuning_method_is_another_run() -> None:
    methods = get_args(get_args(config.Tuning)[0])
    assert len({run_id(Experiment(tuning=method())) for method in methods}) == len(methods) == 11


def test_each_head_and_its_every_field_is_another_run() -> None:
    heads = [config.Mask2Former(), config.Linear(), config.SemFPN()]
    heads += [config.SemFPN(width=128), config.SemFPN(channels=64), config.SemFPN(dropout=0)]
    assert len({run_id(Experiment(head=head)) for head in heads}) == 6


def test_run_id_is_twelve_hex_digits() -> None:
    assert len(run_id(Experiment())) == 12
    int(run_id(Experiment()), 16)


def test_run_id_of_the_default_recipe_is_frozen() -> None:
    # Changes on purpose only, together with SCHEMA_VERSION or a new field: finished runs would be run again.
    assert (config.SCHEMA_VERSION, run_id(Experiment())) == (1, FROZEN_ID)


def test_keys_younger_than_the_schema_leave_the_names_of_finished_runs_alone() -> None:
    defaults = {key: default for key, default in flatten(Experiment()).items() if key in YOUNGER}
    assert defaults == YOUNGER


@pytest.mark.parametrize("value", [0, 2, "1/0", "x", [1, "3/2"], [], None, {}])
def test_a_share_that_is_none_is_explained_in_one_line(value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        build(Experiment, {"data": {"fraction": value}})
    message = str(caught.value)
    assert message.startswith("config: `data.fraction` is ") and "a share" in message
    assert len(message.splitlines()) == 1 and "function" not in message


@settings(max_examples=15)
@given(st.permutations(list(to_dict(Experiment()))))
def test_run_id_ignores_the_order_of_keys(order: list[str]) -> None:
    values = to_dict(Experiment())
    assert run_id(build(Experiment, {key: values[key] for key in order})) == run_id(Experiment())


def test_run_id_ignores_whether_defaults_are_written_out() -> None:
    assert run_id(build(Experiment, to_dict(Experiment()))) == run_id(build(Experiment, {})) == run_id(Experiment())


@pytest.mark.parametrize("weights", ["w.safetensors", "a/w.safetensors", "/mnt/b/w.safetensors"])
def test_run_id_ignores_where_weights_lie(weights: str) -> None:
    here = Experiment(backbone=config.Backbone(weights="w.safetensors"))
    assert run_id(Experiment(backbone=config.Backbone(weights=weights))) == run_id(here)


def test_run_id_ignores_whether_a_float_was_written_as_int() -> None:
    assert run_id(Experiment(optim=config.Optim(weight_decay=0))) == run_id(
        build(Experiment, {"optim": {"weight_decay": 0}})
    )


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(0, 2**31))
def test_run_ids_are_equal_only_for_equal_experiments(first: int, second: int) -> None:
    assert (run_id(Experiment(seed=first)) == run_id(Experiment(seed=second))) == (first == second)


def test_flatten_names_every_leaf_by_its_dotted_key() -> None:
    flat = flatten(Experiment())
    assert flat["tuning.rank"] == 16 and flat["tuning.method"] == "rein" and flat["steps"] == 40_000
    assert flat["data.targets"] == ["cityscapes", "bdd100k", "mapillary"]
    assert not any(isinstance(value, dict) for value in flat.values())


def test_flatten_and_override_are_inverse() -> None:
    experiment = Experiment(tuning=config.LoRA(rank=3), seed=5)
    assert build(Experiment, override({}, flatten(experiment))) == experiment


def test_experiments_are_frozen_and_hashable_parts_compare_by_value() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Experiment().seed = 1  # type: ignore[misc]
    assert Experiment() == Experiment()
    assert Experiment(seed=1) != Experiment()


def test_defaults_are_the_papers_recipe() -> None:
    flat = flatten(Experiment())
    recipe = {
        "optim.lr": 1e-4, "optim.backbone_lr": 1e-5, "optim.weight_decay": 0.05, "optim.power": 0.9,
        "optim.betas": [0.9, 0.999], "optim.warmup_steps": 0, "optim.precision": "fp32", "steps": 40_000,
        "data.batch_size": 4, "data.crop_size": 512, "data.scale": [0.5, 2.0], "data.max_class_share": 0.75,
        "data.flip": 0.5, "data.photometric": True, "data.augmentation": "none", "tuning.token_length": 100,
        "tuning.rank": 16, "tuning.link": "replace", "tuning.shared": True, "tuning.softmax": True,
        "tuning.scale": "learnable",
        "head.width": 256, "head.encoder_layers": 6, "head.decoder_layers": 9, "head.heads": 8, "head.queries": 100,
        "head.encoder_ffn": 1024, "head.decoder_ffn": 2048, "head.points": 12544, "head.class_weight": 2.0,
        "head.mask_weight": 5.0, "head.dice_weight": 5.0, "head.no_object_weight": 0.1, "backbone.patch_size": 16,
        "backbone.resize": "reference",
    }  # fmt: skip
    assert {key: flat[key] for key in recipe} == recipe


def test_machine_reads_the_environment_and_makes_places_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REIN_DATA", "elsewhere")
    monkeypatch.setenv("REIN_RUNS", "/r")
    assert Machine().data == Path.cwd() / "elsewhere"
    assert Machine().runs == Path("/r")
    assert Machine().weights.is_absolute()


def test_a_machine_reaches_another_process_as_json() -> None:
    for machine in (Machine(threads=2), Machine(cache=Path("/fast"), device="cpu")):
        assert Machine.from_plain(json.loads(json.dumps(machine.plain()))) == machine
