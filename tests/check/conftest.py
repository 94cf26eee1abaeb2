"""A copy of the toy world to break."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copied(toy_data: Path, tmp_path: Path) -> Path:
    """A data folder with the toy world: 7 train and 2 val images of `toy-game`, 2 val images of every other style."""
    shutil.copytree(toy_data, tmp_path / "data")
    return tmp_path / "data"
