"""Every YAML that ships loads, expands, and says in its first lines what it is for."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rein.config import Experiment, Report, Sweep
from rein.config.keys import matches
from rein.config_io import find, load
from rein.models.segmenter import build_model
from rein.sweeps.plan import expand
from rein.worlds import load_sweep

ROOT = Path(__file__).parents[1]


def files(folder: str) -> list[str]:
    return sorted(path.stem for path in (ROOT / folder).glob("*.yaml"))


def test_something_ships_of_every_kind() -> None:
    assert "toy" in files("experiments") and "demo" in files("sweeps") and "demo" in files("reports")


@pytest.mark.parametrize("folder", ["experiments", "sweeps", "reports"])
def test_every_file_opens_with_what_it_is_and_its_command(folder: str) -> None:
    for name in files(folder):
        head = (ROOT / folder / f"{name}.yaml").read_text().splitlines()[:5]
        assert head[0].startswith("# "), name
        command = {"experiments": "train", "sweeps": "sweep", "reports": "report"}[folder]
        assert any(line.startswith("#") and f"rein {command} {name}" in line for line in head), name


@pytest.mark.parametrize("name", files("experiments"))
def test_every_experiment_builds(name: str) -> None:
    experiment = load(Experiment, name, ["backbone.weights=none"])
    with torch.device("meta"):
        build_model(experiment)


@pytest.mark.parametrize("name", files("sweeps"))
def test_every_sweep_expands_to_all_its_runs(name: str) -> None:
    sweep = load(Sweep, name)
    runs = expand(sweep)
    # An axis that a point sets itself does not multiply it.
    expected = sum(
        math.prod(len(values) for key, values in sweep.vary.items() if key not in changes)
        for changes in (sweep.points or {"": {}}).values()
    )
    every = expand(replace(sweep, exclude=()))
    assert len(every) == expected, "no two points are the same run"
    left_out = [run for run in every if any(matches(run.experiment, entry) for entry in sweep.exclude)]
    assert len(runs) == expected - len(left_out)


@pytest.mark.parametrize("name", files("sweeps"))
def test_a_sweep_says_how_many_runs_it_has_where_it_says_so(name: str) -> None:
    head = (ROOT / "sweeps" / f"{name}.yaml").read_text().partition("\nexperiment:")[0]
    for number in re.findall(r"(\d+) runs", head)[:1]:
        assert int(number) == len(expand(load(Sweep, name)))


@pytest.mark.parametrize("name", [name for name in files("sweeps") if name.startswith("paper_")])
def test_every_sweep_of_the_paper_has_a_place_in_the_toy_world(name: str) -> None:
    assert len(expand(load_sweep(name, world="toy"))) == len(expand(load(Sweep, name)))


@pytest.mark.parametrize("name", files("reports"))
def test_every_report_is_about_a_sweep_that_ships(name: str) -> None:
    report = load(Report, name)
    for part in report.parts:
        assert not load(Report, find(Report, part)).parts
    if report.parts:
        return
    sweep = load(Sweep, find(Sweep, report.sweep))
    assert report.tables or report.figures
    variants = {run.variant for run in expand(sweep)} if any(figure.points for figure in report.figures) else set()
    for figure in report.figures:
        assert set(figure.points) <= variants, figure.name
    names = [item.name for item in (*report.tables, *report.figures)]
    assert len(names) == len(set(names))


def test_the_paper_has_a_chapter_of_each_of_its_sweeps() -> None:
    parts = load(Report, "paper").parts
    assert sorted(parts) == [name for name in files("reports") if name.startswith("paper_")]
    assert {load(Report, part).sweep for part in parts} == {name for name in files("sweeps") if name[:6] == "paper_"}
