"""The columns of many configs against the flat mapping of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rein.config import ConfigError, Experiment, flatten
from rein.config_columns import Configs, categorical, columns
from rein.config_io import build
from rein.ledger import Run

#: Runs that share groups and numbers: `steps` and `seed` are both 7.
CHANGES: list[dict[str, Any]] = [
    {},
    {"steps": 7, "seed": 7},
    {"seed": 7, "tuning": {"method": "frozen"}},
    {"tuning": {"method": "lora", "rank": 4, "also": ["norm"]}, "head": {"method": "linear"}},
    {"data": {"fraction": "1/16", "classes": ["road", "car"]}},
    {"data": {"sources": ["gta", "synthia"], "targets": ["kitti"], "fraction": [1, 0.5]}, "evaluation": {"images": 3}},
    {"data": {"fraction": 0.5}, "optim": {"lr": 3e-5}},
]
EXPERIMENTS = [build(Experiment, changes) for changes in CHANGES]


def flat(experiment: Experiment) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in flatten(experiment).items()}


def test_groups_are_the_flat_mapping_in_parts() -> None:
    configs = Configs()
    for experiment in EXPERIMENTS:
        groups = configs.flat(experiment)
        assert {key: value for group in groups for key, value in group.items()} == flat(experiment)


def test_what_a_run_wrote_is_read(tmp_path: Path) -> None:
    configs, others = Configs(), Configs()
    for experiment in EXPERIMENTS:
        assert configs.read(Run.create(tmp_path, experiment)) == others.flat(experiment)


@pytest.mark.parametrize(
    "text",
    ["seed: 7\n", "{seed: 7}", "tuning: {method: frozen}\nseed: 7\n", "# by hand\nseed: 7\n\ndata:\n  flip: .5\n"],
)
def test_what_is_not_plain_or_not_whole_means_the_same(tmp_path: Path, text: str) -> None:
    run = Run.create(tmp_path, Experiment())
    (run.path / "experiment.yaml").write_text(text)
    groups = Configs().read(run)
    assert {key: value for group in groups for key, value in group.items()} == flat(run.experiment())


@pytest.mark.parametrize("text", ["renamed: 1\n", "tuning:\n  rank: no\n", "data:\n  scale:\n  - 2.0\n  - 1.0\n"])
def test_what_this_code_cannot_read_is_an_error(tmp_path: Path, text: str) -> None:
    run = Run.create(tmp_path, Experiment())
    (run.path / "experiment.yaml").write_text(text)
    configs = Configs()
    for _ in range(2):  # the first reading must not let the second pass
        with pytest.raises(ConfigError, match=r"experiment\.yaml"):
            configs.read(run)


def test_a_row_a_config_and_missing_where_a_config_has_no_such_key() -> None:
    configs = Configs()
    frame = columns([configs.flat(experiment) for experiment in EXPERIMENTS])
    for (_, row), experiment in zip(frame.iterrows(), EXPERIMENTS, strict=True):
        expected = {key: value for key, value in flat(experiment).items() if value is not None}
        assert {key: value for key, value in row.items() if isinstance(value, tuple) or pd.notna(value)} == expected
    assert (frame["seed"].dtype, frame["optim.lr"].dtype, frame["tuning.rank"].dtype) == ("int64", "float64", "float64")
    assert frame["data.photometric"].dtype == bool and frame["tuning.method"].dtype == "category"
    assert frame.groupby("data.sources", observed=True).size().to_dict() == {("gta",): 6, ("gta", "synthia"): 1}


def test_the_columns_of_no_config_are_none() -> None:
    assert columns([]).empty


def test_groups_of_a_categorical_are_sorted() -> None:
    found = categorical(["b", None, "a"], np.array([0, 2, 1, 0]))
    assert list(found.cat.categories) == ["a", "b"] and found.isna().tolist() == [False, False, True, False]
