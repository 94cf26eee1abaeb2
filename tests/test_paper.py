"""The paper's sweeps and its document: on a tiny toy world from real runs, and on an empty ledger."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rein.config import Experiment, Machine, World
from rein.config_io import find, override, read_yaml
from rein.sweeps.drive import drive

ROOT = Path(__file__).parents[1]
SWEEPS = sorted(path.stem for path in (ROOT / "sweeps").glob("paper_*.yaml"))

#: What makes a run of the toy world one of a second.
SMALLER = {
    "tuning.token_length": 5, "head.width": 16, "head.decoder_layers": 1, "head.heads": 2, "head.queries": 5,
    "head.encoder_ffn": 16, "head.decoder_ffn": 16, "head.points": 16,
    "evaluation.every": 1, "evaluation.images": 1, "steps": 2,
}  # fmt: skip


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The shipped toy world with the smallest runs, one seed of each."""
    folder = tmp_path_factory.mktemp("world")
    smaller = override(read_yaml(find(Experiment, "toy_paper")), SMALLER)
    (folder / "smaller.yaml").write_text(yaml.safe_dump(smaller))
    there = read_yaml(find(World, "toy")) | {"experiment": str(folder / "smaller.yaml"), "vary": {"seed": [0]}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(there))
    return str(folder / "tiny.yaml")


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory, toy_data: Path, world: str) -> Path:
    """The runs of every sweep of the paper there."""
    runs = tmp_path_factory.mktemp("paper") / "runs"
    machine = Machine(data=toy_data, runs=runs, weights=runs, device="cpu", threads=1)
    for name in SWEEPS:
        said = drive(name, [], machine, "local", track=False, world=world)
        assert said["runs"] == said.get("done"), name
    return runs


def test_every_run_of_the_paper_can_be_made(ledger: Path) -> None:
    assert len(list(ledger.glob("*/experiment.yaml"))) > 100
