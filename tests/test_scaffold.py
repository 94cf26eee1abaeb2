"""`rein init`: a study that works as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from rein.config import ConfigError, Experiment, Report, Sweep
from rein.config_io import find, load
from rein.data import domains
from rein.scaffold import create
from rein.sweeps.plan import expand


def test_a_new_study_loads_expands_and_refers_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = create(tmp_path / "study")
    assert [path.relative_to(tmp_path / "study").as_posix() for path in paths] == [
        "experiments/mine.yaml",
        "sweeps/mine.yaml",
        "reports/mine.yaml",
        "domains/mine.yaml",
    ]
    monkeypatch.chdir(tmp_path / "study")
    assert load(Experiment, "mine").data.sources == ("toy-game",)
    planned = expand(load(Sweep, "mine"))
    assert [(run.point, run.experiment.seed) for run in planned] == [
        (point, seed) for point in ("frozen", "rein") for seed in (0, 1, 2)
    ], "as many seeds as a test takes"
    assert find(Sweep, load(Report, "mine").sweep) == tmp_path / "study" / "sweeps" / "mine.yaml"
    assert all(path.read_text().startswith("# ") for path in paths)


def test_the_new_domain_can_be_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rein.data.domains.DOMAINS", dict(domains.DOMAINS))
    loaded = load(Experiment, "mine", ["data.sources=[mine]", "data.targets=[mine]"])
    assert loaded.data.sources == ("mine",)
    assert domains.find("mine").class_names == {
        "road", "sidewalk", "building", "vegetation", "sky", "person", "car",
    }  # fmt: skip


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "mine.yaml").write_text("mine")
    with pytest.raises(ConfigError, match=r"sweeps/mine\.yaml: is there already"):
        create(tmp_path)
    assert (tmp_path / "sweeps" / "mine.yaml").read_text() == "mine"
    assert not (tmp_path / "experiments").exists()
