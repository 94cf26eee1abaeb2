"""`rein pack` and `rein unpack` of a run that was trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from rein import results
from rein.cli import app
from rein.config import ConfigError, Machine
from rein.ledger import Run
from tests.conftest import TINY

Rein = Callable[..., Result]


@pytest.fixture
def rein(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rein:
    """`rein` in a study with the sweep `one`, whose only run is the finished one."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "experiments" / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    (tmp_path / "sweeps" / "one.yaml").write_text("experiment: tiny\nvary: {seed: [0]}\n")
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, [*map(str, words)])


def test_from_a_ledger_to_files_to_a_ledger_that_is_done(rein: Rein, finished: tuple[Run, Machine]) -> None:
    run, machine = finished
    packed = json.loads(rein("pack", "one", "--out", "results", "--runs", machine.runs, "--json").stdout)
    assert packed["runs"] == 1 and packed["left out"] == 0 and packed["bytes"] < 50_000
    for unpacked in (1, 0):
        said = json.loads(rein("unpack", "results", "--runs", "again", "--json").stdout)
        assert said["unpacked"] == unpacked and said["already there"] == 1 - unpacked
    again = Run(Path("again") / run.id)
    assert again.score_rows() == run.score_rows()
    assert [record.keys() - {"time", "lr"} for record in run.metrics()[0]] == [one.keys() for one in again.metrics()[0]]
    for name, images in results.images(run.path).items():
        assert (results.images(again.path)[name].counts == images.counts).all()
    swept = json.loads(rein("sweep", "one", "--runs", "again", "--executor", "local", "--no-track", "--json").stdout)
    assert swept["already done"] == 1 and again.is_unpacked
    assert json.loads(rein("status", "one", "--runs", "again", "--json").stdout)
    refused = rein("evaluate", run.id, "--runs", "again")
    assert isinstance(refused.exception, ConfigError) and "unpacked" in str(refused.exception)


def test_nothing_to_pack_and_no_packed_results_are_refused(rein: Rein) -> None:
    for words in (("pack", "one", "--out", "results"), ("unpack", "results"), ("pack", "two", "--out", "results")):
        refused = rein(*words)
        assert isinstance(refused.exception, ConfigError) and refused.stdout == ""
    assert not Path("results").exists()
