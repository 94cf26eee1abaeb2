"""What `vary` and `search` may say, and how a slip is answered."""

from __future__ import annotations

from typing import Any

import pytest

from rein.config import ASHA, ConfigError, HyperBand, Report, Sweep
from rein.config_io import build, dump


def sweep(**values: Any) -> Sweep:
    return build(Sweep, {"experiment": "toy", **values})


def test_a_list_and_a_distribution_are_axes() -> None:
    axes = sweep(
        vary={"seed": [0, 1], "optim.lr": {"loguniform": ["1e-5", 1e-2]}, "tuning.rank": {"int": [1, 8.0]}}
    ).vary
    assert axes == {"seed": [0, 1], "optim.lr": {"loguniform": [1e-5, 1e-2]}, "tuning.rank": {"int": [1, 8]}}


@pytest.mark.parametrize(
    ("axis", "said"),
    [
        (3, "a list, or one of uniform"),
        ({"normal": [0, 1]}, "a list, or one of uniform"),
        ({"uniform": [0, 1], "int": [0, 1]}, "a list, or one of uniform"),
        ({"uniform": 1}, "`uniform` takes a list"),
        ({"uniform": [1]}, "from one number to another"),
        ({"uniform": ["a", "b"]}, "from one number to another"),
        ({"uniform": [2, 1]}, "not from 2 to 1"),
        ({"loguniform": [0, 1]}, "from a positive number"),
        ({"logint": [0, 8]}, "from a positive number"),
        ({"int": [0.5, 8]}, "whole number"),
        ({"choice": []}, "`choice` takes a list"),
    ],
)
def test_an_axis_that_is_none_is_explained(axis: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        sweep(vary={"optim.lr": axis})
    assert "`vary.optim.lr`" in str(caught.value)


def test_a_report_takes_the_same_axes() -> None:
    report = build(Report, {"title": "t", "sweep": "s", "vary": {"optim.lr": {"uniform": [0, 1]}}})
    assert report.vary == {"optim.lr": {"uniform": [0.0, 1.0]}}


def test_a_scheduler_is_a_name_or_a_name_with_options() -> None:
    named = sweep(search={"scheduler": "asha"}).search
    assert named is not None and named.scheduler == ASHA()
    given = sweep(search={"scheduler": {"method": "hyperband", "reduction_factor": 4}}).search
    assert given is not None and given.scheduler == HyperBand(reduction_factor=4)


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"scheduler": "ahsa"}, r"`search\.scheduler\.method` is 'ahsa' \(did you mean `asha`\?\)"),
        ({"scheduler": {"method": "asha", "grace": 3}}, r"unknown key `search\.scheduler\.grace`.*grace_period"),
        ({"triels": 3}, r"unknown key `search\.triels` \(did you mean `trials`\?\)"),
        ({"sampler": "optun"}, "search.sampler"),
    ],
)
def test_a_slip_names_its_key(search: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        sweep(search=search)


def test_a_search_survives_yaml() -> None:
    import yaml

    asked = sweep(
        vary={"optim.lr": {"uniform": [0, 1]}}, search={"sampler": "random", "trials": 3, "scheduler": "median"}
    )
    assert build(Sweep, yaml.safe_load(dump(asked))) == asked
