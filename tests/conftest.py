"""Shared fixtures: one small toy world a session, and an experiment that trains on it in seconds."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
import yaml
from hypothesis import HealthCheck, settings

from rein.config import Experiment, Machine
from rein.config_io import build, override
from rein.data import toy
from rein.ledger import Run

# A shell starts what it puts into the background deaf to Ctrl-C, and all that the tests start would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# By default an example must take no longer than 0.2 s, and drawing them no longer than some seconds of any machine.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

#: The paper's recipe shrunk to a second: an untrained ViT of six narrow blocks, a head of one layer, two toy domains.
TINY: dict[str, Any] = {
    "backbone": {"name": "test_vit", "weights": "none", "patch_size": 8},
    "tuning": {"method": "rein", "token_length": 5, "rank": 2},
    "head": {
        "width": 32,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "heads": 2,
        "queries": 5,
        "encoder_ffn": 32,
        "decoder_ffn": 32,
        "points": 32,
    },
    "data": {"sources": ["toy-game"], "targets": ["toy-day"], "crop_size": 32, "batch_size": 2},
    "optim": {"lr": 0.001, "backbone_lr": 0.0001},
    "evaluation": {"images": 1, "window": 96, "stride": 64},
    "steps": 3,
}

Tiny = Callable[..., Experiment]


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's folders or tracker, or spreads over all cores."""
    for key in (
        "REIN_DATA",
        "REIN_RUNS",
        "REIN_WEIGHTS",
        "REIN_DEVICE",
        "REIN_CACHE",
        "MLFLOW_TRACKING_URI",
        "MLFLOW_RUN_ID",
    ):
        monkeypatch.delenv(key, raising=False)
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the toy world at a few images a split, made once and shared by all test processes."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toy, "TRAIN_IMAGES", 7)
        patch.setattr(toy, "VAL_IMAGES", 2)
        for style in toy.STYLES:
            toy.ensure(root / "toy", style)
    return root


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    """The tiny experiment with dotted changes: `tiny({"tuning.rank": 3})`."""

    def make(changes: dict[str, Any] | None = None) -> Experiment:
        return build(Experiment, override(TINY, changes or {}))

    return make


@pytest.fixture
def tiny_file(tmp_path: Path) -> Path:
    """The tiny experiment as a YAML file."""
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


@pytest.fixture
def machine(tmp_path: Path, toy_data: Path) -> Machine:
    """The toy data, an empty runs folder, a checkpoint after every step."""
    return Machine(
        data=toy_data,
        runs=tmp_path / "runs",
        weights=tmp_path / "weights",
        device="cpu",
        threads=1,
        checkpoint_seconds=0,
    )


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_data: Path, tiny: Tiny) -> tuple[Run, Machine]:
    """One finished run and its machine, to be read and not changed."""
    from rein.training import train

    runs = tmp_path_factory.mktemp("finished") / "runs"
    place = Machine(data=toy_data, runs=runs, weights=runs, device="cpu", threads=1, checkpoint_seconds=0)
    return train(tiny(), place), place


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets beside the repository; without it the test is skipped."""
    root = Path(__file__).parents[1].parent / "shared" / "data"
    if not root.is_dir():
        pytest.skip("the real data sets are not here")
    return root
