"""What a report is a view of: the sweep's runs as it was run, its targets and sources, and the rule that selects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from rein.config import ConfigError, Figure, Table
from rein.reports.figures import draw
from rein.reports.provenance import provenance
from rein.reports.study import gather, miou
from rein.reports.tables import table
from rein.reports.tables.rows import groups
from tests.reports.made_up_sweep import POINTS, World


def test_a_report_may_name_the_classes_that_mious_are_over(finished: World) -> None:
    every, roads = (gather(finished.report(classes=of), finished.runs) for of in ((), ("road",)))
    # A made-up road is ten points better than the mIoU, on every domain and at every checkpoint.
    for rule in ("last", "source_val", "oracle"):
        pd.testing.assert_frame_equal(miou(roads, rule=rule), miou(every, rule=rule) + 10)
    assert roads.classes == ["road"] and len(every.classes) == len(roads.told_apart) == 19
    with pytest.raises(ConfigError, match=r"'raod' is no class of the runs .*did you mean `road`"):
        gather(finished.report(classes=("raod",)), finished.runs)


def test_a_report_takes_the_axes_that_the_sweep_was_given(world: Callable[..., World]) -> None:
    made = world(seeds=(0,))
    vary = {"seed": [0, 1, 2]}
    study = gather(made.report(vary=vary), made.runs)
    assert len(study.runs) == 3 * len(POINTS) and set(study.runs["seed"]) == {0, 1, 2}
    command = dict(provenance(study, "demo"))["commands"]
    assert command.count("'vary={\"seed\": [0, 1, 2]}'") == 2, "both commands say it"


@pytest.mark.parametrize("ranks", [[4, 16], [None, 16]])
def test_runs_that_differ_in_a_key_are_no_seeds_of_a_row_even_where_it_is_null(
    world: Callable[..., World], ranks: list[Any]
) -> None:
    made = world(points={"rein": ({}, 7, 0.4)}, **{"tuning.rank": ranks})
    with pytest.raises(ConfigError, match=r"mix runs that differ in tuning\.rank"):
        groups(gather(made.report(), made.runs), ("tuning.method",), "table")


@pytest.fixture
def without_val(world: Callable[..., World]) -> World:
    """The paper's own setting: the source has no val split."""
    made = world(points={"rein": ({"data.sources": ["gta"]}, 7, 0.4)})
    made.finish_all()
    return made


def test_a_source_without_a_val_split_has_no_column(without_val: World) -> None:
    study = gather(without_val.report(), without_val.runs)
    assert study.sources == []
    assert not [column for column in table(study, Table(name="main")).columns if column.group == "source val"]


def test_nothing_can_be_selected_by_a_source_without_a_val_split(without_val: World) -> None:
    with pytest.raises(ConfigError, match=r"selection: `source_val` needs a source with a val split"):
        gather(without_val.report(selection="source_val"), without_val.runs)


def test_curves_without_a_source_go_over_the_steps(without_val: World) -> None:
    picture = draw(gather(without_val.report(), without_val.runs), Figure(name="c", kind="curves"))
    assert not isinstance(picture, str)
    _, right = picture.canvas.axes
    assert right.get_xlabel() == "step" and list(right.lines[-1].get_xdata()) == [200]


def test_a_target_that_is_a_source_is_none(world: Callable[..., World]) -> None:
    made = world(targets=("toy-day", "toy-game"))
    made.finish_all()
    study = gather(made.report(), made.runs)
    assert study.targets == ["toy-day"] and study.sources == ["toy-game"]


def test_without_targets_there_is_a_sentence_instead_of_a_picture(world: Callable[..., World]) -> None:
    made = world(targets=())
    study = gather(made.report(), made.runs)
    for kind in ("inverted_u", "curves"):
        assert draw(study, Figure(name="f", kind=kind)) == "the sweep has no target domain"
