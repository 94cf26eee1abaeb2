"""Figures are kept for the code that they were found out with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import rein
from rein.sweeps.bill.cost_cache import code


def test_other_code_of_a_model_is_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "rein"
    shutil.copytree(Path(rein.__file__).parent / "models", package / "models")
    before = code.__wrapped__()
    monkeypatch.setattr(rein, "__file__", str(package / "__init__.py"))
    assert code.__wrapped__() == before
    with open(package / "models" / "lora.py", "a") as file:
        file.write("# changed\n")
    assert code.__wrapped__() != before
