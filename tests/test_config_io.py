"""Files and overrides: what is right is read with its type, what is wrong is refused by key, file and nearest name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rein import config
from rein.config import ConfigError, Experiment, Report, Sweep, nearest, to_dict
from rein.config_io import build, dump, find, load, override, parse_overrides, read_yaml, shipped


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def refusal(values: dict[str, Any], kind: type = Experiment) -> str:
    with pytest.raises(ConfigError) as caught:
        build(kind, values, "my.yaml")
    return str(caught.value)


# ---------------------------------------------------------------- overrides


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("tuning.rank=8", "tuning.rank", 8),
        ("optim.lr=1e-4", "optim.lr", 1e-4),
        ("optim.lr=1.0e-4", "optim.lr", 1e-4),
        ("tuning.rank=null", "tuning.rank", None),
        ("tuning.link=none", "tuning.link", "none"),
        ("backbone.weights=none", "backbone.weights", "none"),
        ("data.photometric=false", "data.photometric", False),
        ("data.targets=[kitti, carla]", "data.targets", ["kitti", "carla"]),
        ("data.scale=[0.5, 1]", "data.scale", [0.5, 1.0]),
        ("backbone.weights=a=b.pth", "backbone.weights", "a=b.pth"),
        ("seed=3", "seed", 3),
    ],
)
def test_an_override_sets_its_field_with_its_type(text: str, key: str, value: Any) -> None:
    base = to_dict(Experiment())
    experiment = build(Experiment, override(base, parse_overrides([text])))
    found = config.flatten(experiment)[key]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("text", ["tuning.rank", "=3", "seed=[1"])
def test_a_malformed_override_is_quoted(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_overrides([text])
    assert repr(text) in str(caught.value)


def test_another_method_drops_the_old_methods_fields() -> None:
    base = {"tuning": {"method": "rein", "token_length": 20, "rank": 4}}
    assert override(base, {"tuning.method": "lora"}) == {"tuning": {"method": "lora"}}


def test_the_same_method_keeps_its_fields() -> None:
    base = {"tuning": {"method": "rein", "token_length": 20}}
    assert override(base, {"tuning.method": "rein"}) == base


def test_naming_the_default_method_keeps_the_fields() -> None:
    base = {"head": {"width": 64}}
    experiment = build(Experiment, override(base, {"head.method": "mask2former"}))
    assert experiment.head.width == 64


def test_one_word_swaps_the_head_and_drops_the_old_ones_fields() -> None:
    base = {"head": {"width": 64, "queries": 5}}
    assert build(Experiment, override(base, {"head.method": "linear"})).head == config.Linear()
    changes = {"head.channels": 32, "head.method": "semfpn"}
    assert build(Experiment, override(base, changes)).head == config.SemFPN(channels=32)


def test_a_field_of_the_default_tuning_can_be_set_where_the_file_names_no_tuning() -> None:
    assert build(Experiment, override({}, {"tuning.rank": 8})).tuning == config.Rein(rank=8)


@settings(max_examples=15)
@given(st.permutations(["tuning.method=lora", "tuning.rank=4", "tuning.alpha=2"]))
def test_the_order_of_overrides_does_not_matter(items: list[str]) -> None:
    base = {"tuning": {"method": "rein", "token_length": 20}}
    experiment = build(Experiment, override(base, parse_overrides(items)))
    assert experiment.tuning == config.LoRA(rank=4, alpha=2.0)


def test_override_leaves_its_input_alone() -> None:
    base = {"tuning": {"method": "rein", "rank": 4}}
    override(base, {"tuning.rank": 8, "tuning.method": "lora", "data.sources": ["gta"]})
    assert base == {"tuning": {"method": "rein", "rank": 4}}


def test_an_override_below_a_plain_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"seed\.x"):
        override({"seed": 3}, {"seed.x": 1})


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sede": 1}, ["my.yaml", "`sede`", "did you mean `seed`"]),
        ({"optim": {"learning_rate": 1}}, ["`optim.learning_rate`", "lr"]),
        ({"tuning": {"method": "rein", "rnk": 1}}, ["`tuning.rnk`", "did you mean `rank`"]),
        ({"tuning": {"method": "lora", "token_length": 1}}, ["`tuning.token_length`", "alpha"]),
        ({"head": {"method": "semfpm"}}, ["`head.method`", "did you mean `semfpn`"]),
        ({"head": {"method": "linear", "width": 1}}, ["unknown key `head.width`"]),
        ({"head": {"method": "semfpn", "dropout": 1}}, ["`head.dropout` is 1", "less than 1"]),
        ({"data": {"augmentation": "paste"}}, ["`data.augmentation`", "'pasta'"]),
        ({"tuning": {"method": "rain"}}, ["`tuning.method`", "'rain'", "did you mean `rein`", "lora"]),
        ({"tuning": {"method": "rein", "rank": 0}}, ["`tuning.rank`", "0", "greater than 0"]),
        ({"optim": {"lr": "fast"}}, ["`optim.lr`", "'fast'"]),
        ({"optim": {"lr": -1}}, ["`optim.lr`", "-1"]),
        ({"steps": 1.5}, ["`steps`", "1.5"]),
        ({"tuning": {"method": "rein", "link": "replaced"}}, ["`tuning.link`", "'replaced'", "'replace'"]),
        ({"data": {"sources": "gta"}}, ["`data.sources`", "'gta'"]),
        ({"data": {"sources": ["gat"]}}, ["`data.sources`", "'gat'", "did you mean `gta`"]),
        ({"data": {"targets": ["cityscape"]}}, ["`data.targets`", "did you mean `cityscapes`"]),
        ({"data": {"sources": ["kitti"]}}, ["`data.sources`", "kitti", "no train split", "tested on"]),
        ({"data": {"targets": ["gta"]}}, ["`data.targets`", "gta", "val"]),
        ({"data": {"scale": [1.5, 0.5]}}, ["`data.scale`"]),
        ({"data": {"scale": [0.25, 0.5]}}, ["`data.scale`", "multiples of 0.1"]),
        ({"data": {"scale": [0.04, 0.5]}}, ["`data.scale`", "multiples of 0.1"]),
        ({"evaluation": {"window": 96, "stride": 128}}, ["`evaluation.stride`", "128", "gaps"]),
        ({"head": {"width": 100}}, ["`head.width`", "100", "`head.heads` (8)"]),
        ({"data": {"sources": []}}, ["`data.sources`"]),
        ({"tuning": "rein"}, ["`tuning`", "'rein'"]),
    ],
    ids=lambda item: json.dumps(item) if isinstance(item, dict) else "",
)
def test_a_wrong_word_is_refused_by_key_and_nearest_name(values: dict[str, Any], words: list[str]) -> None:
    message = refusal(values)
    assert message.startswith("my.yaml: ")
    assert [word for word in words if word not in message] == [], message


def test_every_wrong_key_gets_its_own_line() -> None:
    assert len(refusal({"sede": 1, "step": 2, "optim": {"lrr": 1}}).splitlines()) == 3


def test_refusals_of_sweeps_and_reports_name_their_keys() -> None:
    assert "`experiment` is missing" in refusal({}, Sweep)
    assert "did you mean `vary`" in refusal({"experiment": "toy", "varry": {}}, Sweep)
    message = refusal({"title": "t", "sweep": "s", "tables": [{"name": "x", "kind": "classs"}]}, Report)
    assert "`tables.0.kind`" in message
    message = refusal({"title": "t", "sweep": "s", "selection": "best"}, Report)
    assert "`selection`" in message and "'source_val'" in message


def test_an_error_of_a_file_names_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.yaml", "sede: 1\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load(Experiment, path)


# ---------------------------------------------------------------- files


def test_load_reads_a_file_and_applies_overrides(tmp_path: Path) -> None:
    path = write(tmp_path / "e.yaml", "tuning: {method: lora, rank: 4}\nsteps: 7\n")
    experiment = load(Experiment, path, ["tuning.rank=2"])
    assert experiment == Experiment(tuning=config.LoRA(rank=2), steps=7)


def test_an_empty_file_is_the_papers_recipe(tmp_path: Path) -> None:
    assert load(Experiment, write(tmp_path / "e.yaml", "# nothing\n")) == Experiment()


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "just words", "\x00"])
def test_a_file_that_is_no_mapping_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"e\.yaml"):
        read_yaml(write(tmp_path / "e.yaml", text))


def test_a_missing_file_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such file"):
        find(Experiment, "nowhere.yaml")


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"toyy: no experiment.*did you mean `toy`"):
        find(Experiment, "toyy")


def test_the_working_folders_study_comes_before_the_shipped_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "experiments").mkdir()
    write(tmp_path / "experiments" / "toy.yaml", "steps: 11\n")
    monkeypatch.chdir(tmp_path)
    assert load(Experiment, "toy").steps == 11
    assert "demo" in shipped(Sweep), "shipped names stay known in a study's folder"


@pytest.mark.parametrize(
    "value",
    [
        Experiment(),
        Experiment(tuning=config.LoRA(targets=("q", "v")), backbone=config.Backbone(blocks=(0, 1, 2, 3))),
        Sweep(experiment="toy", points={"a": {"tuning.method": "full"}}, vary={"seed": [0, 1]}),
        Report(title="t", sweep="s", tables=(config.Table(name="main"),)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_dumped_is_read_back_as_the_same_value(tmp_path: Path, value: Any) -> None:
    path = write(tmp_path / "x.yaml", dump(value))
    assert load(type(value), path) == value


@settings(max_examples=15)
@given(st.floats(1e-8, 1e3), st.integers(0, 10**6))
def test_numbers_survive_yaml(lr: float, seed: int) -> None:
    import yaml

    experiment = Experiment(optim=config.Optim(lr=lr), seed=seed)
    assert build(Experiment, yaml.safe_load(dump(experiment))) == experiment


def test_a_class_that_is_named_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`data\.classes` names road twice"):
        build(Experiment, {"data": {"classes": ["road", "car", "road"]}})


def test_nearest_is_silent_about_strangers() -> None:
    assert nearest("rnk", ["rank", "alpha"]) == " (did you mean `rank`?)"
    assert nearest("zzz", ["rank", "alpha"]) == ""


def test_an_overrides_error_names_the_override_alone_and_the_file(tiny_file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(Experiment, tiny_file, ["seed=1", "optim.lr=-1"])
    assert str(caught.value).startswith(f"optim.lr=-1 (over {tiny_file}): `optim.lr` is -1")


def test_a_key_of_the_experiment_in_a_sweep_is_told_where_it_goes() -> None:
    with pytest.raises(ConfigError, match=r"unknown key `tuning`.*as 'vary=\{tuning\.rank: \[8, 16\]\}'"):
        load(Sweep, "demo", ["tuning.rank=8"])
